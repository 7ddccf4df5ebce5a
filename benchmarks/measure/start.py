"""How long one waits: for the help, for a listing of 1,000 runs, from `lockstep submit` to the first training step."""
import json
import os
import shutil
import statistics
import subprocess
import time

from . import pairs, training

RUNS = 1000
REPEATS = 30
SUBMITS = 5


def measure(place, options):
    workspace = place.work / "workspace"
    workspace.mkdir()
    place.say("start: help, runs, submit")
    help_seconds = _times(place, ["--help"], workspace)
    first_step = _first_steps(place, workspace)
    _multiply_runs(workspace)
    runs_seconds = _times(place, ["runs"], workspace)
    return [_limit("lockstep --help", help_seconds, "ms", 20, 1e3),
            _limit(f"lockstep runs over {RUNS:,} runs", runs_seconds, "s", 0.3, 1),
            first_step]


def _limit(name, seconds, unit, limit, scale):
    values = [s * scale for s in seconds]
    return pairs.Limit(name, statistics.median(values), unit, limit, values,
                       {"median of": len(values), "slowest": f"{max(values):.3g} {unit}"})


def _times(place, arguments, folder):
    """Wall time of the whole process, REPEATS times after one that warms the page cache."""
    command = [place.program("lockstep"), *arguments]
    seconds = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        subprocess.run(command, cwd=folder, env=place.environment, stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - begin)
    return seconds[1:]


def _first_steps(place, workspace):
    """From the start of `lockstep submit` to the end of the first training step of two ranks; one submit more to warm up."""
    data, _ = training.data_set(place)
    (workspace / "source").mkdir()
    (workspace / "source" / "notes.txt").write_text("what is frozen into the snapshot\n")
    splits = [_first_step(place, workspace, data) for _ in range(SUBMITS + 1)][1:]
    middle = sorted(splits, key=lambda split: split["total"])[len(splits) // 2]
    totals = [split["total"] for split in splits]
    return pairs.Limit("lockstep submit to the first training step, 2 ranks", statistics.median(totals), "s", 3, totals,
                       {name: f"{seconds:.2f} s" for name, seconds in middle.items() if name != "total"})


def _first_step(place, workspace, data):
    command = [place.program("lockstep"), "submit", "--experiment", "start", "--source_directory", "source",
               "--process_count_per_node", "2", "--", place.program("lockstep-train"), "--model", "cifar_net", "--data", str(data),
               "--steps", "20", "--log-every", "1", "--summary", "outputs/summary.json"]
    begin = time.time()
    place.run(command, cwd=workspace)
    returned = time.time()
    run = max((workspace / ".lockstep" / "runs" / "start").iterdir(), key=lambda path: path.stat().st_mtime)
    events = _wait_for_end(run, deadline=begin + 120)
    launched = next(e["time"] for e in events if e["status"] in ("Starting", "Running"))
    training_begins = (run / "attempts" / "001" / "started").stat().st_mtime       # left by rank 0 before its first step
    phases = json.loads((run / "outputs" / "summary.json").read_text())["start_up"]
    process_begins = training_begins - phases.pop("total")
    done = _first_scalar_time(run / "logs")
    return {"total": done - begin, "submit returns after": returned - begin, "mpirun is started after": launched - begin,
            "then mpirun": process_begins - launched, **{f"rank 0, {name}": seconds for name, seconds in phases.items()},
            "first step": done - training_begins}


def _wait_for_end(run, deadline):
    while time.time() < deadline:
        lines = (run / "events.jsonl").read_text().splitlines() if (run / "events.jsonl").exists() else []
        events = [json.loads(line) for line in lines]
        if events and events[-1]["status"] in ("Completed", "Failed", "Canceled"):
            if events[-1]["status"] != "Completed":
                raise SystemExit(f"paired.py: the run in {run} ended as {events[-1]['status']}")
            return events
        time.sleep(0.05)
    raise SystemExit(f"paired.py: the run in {run} did not end within two minutes")


def _first_scalar_time(logs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(logs), size_guidance={"scalars": 0}).Reload()
    first = accumulator.Scalars("train/loss")[0]
    if first.step != 1:
        raise SystemExit(f"paired.py: the first train/loss in {logs} is of step {first.step}, expected 1")
    return first.wall_time


def _multiply_runs(workspace):
    """Copies of one run's record under ids of their own, until there are RUNS: listings read run.json and events.jsonl."""
    experiment = workspace / ".lockstep" / "runs" / "start"
    original = next(experiment.iterdir())
    existing = len(list(experiment.iterdir()))
    seconds = int(time.time())
    for number in range(RUNS - existing):
        copy = experiment / f"start_{seconds - number}_{number:08x}"
        copy.mkdir(mode=0o700)
        for name in os.listdir(original):
            if (original / name).is_file():
                shutil.copy2(original / name, copy / name)
        for name in ("run.json", "events.jsonl"):
            text = (copy / name).read_text()
            (copy / name).write_text(text.replace(original.name, copy.name))
