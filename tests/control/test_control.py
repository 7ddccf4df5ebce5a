"""What people do to runs while they go on: cancel, queue, follow, look at, and what survives when something is killed."""
import json
import os
import pathlib
import pty
import signal
import subprocess
import time
import unittest

from harness import LOCKSTEP, ControlTest, eventually, heirs_of, is_alive, processes_of

STUBBORN = """
    import os, signal, subprocess, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.environ["RANK"] == "0":
        subprocess.Popen(["sleep", "301"], start_new_session=True)      # a child in a session of its own
        open("outputs/kept.txt", "w").write("kept")
    print("ready", flush=True)
    time.sleep(300)
"""


class Cancel(ControlTest):
    def test_nothing_is_left_within_five_seconds(self):
        run = self.submit(STUBBORN, name="job.py")
        run.wait_for_log("ready", 0)
        run.wait_for_log("ready", 1)
        pids = processes_of(run.id)
        self.assertGreaterEqual(len(pids), 4, pids)     # mpirun, two ranks, the child
        begin = time.monotonic()
        said = self.lockstep("cancel", run.id, "--wait")
        self.assertLess(time.monotonic() - begin, 5)
        self.assertIn("Canceled", said.stdout)
        self.assertEqual([pid for pid in pids if is_alive(pid)], [])
        end = run.wait()
        self.assertEqual((end["status"], end["cause"]["reason"]), ("Canceled", "canceled"))
        self.assertIn("CancelRequested", run.statuses())
        self.assertEqual((run.path / "outputs/kept.txt").read_text(), "kept")
        self.assertIn("is over already: Canceled", self.lockstep("cancel", run.id).stdout)

    def test_sigterm_to_the_supervisor_is_a_cancel(self):
        run = self.submit("echo ready\nexec sleep 300\n")
        run.wait_for_log("ready", 1)
        os.kill(run.supervisor(), signal.SIGTERM)
        end = run.wait()
        self.assertEqual(end["status"], "Canceled")
        self.assertIn("signal", end["cause"]["message"])


class SupervisorKilled(ControlTest):
    def test_ranks_do_not_stay_behind(self):
        run = self.submit(STUBBORN, name="job.py")
        run.wait_for_log("ready", 0)
        run.wait_for_log("ready", 1)
        run.wait_for("Running")
        os.kill(run.supervisor(), signal.SIGKILL)
        eventually(lambda: not processes_of(run.id), "the end of all ranks")
        self.assertEqual(self.lockstep("logs", run.id, "--follow", code=1).stdout, "ready\n")
        end = run.wait()
        self.assertEqual((end["status"], end["attempt"], end["cause"]["reason"]), ("Failed", 1, "lost"))
        self.assertRegex(end["cause"]["message"], r"its supervisor \(process \d+ on .+\) was killed")
        (listed,) = json.loads(self.lockstep("runs", "--json").stdout)
        self.assertEqual((listed["status"], listed["cause"]["reason"]), ("Failed", "lost"))
        self.assertIn("is over already: Failed", self.lockstep("cancel", run.id).stdout)
        self.assertTrue((run.path / "outputs/kept.txt").exists())

    def test_with_its_heir_it_is_failed_all_the_same(self):
        run = self.submit("echo ready\nexec sleep 300\n")
        run.wait_for_log("ready", 1)
        run.wait_for("Running")
        supervisor = run.supervisor()
        os.kill(supervisor, signal.SIGSTOP)     # it would notice the death of its heir
        for pid in (*heirs_of(supervisor), supervisor):
            os.kill(pid, signal.SIGKILL)
        (listed,) = json.loads(self.lockstep("runs", "--json").stdout)
        self.assertEqual(listed["status"], "NotResponding")
        self.assertIn("is gone", listed["detail"])
        self.assertIn("Failed", self.lockstep("logs", run.id, "--follow", code=1).stderr)
        (listed,) = json.loads(self.lockstep("runs", "--json").stdout)
        self.assertEqual((listed["status"], listed["cause"]["reason"]), ("Failed", "lost"))
        self.assertNotIn("Failed", run.statuses())      # readers write nothing
        self.assertIn("Failed", self.lockstep("cancel", run.id).stdout)
        self.assertEqual(run.wait()["cause"]["reason"], "lost")

    def test_a_torn_last_event_is_no_obstacle(self):
        run = self.submit("exit 5\n", ranks=1)
        run.wait()
        with open(run.path / "events.jsonl", "a") as file:
            file.write('{"sequence": 99, "time": 17')
        (listed,) = json.loads(self.lockstep("runs", "--json").stdout)
        self.assertEqual((listed["status"], listed["cause"]["exit_code"]), ("Failed", 5))
        self.assertEqual(json.loads(self.lockstep("show", run.id, "--json").stdout)["status"], "Failed")


