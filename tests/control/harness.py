"""Drives the real control program: runs submitted by `lockstep submit` in workspaces of their own, started by the real
mpirun, and judged by what lies in the run directory. Python's standard library alone.

Every process of a run carries LOCKSTEP_RUN_ID in its environment: that is how a test knows that none is left.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import textwrap
import time
import unittest

LOCKSTEP = os.environ.get("LOCKSTEP_PROGRAM", "lockstep")
TERMINAL = {"Completed", "Failed", "Canceled"}


def eventually(condition, what, seconds=40):
    """The first true value of `condition`; a failure after `seconds`, far above what any test needs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def processes_of(run_id):
    """pid -> command line of all live processes of a run."""
    mark = b"\0LOCKSTEP_RUN_ID=" + run_id.encode() + b"\0"
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in b"\0" + (entry / "environ").read_bytes() + b"\0":
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            pass
    return found


def is_alive(pid):
    try:
        return "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def heirs_of(supervisor):
    """The guard of a supervisor: a process like it that it started."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == supervisor and b"\0supervise\0" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (OSError, ValueError):
            pass
    return found


class Run:
    """One run directory, read without any of Lockstep's code."""

    def __init__(self, path, test):
        self.path = path
        self.id = path.name
        self.test = test

    def events(self):
        try:
            text = (self.path / "events.jsonl").read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def statuses(self):
        """The statuses in order, each once per change."""
        names = [event["status"] for event in self.events()]
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]

    def log(self, rank=0):
        name = "70_driver_log.txt" if rank == 0 else f"70_driver_log_{rank}.txt"
        path = self.path / "logs" / name
        return path.read_text() if path.exists() else ""

    def supervisor(self):
        return eventually(lambda: self._supervisor(), "supervisor.json")

    def _supervisor(self):
        path = self.path / "supervisor.json"
        return json.loads(path.read_text())["pid"] if path.exists() else None

    def wait(self, seconds=60):
        """The terminal event. There is exactly one, with a cause, and nothing follows it or still runs."""
        def end():
            events = self.events()
            return events and events[-1]["status"] in TERMINAL
        eventually(end, f"the end of {self.id}; so far {self.events()}", seconds)
        events = self.events()
        self.test.assertEqual([e["status"] in TERMINAL for e in events].count(True), 1)
        self.test.assertEqual([e["sequence"] for e in events], list(range(len(events))))
        self.test.assertTrue(events[-1]["cause"]["reason"])
        self.test.assertTrue(events[-1]["cause"]["message"])
        eventually(lambda: not is_alive(self.supervisor()), "the end of the supervisor")
        self.test.assertEqual(processes_of(self.id), {}, "processes are left")
        return events[-1]

    def wait_for(self, status, seconds=40):
        def seen():
            for event in self.events():
                if event["status"] == status:
                    return event
        return eventually(seen, f"{self.id} {status}", seconds)

    def wait_for_log(self, text, rank=0):
        eventually(lambda: text in self.log(rank), f"{text!r} in the log of rank {rank}: {self.log(rank)!r}")


class ControlTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="lockstep_control_")).resolve()
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.addCleanup(self._end_everything)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("LOCKSTEP_", "AZUREML_", "OMPI_COMM", "PMIX_"))}
        self.environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", NO_COLOR="1")
        self.runs = []

    def _end_everything(self):
        for run in self.runs:
            supervisor = run._supervisor()
            if supervisor and is_alive(supervisor) and run.events() and run.events()[-1]["status"] not in TERMINAL:
                os.kill(supervisor, signal.SIGKILL)
            for pid in processes_of(run.id):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def lockstep(self, *words, code=0, timeout=90, **environment):
        """Runs `lockstep WORDS` in the workspace; `code` is the exit code that must come."""
        done = subprocess.run([LOCKSTEP, *map(str, words)], cwd=self.root, env={**self.environment, **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        self.assertEqual(done.returncode, code, f"lockstep {words}: {done.stdout}\n{done.stderr}")
        return done

    def write(self, name, text):
        path = self.root / "src" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
        path.chmod(0o755)
        return path

    def submit(self, script, *options, name="job.sh", ranks=2, environment=None):
        """Submits `script` (text of a .sh, or a .py when `name` says so) and returns its Run without waiting for it."""
        self.write(name, script)
        before = set(self.run_directories())
        self.lockstep("submit", "--source-directory", self.root / "src", "--entry-script", name,
                      "--process-count-per-node", ranks, "--experiment", "e2e", *options, **(environment or {}))
        (path,) = set(self.run_directories()) - before
        run = Run(path, self)
        self.runs.append(run)
        return run

    def run_directories(self):
        return self.root.glob(".lockstep/runs/*/*")
