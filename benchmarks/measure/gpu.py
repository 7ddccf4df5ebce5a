"""Training steps on a GPU: captured by Lockstep, beside PyTorch eager, torch.compile, and Lockstep's own steps one by one."""
import dataclasses
import shlex
import sys

import numpy

from . import pairs, training
from .place import PEERS

EAGER = [["--mode", "eager"]]
COMPILED = [["--mode", mode] for mode in ("default", "reduce-overhead", "max-autotune-no-cudagraphs")]


@dataclasses.dataclass
class Row:
    workload: str
    batch: int
    precision: str
    steps: int              # timed in one process
    steps_per_launch: int
    what: str
    unit: int               # what a sample counts for: an image, or its tokens
    peer: str
    variants: list
    tolerance: float        # of final weights, relative to a tensor's largest: kernels differ between the two


# After 200 small steps the weights of two float32 programs whose products are TF32 agree to 1e-2 at worst; bfloat16's rounding
# (4e-3) of every activation leaves 5e-2. A wrong gradient or order of samples shows as 1e-1 and more in the first layers.
ROWS = [Row("cifar_net", 4, "fp32", 2000, 8, "the tutorial's network, batch 4", 1, "PyTorch eager", EAGER, 1e-2),
        Row("resnet50", 128, "bf16", 60, 1, "ResNet-50, batch 128, bf16", 1, "torch.compile", COMPILED, 5e-2),
        Row("gpt2", 8, "bf16", 60, 1, "GPT-2 124M, 8 x 1,024 tokens, bf16", 1024, "torch.compile", COMPILED, 5e-2)]
WARM_UP = 40
COMPARED = 200              # steps after which weights are compared; fewer where fewer are timed


def problem():
    """Why nothing can be measured here, or nothing."""
    import torch

    if not torch.cuda.is_available():
        return "the preset gpu needs an NVIDIA GPU, and PyTorch sees none here"
    return None


def measure(place, options):
    return [result for row in ROWS for result in (_beside_peer(place, options, row), _beside_eager(place, options, row))]


def _beside_peer(place, options, row):
    place.say(f"gpu: {row.what}, captured, beside {row.peer}")
    run_peer = lambda variant: _run_peer(place, row, variant, row.steps)
    variant, trials = pairs.fastest(row.variants, run_peer, place.say)
    samples = pairs.alternate(lambda: _run_ours(place, row, "on", row.steps), lambda: run_peer(variant), options.pairs, place.say)
    compared = min(COMPARED, row.steps)
    reference = training.parameters_first(_run_peer(place, row, EAGER[0], compared).result)
    ours = place.binary_weights(_run_ours(place, row, "on", compared).result, reference)
    largest = training.weight_difference(ours, reference)
    return _paired(row, f"{row.peer} {' '.join(variant)}", samples, largest <= row.tolerance,
                   f"after {compared} steps weights differ from PyTorch eager's by at most {largest:.1e} of a tensor's largest, "
                   f"limit {row.tolerance:.0e}",
                   {"ours": _ours(place, row, "on", row.steps), "peer": _peer(row, variant, row.steps)}, trials)


def _beside_eager(place, options, row):
    place.say(f"gpu: {row.what}, captured, beside our own steps one by one")
    samples = pairs.alternate(lambda: _run_ours(place, row, "on", row.steps), lambda: _run_ours(place, row, "off", row.steps),
                              options.pairs, place.say)
    equal = (_run_ours(place, row, "on", row.steps).result.read_bytes()
             == _run_ours(place, row, "off", row.steps).result.read_bytes())
    return _paired(row, "Lockstep, --capture off", samples, equal, "all bits of the final weights",
                   {"ours": _ours(place, row, "on", row.steps), "peer": _ours(place, row, "off", row.steps)}, "")


def _paired(row, peer, samples, equal, equality, commands, notes):
    rates = [row.batch * row.unit / sorted(s.seconds for s in side)[len(side) // 2] for side in samples]
    unit = "images" if row.unit == 1 else "tokens"
    return pairs.Paired(name=f"step of {row.what}, captured", peer=peer, target=None, ours=[s.seconds for s in samples[0]],
                        theirs=[s.seconds for s in samples[1]], equal=equal, equality=equality,
                        commands={side: shlex.join(map(str, command)) for side, command in commands.items()},
                        notes=f"{rates[0]:,.0f} and {rates[1]:,.0f} {unit}/s. {notes}".strip())


def _ours(place, row, capture, steps):
    return [place.program("gpu_step"), row.workload, row.batch, "--precision", row.precision, "--capture", capture,
            "--capture-steps", row.steps_per_launch, "--steps", steps, "--warm-up", WARM_UP]


def _run_ours(place, row, capture, steps):
    weights = place.work / f"{row.workload}_{capture}.f32"
    line = place.last_json([*_ours(place, row, capture, steps), "--weights", weights], timeout=1800)
    return pairs.Sample(line["step_seconds"], weights)


def _peer(row, variant, steps):
    return [sys.executable, PEERS / "pytorch_gpu.py", "--workload", row.workload, "--batch-size", row.batch,
            "--precision", row.precision, "--steps", steps, "--warm-up", WARM_UP, *variant]


def _run_peer(place, row, variant, steps):
    output = place.work / "gpu_peer.npz"
    line = place.last_json([*_peer(row, variant, steps), "--output", output], timeout=1800)
    with numpy.load(output) as arrays:
        return pairs.Sample(line["step_seconds"], {name: arrays[name] for name in arrays.files})