class Queue(ControlTest):
    GATED = "echo begun\nuntil [ -e {gate} ]; do sleep 0.05; done\n"

    def gated(self, name, ranks, slots):
        gate = self.root / name
        run = self.submit(self.GATED.format(gate=gate), ranks=ranks, environment={"LOCKSTEP_SLOTS": str(slots)})
        return run, gate

    def test_first_come_first_served(self):
        first, first_gate = self.gated("first", 2, 3)
        first.wait_for_log("begun")
        second, second_gate = self.gated("second", 3, 3)
        waiting = second.wait_for("Queued")
        self.assertIn("waiting for 3 of 3 slots (1 free)", waiting["detail"])
        self.assertIn(first.id, waiting["detail"])
        third, third_gate = self.gated("third", 1, 3)       # a slot is free, but second came before
        self.assertIn(second.id, third.wait_for("Queued")["detail"])
        first_gate.touch()
        first.wait()
        second.wait_for_log("begun")
        self.assertEqual(third.log(), "")
        self.assertEqual(third.events()[-1]["status"], "Queued")
        second_gate.touch()
        second.wait()
        third.wait_for_log("begun")
        third_gate.touch()
        self.assertEqual(third.wait()["status"], "Completed")
        self.assertEqual(third.statuses(), ["Starting", "Queued", "Starting", "Running", "Finalizing", "Completed"])

    def test_a_queued_run_can_be_cancelled_and_gives_its_place_away(self):
        first, first_gate = self.gated("first", 1, 1)
        first.wait_for_log("begun")
        second, _ = self.gated("second", 1, 1)
        second.wait_for("Queued")
        third, third_gate = self.gated("third", 1, 1)
        third.wait_for("Queued")
        self.lockstep("cancel", second.id, "--wait")
        self.assertEqual(second.wait()["status"], "Canceled")
        self.assertEqual(second.log(), "")
        os.kill(first.supervisor(), signal.SIGKILL)          # its slots come back although nobody gave them back
        third.wait_for_log("begun")
        third_gate.touch()
        self.assertEqual(third.wait()["status"], "Completed")

    def test_a_run_wider_than_the_machine_runs_alone_with_a_notice(self):
        wide, gate = self.gated("wide", 3, 1)
        wide.wait_for_log("begun", 2)
        gate.touch()
        self.assertEqual(wide.wait()["status"], "Completed")
        self.assertIn("oversubscribed", str(wide.events()))


