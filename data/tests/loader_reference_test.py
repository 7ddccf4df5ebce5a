"""The loader and the permutation against a second implementation in numpy and h5py: bit for bit.

Usage: loader_reference_test.py PROBE
"""

import random
import subprocess
import sys
import tempfile

import h5py
import numpy as np

from permutation_reference import Permutation

PROBE = sys.argv[1]


def check_order():
    rng = random.Random(7)
    for count in [1, 2, 3, 255, 256, 257, 50000, 60000, 65536, 65537, 10**9 + 7, 2**63 + 1, 2**64 - 1]:
        seed, epoch = rng.getrandbits(64), rng.getrandbits(rng.choice([3, 63]))
        indices = sorted({0, count - 1, *(rng.randrange(count) for _ in range(50))})
        words = [PROBE, "order", str(count), str(seed), str(epoch), *map(str, indices)]
        found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        order = Permutation(count, seed, epoch)
        assert found == [str(order(i)) for i in indices], f"order differs: count {count}, seed {seed}, epoch {epoch}"


class Expected:
    """What the loader must give, from the file's own numbers."""

    def __init__(self, path, split):
        with h5py.File(path) as file:
            self.images = file[split]["images"][...]
            self.labels = file[split]["labels"][...].astype(np.int64)
            self.mean = file.attrs["mean"].astype(np.float32)[:, None, None]
            self.std = file.attrs["std"].astype(np.float32)[:, None, None]

    def batches(self, rank, world, batch, seed, epoch, consumed, shuffle, drop_last, normalize):
        count = len(self.images)
        order = Permutation(count, seed, epoch) if shuffle else lambda i: i
        while consumed < count and not (drop_last and count - consumed < batch):
            size = min(batch, count - consumed)
            positions = np.array_split(np.arange(consumed, consumed + size), world)[rank]  # the first ranks take one more
            samples = [order(int(i)) for i in positions]
            values = self.images[samples].astype(np.float32) / np.float32(255)
            if normalize:
                values = (values - self.mean) / self.std
            yield size, values, self.labels[samples]
            consumed += size


def found_batches(path, split, pixels, *numbers):
    out = subprocess.run([PROBE, "batches", path, split, *map(str, numbers)], capture_output=True, check=True).stdout
    at = 0
    while at < len(out):
        local, total = np.frombuffer(out, np.int64, 2, at)
        values = np.frombuffer(out, np.float32, local * pixels, at + 16)
        labels = np.frombuffer(out, np.int64, local, at + 16 + 4 * local * pixels)
        at += 16 + local * (4 * pixels + 8)
        yield int(total), values, labels


def check_loader(path):
    rng = random.Random(11)
    for case in range(60):
        split, world = rng.choice(["train", "test"]), rng.choice([1, 2, 3, 4, 9])
        expected = Expected(path, split)
        count = len(expected.images)
        numbers = [rng.randrange(world), world, rng.choice([1, 4, 5, 7, 10, 64]), rng.getrandbits(62), rng.randrange(5), rng.randrange(count + 1),
                   rng.randrange(2), rng.randrange(2), rng.randrange(2)]
        found = list(found_batches(path, split, expected.images[0].size, *numbers, rng.choice([-1, 0, 1, 2])))
        wanted = list(expected.batches(*numbers))
        assert len(found) == len(wanted), (case, split, numbers)
        for (total, values, labels), (wanted_total, wanted_values, wanted_labels) in zip(found, wanted):
            assert total == wanted_total, (case, split, numbers)
            assert np.array_equal(labels, wanted_labels), (case, split, numbers)
            assert np.array_equal(values.view(np.uint32), wanted_values.ravel().view(np.uint32)), (case, split, numbers)


with tempfile.TemporaryDirectory() as folder:
    check_order()
    subprocess.run([PROBE, "small", folder + "/small.h5"], check=True)
    check_loader(folder + "/small.h5")
print("permutation and loader agree with the reference bit for bit")
