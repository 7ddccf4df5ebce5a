"""The models against the same networks in Python: equal initial bits for a seed; logits, loss and gradients to 1e-6.

usage: models_against_pytorch.py PATH_OF_model_probe
Images: Fashion-MNIST from Debian's package where it is installed (ties and saturated pixels included), else made up.
"""
import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
TOLERANCE = 1e-6


class Net(nn.Module):
    """The tutorial's network; the first fully connected layer fits the image."""

    def __init__(self, channels, height, width, classes):
        super().__init__()
        left = lambda side: ((side - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * left(height) * left(width), 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Perceptron(nn.Module):
    def __init__(self, channels, height, width, classes):
        super().__init__()
        self.fc1 = nn.Linear(channels * height * width, 128)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


def make_images(count, channels, height, width, seed):
    if (channels, height, width) == (1, 28, 28) and FASHION_MNIST.exists():
        pixels = np.frombuffer(gzip.open(FASHION_MNIST).read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
        return torch.from_numpy(pixels[100 * seed:100 * seed + count] / np.float32(127.5) - np.float32(1))
    generator = torch.Generator().manual_seed(seed)
    # Few distinct values, as pixels have: windows with several equal maxima are common.
    return torch.randint(0, 9, (count, channels, height, width), generator=generator) / 4.0 - 1.0


def check(program, name, network, shape, count, seed):
    *image, classes = shape
    images = make_images(count, *image, seed)
    targets = (torch.arange(count) * 7 + seed) % classes
    torch.manual_seed(seed)
    model = network(*shape)
    logits = model(images)
    loss = F.cross_entropy(logits, targets)
    loss.backward()
    parameters = list(model.parameters())
    expected = [*parameters, logits, loss, *(p.grad for p in parameters)]
    names = [n for n, _ in model.named_parameters()]
    labels = [f"initial {n}" for n in names] + ["logits", "loss"] + [f"gradient of {n}" for n in names]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, part) for part in ("images", "targets", "out")]
        files[0].write_bytes(images.numpy().tobytes())
        files[1].write_bytes(targets.numpy().tobytes())
        subprocess.run([program, name, str(seed), *map(str, shape), *files], check=True)
        found = np.frombuffer(files[2].read_bytes(), np.float32)
    worst, equal, start = 0.0, 0, 0
    for label, tensor in zip(labels, expected):
        values = tensor.detach().numpy().ravel()
        ours = found[start:start + values.size]
        start += values.size
        difference = np.abs(ours - values).max() / max(np.abs(values).max(), 1e-30)
        equal += ours.tobytes() == values.tobytes()
        worst = max(worst, difference)
        limit = 0 if label.startswith("initial") else TOLERANCE
        assert difference <= limit, f"{name} {shape} batch {count}: {label} differs by {difference:.3g}"
    assert start == found.size
    print(f"{name} {shape} batch {count}: {equal} of {len(labels)} tensors equal in every bit, worst relative difference {worst:.2g}")


def main():
    torch.set_num_threads(1)
    program = sys.argv[1]
    for seed, count in enumerate((1, 4, 33)):
        check(program, "cifar_net", Net, (3, 32, 32, 10), count, seed)
        check(program, "cifar_net", Net, (1, 28, 28, 10), count, seed)
    check(program, "cifar_net", Net, (2, 16, 41, 3), 5, 11)
    check(program, "mlp", Perceptron, (3, 9, 11, 4), 6, 12)


main()
