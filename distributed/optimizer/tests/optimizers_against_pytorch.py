"""Our optimizers against torch.optim, or a reference from the paper where torch has none, on the same gradients.

usage: optimizers_against_pytorch.py PATH_OF_optimizer_replay
"""
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import torch

from reference_optimizers import Lamb, Lars, Muon, exact_square_root, no_bfloat16

STEPS = 50
SHAPES = [(1,), (7,), (8, 8), (17, 59), (11, 3, 1, 1), (16, 4, 8, 8), (33,)]

# optimizer, options, and the largest difference allowed, in units of the type's rounding (1.2e-7, 2.2e-16) relative to
# a tensor's largest value; 0: equal bits. A norm taken in another order moves the last bits of a step, and momentum and
# 50 steps add such differences up; Newton-Schulz magnifies them in directions that a matrix hardly has.
CASES = [
    ("sgd", dict(learning_rate=0.001, momentum=0.9), 0),
    ("sgd", dict(learning_rate=0.1), 0),
    ("sgd", dict(learning_rate=0.03, weight_decay=5e-4), 0),
    ("sgd", dict(learning_rate=0.07, momentum=0.9, dampening=0.1), 0),
    ("sgd", dict(learning_rate=0.07, momentum=0.95, dampening=0.3, weight_decay=1e-2), 0),
    ("sgd", dict(learning_rate=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True), 0),
    ("sgd", dict(learning_rate=0.05, momentum=0.8, nesterov=True), 0),
    ("sgd", dict(learning_rate=0.01, momentum=0.5, dampening=1.0), 0),
    ("adamw", dict(learning_rate=0.001), 0),
    ("adamw", dict(learning_rate=0.01, weight_decay=0.1), 0),
    ("adamw", dict(learning_rate=0.01, beta1=0.3, beta2=0.9, weight_decay=0.01, eps=1e-3), 0),
    ("adamw", dict(learning_rate=0.01, beta1=0.0, eps=0.0), 0),
    ("adam", dict(learning_rate=0.001), 0),
    ("adam", dict(learning_rate=0.01, weight_decay=0.1), 0),
    ("adam", dict(learning_rate=0.02, beta1=0.8, beta2=0.99, weight_decay=1e-3, eps=1e-5), 0),
    ("lamb", dict(learning_rate=0.01), 64),
    ("lamb", dict(learning_rate=0.02, beta1=0.8, beta2=0.99, weight_decay=0.1, eps=1e-4), 64),
    ("lamb", dict(learning_rate=0.01, weight_decay=0.01, adapts_vectors=False), 64),
    ("lars", dict(learning_rate=1.0), 64),
    ("lars", dict(learning_rate=0.5, momentum=0.0, weight_decay=1e-2), 64),
    ("lars", dict(learning_rate=2.0, momentum=0.8, weight_decay=1e-3, nesterov=True, trust_coefficient=0.01), 64),
    ("lars", dict(learning_rate=0.01, weight_decay=1e-3, adapts_vectors=False), 64),
    ("muon", dict(learning_rate=0.01, weight_decay=0.1), 64),
    ("muon", dict(learning_rate=0.02, momentum=0.8, nesterov=False, original=True, adamw_factor=0.1), 64),
    ("muon", dict(learning_rate=0.01, momentum=0.3, beta1=0.8, beta2=0.99, eps=1e-5), 64),
    ("muon", dict(learning_rate=0.01, weight_decay=0.1, bfloat16=True), "bfloat16"),
]


def make_case(seed, dtype, sparse):
    """Initial values, and per step a list of gradients; None where a parameter was not used."""
    random = np.random.default_rng(seed)
    draw = lambda shape: random.standard_normal(shape).astype(dtype) * dtype(10.0 ** random.integers(-4, 2))
    initial = [draw(shape) for shape in SHAPES]
    used = lambda: not sparse or random.random() < 0.6
    return initial, [[draw(shape) if used() else None for shape in SHAPES] for _ in range(STEPS)]


def sgd(parameters, learning_rate, **options):
    return torch.optim.SGD(parameters, lr=learning_rate, foreach=False, fused=False, **options), ["momentum_buffer"]


def adam(parameters, learning_rate, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, kind=torch.optim.Adam):
    optimizer = kind(parameters, lr=learning_rate, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay, foreach=False,
                     fused=False)
    return optimizer, ["exp_avg", "exp_avg_sq"]


def adamw(parameters, **options):
    return adam(parameters, kind=torch.optim.AdamW, **options)


