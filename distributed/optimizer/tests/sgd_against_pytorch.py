"""FusedSgd against torch.optim.SGD on the same gradients: equal bits after 50 steps.

usage: sgd_against_pytorch.py PATH_OF_sgd_replay
"""
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import torch

STEPS = 50
COUNTS = [1, 7, 64, 1003, 33, 4096]
# learning rate, momentum, dampening, weight decay, nesterov
OPTIONS = [
    (0.001, 0.9, 0.0, 0.0, False),
    (0.1, 0.0, 0.0, 0.0, False),
    (0.03, 0.0, 0.0, 5e-4, False),
    (0.07, 0.9, 0.1, 0.0, False),
    (0.07, 0.95, 0.3, 1e-2, False),
    (0.05, 0.9, 0.0, 5e-4, True),
    (0.05, 0.8, 0.0, 0.0, True),
    (0.01, 0.5, 1.0, 0.0, False),
]


def make_case(seed, dtype, sparse):
    """Initial values, and per step a list of gradients; None where a parameter was not used."""
    random = np.random.default_rng(seed)
    draw = lambda count: random.standard_normal(count).astype(dtype) * dtype(10.0 ** random.integers(-4, 2))
    initial = [draw(count) for count in COUNTS]
    used = lambda: not sparse or random.random() < 0.6
    return initial, [[draw(count) if used() else None for count in COUNTS] for _ in range(STEPS)]


def by_pytorch(initial, gradients, options):
    learning_rate, momentum, dampening, weight_decay, nesterov = options
    parameters = [torch.nn.Parameter(torch.from_numpy(values.copy())) for values in initial]
    sgd = torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                          nesterov=nesterov, foreach=False, fused=False)
    for step, of_step in enumerate(gradients):
        for parameter, gradient in zip(parameters, of_step):
            parameter.grad = None if gradient is None else torch.from_numpy(gradient.copy())
        if step == STEPS // 2:
            sgd.param_groups[0]["lr"] /= 2
        sgd.step()
    momenta = []
    if momentum != 0:
        for parameter in parameters:
            buffer = sgd.state[parameter].get("momentum_buffer")
            momenta.append(torch.zeros_like(parameter) if buffer is None else buffer)
    return np.concatenate([t.detach().numpy() for t in parameters + momenta])


def write_case(folder, number, initial, gradients, options, dtype):
    """The arguments with which sgd_replay runs this case."""
    values = list(initial)
    for of_step in gradients:
        for count, gradient in zip(COUNTS, of_step):
            values.append(np.array([gradient is not None], dtype))
            values.append(np.zeros(count, dtype) if gradient is None else gradient)
    source, target = Path(folder, f"in{number}"), Path(folder, f"out{number}")
    source.write_bytes(np.concatenate(values).tobytes())
    *numbers, nesterov = options
    return [source, target, "double" if dtype is np.float64 else "float", str(STEPS), ",".join(map(str, COUNTS)),
            *map(repr, numbers), str(int(nesterov))]


def main():
    torch.set_num_threads(1)
    failures = 0
    cases = [(options, dtype, sparse, *make_case(seed, dtype, sparse))
             for seed, (options, dtype, sparse) in enumerate(product(OPTIONS, (np.float32, np.float64), (False, True)))]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [write_case(folder, number, initial, gradients, options, dtype)
                     for number, (options, dtype, _, initial, gradients) in enumerate(cases)]
        subprocess.run([sys.argv[1], *(argument for case in arguments for argument in case)], check=True)
        outputs = [np.frombuffer(case[1].read_bytes(), dtype=cases[number][1]) for number, case in enumerate(arguments)]
    for (options, dtype, sparse, initial, gradients), found in zip(cases, outputs):
        expected = by_pytorch(initial, gradients, options)
        equal = expected.tobytes() == found.tobytes()
        failures += not equal
        text = "equal bits"
        if not equal:
            text = f"{(expected != found).sum()} of {expected.size} values differ, by up to {np.abs(expected - found).max():.3g}"
        print(f"{options} {dtype.__name__}{' unused at times' if sparse else ''}: {text}")
    sys.exit(failures > 0)


main()
