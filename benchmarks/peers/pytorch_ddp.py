"""PyTorch DistributedDataParallel over gloo, tuned: gradients as bucket views, static graph, fused SGD. One JSON line from rank 0.

    torchrun --nproc-per-node 2 pytorch_ddp.py --data FILE --pin main
"""
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import gloo_group
import job


def main():
    options = job.parser(__doc__).parse_args()
    gloo_group.join(options.pin)
    work = job.Job(options, dist.get_rank(), dist.get_world_size())
    net = DistributedDataParallel(work.net, gradient_as_bucket_view=True, static_graph=True)
    optimizer = work.sgd(net.parameters())

    def step(inputs, targets):
        optimizer.zero_grad()
        loss = work.loss(net(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    dist.barrier()
    work.train(step)
    losses = torch.tensor(work.losses, dtype=torch.float64)
    dist.all_reduce(losses)
    if work.rank == 0:
        work.report("pytorch ddp gloo", losses=(losses / work.world_size).tolist())
    gloo_group.leave()


if __name__ == "__main__":
    main()
