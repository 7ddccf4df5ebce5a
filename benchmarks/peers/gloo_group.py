"""The process group of the peers that run under torchrun with gloo: where its threads run, and how it ends."""
import os
import sys

import torch.distributed as dist

import job


def join(pin):
    """gloo starts its threads in init_process_group, and they inherit the binding of that moment: bound before it ("all") they share
    the core of the computation, bound after it ("main") they are free to run where there is room."""
    local_rank = int(os.environ["LOCAL_RANK"])
    if pin == "all":
        job.pin(local_rank)
    dist.init_process_group("gloo")
    if pin == "main":
        job.pin(local_rank)


def leave():
    """Ends this process once every rank is done, without taking the group apart: in torch 2.11 that now and then ends in
    "terminate called without an active exception" when the other rank leaves first. torchrun's own store tells who is done."""
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    world = dist.get_world_size()
    store.set(f"lockstep_done_{dist.get_rank()}", "1")
    store.wait([f"lockstep_done_{rank}" for rank in range(world)])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
