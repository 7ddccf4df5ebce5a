"""Learning-rate schedules against torch.optim.lr_scheduler: equal to 1e-12 of the highest rate at every step.

usage: schedules_against_pytorch.py PATH_OF_schedule_table
"""
import subprocess
import sys

import torch
from torch.optim import lr_scheduler

RATE = 0.3
DEFAULTS = dict(drop_every=1, drop_factor=0.1, end_factor=0.0, power=1.0, rise_part=0.3, start_divisor=25.0, final_divisor=1e4)

# shape, steps, milestones, values that are not the defaults, torch's schedule
CASES = [
    ("constant", 10, [], {}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    ("step", 100, [], dict(drop_every=7, drop_factor=0.6), lambda o: lr_scheduler.StepLR(o, 7, 0.6)),
    ("multistep", 100, [1, 30, 60, 61], dict(drop_factor=0.5), lambda o: lr_scheduler.MultiStepLR(o, [1, 30, 60, 61], 0.5)),
    ("cosine", 100, [], {}, lambda o: lr_scheduler.CosineAnnealingLR(o, 100)),
    ("linear", 57, [], dict(end_factor=0.1), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, 57)),
    ("linear", 100, [], {}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, 100)),
    ("polynomial", 100, [], dict(power=2.0), lambda o: lr_scheduler.PolynomialLR(o, 100, 2.0)),
    ("polynomial", 33, [], dict(power=0.5), lambda o: lr_scheduler.PolynomialLR(o, 33, 0.5)),
    ("one-cycle", 100, [], {}, lambda o: lr_scheduler.OneCycleLR(o, RATE, total_steps=100)),
    ("one-cycle", 37, [], dict(rise_part=0.45, start_divisor=10.0, final_divisor=100.0),
     lambda o: lr_scheduler.OneCycleLR(o, RATE, total_steps=37, pct_start=0.45, div_factor=10, final_div_factor=100)),
    ("one-cycle", 5, [], dict(rise_part=0.4), lambda o: lr_scheduler.OneCycleLR(o, RATE, total_steps=5, pct_start=0.4)),
]


def by_pytorch(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    schedule = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < steps:
            schedule.step()
    return rates


def main():
    arguments = []
    for shape, steps, milestones, changed, _ in CASES:
        numbers = {**DEFAULTS, **changed}
        arguments += [shape, str(steps), ",".join(map(str, milestones)) or "-", ",".join(repr(numbers[key]) for key in DEFAULTS)]
    lines = subprocess.run([sys.argv[1], *arguments], check=True, capture_output=True, text=True).stdout.splitlines()
    failures = 0
    for (shape, steps, _, changed, make), line in zip(CASES, lines, strict=True):
        found, expected = [float(word) for word in line.split()], by_pytorch(make, steps)
        worst = max(abs(a - b) for a, b in zip(found, expected, strict=True))
        failures += worst > 1e-12 * RATE
        print(f"{'ok  ' if worst <= 1e-12 * RATE else 'FAIL'} {shape} {steps} steps {changed}: differs by up to {worst:.2g}")
    sys.exit(failures > 0)


main()