class Logs(ControlTest):
    def test_follow_shows_lines_as_they_appear_and_returns_the_exit_code(self):
        gate = self.root / "gate"
        run = self.submit(f"echo first\nuntil [ -e {gate} ]; do sleep 0.05; done\necho second\nexit 6\n", ranks=1)
        with subprocess.Popen([LOCKSTEP, "logs", run.id, "--follow"], cwd=self.root, env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
            self.assertEqual(follower.stdout.readline(), "first\n")
            gate.touch()
            self.assertEqual(follower.stdout.readline(), "second\n")
            out, err = follower.communicate(timeout=60)
        self.assertEqual((out, follower.returncode), ("", 6))
        self.assertIn("Failed", err)
        self.assertIn("exited with code 6", err)
        run.wait()

    def test_ctrl_c_leaves_the_run_running(self):
        gate = self.root / "gate"
        run = self.submit(f"echo first\nuntil [ -e {gate} ]; do sleep 0.05; done\n", ranks=1)
        with subprocess.Popen([LOCKSTEP, "logs", run.id, "--follow"], cwd=self.root, env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
            self.assertEqual(follower.stdout.readline(), "first\n")
            follower.send_signal(signal.SIGINT)
            out, err = follower.communicate(timeout=60)
        self.assertEqual(follower.returncode, 130)
        self.assertIn("goes on", err)
        self.assertTrue(is_alive(run.supervisor()))
        gate.touch()
        self.assertEqual(run.wait()["status"], "Completed")

    def test_a_terminal_shows_progress_and_loses_no_line(self):
        gate = self.root / "gate"
        run = self.submit(f"""printf 'half'
            printf 'step 1 of 9\\033[2J\\n' >$LOCKSTEP_RUN_DIR/attempts/001/progress
            until [ -e {gate}1 ]; do sleep 0.05; done
            echo ' a line'
            until [ -e {gate}2 ]; do sleep 0.05; done
            echo the end
            """, ranks=1)
        terminal, far_end = pty.openpty()
        with subprocess.Popen([LOCKSTEP, "logs", run.id, "--follow"], cwd=self.root, env=self.environment, stdout=far_end,
                              stderr=subprocess.PIPE) as follower:
            os.close(far_end)
            seen = self.read_until(terminal, b"", b"half")
            time.sleep(0.7)         # half a line is not written over by progress
            (self.root / "gate1").touch()
            seen = self.read_until(terminal, seen, b"step 1 of 9?[2J")
            self.assertTrue(seen.endswith(b"half a line\r\nstep 1 of 9?[2J"), seen)
            (self.root / "gate2").touch()
            seen = self.read_until(terminal, seen, b"the end")
            self.assertIn(b"step 1 of 9?[2J\r\033[Kthe end", seen)
            follower.communicate(timeout=60)
        os.close(terminal)
        self.assertEqual(follower.returncode, 0)
        run.wait()

    def read_until(self, terminal, seen, text):
        end = time.monotonic() + 30
        while text not in seen:
            self.assertLess(time.monotonic(), end, seen)
            seen += os.read(terminal, 4096)
        return seen

    def test_of_one_rank_of_all_and_of_mpirun(self):
        run = self.submit("echo I am $RANK\n: > said_$RANK\n[ $RANK = 0 ] && exit 0\n"
                          "until [ -e said_0 ]; do sleep 0.05; done\nexit 3\n")
        run.wait()
        self.assertEqual(self.lockstep("logs", run.id, "--rank", 1).stdout, "I am 1\n")
        self.assertEqual(sorted(self.lockstep("logs", "latest", "--all").stdout.splitlines()), ["[0] I am 0", "[1] I am 1"])
        self.assertIn("non-zero exit code", self.lockstep("logs", run.id, "--mpi").stdout)
        self.assertIn("there is no rank 2", self.lockstep("logs", run.id, "--rank", 2, code=2).stderr)


class Look(ControlTest):
    def test_metrics_of_a_worker(self):
        worker = os.environ["LOCKSTEP_METRIC_WORKER"]
        run = self.submit(f"exec {worker}\n")
        self.assertEqual(run.wait()["status"], "Completed")
        self.assertIn("first step", str(run.events()))
        points = json.loads(self.lockstep("metrics", run.id, "--json").stdout)
        self.assertEqual([(p["step"], p["value"]) for p in points["train/loss"]],
                         [(10, 2.5), (20, 1.25), (30, 0.8333333), (40, 0.625)])
        self.assertEqual(points["eval/accuracy"][0]["value"], 0.8125)
        table = self.lockstep("metrics", run.id).stdout.splitlines()
        self.assertEqual(table[1].split(), ["train/loss", "4", "2.5", "0.625", "0.625", "2.5", "40"])
        rows = self.lockstep("metrics", run.id, "eval/accuracy", "--csv").stdout.splitlines()
        self.assertEqual((rows[0], len(rows)), ("name,step,wall_time,value", 2))
        self.assertIn("train/loss", self.lockstep("metrics", run.id, "train/los", code=2).stderr)

    def test_show_tells_everything(self):
        run = self.submit("echo bad luck\nexit 3\n", ranks=1)
        run.wait()
        text = self.lockstep("show", run.id).stdout
        for part in (run.id, "Failed", "exited with code 3", "| bad luck", "rank-exec", "logs/70_driver_log.txt", str(run.path)):
            self.assertIn(part, text)
        shown = json.loads(self.lockstep("show", run.id, "--json").stdout)
        self.assertEqual(shown["cause"]["exit_code"], 3)
        self.assertEqual(shown["events"], run.events())
        self.assertIn("outputs", [pathlib.Path(f["path"]).parts[0] for f in shown["files"]] + ["outputs"])

    def test_show_as_ini_can_be_submitted_again(self):
        run = self.submit("echo $1 $2\n", "--script-params", "--depth=3")
        run.wait()
        (self.root / "again.ini").write_text(self.lockstep("show", run.id, "--as-ini").stdout)
        self.lockstep("submit", "again.ini", "--wait")
        self.assertEqual(self.lockstep("logs", "latest").stdout, "--depth 3\n")

    def test_as_ini_keeps_every_word_of_the_program(self):
        words = ["--x=5", "--y", "6", "", "a = b", '"quoted"', "seed", "[x]", "# no comment", "$RANK", "two\nlines"]
        self.write("words.py", "import sys\nprint(sys.argv[1:])\n")
        self.lockstep("submit", "--wait", "--source-directory", "src", "--", "words.py", *words)
        (self.root / "again.ini").write_text(self.lockstep("show", "latest", "--as-ini").stdout)
        self.lockstep("submit", "again.ini", "--wait")
        words[words.index("$RANK")] = "0"
        self.assertEqual(self.lockstep("logs", "latest").stdout, f"{words}\n")

    def test_as_ini_does_not_make_up_the_value_of_a_secret(self):
        self.submit("echo $MY_TOKEN $SEEN\n", "--environment-variables", "MY_TOKEN=s3cret",
                    "--environment-variables", "SEEN=plain", ranks=1).wait()
        text = self.lockstep("show", "latest", "--as-ini").stdout
        self.assertIn("\n# MY_TOKEN = <redacted> ", text)
        self.assertNotIn("s3cret", text)
        (self.root / "again.ini").write_text(text)
        self.lockstep("submit", "again.ini", "--wait", "--environment-variables", "MY_TOKEN", MY_TOKEN="another")
        self.assertEqual(self.lockstep("logs", "latest").stdout, "another plain\n")
        refused = self.lockstep("submit", "again.ini", "--environment-variables", "MY_TOKEN=<redacted>", code=2)
        self.assertIn("was not written down", refused.stderr)

    def test_runs_are_filtered_and_newest_first(self):
        first = self.submit("exit 1\n", ranks=1)
        first.wait()
        second = self.submit("exit 0\n", ranks=1)
        second.wait()
        ids = [run["id"] for run in json.loads(self.lockstep("runs", "--json").stdout)]
        self.assertEqual(ids, [second.id, first.id])
        self.assertEqual([run["id"] for run in json.loads(self.lockstep("runs", "--json", "--status", "failed").stdout)], [first.id])
        table = self.lockstep("runs", "--limit", 1).stdout
        self.assertIn(second.id, table)
        self.assertNotIn(first.id, table)
        self.assertNotIn("\033", table)
        self.assertIn("Completed", self.lockstep("runs", "--status", "complete", code=2).stderr)


class Program(ControlTest):
    def test_a_program_named_lockstep_foo_is_the_command_foo(self):
        tool = self.root / "bin" / "lockstep-foo"
        tool.parent.mkdir()
        tool.write_text('#!/bin/sh\nprintf "%s|" "$@"\nexit 9\n')
        tool.chmod(0o755)
        path = f"{tool.parent}:{self.environment['PATH']}"
        self.assertEqual(self.lockstep("foo", "a b", "--x", "$HOME", code=9, PATH=path).stdout, "a b|--x|$HOME|")
        self.assertEqual(self.lockstep("help", "foo", code=9, PATH=path).stdout, "--help|")

    def test_unknown_commands_and_options_are_usage_errors(self):
        self.assertIn("did you mean cancel", self.lockstep("cancle", code=2).stderr)
        self.assertIn("there is no command", self.lockstep("../../bin/sh", code=2).stderr)
        self.assertIn("did you mean limit", self.lockstep("runs", "--limti", 3, code=2).stderr)
        self.assertIn("usage: lockstep show", self.lockstep("show", code=2).stderr)
        self.assertIn("usage:", self.lockstep(code=2).stderr)

    def test_every_command_explains_itself(self):
        for name in ("runs", "show", "logs", "metrics", "cancel", "version", "submit"):
            text = self.lockstep(name, "--help").stdout
            self.assertIn(f"lockstep {name}", text)
            self.assertEqual(text, self.lockstep("help", name).stdout)
            self.assertIn(f"  {name} ", self.lockstep("--help").stdout)
        self.assertEqual(set(json.loads(self.lockstep("version", "--json").stdout)), {"version", "compiler", "build", "source"})


if __name__ == "__main__":
    unittest.main()
