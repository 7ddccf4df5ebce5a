"""How runs end: done, failed, killed, bad input, restarted, out of time."""
import json
import os
import shutil
import signal
import socket
import subprocess
import unittest

from harness import LOCKSTEP, ControlTest, Run, eventually, is_alive, processes_of


class Completed(ControlTest):
    def hello(self, ranks):
        run = self.submit("echo hello from $RANK of $WORLD_SIZE local $LOCAL_RANK\n", ranks=ranks)
        end = run.wait()
        self.assertEqual(end["status"], "Completed")
        self.assertEqual(end["cause"]["exit_code"], 0)
        self.assertEqual(run.statuses(), ["Starting", "Running", "Finalizing", "Completed"])
        for rank in range(ranks):
            self.assertEqual(run.log(rank), f"hello from {rank} of {ranks} local {rank}\n")

    def test_two_ranks_have_a_log_each(self):
        self.hello(2)

    def test_four_ranks_on_fewer_cores(self):
        self.hello(4)

    def test_one_process_needs_no_mpirun(self):
        run = self.submit("echo alone $RANK of $WORLD_SIZE: $0\nps -o comm= -p $PPID\n", ranks=1)
        self.assertEqual(run.wait()["status"], "Completed")
        self.assertIn("alone 0 of 1", run.log())
        self.assertNotIn("mpirun", run.log())

    def test_outputs_are_listed_with_digests(self):
        run = self.submit("""
            import os, pathlib
            if os.environ["RANK"] == "1":
                pathlib.Path("outputs/model").mkdir()
                pathlib.Path("outputs/model/weights.bin").write_bytes(b"abc")
        """, name="job.py")
        run.wait()
        manifest = (run.path / "logs" / "75_job_post.txt").read_text().splitlines()
        self.assertEqual(manifest[2:], [
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  3  outputs/model/weights.bin"])

    def test_what_lies_in_replaced_folders_is_kept(self):
        run = self.submit("""
            echo first > outputs/x
            mkdir outputs/deep; echo one > outputs/deep/1
            rm -rf outputs logs; mkdir -p outputs/deep logs
            echo second > outputs/x; echo two > outputs/deep/2; echo event > logs/events
        """, ranks=1)
        self.assertEqual(run.wait()["status"], "Completed")
        outputs = {str(p.relative_to(run.path)): p.read_text() for p in run.path.glob("outputs/**/*") if p.is_file()}
        self.assertEqual(outputs, {"outputs/x": "first\n", "outputs/x.1": "second\n",
                                   "outputs/deep/1": "one\n", "outputs/deep/2": "two\n"})
        self.assertEqual((run.path / "logs/events").read_text(), "event\n")
        self.assertIn("outputs/x.1", (run.path / "logs/75_job_post.txt").read_text())
        self.assertIn("the program replaced ./outputs", run.wait_for("Finalizing")["detail"])
        self.assertTrue((run.path / "work/outputs").is_symlink())

    def test_an_mpi_program_and_its_variables(self):
        run = self.submit("""
            import os
            print(os.environ["LOCKSTEP_ATTEMPT"], os.environ["LOCKSTEP_EXPECTED_WORLD_SIZE"], os.environ["AZUREML_RUN_ID"],
                  os.path.realpath(os.getcwd()) == os.path.realpath(os.environ["LOCKSTEP_RUN_DIR"] + "/work"))
        """, name="job.py")
        run.wait()
        self.assertEqual(run.log(1), f"1 2 {run.id} True\n")

    def test_which_variables_of_the_submitter_ranks_get(self):
        given = {"FOO": "foo", "BAR": "bar", "LOCKSTEP_RESUME_FROM": "old"}
        if not os.environ.get("LOCKSTEP_SANITIZED"):    # a sanitizer's own library must be the first
            given["LD_PRELOAD"] = "libc.so.6"
        run = self.submit("echo ${FOO:-none} ${BAR:-none} ${LD_PRELOAD:-none} ${LOCKSTEP_RESUME_FROM:-none}\n",
                          "--environment-variables", "BAR", ranks=1,
                          environment=given)
        run.wait()
        self.assertEqual(run.log(), f"none bar {given.get('LD_PRELOAD', 'none')} none\n")


class Failed(ControlTest):
    def test_the_cause_names_rank_host_code_and_last_lines(self):
        run = self.submit("""
            if [ $RANK = 1 ]; then
              for i in $(seq 1 30); do echo line $i; done
              exit 41
            fi
            exec sleep 300
        """)
        end = run.wait()
        self.assertEqual(end["status"], "Failed")
        cause = end["cause"]
        self.assertEqual((cause["reason"], cause["rank"], cause["exit_code"], cause["host"]),
                         ("exit_code", 1, 41, socket.gethostname()))
        self.assertEqual(cause["last_lines"], [f"line {i}" for i in range(11, 31)])
        self.assertIn("rank 1", cause["message"])
        self.assertEqual(json.loads((run.path / "attempts/001/end.json").read_text())["cause"], cause)

    def test_a_rank_that_is_killed(self):
        run = self.submit("echo ready $$\nexec sleep 300\n")
        run.wait_for_log("ready", 1)
        os.kill(int(run.log(1).split()[1]), signal.SIGKILL)
        cause = run.wait()["cause"]
        self.assertEqual((cause["reason"], cause["rank"], cause["signal"]), ("signal", 1, 9))

    def test_what_a_rank_reported_is_the_cause(self):
        run = self.submit("""
            import json, os, sys, time
            if os.environ["RANK"] == "1":
                with open(os.environ["LOCKSTEP_RUN_DIR"] + "/attempts/001/error_1.json", "w") as file:
                    json.dump({"rank": 1, "host": "node07", "kind": "corrupt_data", "what": "data file train.h5 is truncated",
                               "where": "", "hint": "fetch it again"}, file)
                sys.exit(1)
            time.sleep(300)
        """, name="job.py")
        cause = run.wait()["cause"]
        self.assertEqual((cause["rank"], cause["host"], cause["hint"]), (1, "node07", "fetch it again"))
        self.assertIn("data file train.h5 is truncated", cause["message"])

    def test_peers_that_linger_after_a_report_are_ended(self):
        run = self.submit("""
            import json, os, signal, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if os.environ["RANK"] == "0":
                with open(os.environ["LOCKSTEP_RUN_DIR"] + "/attempts/001/error_0.json", "w") as file:
                    json.dump({"rank": 0, "host": "h", "kind": "internal", "what": "boom", "where": "", "hint": ""}, file)
            time.sleep(300)
        """, name="job.py")
        cause = run.wait()["cause"]
        self.assertEqual((cause["rank"], cause["exit_code"]), (0, 1))
        self.assertIn("boom", cause["message"])

    def test_bad_input_is_not_tried_again(self):
        run = self.submit("echo no such data set >&2\nexit 2\n", "--max-restarts", 3)
        end = run.wait()
        self.assertEqual((end["status"], end["attempt"], end["cause"]["exit_code"]), ("Failed", 1, 2))
        self.assertIn(end["cause"]["rank"], (0, 1))
        self.assertEqual(end["cause"]["last_lines"], ["no such data set"])

    def test_leftover_processes_are_ended_with_the_run(self):
        run = self.submit("setsid sleep 300 > /dev/null 2>&1 &\n", ranks=1)
        self.assertEqual(run.wait()["status"], "Completed")   # wait() asserts that nothing is left

    def test_leftovers_that_dropped_their_environment_too(self):
        run = self.submit("env -i setsid sleep 300 > /dev/null 2>&1 &\necho $!\n")
        self.assertEqual(run.wait()["status"], "Completed")
        for rank in (0, 1):
            self.assertFalse(is_alive(int(run.log(rank))))

    def test_time_limit(self):
        run = self.submit("echo ready\nexec sleep 300\n", "--max-run-duration-seconds", 2)
        end = run.wait()
        self.assertEqual((end["status"], end["cause"]["reason"]), ("Failed", "time_limit"))
        self.assertIn("max_run_duration_seconds = 2", end["cause"]["message"])


class Restarted(ControlTest):
    def test_failure_then_success(self):
        run = self.submit("""
            echo attempt $LOCKSTEP_ATTEMPT resume ${LOCKSTEP_RESUME_FROM:-nothing}
            [ $LOCKSTEP_ATTEMPT = 1 ] && [ $RANK = 0 ] && exit 7
            exit 0
        """, "--max-restarts", 1)
        end = run.wait()
        self.assertEqual((end["status"], end["attempt"]), ("Completed", 2))
        self.assertIn("attempt 1 resume nothing\n", run.log())
        self.assertIn("attempt 2 resume auto\n", run.log())
        ended = [e for e in run.events() if "cause" in e]
        self.assertEqual([e["cause"].get("exit_code") for e in ended], [7, 0])
        self.assertEqual(ended[0]["attempt"], 1)
        self.assertTrue((run.path / "attempts/002/end.json").exists())

    def test_a_restart_still_knows_what_the_user_resumed_from(self):
        base = self.root / "base.h5"
        base.write_text("x")
        run = self.submit("""
            echo attempt $LOCKSTEP_ATTEMPT resume $LOCKSTEP_RESUME_FROM
            [ $LOCKSTEP_ATTEMPT = 2 ] || exit 7
        """, "--max-restarts", 1, "--resume-from", base, ranks=1)
        self.assertEqual(run.wait()["status"], "Completed")
        self.assertIn(f"attempt 1 resume {base}\n", run.log())
        self.assertIn(f"attempt 2 resume {base}\n", run.log())

    def test_no_more_restarts_than_asked_for(self):
        run = self.submit("exit 9\n", "--max-restarts", 1, ranks=1)
        end = run.wait()
        self.assertEqual((end["status"], end["attempt"], end["cause"]["exit_code"]), ("Failed", 2, 9))

    def test_a_requeue_does_not_count(self):
        run = self.submit("[ $LOCKSTEP_ATTEMPT -lt 3 ] && exit 75\necho done\n", ranks=1)
        end = run.wait()
        self.assertEqual((end["status"], end["attempt"]), ("Completed", 3))

    def test_cancel_between_two_attempts(self):
        run = self.submit("exit 1\n", "--max-restarts", 9, ranks=1)
        eventually(lambda: "restart 2 of 9" in str(run.events()), "the second pause")
        self.lockstep("cancel", run.id, "--wait")
        self.assertEqual(run.wait()["status"], "Canceled")


class Broken(ControlTest):
    def test_a_program_that_cannot_be_started(self):
        run = self.submit("#!/nonexistent/shell\n", name="tool", ranks=1)
        end = run.wait()
        self.assertEqual(end["status"], "Failed")
        self.assertIn("tool", str(end["cause"]))

    def test_a_damaged_record_ends_the_run_with_a_cause(self):
        first = self.submit("true\n", ranks=1)
        first.wait()
        path = first.path.parent / "e2e_1700000000_0badc0de"
        for folder in ("logs", "outputs", "attempts", "control"):
            (path / folder).mkdir(parents=True)
        (path / "run.json").write_text('{"estimator": {}, "launch_plan": 7}')
        subprocess.run([LOCKSTEP, "supervise", path], cwd=self.root, env=self.environment, timeout=60, capture_output=True)
        end = Run(path, self).wait()
        self.assertEqual((end["status"], end["cause"]["reason"]), ("Failed", "environment"))

    def test_a_run_whose_directory_is_removed_ends(self):
        run = self.submit("echo ready\nexec sleep 300\n", ranks=1)
        run.wait_for_log("ready")
        supervisor = run.supervisor()
        shutil.rmtree(run.path)
        eventually(lambda: not is_alive(supervisor), "the end of the supervisor")
        self.assertEqual(processes_of(run.id), {})
        self.assertFalse(run.path.exists())

    def test_a_second_supervisor_is_refused(self):
        run = self.submit("echo ready\nexec sleep 300\n", ranks=1)
        run.wait_for("Running")
        refused = self.lockstep("supervise", run.path, code=2)
        self.assertIn("supervisor already", refused.stderr)
        self.lockstep("cancel", run.id, "--wait")
        self.assertIn("is over", self.lockstep("supervise", run.path, code=2).stderr)

    def test_an_unwritable_workspace_is_said_at_submit(self):
        blocked = self.root / ".lockstep"
        self.submit("true\n", ranks=1).wait()
        runs = blocked / "runs"
        runs.rename(blocked / "runs_before")
        runs.write_text("in the way")
        try:
            failed = self.lockstep("submit", "--source-directory", self.root / "src", "--entry-script", "job.sh", code=1)
            self.assertIn(str(runs), failed.stderr)
        finally:
            runs.unlink()
            (blocked / "runs_before").rename(runs)


if __name__ == "__main__":
    unittest.main()
