"""The engine's step of larger and smaller networks against DistributedDataParallel, two ranks each: engine_step beside pytorch_ddp.py."""
import dataclasses
import shlex

import numpy

from . import pairs, step, training
from .place import PEERS

RANKS = 2
TOLERANCE = step.TOLERANCE


@dataclasses.dataclass
class Row:
    workload: str
    batch: int          # per rank
    steps: int          # timed in one process
    target: float       # DistributedDataParallel's time over ours
    what: str


ROWS = [Row("resnet18", 8, 10, 1.0, "ResNet-18 with CIFAR's stem"),
        Row("gpt2_tiny", 1, 40, 1.2, "GPT-2 of 4 layers, 256 wide, 128 tokens"),
        Row("mlp_3x256", 16, 400, 3.0, "perceptron 784-256-256-256-10")]
WARM_UP = 4


def measure(place, options):
    return [_pair(place, options, row) for row in ROWS]


def _pair(place, options, row):
    place.say(f"models: {row.what}, batch {row.batch} per rank")
    run_ddp = lambda variant: _run_ddp(place, row, variant)
    variants = step.PINNING if row.workload == "mlp_3x256" else [["--pin", "none"], ["--pin", "main"]]
    variant, trial_times = pairs.fastest(variants, run_ddp, place.say)
    samples = pairs.alternate(lambda: _run_ours(place, row), lambda: run_ddp(variant), options.pairs, place.say)
    reference = run_ddp([*variant, "--optimizer", "default"]).result
    ours = place.binary_weights(samples[0][-1].result, training.parameters_first(reference))
    largest = training.weight_difference(ours, training.parameters_first(reference))
    return pairs.Paired(
        name=f"step of {row.what}, {RANKS} ranks, batch {row.batch} per rank", peer=f"PyTorch DDP gloo, tuned {' '.join(variant)}",
        target=row.target, ours=[s.seconds for s in samples[0]], theirs=[s.seconds for s in samples[1]],
        equal=largest <= TOLERANCE, equality=f"final weights differ by at most {largest:.1e} of a tensor's largest",
        commands={"ours": shlex.join(map(str, _ours(place, row))), "peer": shlex.join(map(str, _ddp(place, row, variant)))},
        notes=trial_times)


def _ours(place, row):
    return [*place.mpirun(RANKS), place.program("engine_step"), row.workload, row.batch, "--phases", "parallel", "--rounds", 1,
            "--steps", row.steps, "--warm-up", WARM_UP]


def _run_ours(place, row):
    weights = place.work / f"{row.workload}.f32"
    line = place.last_json([*_ours(place, row), "--weights", weights])
    return pairs.Sample(line["phases"]["parallel"]["seconds"][0], weights)


def _ddp(place, row, variant):
    # engine_step takes two steps more before each of its two phases.
    warm_up = WARM_UP + 4
    command = [*place.torchrun(RANKS), PEERS / "pytorch_ddp.py", "--workload", row.workload, "--batch-size", row.batch,
               "--steps", row.steps + warm_up, "--warm-up", warm_up, *[word for word in variant if "=" not in word]]
    variables = [word for word in variant if "=" in word]
    return ["env", *variables, *command] if variables else command


def _run_ddp(place, row, variant):
    output = place.work / "ddp.npz"
    line = place.last_json([*_ddp(place, row, variant), "--output", output])
    with numpy.load(output) as arrays:
        weights = {name: arrays[name] for name in arrays.files if name != "losses"}
    return pairs.Sample(line["step_seconds"]["p50"], weights)
