"""all_reduce from 4 bytes to 256 MB between two local ranks: Lockstep's, MPI_Allreduce and gloo; latency and bandwidth, and a plot.

Turns as in all_reduce.py: the first two alternate within a process, gloo's process alternates with that one.
"""
import dataclasses
import json
import shlex
import statistics

from . import all_reduce, pairs, plot

RANKS = all_reduce.RANKS
SIZES = [4 << 2 * k for k in range(14)]          # 4 B, 16 B, … 256 MB
NAMES = ("ours", "MPI_Allreduce", "gloo")


@dataclasses.dataclass
class Sweep:
    """seconds: {program: {bytes: one value per turn}}."""
    seconds: dict
    equal: bool
    commands: dict
    met: None = None
    median = staticmethod(statistics.median)

    def ratio(self, peer, size):
        return self.median(b / a for a, b in zip(self.seconds["ours"][size], self.seconds[peer][size]))

    def rows(self):
        """A row per size: latency, algorithm and bus bandwidth of each, ratios to ours."""
        for size in SIZES:
            row = {"bytes": size}
            for name in NAMES:
                seconds = self.median(self.seconds[name][size])
                row[name] = {"us": seconds * 1e6, "algorithm_gb_per_s": size / seconds / 1e9,
                             "bus_gb_per_s": 2 * (RANKS - 1) / RANKS * size / seconds / 1e9}
            row["ratios"] = {peer: self.ratio(peer, size) for peer in NAMES[1:]}
            yield row

    def record(self):
        return {"kind": "sweep", "name": f"all_reduce of float32, {RANKS} ranks", "ranks": RANKS, "equal_results": self.equal,
                "rows": list(self.rows()), "seconds": self.seconds, "commands": self.commands}

    def plots(self):
        """{name of a file: SVG text}"""
        line = lambda value: {name: [(row["bytes"], value(row[name])) for row in self.rows()] for name in NAMES}
        return {"all_reduce": plot.two_charts(
            f"all_reduce of float32 between {RANKS} ranks of one node",
            ("microseconds per call", line(lambda cell: cell["us"])),
            ("GB/s, algorithm bandwidth", line(lambda cell: cell["algorithm_gb_per_s"])), "bytes")}


def measure(place, options):
    place.say(f"sweep: all_reduce of {SIZES[0]} to {SIZES[-1]:,} bytes, {options.pairs} turns")
    elements = ",".join(str(size // 4) for size in SIZES)
    ours = [*place.mpirun(RANKS), place.program("bench_all_reduce"), "--elements", elements, "--pairs", 1]
    gloo_command = lambda variant: [*place.torchrun(RANKS), all_reduce.PEERS / "gloo_all_reduce.py", "--bytes", *SIZES,
                                    "--brief", *variant]
    middle = 1 << 20
    trial = lambda variant: pairs.Sample(next(row["p50"] for row in _gloo(place, gloo_command(variant)) if row["bytes"] == middle))
    variant, _ = pairs.fastest(all_reduce.PINNING, trial, place.say)
    seconds = {name: {size: [] for size in SIZES} for name in NAMES}
    equal = True
    for turn in range(options.pairs):
        sides = [lambda: _ours(place, ours), lambda: _gloo(place, gloo_command(variant))]
        rows = [None, None]
        for side in ((0, 1), (1, 0))[turn % 2]:
            rows[side] = sides[side]()
        for row in rows[0]:
            seconds["ours"][row["bytes"]].append(row["ours_us"] / 1e6)
            seconds["MPI_Allreduce"][row["bytes"]].append(row["mpi_us"] / 1e6)
            equal = equal and row["equal_results"]
        for row in rows[1]:
            seconds["gloo"][row["bytes"]].append(row["p50"])
            equal = equal and row["equal"]
        place.say(f"  turn {turn + 1}/{options.pairs}")
    return [Sweep(seconds, equal, {"ours": shlex.join(map(str, ours)), "gloo": shlex.join(map(str, gloo_command(variant)))})]


def _ours(place, command):
    output = place.work / "sweep.json"
    place.run([*command, "--json", output])
    return json.loads(output.read_text())["rows"]


def _gloo(place, command):
    return place.last_json(command)["all_reduce"]
