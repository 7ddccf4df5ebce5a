"""The data set and the sample order, as every reference program here reads them.

Images come from Lockstep's HDF5 form (groups /train and /test with images [N, C, H, W] uint8 and labels [N]) or from
the CIFAR-10 binary layout, whole, into memory: no reference pays for a loader that the program under test does not have.
"""
import hashlib
import pathlib
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "data" / "tests"))
from permutation_reference import Permutation  # noqa: E402  (found through the line above)


class Split:
    """images: [N, C, H, W] uint8; labels: [N] int64; mean, std: [C] float32 of pixels / 255."""

    def __init__(self, images, labels, mean, std):
        self.images, self.labels, self.mean, self.std = images, labels, mean, std

    def __len__(self):
        return len(self.labels)

    def inputs(self, indices, normalize):
        """float32 [n, C, H, W]: pixel / 255, and (that - mean) / std per channel when `normalize`."""
        pixels = self.images[indices].astype(numpy.float32) / numpy.float32(255)
        if normalize:
            pixels = (pixels - self.mean[:, None, None]) / self.std[:, None, None]
        return pixels


def load(path, split="train"):
    path = pathlib.Path(path)
    return _load_cifar10(path, split) if path.is_dir() else _load_hdf5(path, split)


def _load_hdf5(path, split):
    import h5py

    with h5py.File(path, "r") as file:
        images = file[split]["images"][...]
        labels = file[split]["labels"][...].astype(numpy.int64)
        mean = numpy.asarray(file.attrs["mean"], dtype=numpy.float32)
        std = numpy.asarray(file.attrs["std"], dtype=numpy.float32)
    return Split(images, labels, mean, std)


def _load_cifar10(folder, split):
    # A record is one label byte and 3 planes of 32 x 32 bytes.
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
    records = numpy.concatenate([numpy.fromfile(folder / name, dtype=numpy.uint8) for name in names]).reshape(-1, 3073)
    images = numpy.ascontiguousarray(records[:, 1:]).reshape(-1, 3, 32, 32)
    channels = images.transpose(1, 0, 2, 3).reshape(3, -1)
    mean = numpy.array([c.mean(dtype=numpy.float64) for c in channels]) / 255
    std = numpy.array([c.std(dtype=numpy.float64) for c in channels]) / 255
    return Split(images, records[:, 0].astype(numpy.int64), mean.astype(numpy.float32), std.astype(numpy.float32))


def sample_order(count, seed, epoch):
    """A function from a position in an epoch's order to the sample there."""
    return Permutation(count, seed, epoch)


def rows_of_rank(count, rank, world_size, batch_size, steps, order=None):
    """For each step the sample numbers of a rank: its contiguous part of the next global batch. order: from a position to a sample."""
    per_epoch = count // (batch_size * world_size)    # whole global batches: peers are not run past an epoch's uneven end
    if steps > per_epoch:
        raise SystemExit(f"--steps {steps}: the data set has {per_epoch} whole global batches per epoch")
    for step in range(steps):
        first = (step * world_size + rank) * batch_size
        yield numpy.array([p if order is None else order(p) for p in range(first, first + batch_size)])


def digest(split):
    """SHA-256 of images and labels (as bytes): says which pixels a stored result belongs to."""
    sha = hashlib.sha256(numpy.ascontiguousarray(split.images).data)
    sha.update(split.labels.astype(numpy.uint8).tobytes())
    return sha.hexdigest()
