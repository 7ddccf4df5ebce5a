"""The networks that the peers train: those that models/ is tested against, and weights from Lockstep's files."""
import hashlib
import pathlib
import sys

import torch
from torch import nn

import model_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "models" / "tests"))
from reference import gpt2, resnet, tutorial  # noqa: E402  (found through the line above)


class Perceptron(nn.Module):
    """Linear layers with relu between them: fc1, fc2, …"""

    def __init__(self, *widths):
        super().__init__()
        for i, (n, m) in enumerate(zip(widths, widths[1:]), start=1):
            self.add_module(f"fc{i}", nn.Linear(n, m))

    def forward(self, x):
        *hidden, last = self.children()
        for layer in hidden:
            x = torch.relu_(layer(x))
        return last(x)


def tutorial_net(split):
    """The tutorial's network for the images of a data set with ten classes."""
    _, channels, height, width = split.images.shape
    return tutorial.Net(channels, height, width, 10)


def load_weights(net, path):
    """Fails when names or shapes are not the network's own."""
    net.load_state_dict({name: torch.from_numpy(array) for name, array in model_file.read_weights(path).items()})


def weights_digest(net):
    """SHA-256 of all parameters and buffers in state_dict order, as float32 bytes."""
    sha = hashlib.sha256()
    for tensor in net.state_dict().values():
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
