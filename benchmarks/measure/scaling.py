"""What communication and the engine itself cost: the same step in parallel, without communication, alone, and in a loop by hand.

engine_step runs the four in turns within one process per rank, so that ratios of a few per cent can be seen.
"""
import dataclasses
import shlex
import statistics

from . import pairs

RANKS = 2


@dataclasses.dataclass
class Row:
    workload: str
    batch: int
    steps: int          # of one turn
    most_overhead: float | None = None
    most_communication: float | None = None


ROWS = [Row("cifar_net", 4, 200, most_overhead=1.01),
        Row("cifar_net", 32, 80, most_overhead=1.01),
        Row("resnet18", 8, 6, most_overhead=1.01, most_communication=1.02),
        Row("gpt2_tiny", 1, 20, most_overhead=1.01),
        Row("mlp_3x256", 16, 200, most_overhead=1.01)]


def measure(place, options):
    results = []
    for row in ROWS:
        place.say(f"scaling: {row.workload}, batch {row.batch} per rank")
        results += _measure(place, options, row)
    return results


def _measure(place, options, row):
    command = [*place.mpirun(RANKS), place.program("engine_step"), row.workload, row.batch, "--rounds", options.pairs,
               "--steps", row.steps, "--warm-up", 4]
    found = place.last_json(command)
    seconds = {phase: values["seconds"] for phase, values in found["phases"].items()}
    exposed = statistics.median(found["phases"]["parallel"]["exposed"])
    name = f"{row.workload}, batch {row.batch} per rank"
    medians = {phase: f"{statistics.median(values) * 1e6:,.0f} us" for phase, values in seconds.items()}
    details = {**medians, "exposed communication": f"{exposed * 1e6:,.0f} us",
               "command": shlex.join(map(str, command))}
    ratios = lambda a, b: [x / y for x, y in zip(seconds[a], seconds[b])]
    processor = {phase: values["processor"] for phase, values in found["phases"].items()}
    overhead = [x / y for x, y in zip(processor["alone"], processor["bare"])]
    efficiency = ratios("alone", "parallel")
    rows = [
        _limit(f"{name}: {RANKS} ranks / {RANKS} ranks without communication", ratios("parallel", "together"),
               row.most_communication, details),
        dataclasses.replace(_limit(f"{name}: our step / a loop by hand, 1 rank, processor time", overhead, row.most_overhead, {}),
                            equal=found["alone_equals_bare"]),
        _limit(f"{name}: {RANKS} ranks without communication / 1 rank alone (the machine's share)", ratios("together", "alone"), None, {}),
        _limit(f"{name}: weak scaling from 1 to {RANKS} ranks, efficiency", efficiency, None, {}),
    ]
    for r in rows:
        place.say(f"  {r.name}: {r.value:.3f}")
    return rows


def _limit(name, values, limit, details):
    return pairs.Limit(name, statistics.median(values), "x", limit, values, {**_range(values), **details})


def _range(values):
    return {"min .. max": f"{min(values):.3f} .. {max(values):.3f}"}
