"""PyTorch with mpi4py by hand: one flat gradient buffer, one MPI Allreduce in place, fused SGD. One JSON line from rank 0.

    mpirun -n 2 python mpi4py_flat.py --data FILE
"""
import torch
from mpi4py import MPI

import job


def flatten(parameters, attribute):
    """One buffer for all parameters (or their gradients), which become views into it."""
    flat = torch.zeros(sum(p.numel() for p in parameters))
    offset = 0
    for p in parameters:
        view = flat[offset:offset + p.numel()].view_as(p)
        if attribute == "data":
            view.copy_(p.data)
        setattr(p, attribute, view)
        offset += p.numel()
    return flat


def main():
    parser = job.parser(__doc__)
    parser.add_argument("--flat-parameters", action="store_true",
                        help="parameters in one buffer too: the optimizer sees a single tensor")
    options = parser.parse_args()
    world = MPI.COMM_WORLD
    if options.pin != "none":
        job.pin(world.rank)
    work = job.Job(options, world.rank, world.size)
    parameters = list(work.net.parameters())
    gradients = flatten(parameters, "grad")
    if options.flat_parameters:
        whole = torch.nn.Parameter(flatten(parameters, "data"))
        whole.grad = gradients
        optimizer = work.sgd([whole])
    else:
        optimizer = work.sgd(parameters)
    shared = gradients.numpy()

    def step(inputs, targets):
        gradients.zero_()
        loss = work.loss(work.net(inputs), targets)
        (loss / world.size).backward()            # the sum over ranks is then the mean
        world.Allreduce(MPI.IN_PLACE, shared)
        optimizer.step()
        return loss.item()

    world.Barrier()
    work.train(step)
    losses = world.allreduce(torch.tensor(work.losses, dtype=torch.float64).numpy()) / world.size
    if work.rank == 0:
        work.report("mpi4py flat", losses=losses.tolist(), flat_parameters=options.flat_parameters,
                    mpi=MPI.Get_library_version().split(",")[0].strip())


if __name__ == "__main__":
    main()
