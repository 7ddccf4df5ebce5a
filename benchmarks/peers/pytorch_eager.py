"""PyTorch eager, one process, one thread: the step of the CIFAR-10 tutorial. Prints one JSON line."""
import torch

import job


def main():
    parser = job.parser(__doc__)
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    options = parser.parse_args()
    if options.pin != "none":
        job.pin(0)
    work = job.Job(options)
    net = torch.compile(work.net) if options.compile else work.net
    optimizer = work.sgd(net.parameters())

    def step(inputs, targets):
        optimizer.zero_grad()
        loss = work.loss(net(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    work.train(step)
    work.report("pytorch compiled" if options.compile else "pytorch eager")


if __name__ == "__main__":
    main()
