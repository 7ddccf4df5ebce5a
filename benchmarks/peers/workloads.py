"""What the engine's measurements train, as benchmarks/engine/workload.cpp makes it: equal bits from equal seeds."""
import torch

import networks

BATCHES = 8                     # different ones; steps take them in turn
WEIGHT_SEED, BATCH_SEED = 1, 1000

# Name: the network, the shape of a sample, classes, whether samples are tokens.
WORKLOADS = {
    "cifar_net": (lambda: networks.tutorial.Net(3, 32, 32, 10), (3, 32, 32), 10, False),
    "resnet18": (lambda: networks.resnet.resnet18(3, 32, 32, 10), (3, 32, 32), 10, False),
    "resnet50": (lambda: networks.resnet.resnet50(3, 224, 224, 1000), (3, 224, 224), 1000, False),
    "gpt2": (lambda: networks.gpt2.gpt2(1024, 50257), (1024,), 50257, True),
    "gpt2_tiny": (lambda: networks.gpt2.gpt2_tiny(128, 256), (128,), 256, True),
    "mlp_3x256": (lambda: networks.Perceptron(784, 256, 256, 256, 10), (784,), 10, False),
}


def make(name, batch, rank):
    """The network, and the batches of one rank as (input, target)."""
    network, sample, classes, tokens = WORKLOADS[name]
    torch.manual_seed(WEIGHT_SEED)
    net = network()
    torch.manual_seed(BATCH_SEED + rank)
    batches = []
    for _ in range(BATCHES):
        inputs = torch.randint(classes, (batch, *sample)) if tokens else torch.randn(batch, *sample)
        batches.append((inputs, torch.randint(classes, (batch, *sample) if tokens else (batch,))))
    return net, batches


def loss(name):
    """f(logits, targets): the mean cross entropy, of tokens over all positions."""
    criterion = torch.nn.CrossEntropyLoss()
    if not WORKLOADS[name][3]:
        return criterion
    return lambda logits, targets: criterion(logits.flatten(0, 1), targets.flatten())
