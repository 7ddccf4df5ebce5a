"""Runs lockstep-train as a user does, under a real mpirun, and reads what it leaves behind. For the checks in this folder."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}     # containers and build machines
SMALL = "synthetic:1x28x28:10:600"      # made-up images that a network learns quickly


class Result:
    def __init__(self, code, output, error, seconds):
        self.code, self.output, self.error, self.seconds = code, output, error, seconds

    @property
    def messages(self):
        """The lines of stderr that are the program's own, without mpirun's."""
        lines = self.error.splitlines()
        return [line for line in lines if line.startswith("lockstep-train: ")]


class Folder:
    """A new directory in which ranks run; removed at the end."""

    def __init__(self, program, name="run"):
        self.program = pathlib.Path(program).resolve()
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="lockstep_worker_")) / name
        self.path.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def train(self, *options, ranks=2, environment=None, launcher=True, timeout=100):
        mpirun = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks)] if launcher else []
        argv = [*mpirun, str(self.program), *map(str, options)]
        begin = time.monotonic()
        done = subprocess.run(argv, cwd=self.path, env={**os.environ, **AS_ROOT, **(environment or {})}, timeout=timeout,
                              capture_output=True, text=True)
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)

    def summary(self, *options, **more):
        """Trains to a good end and returns the summary."""
        result = self.train(*options, "--summary", "summary.json", **more)
        check(result.code == 0, f"exit code {result.code}\n{result.output}\n{result.error}")
        return json.loads((self.path / "summary.json").read_text())

    def checkpoints(self):
        return sorted((self.path / "outputs/checkpoints").glob("step_*.h5"))

    def scalars(self):
        """{tag: [(step, value), …]} as TensorBoard's own reader sees the logs."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        log = EventAccumulator(str(self.path / "logs"), size_guidance={"scalars": 0})
        log.Reload()
        return {tag: [(event.step, event.value) for event in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def equal(found, expected, what):
    check(found == expected, f"{what}: {found!r}, expected {expected!r}")


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def run_checks(namespace):
    """Calls every function named check_… and reports all that fail. argv: the program, then names of checks to run alone."""
    wanted = sys.argv[2:]
    failed = 0
    for name, function in list(namespace.items()):
        if not name.startswith("check_") or (wanted and name not in wanted):
            continue
        begin = time.monotonic()
        try:
            function(sys.argv[1])
            print(f"ok    {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception as problem:  # noqa: BLE001: whatever it is, the other checks are run too
            failed += 1
            print(f"FAIL  {name}: {type(problem).__name__}: {problem}", flush=True)
    sys.exit(1 if failed else 0)
