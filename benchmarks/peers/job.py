"""What the training peers share: options, sample order, initial weights, the clock and the JSON line at the end.

A peer trains the tutorial network on the samples that lockstep-train sees in the same steps, from the same weights. Its batches are
normalised and laid out in memory before the first step, so it pays nothing for data: the most favourable case for it.
"""
import argparse
import json
import os
import pathlib
import platform
import time

import numpy
import torch

import dataset
import tutorial_net


def parser(description):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--data", required=True, help="HDF5 data set")
    p.add_argument("--weights", help="model.h5 with the initial weights; without it, PyTorch's initialisation from --seed")
    p.add_argument("--batch-size", type=int, default=4, help="samples per rank and step")
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--warm-up", type=int, default=20, help="first steps, left out of the times")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--no-shuffle", action="store_true", help="samples in file order")
    p.add_argument("--normalize", choices=["mean-std", "none"], default="mean-std", help="none: pixel / 255 alone")
    p.add_argument("--learning-rate", type=float, default=0.001)
    p.add_argument("--momentum", type=float, default=0.9)
    p.add_argument("--optimizer", choices=["default", "foreach", "fused"], default="fused", help="form of torch.optim.SGD")
    p.add_argument("--pin", choices=["none", "all", "main"], default="none",
                   help="bind each rank to the core of its number: all its threads, or the main thread alone")
    p.add_argument("--output", type=pathlib.Path, help="losses and final weights as .npz, for comparisons")
    return p


class Job:
    """One rank's part: the network, its batches in step order, and a clock around each step."""

    def __init__(self, options, rank=0, world_size=1):
        self.options, self.rank, self.world_size = options, rank, world_size
        torch.set_num_threads(1)
        torch.manual_seed(options.seed)
        split = dataset.load(options.data)
        self.net = tutorial_net.for_dataset(split)
        if options.weights:
            tutorial_net.load_weights(self.net, options.weights)
        self.batches = [self._batch(split, rows) for rows in self._rows(len(split))]
        self.seconds, self.losses = [], []

    def _rows(self, count):
        """For each step the sample numbers of this rank: its contiguous part of the next global batch of the epoch's order."""
        batch, world = self.options.batch_size, self.world_size
        per_epoch = count // (batch * world)    # whole global batches: peers are not run past an epoch's uneven end
        if self.options.steps > per_epoch:
            raise SystemExit(f"--steps {self.options.steps}: the data set has {per_epoch} whole global batches per epoch")
        order = None if self.options.no_shuffle else dataset.sample_order(count, self.options.seed, 0)
        for step in range(self.options.steps):
            first = (step * world + self.rank) * batch
            positions = range(first, first + batch)
            yield numpy.array([p if order is None else order(p) for p in positions])

    def _batch(self, split, rows):
        return (torch.from_numpy(split.inputs(rows, self.options.normalize == "mean-std")), torch.from_numpy(split.labels[rows]))

    def sgd(self, parameters):
        form = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}[self.options.optimizer]
        return torch.optim.SGD(parameters, lr=self.options.learning_rate, momentum=self.options.momentum, **form)

    def train(self, step):
        """step(input, target) does one optimizer step and returns the loss as a float."""
        for batch in self.batches:
            begin = time.perf_counter()
            loss = step(*batch)
            self.seconds.append(time.perf_counter() - begin)
            self.losses.append(loss)

    def report(self, peer, losses=None, **more):
        """Prints the JSON line. losses: those of the global batch, where they are not this rank's."""
        losses = self.losses if losses is None else losses
        timed = numpy.sort(numpy.array(self.seconds[self.options.warm_up:]))
        line = {"peer": peer, "world_size": self.world_size, "batch_size": self.options.batch_size,
                "steps": self.options.steps, "warm_up": self.options.warm_up, "optimizer": self.options.optimizer,
                "pin": self.options.pin, "step_seconds": {"p50": float(numpy.quantile(timed, 0.5)),
                                                          "p95": float(numpy.quantile(timed, 0.95))},
                "train_loss": losses[-1], "weights_sha256": tutorial_net.weights_digest(self.net),
                "versions": {"torch": torch.__version__, "python": platform.python_version()}, **more}
        if self.options.output:
            weights = {name: tensor.numpy() for name, tensor in self.net.state_dict().items()}
            numpy.savez(self.options.output, losses=numpy.array(losses), **weights)
        print(json.dumps(line), flush=True)


def pin(local_rank):
    """Binds the calling thread, and threads it starts later, to one of the cores this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[local_rank % len(cores)]})
