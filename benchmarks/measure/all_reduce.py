"""all_reduce between two local ranks: Lockstep's against Open MPI's MPI_Allreduce and against gloo.

bench_all_reduce takes the first two in turns within one process; gloo runs in turns with it as a process of its own. All three write
the gradients anew before each call, start it together, and count it until the last rank is done.
"""
import json
import shlex

from . import pairs
from .place import PEERS

RANKS = 2
ELEMENTS = [62006, 11173962]          # the tutorial's network, ResNet-18
TARGETS = {62006: (4, 10), 11173962: (4, 5)}      # against MPI_Allreduce, against gloo
PINNING = [["--pin", where] for where in ("none", "all", "main")]


def measure(place, options):
    results = []
    for elements in ELEMENTS:
        place.say(f"all_reduce of {elements * 4:,} bytes, {RANKS} ranks")
        results += _compare(place, options, elements)
    return results


def _compare(place, options, elements):
    rows = []

    def run_ours():
        rows.append(_ours(place, elements))
        return pairs.Sample(rows[-1]["ours_us"] / 1e6, rows[-1]["equal_results"])

    run_gloo = lambda variant: _gloo(place, elements, variant)
    variant, trial_times = pairs.fastest(PINNING, run_gloo, place.say)
    samples = pairs.alternate(run_ours, lambda: run_gloo(variant), options.pairs, place.say)
    name = f"all_reduce of {elements * 4 / 1e6:.3g} MB, {RANKS} ranks"
    against_mpi, against_gloo = TARGETS[elements]
    ours = [s.seconds for s in samples[0]]
    command = shlex.join(map(str, _our_command(place, elements)))
    checked = "each side's sums checked"
    return [
        pairs.Paired(name, "MPI_Allreduce", against_mpi, ours, [row["mpi_us"] / 1e6 for row in rows],
                     all(row["equal_results"] for row in rows), "the two results", {"both": command}),
        pairs.Paired(name, f"gloo {' '.join(variant)}", against_gloo, ours, [s.seconds for s in samples[1]],
                     all(s.result for side in samples for s in side), checked,
                     {"ours": command, "peer": shlex.join(map(str, _gloo_command(place, elements, variant)))},
                     trial_times)]


def _our_command(place, elements):
    return [*place.mpirun(RANKS), place.program("bench_all_reduce"), "--elements", elements, "--pairs", 3]


def _ours(place, elements):
    output = place.work / "all_reduce.json"
    place.run([*_our_command(place, elements), "--json", output])
    return json.loads(output.read_text())["rows"][0]


def _gloo_command(place, elements, variant):
    return [*place.torchrun(RANKS), PEERS / "gloo_all_reduce.py", "--bytes", elements * 4, *variant]


def _gloo(place, elements, variant):
    result = place.last_json(_gloo_command(place, elements, variant))["all_reduce"][0]
    return pairs.Sample(result["p50"], result["equal"])
