"""DataParallel against torch's DistributedDataParallel: the same gradients on two ranks in every scenario.

usage: gradients_against_ddp.py MPIEXEC PATH_OF_gradient_replay
"""
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel

RANKS = 2
SCENARIOS = ["each rank its own batch", "b used on rank 0 only", "b used nowhere", "no_sync, then a synchronised backward",
             "b used under no_sync only", "backward twice without zero_grad"]


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x, use_b=True):
        hidden = torch.tanh(self.a(x))
        if use_b:
            hidden = torch.tanh(self.b(hidden))
        return self.c(hidden)


def run_ddp(rank, source, target):
    """One rank: reads the input of gradient_replay, writes what it writes."""
    dist.init_process_group("gloo", rank=rank, world_size=RANKS)
    values = np.fromfile(source, np.float32)
    take = lambda *shape: torch.from_numpy(np.copy(values[:int(np.prod(shape))])).reshape(shape)
    net = Chain()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(take(*parameter.shape))
            values = values[parameter.numel():]
    first, second = (torch.from_numpy(part) for part in values.reshape(RANKS, 2, 4, 6)[rank].copy())
    ddp = DistributedDataParallel(net, find_unused_parameters=True, gradient_as_bucket_view=True)
    backward = lambda x, use_b=True: ddp(x, use_b).square().mean().backward()

    def paused(x, use_b=True):
        with ddp.no_sync():
            backward(x, use_b)

    scenarios = [
        lambda: backward(first),
        lambda: backward(first, rank == 0),
        lambda: backward(first, False),
        lambda: (paused(first), backward(second)),
        lambda: (paused(first), backward(second, False)),
        lambda: (backward(first), backward(second)),
    ]
    written = []
    for scenario in scenarios:
        ddp.zero_grad(set_to_none=True)
        scenario()
        for parameter in net.parameters():
            missing = parameter.grad is None
            written.append(np.array([not missing], np.float32))
            written.append((torch.zeros_like(parameter) if missing else parameter.grad).detach().numpy().flatten())
    Path(f"{target}.{rank}").write_bytes(np.concatenate(written).tobytes())
    dist.destroy_process_group()


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def main(mpiexec, program):
    torch.manual_seed(4)
    shapes = [(name, tuple(p.shape)) for name, p in Chain().named_parameters()]
    with tempfile.TemporaryDirectory() as folder:
        source, ours, theirs = Path(folder, "in"), Path(folder, "lockstep"), Path(folder, "ddp")
        count = sum(int(np.prod(shape)) for _, shape in shapes) + RANKS * 2 * 4 * 6
        source.write_bytes((torch.randn(count) * 0.6).numpy().tobytes())
        environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
        peers = [subprocess.Popen([sys.executable, __file__, "rank", str(rank), source, theirs], env=environment)
                 for rank in range(RANKS)]
        assert [peer.wait(100) for peer in peers] == [0] * RANKS
        subprocess.run([mpiexec, "--oversubscribe", "--bind-to", "none", "-np", str(RANKS), program, source, ours], check=True)
        for rank in range(RANKS):
            compare(rank, shapes, *(np.fromfile(f"{path}.{rank}", np.float32) for path in (ours, theirs)))


def compare(rank, shapes, ours, theirs):
    assert ours.size == theirs.size, (ours.size, theirs.size)
    start = 0
    for scenario in SCENARIOS:
        worst = 0.0
        for name, shape in shapes:
            part = slice(start, start + 1 + int(np.prod(shape)))
            start = part.stop
            found, expected = ours[part], theirs[part]
            assert found[0] == expected[0], f"rank {rank}, {scenario}: {name} has a gradient: {found[0]}, in DDP: {expected[0]}"
            difference = np.abs(found - expected).max() / max(np.abs(expected[1:]).max(), 1e-6)
            assert difference < 1e-6, f"rank {rank}, {scenario}: {name} differs by {difference:.3g}"
            worst = max(worst, difference)
        print(f"rank {rank}, {scenario}: equal to {worst:.2g}")
    assert start == ours.size


if sys.argv[1] == "rank":
    run_ddp(int(sys.argv[2]), sys.argv[3], sys.argv[4])
else:
    main(*sys.argv[1:])
