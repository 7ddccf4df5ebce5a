"""Models x optimizers x {1, 2, 4 ranks} x {plain, sharded, accumulated, bfloat16}: a few steps, against one PyTorch process
that takes the same samples of all ranks in turn.

usage: training_matrix_test.py PATH_OF_mpirun PATH_OF_training_matrix [all | MODEL...]
Compared are the updates: |ours - theirs| / |theirs - initial|, over all parameters. Without "all" or their names, large
models are trained by two optimizers on two ranks.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path += [str(REPOSITORY / "models/tests"), str(REPOSITORY / "distributed/optimizer/tests")]

from reference import gpt2, resnet, tutorial, vit  # noqa: E402
from reference_optimizers import Lamb, Lars, Muon, no_bfloat16  # noqa: E402

# network, shape (channels, height, width, classes; or tokens, vocabulary), steps
SMALL = {
    "mlp": (tutorial.Perceptron, (1, 8, 8, 4), 4),
    "cifar_net": (tutorial.Net, (3, 32, 32, 10), 3),
}
LARGE = {
    "gpt2_tiny": (gpt2.gpt2_tiny, (12, 40), 3),
    "resnet18": (resnet.resnet18, (3, 32, 32, 10), 2),
    "vit_small": (vit.VisionTransformer, (3, 32, 32, 10), 2),
    "resnet34": (resnet.resnet34, (3, 32, 32, 10), 2),
    "resnet50": (resnet.resnet50, (3, 32, 32, 10), 2),
}
OPTIMIZERS = {
    "sgd": ("learning_rate=0.05,momentum=0.9,weight_decay=0.001,nesterov=1",
            lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.001, nesterov=True)),
    # With eps far above the noise of a gradient that should be 0: Adam would make a step of full length of it.
    "adam": ("learning_rate=0.001,eps=1e-3", lambda p: torch.optim.Adam(p, lr=0.001, eps=1e-3)),
    "adamw": ("learning_rate=0.001,weight_decay=0.1,eps=1e-3", lambda p: torch.optim.AdamW(p, lr=0.001, weight_decay=0.1, eps=1e-3)),
    "lamb": ("learning_rate=0.01,weight_decay=0.01,eps=1e-3", lambda p: Lamb(p, 0.01, eps=1e-3, weight_decay=0.01)),
    "lars": ("learning_rate=1,momentum=0.9,weight_decay=0.0001", lambda p: Lars(p, 1.0, 0.9, weight_decay=0.0001)),
    "muon": ("learning_rate=0.002,weight_decay=0.1,eps=1e-3", lambda p: Muon(p, 0.002, weight_decay=0.1, eps=1e-3)),
}
WAYS = ("plain", "sharded", "accumulate", "bf16")
BATCH = 8  # of all ranks
# Of an update: the sums are taken in another order, and Newton-Schulz magnifies that. In bfloat16 a product is off by 2^-9.
TOLERANCES = {"plain": 1e-4, "sharded": 1e-4, "accumulate": 1e-4, "bf16": 0.1}
# Twenty normalisations over the two samples that accumulation leaves them turn a difference of 2e-7 after one step into one of
# 2e-3 after two.
TOLERANCE_OF_FEW_NORMALISED = 1e-2


def tolerance(model, way):
    return TOLERANCE_OF_FEW_NORMALISED if model.startswith("resnet") and way == "accumulate" else TOLERANCES[way]


def samples(shape, steps):
    generator = torch.Generator().manual_seed(len(shape))
    count = steps * BATCH
    if len(shape) == 2:
        tokens = torch.randint(0, shape[1], (count, shape[0] + 1), generator=generator)
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    return torch.randn((count, *shape[:3]), generator=generator), torch.randint(0, shape[3], (count,), generator=generator)


def reference(network, shape, steps, optimizer, ranks, way):
    """The parameters before and after, each as one vector."""
    torch.manual_seed(5)
    model = network(*shape)
    flat = lambda: torch.cat([p.detach().flatten() for p in model.parameters()]).clone()  # noqa: E731
    initial = flat()
    step_maker = OPTIMIZERS[optimizer][1](list(model.parameters()))
    inputs, targets = samples(shape, steps)
    parts = 2 if way == "accumulate" else 1
    for step in range(steps):
        for parameter in model.parameters():
            parameter.grad = None
        rows = slice(step * BATCH, (step + 1) * BATCH)
        for rank in range(ranks):
            for part in range(parts):
                x, y = (all_[rows][rank::ranks][part::parts] for all_ in (inputs, targets))
                with torch.autocast("cpu", torch.bfloat16, enabled=way == "bf16"):
                    logits = model(x)
                (F.cross_entropy(logits.float().flatten(0, -2), y.flatten()) / (ranks * parts)).backward()
        with no_bfloat16():
            step_maker.step()
    return initial.double(), flat().double()


def chosen(wanted):
    for ranks in (1, 2, 4):
        for name, (network, shape, steps) in {**SMALL, **LARGE}.items():
            few = name in LARGE and not wanted
            if wanted not in ([], ["all"]) and name not in wanted or few and (ranks != 2 or name in ("resnet34", "resnet50")):
                continue
            for optimizer in OPTIMIZERS if not few else ("sgd", "lamb"):
                for way in WAYS:
                    yield ranks, name, network, shape, steps, optimizer, way


def train(mpirun, program, folder, ranks, cases):
    lines = []
    for number, (_, name, _, shape, steps, optimizer, way) in enumerate(cases):
        numbers = (*shape, 0) if len(shape) == 4 else (0, 0, 0, shape[1], shape[0])
        inputs, targets = samples(shape, steps)
        (folder / f"{number}.input").write_bytes(inputs.numpy().tobytes())
        (folder / f"{number}.targets").write_bytes(targets.numpy().tobytes())
        lines.append(" ".join(map(str, (number, name, 5, *numbers, steps, BATCH, way, optimizer, OPTIMIZERS[optimizer][0]))))
    (folder / "cases").write_text("\n".join(lines) + "\n")
    subprocess.run([mpirun, "--oversubscribe", "--bind-to", "none", "-np", str(ranks), program, folder], check=True)


def main():
    torch.set_num_threads(1)
    mpirun, program = sys.argv[1:3]
    worst, bad = {}, []
    everything = list(chosen(sys.argv[3:]))
    for ranks in (1, 2, 4):
        cases = [case for case in everything if case[0] == ranks]
        if not cases:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            train(mpirun, program, folder, ranks, cases)
            last = None
            for number, (_, model, network, shape, steps, optimizer, way) in enumerate(cases):
                plainly = "plain" if way == "sharded" else way  # which comes next
                if last != (model, optimizer, plainly):
                    initial, expected = reference(network, shape, steps, optimizer, ranks, way)
                    last = (model, optimizer, plainly)
                found = torch.from_numpy(np.fromfile(folder / f"{number}.{ranks}.out", np.float32)).double()
                distance = ((found - expected).norm() / (expected - initial).norm()).item()
                worst[model, way] = max(worst.get((model, way), 0), distance)
                if not distance <= tolerance(model, way):  # NaN too
                    bad.append(f"{model}, {optimizer}, {ranks} ranks, {way}: {distance:.2g} of the update")
    for model in dict.fromkeys(model for model, _ in worst):
        print(f"{model:10}", "  ".join(f"{way} {worst[model, way]:.1e}" for way in WAYS if (model, way) in worst))
    print(len(everything), "trainings")
    assert not bad, "\n".join(bad)


main()
