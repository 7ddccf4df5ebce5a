"""The published CIFAR-10 tutorial loop, for several seeds: twelve running losses each, and the band they span.

    python pytorch_losses.py DATA --seeds 10 --output benchmarks/results/cifar10_tutorial_band.json

DATA: a folder in the CIFAR-10 binary layout, or an HDF5 data set. Batch 4, SGD 0.001, momentum 0.9, two epochs, pixels / 255 (ToTensor
alone), a new random order in each epoch, and the mean loss of every 2,000 mini-batches. About 1.5 minutes per seed on one core.
"""
import argparse
import json
import pathlib
import platform
import sys
import time

import torch

import dataset
import networks

EPOCHS, BATCH, EVERY = 2, 4, 2000


def running_losses(inputs, labels, seed, epochs=EPOCHS):
    """inputs: float32 [N, C, H, W]. One list of losses, an entry per 2,000 mini-batches; epochs one after the other."""
    torch.manual_seed(seed)
    net = networks.tutorial.Net(*inputs.shape[1:], 10)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    losses = []
    for _ in range(epochs):
        running_loss = 0.0
        for i, rows in enumerate(torch.randperm(len(labels)).split(BATCH)):
            optimizer.zero_grad()
            loss = criterion(net(inputs[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if i % EVERY == EVERY - 1:
                losses.append(running_loss / EVERY)
                running_loss = 0.0
    return net, losses


def accuracy(net, inputs, labels):
    with torch.no_grad():
        right = sum((net(x).argmax(1) == y).sum().item() for x, y in zip(inputs.split(500), labels.split(500)))
    return right / len(labels)


def tensors(split):
    return torch.from_numpy(split.inputs(slice(None), normalize=False)), torch.from_numpy(split.labels)


def band(runs):
    """For each of the losses: smallest, largest, mean and standard deviation over the seeds."""
    table = torch.tensor([run["losses"] for run in runs], dtype=torch.float64)
    return {"min": table.min(0).values.tolist(), "max": table.max(0).values.tolist(),
            "mean": table.mean(0).tolist(), "std": table.std(0, unbiased=True).tolist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(1)
    train = dataset.load(options.data, "train")
    inputs, labels = tensors(train)
    test_inputs, test_labels = tensors(dataset.load(options.data, "test"))
    runs = []
    for seed in range(options.seeds):
        begin = time.perf_counter()
        net, losses = running_losses(inputs, labels, seed)
        runs.append({"seed": seed, "losses": losses, "test_accuracy": accuracy(net, test_inputs, test_labels)})
        print(f"seed {seed}: {time.perf_counter() - begin:.0f} s, test accuracy {runs[-1]['test_accuracy']:.4f}, "
              + " ".join(f"{loss:.3f}" for loss in losses), file=sys.stderr, flush=True)
    result = {"what": "running losses of the CIFAR-10 tutorial loop in PyTorch, per 2,000 mini-batches, two epochs",
              "command": "python benchmarks/peers/pytorch_losses.py DATA --seeds %d" % options.seeds,
              "date": time.strftime("%Y-%m-%d"), "torch": torch.__version__, "machine": platform.machine(),
              "data_sha256": dataset.digest(train), "runs": runs, "band": band(runs)}
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
