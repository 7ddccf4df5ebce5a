#!/usr/bin/env python3
"""How long `lockstep runs` takes with many runs in a workspace. Makes a workspace of finished runs in a temporary directory and
times the listings as a user waits for them, process start included: without an index, with it, and with the file cache of the
workspace dropped (as root).

    benchmarks/control_store.py [--runs 10000] [--lockstep build/bin/lockstep] [--output benchmarks/results/control_store.json]
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import tempfile
import time


def make_runs(root, count):
    (root / ".lockstep").mkdir()
    (root / ".lockstep/config.json").write_text('{"workspace": "many"}')
    for number in range(count):
        experiment = f"experiment_{number % 8}"
        run = root / f".lockstep/runs/{experiment}/{experiment}_{1700000000 + number * 60}_{number:08x}"
        run.mkdir(parents=True)
        failed = number % 10 == 0
        end = {"reason": "exit_code" if failed else "completed", "exit_code": int(failed), "host": "node07",
               "message": f"rank 0 exited with code {int(failed)}"}
        if failed:
            end["last_lines"] = [f"line {i} of a log that says something" for i in range(20)]
        start = 1700000000 + number * 60
        (run / "run.json").write_text(json.dumps({
            "format": 1, "id": run.name, "experiment": experiment, "submitted": start + 0.5, "user": "someone",
            "command": f"train.py --lr {10 ** -(number % 5)} --epochs 20", "target": "local",
            "estimator": {"node_count": 1, "process_count_per_node": 4,
                          "script_params": [["--lr", str(10 ** -(number % 5))], ["--epochs", "20"]]}}))
        events = [("Starting", 1), ("Running", 2), ("Finalizing", 40), ("Failed" if failed else "Completed", 41)]
        lines = [{"sequence": i, "time": start + after, "status": status, "attempt": 1} for i, (status, after) in enumerate(events)]
        lines[-1]["cause"] = end
        (run / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (run / "tags.json").write_text(json.dumps({"team": "vision" if number % 2 else "text"}))


def drop_caches():
    try:
        os.sync()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    except OSError:
        return False


def seconds(root, program, words, before=lambda: None):
    before()
    begin = time.monotonic()
    subprocess.run([program, *words], cwd=root, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"})
    return time.monotonic() - begin


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=10_000)
    arguments.add_argument("--lockstep", default="build/bin/lockstep")
    arguments.add_argument("--output")
    given = arguments.parse_args()
    program = os.path.abspath(given.lockstep)
    root = pathlib.Path(tempfile.mkdtemp(prefix="lockstep_store_"))
    try:
        make_runs(root, given.runs)

        def without_index():
            for index in root.glob(".lockstep/runs/*/.index.jsonl"):
                index.unlink()

        results = {"first listing, no index": seconds(root, program, ["runs"], without_index)}
        cold = lambda: (without_index(), drop_caches())
        if drop_caches():
            results["first listing, no index, cold file cache"] = seconds(root, program, ["runs"], cold)
        for name, words in {
                "runs": ["runs"],
                "runs --limit 20": ["runs", "--limit", "20"],
                "runs --status failed": ["runs", "--status", "failed"],
                "runs --tag team=vision": ["runs", "--tag", "team=vision"],
                "runs --where params.lr<0.01": ["runs", "--where", "params.lr < 0.01"],
                "runs --sort duration --limit 20": ["runs", "--sort", "duration", "--limit", "20"],
                "runs --json": ["runs", "--json"]}.items():
            results[name] = statistics.median(seconds(root, program, words) for _ in range(5))
        if drop_caches():
            results["runs, index, cold file cache"] = seconds(root, program, ["runs"], drop_caches)
            results["runs --limit 20, index, cold file cache"] = seconds(root, program, ["runs", "--limit", "20"], drop_caches)
    finally:
        shutil.rmtree(root)
    for name, value in results.items():
        print(f"{value * 1e3:8.0f} ms  {name}")
    if given.output:
        record = {"runs": given.runs, "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
                  "seconds": {name: round(value, 4) for name, value in results.items()}}
        pathlib.Path(given.output).write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
