"""lockstep-train --weights with files in the safetensors format, written here byte by byte.

usage: weights_test.py PATH_OF_lockstep-train [CHECK...]
"""
import hashlib
import json
import struct

import torch
from training import SMALL, Folder, check, equal, run_checks

TYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}


def write_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def mlp_weights():
    generator = torch.Generator().manual_seed(5)
    shapes = {"fc1.weight": (128, 784), "fc1.bias": (128,), "fc2.weight": (10, 128), "fc2.bias": (10,)}
    return {name: torch.randn(shape, generator=generator) / 30 for name, shape in shapes.items()}


def sha256(tensors):
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in tensors.values())).hexdigest()


def train(folder, weights, **more):
    """Of steps that change nothing."""
    write_safetensors(folder.path / "w.safetensors", weights)
    options = ("--data", SMALL, "--model", "mlp", "--learning-rate", 0, "--steps", 1, "--weights", "w.safetensors")
    return folder.summary(*options, **more)


def check_values_arrive_bit_for_bit(program):
    weights = mlp_weights()
    with Folder(program) as folder:
        backwards = dict(reversed(weights.items()))  # names count, not places
        equal(train(folder, backwards, ranks=2)["weights_sha256"], sha256(weights), "weights")


def check_bfloat16_is_widened(program):
    weights = {name: tensor.bfloat16() for name, tensor in mlp_weights().items()}
    with Folder(program) as folder:
        expected = {name: tensor.float() for name, tensor in weights.items()}
        equal(train(folder, weights, ranks=1)["weights_sha256"], sha256(expected), "weights")


def check_wrong_files_are_refused(program):
    options = ("--data", SMALL, "--model", "mlp", "--weights", "w.safetensors")
    with Folder(program) as folder:
        path = folder.path / "w.safetensors"
        cases = {"fc3.bias": {**mlp_weights(), "fc3.bias": torch.zeros(3)},
                 "fc1.bias": {**mlp_weights(), "fc1.bias": torch.zeros(127)},
                 "fc2.bias": {name: t for name, t in mlp_weights().items() if name != "fc2.bias"}}
        for word, weights in cases.items():
            write_safetensors(path, weights)
            refused(folder.train(*options, ranks=2), word)
        write_safetensors(path, mlp_weights())
        path.write_bytes(path.read_bytes()[:-1])
        refused(folder.train(*options, ranks=2), "w.safetensors")


def refused(result, word):
    equal(result.code, 2, f"exit code\n{result.error}")
    check(len(result.messages) == 1 and word in result.messages[0], f"{word} is not in {result.messages}")


run_checks(globals())