def lamb(parameters, learning_rate, **options):
    return Lamb(parameters, learning_rate, **options), ["exp_avg", "exp_avg_sq"]


def lars(parameters, learning_rate, momentum=0.9, **options):
    return Lars(parameters, learning_rate, momentum, **options), ["momentum"] if momentum else []


def muon(parameters, learning_rate, bfloat16=False, **options):
    return Muon(parameters, learning_rate, **options), ["momentum_buffer", "exp_avg", "exp_avg_sq"]


def by_reference(initial, gradients, name, options):
    """All values after the last step: parameters, then each kind of state."""
    parameters = [torch.nn.Parameter(torch.from_numpy(values.copy())) for values in initial]
    optimizer, states = globals()[name](parameters, **options)
    for step, of_step in enumerate(gradients):
        for parameter, gradient in zip(parameters, of_step):
            parameter.grad = None if gradient is None else torch.from_numpy(gradient.copy())
        if step == STEPS // 2:
            for group in optimizer.param_groups:
                group["lr"] /= 2
        optimizer.step()
    values = list(parameters)
    if name == "sgd" and "momentum" not in options:
        states = []
    for state in states:
        having = [p for p in parameters if name != "muon" or (p.ndim > 1) == (state == "momentum_buffer")]
        values += [optimizer.state.get(p, {}).get(state, torch.zeros_like(p)) for p in having]
    return [value.detach().numpy() for value in values]


def write_case(folder, number, initial, gradients, name, options, dtype):
    """The arguments with which optimizer_replay runs this case."""
    values = [value.ravel() for value in initial]
    for of_step in gradients:
        for shape, gradient in zip(SHAPES, of_step):
            values.append(np.array([gradient is not None], dtype))
            values.append(np.zeros(np.prod(shape), dtype) if gradient is None else gradient.ravel())
    source, target = Path(folder, f"in{number}"), Path(folder, f"out{number}")
    source.write_bytes(np.concatenate(values).tobytes())
    shapes = ",".join("x".join(map(str, shape)) for shape in SHAPES)
    return [source, target, "double" if dtype is np.float64 else "float", str(STEPS), shapes, name,
            ",".join(f"{key}={float(value)!r}" for key, value in options.items())]


def check(case, found):
    """Whether the values found are right, and a sentence about it."""
    name, options, units, dtype, sparse, initial, gradients = case
    reference = lambda: by_reference(initial, gradients, name, options)
    if units == "bfloat16":     # products of another processor may round to the neighbour in 8 bits
        return compare(reference(), found, 1e-3)
    with exact_square_root(), no_bfloat16():
        right, text = compare(reference(), found, units * np.finfo(dtype).eps)
    if name.startswith("adam"):     # torch's own square root is not rounded correctly
        also, more = compare(reference(), found, 8 * np.finfo(dtype).eps)
        right, text = right and also, f"{text}; with torch's square root: {more}"
    return right, text


def compare(expected, found, tolerance):
    """Whether `found`, all values in one array, is right, and a sentence about it."""
    if sum(value.size for value in expected) != found.size:
        return False, f"{found.size} values, expected {sum(value.size for value in expected)}"
    if np.concatenate([value.ravel() for value in expected]).tobytes() == found.tobytes():
        return True, "equal bits"
    worst, start = 0.0, 0
    for value in expected:
        part = found[start:start + value.size].reshape(value.shape)
        start += value.size
        worst = max(worst, float(np.abs(value - part).max() / max(np.abs(value).max(), 1e-30)))
    return worst <= tolerance and np.isfinite(found).all(), f"differs by up to {worst:.2g} of the largest value (allowed: {tolerance:g})"


def main():
    torch.set_num_threads(1)
    failures = 0
    cases = [(name, options, tolerance, dtype, sparse, *make_case(seed, dtype, sparse)) for seed, ((name, options, tolerance), dtype, sparse)
             in enumerate(product(CASES, (np.float32, np.float64), (False, True)))]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [write_case(folder, number, case[5], case[6], case[0], case[1], case[3]) for number, case in enumerate(cases)]
        subprocess.run([sys.argv[1], *(argument for case in arguments for argument in case)], check=True)
        outputs = [np.frombuffer(case[1].read_bytes(), dtype=cases[number][3]) for number, case in enumerate(arguments)]
    for case, found in zip(cases, outputs):
        name, options, _, dtype, sparse = case[:5]
        right, text = check(case, found)
        failures += not right
        print(f"{'ok  ' if right else 'FAIL'} {name} {options} {dtype.__name__}{' unused at times' if sparse else ''}: {text}")
    sys.exit(failures > 0)


main()
