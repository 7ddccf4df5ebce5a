"""The models against the same networks in Python: equal names, equal initial bits for a seed, and, with the same weights,
logits, loss, gradients, running statistics and logits in eval mode. With LibTorch's matrix products, and once more with the model's own
choice of them (product.h), which may add in another order.

usage: models_against_pytorch.py PATH_OF_model_probe FAMILY, one of FAMILIES below
Images: Fashion-MNIST from Debian's package where it is installed (ties and saturated pixels included), else made up.
"""
import gzip
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from reference import gpt2, resnet, tutorial, vit

TOLERANCE_OF_ANOTHER_ORDER = 5e-5  # twelve blocks one after the other: 1.5e-5 were seen
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")


@dataclass
class Case:
    name: str
    network: object  # called with the shape
    shape: tuple  # channels, height, width, classes; or tokens, vocabulary
    count: int  # samples
    seed: int
    tolerance: float  # difference allowed, as a part of the largest value of the tensor
    own_weights: bool = True  # replaces the initial values, of which many are 0 or 1

    def takes_tokens(self):
        return len(self.shape) == 2


def make_images(count, channels, height, width, seed):
    if (channels, height, width) == (1, 28, 28) and FASHION_MNIST.exists():
        pixels = np.frombuffer(gzip.open(FASHION_MNIST).read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
        return torch.from_numpy(pixels[100 * seed:100 * seed + count] / np.float32(127.5) - np.float32(1))
    generator = torch.Generator().manual_seed(seed)
    # Few distinct values, as pixels have: windows with several equal maxima are common.
    return torch.randint(0, 9, (count, channels, height, width), generator=generator) / 4.0 - 1.0


def make_samples(case):
    """The input and the targets of all logits, flat."""
    if not case.takes_tokens():
        return make_images(case.count, *case.shape[:3], case.seed), (torch.arange(case.count) * 7 + case.seed) % case.shape[3]
    generator = torch.Generator().manual_seed(case.seed)
    tokens = torch.randint(0, case.shape[1], (case.count, case.shape[0] + 1), generator=generator)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].flatten()


def change_values(model, seed):
    """Every parameter and buffer gets values of its own, none of them special."""
    generator = torch.Generator().manual_seed(1000 + seed)
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator)
                tensor.mul_(0.9 + 0.2 * noise).add_(0.02 * (noise - 0.3))
            else:
                tensor.fill_(5)


def run_reference(case, images, targets):
    """Initial values and everything the probe computes, as (label, tensor)."""
    torch.manual_seed(case.seed)
    model = case.network(*case.shape)
    names = [n for n, _ in model.named_parameters()] + [n for n, _ in model.named_buffers()]
    values = [*model.parameters(), *model.buffers()]
    found = [(f"initial {n}", t.detach().clone()) for n, t in zip(names, values)]
    if case.own_weights:
        change_values(model, case.seed)
    weights = [t.detach().clone() for t in values]
    logits = model(images)
    loss = F.cross_entropy(logits.flatten(0, -2), targets)
    loss.backward()
    found += [("logits", logits), ("loss", loss)]
    found += [(f"gradient of {n}", p.grad) for n, p in model.named_parameters()]
    found += [(f"{n} after training", b.clone()) for n, b in model.named_buffers()]
    model.eval()
    with torch.no_grad():
        found.append(("logits in eval mode", model(images)))
    return names, weights, found


def write_tensors(path, tensors):
    path.write_bytes(b"".join(t.detach().contiguous().numpy().tobytes() for t in tensors))


def run_probe(program, case, products, inputs, targets, weights):
    channels, height, width, classes = (0, 0, 0, case.shape[1]) if case.takes_tokens() else case.shape
    tokens = case.shape[0] if case.takes_tokens() else 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tensors(folder / "input", [inputs])
        write_tensors(folder / "targets", [targets])
        if case.own_weights:
            write_tensors(folder / "weights", weights)
        numbers = (case.seed, channels, height, width, classes, tokens)
        subprocess.run([program, case.name, *map(str, numbers), products, folder], check=True)
        return (folder / "names").read_text().split(), (folder / "output").read_bytes()


