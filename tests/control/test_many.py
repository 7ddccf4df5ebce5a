"""Many at once: submits from several processes, and what the commands that look at runs and keep order do with them."""
import json
import os
import subprocess
import threading
import time
import unittest

from harness import LOCKSTEP, ControlTest, Run, eventually, is_alive, processes_of


class Many(ControlTest):
    SUBMITS, PROCESSES = 64, 8

    def test_submits_at_once_lose_and_double_nothing(self):
        self.environment["LOCKSTEP_SLOTS"] = "8"
        self.write("job.sh", "echo $LOCKSTEP_RUN_ID $1 > outputs/mine\n")
        said, errors = [], []

        def submit(process):
            for number in range(process, self.SUBMITS, self.PROCESSES):
                done = subprocess.run(
                    [LOCKSTEP, "submit", "--experiment", "crowd", "--source-directory", self.root / "src", "--entry-script", "job.sh",
                     "--script-params", f"n{number}=", "--json"],
                    cwd=self.root, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
                if done.returncode != 0:
                    errors.append(done.stderr)
                else:
                    said.append((number, json.loads(done.stdout)["id"]))

        threads = [threading.Thread(target=submit, args=(process,)) for process in range(self.PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        ids = [run_id for _, run_id in said]
        self.assertEqual(len(set(ids)), self.SUBMITS)
        directories = {p.name: p for p in self.root.glob(".lockstep/runs/crowd/*") if p.is_dir()}
        self.assertEqual(sorted(directories), sorted(ids))
        self.runs = [Run(directories[run_id], self) for run_id in ids]
        for (number, run_id), run in zip(said, self.runs):
            self.assertEqual(run.wait(150)["status"], "Completed")
            record = json.loads((run.path / "run.json").read_text())
            self.assertEqual(record["id"], run_id)
            self.assertEqual((run.path / "outputs/mine").read_text(), f"{run_id} n{number}\n")
        for _ in range(2):      # the first writes the index, the second reads it
            listed = self.lockstep("runs", "--json", "--experiment", "crowd")
            self.assertEqual(sorted(run["id"] for run in json.loads(listed.stdout)), sorted(ids))
            self.assertEqual(listed.stderr, "")
        self.assertTrue((self.root / ".lockstep/runs/crowd/.index.jsonl").exists())


class Order(ControlTest):
    def finished(self, script, *options, **more):
        run = self.submit(script, *options, ranks=1, **more)
        run.wait()
        return run

    def listed(self, *options):
        return [run["id"] for run in json.loads(self.lockstep("runs", "--json", *options).stdout)]

    def test_runs_are_filtered_and_sorted(self):
        job = "echo $2 > outputs/x; exit $4\n"
        first = self.finished(job, "--script-params", "--lr=0.1", "--script-params", "--code=0", "--tags", "team=vision")
        second = self.finished(job, "--script-params", "--lr=0.01", "--script-params", "--code=3")
        third = self.finished(job, "--script-params", "--lr=0.5", "--script-params", "--code=0", "--tags", "team=text")
        self.assertEqual(self.listed(), [third.id, second.id, first.id])
        self.assertEqual(self.listed("--limit", 1), [third.id])
        self.assertEqual(self.listed("--tag", "team"), [third.id, first.id])
        self.assertEqual(self.listed("--tag", "team=vision"), [first.id])
        self.assertEqual(self.listed("--status", "failed"), [second.id])
        self.assertEqual(self.listed("--where", "params.lr < 0.2 and status = Completed"), [first.id])
        self.assertEqual(self.listed("--sort", "params.lr"), [third.id, first.id, second.id])
        self.assertEqual(self.listed("--sort", "params.lr+", "--limit", 2), [second.id, first.id])
        self.assertEqual(self.listed("--since", "1h"), [third.id, second.id, first.id])
        self.assertEqual(self.listed("--since", "2100-01-01"), [])
        self.assertEqual([r["id"] for r in json.loads(self.lockstep("run", "--json").stdout)], self.listed())
        self.assertIn("did you mean status", self.lockstep("runs", "--sort", "statsu", code=2).stderr)
        self.assertIn("where a value was expected", self.lockstep("runs", "--where", "status =", code=2).stderr)
        self.assertIn("is no time", self.lockstep("runs", "--since", "yesterday", code=2).stderr)

    def test_experiments_are_archived_and_come_back(self):
        run = self.finished("true\n")
        self.assertIn("e2e", self.lockstep("experiments").stdout)
        self.lockstep("experiments", "archive", "e2e")
        self.assertEqual(self.listed(), [])
        self.assertEqual(self.listed("--archived"), [run.id])
        self.assertEqual(json.loads(self.lockstep("experiments", "--json").stdout), [])
        self.lockstep("experiments", "restore", "e2e")
        self.assertEqual(self.listed(), [run.id])
        self.assertIn("did you mean e2e", self.lockstep("experiments", "archive", "e3e", code=2).stderr)

    def test_workspaces_are_made_and_shown(self):
        made = json.loads(self.lockstep("workspace", "create", "new", "--name", "vision", "--json").stdout)
        self.assertEqual(made["workspace"], "vision")
        self.assertTrue((self.root / "new/.lockstep/config.json").exists())
        self.assertIn("already", self.lockstep("workspace", "create", "new", code=2).stderr)
        self.assertIn("there is no workspace", self.lockstep("workspace", code=2).stderr)
        self.finished("true\n")
        shown = json.loads(self.lockstep("workspace", "--json").stdout)
        self.assertEqual((shown["directory"], shown["experiments"], shown["runs"]), (str(self.root), 1, 1))

    def test_files_are_downloaded(self):
        run = self.finished("mkdir outputs/model; echo w > outputs/model/w.pt; echo top > outputs/t; echo said\n")
        self.assertEqual(self.lockstep("download", run.id).stdout.splitlines(), [f"{run.id}/model/w.pt", f"{run.id}/t"])
        self.assertEqual((self.root / run.id / "model/w.pt").read_text(), "w\n")
        self.lockstep("download", "latest", "outputs/model/w.pt", "--to", "new/name.pt")
        self.assertEqual((self.root / "new/name.pt").read_text(), "w\n")
        self.lockstep("download", "latest", "outputs/t", "logs/", "--to", "some")
        self.assertEqual((self.root / "some/t").read_text(), "top\n")
        self.assertEqual((self.root / "some/logs/70_driver_log.txt").read_text(), "said\n")
        error = self.lockstep("download", "latest", "outputs/model/w.p", code=2).stderr
        self.assertIn("outputs/model/w.pt", error)
        self.lockstep("download", "latest", "../run.json", code=2)

    def test_tags_from_outside_and_from_the_job(self):
        run = self.finished("true\n", "--tags", "team=vision")
        self.lockstep("tag", run.id, "best", "team=text", "--properties", "rows=5")
        labels = json.loads(self.lockstep("tag", run.id, "--remove", "best", "--json").stdout)
        self.assertEqual(labels, {"tags": {"team": "text"}, "properties": {"rows": "5"}})
        self.assertIn("is '5' already", self.lockstep("tag", run.id, "x", "--properties", "rows=6", code=2).stderr)
        self.assertNotIn("x", json.loads((run.path / "tags.json").read_text()))

    def test_gc_says_first_and_does_it_when_told(self):
        run = self.finished("true\n")
        experiment = run.path.parent
        killed = subprocess.Popen(["sleep", "0"])
        killed.wait()
        stage = experiment / ".new-e2e_1_00000000"
        stage.mkdir()
        (experiment / (stage.name + ".claim")).write_text(json.dumps(
            {"pid": killed.pid, "host": os.uname().nodename, "start_time": 1, "time": 1}))
        lost = experiment / "e2e_2_00000000"
        (lost / "control").mkdir(parents=True)
        (lost / "run.json").write_text(json.dumps({"submitted": 2.0, "command": "x"}))
        (lost / "supervisor.json").write_text(json.dumps({"pid": killed.pid, "host": os.uname().nodename, "start_time": 1}))
        os.utime(lost / "supervisor.json", (2, 2))
        said = self.lockstep("gc").stdout
        self.assertIn("would remove " + str(stage), said)
        self.assertIn("would end as Failed: " + lost.name, said)
        self.assertTrue(stage.exists() and not (lost / "events.jsonl").exists())
        done = json.loads(self.lockstep("gc", "--yes", "--json").stdout)
        self.assertEqual(done, {"done": True, "removed": [str(stage)], "ended": [lost.name]})
        self.assertFalse(stage.exists() or (experiment / (stage.name + ".claim")).exists())
        self.assertEqual(Run(lost, self).events()[-1]["cause"]["reason"], "lost")
        self.assertEqual(self.lockstep("gc").stdout, "nothing to tidy\n")
        self.assertTrue(run.path.exists())

    def test_completion_knows_commands_options_and_runs(self):
        run = self.finished("true\n")
        words = lambda *typed: self.lockstep("completion", "words", *typed).stdout.split()
        self.assertIn("submit", words(""))
        self.assertNotIn("supervise", words(""))
        self.assertEqual({"--json", "--limit", "--where"} - set(words("runs", "--")), set())
        self.assertEqual(words("show", ""), ["latest", run.id])
        self.assertEqual(words("runs", ""), [])
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("completion words", self.lockstep("completion", shell).stdout)
        script = ("source <(\"$0\" completion bash); lockstep() { \"$L\" \"$@\"; }; COMP_WORDS=(lockstep show "
                  + run.id[:4] + "); COMP_CWORD=2; _lockstep; echo ${COMPREPLY[@]}")
        out = subprocess.run(["bash", "-c", script, LOCKSTEP], env={**self.environment, "L": LOCKSTEP}, cwd=self.root,
                             capture_output=True, text=True)
        self.assertEqual(out.stdout.strip(), run.id, out.stderr)


if __name__ == "__main__":
    unittest.main()
