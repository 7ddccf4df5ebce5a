"""The network of the CIFAR-10 tutorial, for 3 x 32 x 32 and (as Lockstep's cifar_net) other square image sizes."""
import hashlib

import torch
from torch import nn
from torch.nn import functional as F

import model_file


class TutorialNet(nn.Module):
    def __init__(self, channels=3, height=32, classes=10):
        super().__init__()
        side = ((height - 4) // 2 - 4) // 2       # 5 x 5 kernels without padding, 2 x 2 pools: 32 -> 5, 28 -> 4
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def for_dataset(split):
    _, channels, height, _ = split.images.shape
    return TutorialNet(channels, height)


def load_weights(net, path):
    """Fails when names or shapes are not the network's own."""
    net.load_state_dict({name: torch.from_numpy(array) for name, array in model_file.read_weights(path).items()})


def weights_digest(net):
    """SHA-256 of all parameters and buffers in state_dict order, as float32 bytes."""
    sha = hashlib.sha256()
    for tensor in net.state_dict().values():
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
