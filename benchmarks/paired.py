#!/usr/bin/env python3
"""Lockstep beside its peers, in turns on the same cores: times as ratios of neighbours, and whether both computed the same.

    python benchmarks/paired.py all                     # about 20 minutes, on a machine that does nothing else
    python benchmarks/paired.py engine                  # what the engine's step costs: step, models, scaling, sweep, nodes, steady
    python benchmarks/paired.py step --pairs 11
    python benchmarks/paired.py gpu                     # on a node with a GPU
    LOCKSTEP_CIFAR10=/data/cifar-10-batches-bin python benchmarks/paired.py memory

Needs a build and a Python with torch, numpy, h5py and mpi4py. Writes RESULTS/DATE.json, .md and plots, and prints the table.
"""
import argparse
import os
import pathlib
import shlex
import subprocess
import sys

from measure import all_reduce, gpu, memory, models, nodes, report, scaling, start, steady, step, sweep
from measure.place import ROOT, Place

PRESETS = {"step": step.measure, "models": models.measure, "scaling": scaling.measure, "allreduce": all_reduce.measure,
           "sweep": sweep.measure, "nodes": nodes.measure, "steady": steady.measure, "start": start.measure, "memory": memory.measure}
GROUPS = {"engine": ["step", "models", "scaling", "sweep", "nodes", "steady"], "all": list(PRESETS)}
PRESETS["gpu"] = gpu.measure                        # not in "all": it needs a GPU
QUIET_LOAD = 1.5


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default="all", choices=[*PRESETS, *GROUPS],
                        help="what to measure (all); engine: " + ", ".join(GROUPS["engine"]))
    parser.add_argument("--build", "--bin", type=pathlib.Path, default=ROOT / "build", help="build folder")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "benchmarks" / "results", help="folder for the two files")
    parser.add_argument("--pairs", type=int, default=7, help="how often each pair of programs runs")
    parser.add_argument("--steps", type=int, default=600, help="training steps of one process")
    return parser.parse_args(arguments)


def say(text):
    print(text, file=sys.stderr, flush=True)


def chosen(options):
    named = [options.presets] if isinstance(options.presets, str) else options.presets
    return list(dict.fromkeys(preset for word in named for preset in GROUPS.get(word, [word])))


def measure(place, options):
    """The results of the chosen presets, and whether one could not be measured: the others are not lost with it."""
    results, failed = [], False
    for name in chosen(options):
        try:
            results += PRESETS[name](place, options)
        except (SystemExit, subprocess.SubprocessError) as error:
            say(f"{name}: {error}")
            failed = True
    return results, failed


def main():
    options = parse(sys.argv[1:])
    if "gpu" in chosen(options) and (why := gpu.problem()):
        say(f"paired.py: {why}")
        return 2
    place = Place(options.build, say)
    where = report.machine(place)
    if where["load_before"] > QUIET_LOAD:
        say(f"paired.py: the load is {where['load_before']:.1f}; times taken now are worth little")
    try:
        results, failed = measure(place, options)
    finally:
        place.remove()
    if not results:
        return 1
    command = shlex.join(["python", os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]])
    files = report.write(options.results, command, where, report.versions(place), results)
    print(files[1].read_text())                     # the table
    say("written: " + " and ".join(str(path) for path in files))
    return 1 if failed or any(result.met is False for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
