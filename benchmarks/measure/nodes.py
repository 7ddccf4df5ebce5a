"""all_reduce between two nodes of this machine that share no memory, only a virtual network (tests/nodes/on_nodes.py): the hierarchical
communicator against MPI_Allreduce, in turns within one process per rank.
"""
import json
import os
import shlex
import sys

from . import pairs
from .place import ROOT

BYTES = [1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 44695848]
NODES = 2
TARGET = 1.0
# One core for each rank, as far as they go.
PINNED = ["sh", "-c", 'exec taskset -c "$((OMPI_COMM_WORLD_RANK % $0))" "$@"']


def measure(place, options):
    results = []
    for ranks in (1, 2):
        place.say(f"all_reduce between {NODES} nodes with {ranks} rank{'s' * (ranks > 1)} each")
        command = _command(place, ranks)
        turns = []
        for turn in range(options.pairs):
            turns.append(_rows(place, command))
            place.say(f"  turn {turn + 1}/{options.pairs}: " + ", ".join(f"{r['mpi_us'] / r['ours_us']:.2f}" for r in turns[-1]))
        for size, rows in zip(BYTES, zip(*turns)):
            results.append(pairs.Paired(
                f"all_reduce of {size:,} bytes, {NODES} nodes x {ranks} ranks, hierarchical", "MPI_Allreduce", TARGET,
                [row["ours_us"] / 1e6 for row in rows], [row["mpi_us"] / 1e6 for row in rows],
                all(row["equal_results"] for row in rows), "the two results", {"both": shlex.join(map(str, command))}))
    return results


def _command(place, ranks):
    elements = ",".join(str(size // 4) for size in BYTES)
    return [sys.executable, ROOT / "tests/nodes/on_nodes.py", NODES, ranks, *PINNED, os.cpu_count(),
            place.program("bench_all_reduce"), "--backend", "hierarchical", "--elements", elements, "--pairs", 1,
            "--json", place.work / "nodes.json"]


def _rows(place, command):
    (place.work / "nodes.json").unlink(missing_ok=True)
    place.run(command)
    return json.loads((place.work / "nodes.json").read_text())["rows"]
