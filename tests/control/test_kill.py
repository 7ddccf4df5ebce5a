"""kill -9 at random moments: of the submitting program, of the supervisor, of a worker. Whatever was killed, every run is
readable and soon has one truthful end, nothing goes on running, and the workspace takes new work.

LOCKSTEP_KILLS says how often (default 24), LOCKSTEP_KILL_SEED which moments: a failure names its own.
"""
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
import unittest

from harness import LOCKSTEP, TERMINAL, ControlTest, Run, eventually, is_alive, processes_of

KILLS = int(os.environ.get("LOCKSTEP_KILLS", 24))
SEED = int(os.environ.get("LOCKSTEP_KILL_SEED", time.time_ns() % 1_000_000))
AT_ONCE = 4     # runs at a time

# 0.5 s of work per rank; what lies in outputs/ at the end tells whether all of it was done.
JOB = """
    echo begun
    for i in 1 2 3 4 5; do sleep 0.1; echo $i; done
    echo done > outputs/done_$RANK
"""


def command_of(pid):
    try:
        return (pathlib.Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def supervisors_below(root):
    """Supervisors and their heirs of the runs in this workspace."""
    mark = os.fsencode(str(root / ".lockstep"))
    return [int(e.name) for e in pathlib.Path("/proc").iterdir()
            if e.name.isdigit() and mark in command_of(e.name) and b"supervise" in command_of(e.name) and is_alive(e.name)]


class Victim:
    """One submitted job and the process of it that is killed."""

    def __init__(self, test, number, rng):
        self.test, self.experiment = test, f"kill{number}"
        self.kind = rng.choice(["submit", "supervisor", "worker"])
        self.ranks = rng.choice([1, 2])
        self.delay = rng.uniform(0, 0.15) if self.kind == "submit" else rng.uniform(0, 1.2 if self.ranks == 1 else 2.0)
        self.killed = False

    def __str__(self):
        return f"{self.experiment}: {self.kind} of {self.ranks} ranks after {self.delay:.4f} s (seed {SEED})"

    def directories(self):
        return [p for p in self.test.root.glob(f".lockstep/runs/{self.experiment}/*") if not p.name.startswith(".")]

    def kill(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
            self.killed = True
        except ProcessLookupError:
            pass

    def run(self):
        submit = subprocess.Popen(
            [LOCKSTEP, "submit", "--source-directory", self.test.root / "src", "--entry-script", "job.sh",
             "--process-count-per-node", str(self.ranks), "--experiment", self.experiment],
            cwd=self.test.root, env=self.test.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        if self.kind == "submit":
            time.sleep(self.delay)
            self.kill(submit.pid)
            submit.communicate()
            return
        _, said = submit.communicate()
        if submit.returncode != 0:
            raise AssertionError(f"{self}: {said}")
        (directory,) = self.directories()
        time.sleep(self.delay)
        if self.kind == "supervisor":
            pid = json.loads((directory / "supervisor.json").read_text())["pid"]
            if is_alive(pid):
                self.kill(pid)
        else:
            ranks = [pid for pid, line in processes_of(directory.name).items() if "mpirun" not in line]
            if ranks:
                self.kill(random.Random(self.delay).choice(ranks))

    def judge(self):
        """Called when nothing is killed any more."""
        test = self.test
        if self.kind != "submit":
            test.assertEqual(len(self.directories()), 1, self)
        for directory in self.directories():
            shown = eventually(lambda: self.shown_when_over(directory), f"the end of {self}")
            run = Run(directory, test)
            done = sorted(p.name for p in directory.glob("outputs/done_*"))
            status, cause = shown["status"], shown["cause"]
            test.assertTrue(cause["message"], self)
            if status == "Completed":
                test.assertEqual(done, [f"done_{rank}" for rank in range(self.ranks)], self)
            else:
                test.assertEqual(status, "Failed", f"{self}: {shown}")
                test.assertTrue(self.killed, f"{self}: {shown}")
                expected = ["lost"] if self.kind != "worker" else ["signal", "exit_code"]
                test.assertIn(cause["reason"], expected, f"{self}: {shown}")
            terminal = [event["status"] for event in run.events() if event["status"] in TERMINAL]
            test.assertIn(terminal, [[status], []], self)
            test.assertEqual([e["sequence"] for e in run.events()], list(range(len(run.events()))), self)
            test.assertEqual(eventually(lambda: not processes_of(run.id) or None, f"no process of {self}"), True)

    def shown_when_over(self, directory):
        done = subprocess.run([LOCKSTEP, "show", directory.name, "--json"], cwd=self.test.root, capture_output=True,
                              text=True, env=self.test.environment)
        self.test.assertEqual(done.returncode, 0, f"{self}: {done.stderr}")
        shown = json.loads(done.stdout)
        self.test.assertIn(shown["status"], TERMINAL | {
            "NotStarted", "Starting", "Preparing", "Queued", "Running", "Finalizing", "NotResponding"}, self)
        return shown if shown["status"] in TERMINAL else None


class Kill(ControlTest):
    def test_at_random_moments(self):
        self.environment["LOCKSTEP_SLOTS"] = "64"
        self.lockstep("submit", "--experiment", "first", "--command", "true", "--source-directory", self.write("job.sh", JOB).parent,
                      "--wait")
        rng = random.Random(SEED)
        victims = [Victim(self, number, rng) for number in range(KILLS)]
        errors = []

        def work(some):
            for victim in some:
                try:
                    victim.run()
                except Exception as error:
                    errors.append(error)

        threads = [threading.Thread(target=work, args=(victims[i::AT_ONCE],)) for i in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [], SEED)
        for victim in victims:
            victim.judge()
        eventually(lambda: not supervisors_below(self.root), f"the end of all supervisors, seed {SEED}")
        listed = self.lockstep("runs", "--json")
        self.assertEqual(listed.stderr, "")
        states = {}
        for run in json.loads(listed.stdout):
            key = (run["status"], run["cause"]["reason"])
            states[key] = states.get(key, 0) + 1
        print(f"seed {SEED}: {sum(v.killed for v in victims)} of {len(victims)} killed in time; ends: {states}")
        self.the_workspace_takes_new_work(victims)

    def the_workspace_takes_new_work(self, victims):
        left = {p.parent.name for p in self.root.glob(".lockstep/runs/*/.new-*")}
        for experiment in sorted(left) or [victims[0].experiment]:
            run = json.loads(self.lockstep("submit", "--experiment", experiment, "--entry-script", "job.sh", "--source-directory",
                                           self.root / "src", "--wait", "--json").stdout)
            self.assertEqual(run["status"], "Completed", f"{run}, seed {SEED}")
        self.assertEqual(list(self.root.glob(".lockstep/runs/*/.new-*")), [], SEED)


if __name__ == "__main__":
    unittest.main()
