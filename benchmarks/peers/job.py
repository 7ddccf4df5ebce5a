"""What the training peers share: options, sample order, initial weights, the clock and the JSON line at the end.

A peer trains the tutorial network on the samples that lockstep-train sees in the same steps, from the same weights; or a workload of
workloads.py, as engine_step does. Its batches are normalised and laid out in memory before the first step, so it pays nothing for data:
the most favourable case for it.
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
import networks
import workloads


def parser(description):
    p = argparse.ArgumentParser(description=description)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", help="HDF5 data set: the tutorial's network learns it")
    what.add_argument("--workload", choices=workloads.WORKLOADS, help="a network and made-up batches")
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
        self.seconds, self.losses = [], []
        if options.workload:
            self.net, self.batches = workloads.make(options.workload, options.batch_size, rank)
            self.loss = workloads.loss(options.workload)
            return
        torch.manual_seed(options.seed)
        split = dataset.load(options.data)
        self.net = networks.tutorial_net(split)
        if options.weights:
            networks.load_weights(self.net, options.weights)
        order = None if options.no_shuffle else dataset.sample_order(len(split), options.seed, 0)
        rows = dataset.rows_of_rank(len(split), rank, world_size, options.batch_size, options.steps, order)
        self.batches = [self._batch(split, numbers) for numbers in rows]
        self.loss = torch.nn.CrossEntropyLoss()

    def _batch(self, split, rows):
        return (torch.from_numpy(split.inputs(rows, self.options.normalize == "mean-std")), torch.from_numpy(split.labels[rows]))

    def sgd(self, parameters):
        form = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}[self.options.optimizer]
        return torch.optim.SGD(parameters, lr=self.options.learning_rate, momentum=self.options.momentum, **form)

    def train(self, step):
        """step(input, target) does one optimizer step and returns the loss as a float."""
        for number in range(self.options.steps):
            batch = self.batches[number % len(self.batches)]
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
                "train_loss": losses[-1], "weights_sha256": networks.weights_digest(self.net),
                "versions": {"torch": torch.__version__, "python": platform.python_version()}, **more}
        if self.options.output:
            weights = {name: tensor.numpy() for name, tensor in self.net.state_dict().items()}
            numpy.savez(self.options.output, losses=numpy.array(losses), **weights)
        print(json.dumps(line), flush=True)


def pin(local_rank):
    """Binds the calling thread, and threads it starts later, to one of the cores this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[local_rank % len(cores)]})