def check(program, case):
    inputs, targets = make_samples(case)
    names, weights, expected = run_reference(case, inputs, targets)
    for products, tolerance in (("libtorch", case.tolerance), ("own", max(case.tolerance, TOLERANCE_OF_ANOTHER_ORDER))):
        our_names, output = run_probe(program, case, products, inputs, targets, weights)
        compare(case, products, tolerance, names, expected, our_names, output)


def compare(case, products, tolerance, names, expected, our_names, output):
    assert our_names == names, f"{case.name}: {set(our_names) ^ set(names) or 'another order'}"
    worst, equal, start = 0.0, 0, 0
    for label, tensor in expected:
        values = tensor.detach().numpy().ravel()
        ours = np.frombuffer(output, values.dtype, values.size, start)
        start += values.nbytes
        same = ours.tobytes() == values.tobytes()
        equal += same
        difference = 0.0 if same else np.abs(ours - values).max() / max(np.abs(values).max(), 1e-30)
        worst = max(worst, difference)
        limit = 0 if label.startswith("initial") or not tensor.is_floating_point() else tolerance
        assert difference <= limit, f"{case}: {label} differs by {difference:.3g}"  # also when it is NaN
    assert start == len(output), f"{len(output)} bytes instead of {start}"
    print(f"{case.name} {case.shape} batch {case.count}, {products} products: {equal} of {len(expected)} tensors equal in every bit, "
          f"worst relative difference {worst:.2g}")


def tutorial_cases():
    for seed, count in enumerate((1, 4, 33)):
        for shape in ((3, 32, 32, 10), (1, 28, 28, 10)):
            yield Case("cifar_net", tutorial.Net, shape, count, seed, 1e-6, own_weights=False)
    yield Case("cifar_net", tutorial.Net, (2, 16, 41, 3), 5, 11, 1e-6)
    yield Case("mlp", tutorial.Perceptron, (3, 9, 11, 4), 6, 12, 1e-6)


def resnet_cases():
    yield Case("resnet18", resnet.resnet18, (3, 32, 32, 10), 4, 0, 1e-5)
    yield Case("resnet18", resnet.resnet18, (3, 32, 32, 10), 3, 1, 1e-5, own_weights=False)
    yield Case("resnet18", resnet.resnet18, (1, 9, 64, 3), 1, 2, 1e-5)
    yield Case("resnet18", resnet.resnet18, (3, 70, 65, 7), 2, 3, 1e-5)
    yield Case("resnet34", resnet.resnet34, (1, 28, 28, 10), 2, 4, 1e-5)
    yield Case("resnet50", resnet.resnet50, (3, 32, 32, 10), 2, 5, 1e-5)
    yield Case("resnet50", resnet.resnet50, (3, 65, 65, 5), 2, 6, 1e-5)


def vit_cases():
    yield Case("vit_small", vit.VisionTransformer, (3, 32, 32, 10), 3, 0, 1e-5)
    yield Case("vit_small", vit.VisionTransformer, (1, 28, 64, 4), 1, 1, 1e-5, own_weights=False)
    yield Case("vit_small", vit.VisionTransformer, (3, 96, 80, 5), 2, 2, 1e-5)


def gpt2_cases():
    yield Case("gpt2_tiny", gpt2.gpt2_tiny, (128, 256), 3, 0, 1e-5)
    yield Case("gpt2_tiny", gpt2.gpt2_tiny, (17, 1000), 2, 1, 1e-5, own_weights=False)
    yield Case("gpt2_tiny", gpt2.gpt2_tiny_with_new_gelu, (128, 256), 3, 3, 1e-5)
    yield Case("gpt2", gpt2.gpt2, (33, 517), 2, 2, 1e-5)


FAMILIES = {"tutorial": tutorial_cases, "resnet": resnet_cases, "vit": vit_cases, "gpt2": gpt2_cases}


def main():
    torch.set_num_threads(1)
    for case in FAMILIES[sys.argv[2]]():
        check(sys.argv[1], case)


main()
