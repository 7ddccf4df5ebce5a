"""Data set files between Lockstep and h5py, both ways.

Usage: h5py_test.py PROBE LOCKSTEP_DATA
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

PROBE, PROGRAM = sys.argv[1:]


def run(*words, code=0):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def h5py_reads_ours(path):
    subprocess.run([PROBE, "small", path], check=True)
    with h5py.File(path) as file:
        assert file.attrs["format"] == "lockstep-dataset" and file.attrs["format_version"] == 1
        assert file.attrs["name"] == "small" and file.attrs["source"] == "made up"
        assert list(file.attrs["class_names"]) == [f"class {i}" for i in range(7)]
        for split, first, count in (("train", 0, 23), ("test", 23, 5)):
            images, labels = file[split]["images"], file[split]["labels"]
            assert images.shape == (count, 2, 3, 5) and images.dtype == np.uint8 and images.chunks is None
            assert labels.shape == (count,) and labels.dtype == np.uint8
            sample = np.arange(first, first + count)[:, None]
            at = np.arange(30)[None, :]
            assert np.array_equal(images[...].reshape(count, 30), (sample * 131 + at * 37 + sample * at) % 251 + 3)
            assert np.array_equal(labels[...], (sample[:, 0] * 7 + 2) % 7)
            assert file[split].attrs["images_sha256"] == sha256(images[...])
            assert file[split].attrs["labels_sha256"] == sha256(labels[...])
        pixels = file["train/images"][...] / 255.0
        assert np.allclose(file.attrs["mean"], pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
        assert np.allclose(file.attrs["std"], pixels.std(axis=(0, 2, 3)), rtol=1e-9)


def write_by_h5py(path, labels=np.int64, **options):
    rng = np.random.default_rng(5)
    with h5py.File(path, "w", **options) as file:
        file.attrs["format"] = "lockstep-dataset"
        file.attrs["format_version"] = 1
        file.attrs["class_names"] = ["cat", "dog", "bird"]
        file.attrs["mean"] = [0.25, 0.5, 0.75]
        file.attrs["std"] = np.array([0.1, 0.2, 0.3], np.float32)
        for split, count in (("train", 20), ("test", 6)):
            group = file.create_group(split)
            group["images"] = rng.integers(0, 256, (count, 3, 4, 4), np.uint8)
            group["labels"] = rng.integers(0, 3, count).astype(labels)
            group.attrs["images_sha256"] = sha256(group["images"][...])
            group.attrs["labels_sha256"] = sha256(group["labels"][...])


def we_read_h5pys(path):
    # 1 KiB of anything may stand before an HDF5 file: offsets then count from there.
    for options in ({}, {"libver": "latest"}, {"userblock_size": 1024}, {"labels": np.uint8}):
        write_by_h5py(path, **options)
        shown = json.loads(run("show", path, "--json"))
        assert shown["image_shape"] == [3, 4, 4] and shown["class_names"] == ["cat", "dog", "bird"]
        assert np.allclose(shown["std"], [0.1, 0.2, 0.3]) and shown["splits"]["train"]["count"] == 20
        assert "sound" in run("verify", path)  # the bytes found at the mapped offsets are those that h5py wrote
        out = subprocess.run([PROBE, "batches", path, "test", "0", "1", "6", "0", "0", "0", "0", "0", "0", "0"], capture_output=True, check=True)
        with h5py.File(path) as file:
            expected = file["test/images"][...].astype(np.float32) / np.float32(255)
            assert np.array_equal(np.frombuffer(out.stdout, np.float32, 6 * 48, 16), expected.ravel())


def we_refuse(path):
    def changed(change, words):
        write_by_h5py(path)
        with h5py.File(path, "r+") as file:
            change(file)
        assert words in run("show", path, code=2), words

    def replaced(name, **options):
        def change(file):
            data = file[name][...]
            del file[name]
            file.create_dataset(name, data=data, **options)
        return change

    def external(file):
        del file["train"]
        file["train"] = h5py.ExternalLink("other.h5", "/train")

    changed(replaced("train/images", chunks=True), "is chunked or virtual; store it contiguous")
    changed(replaced("train/images", compression="gzip"), "is compressed or filtered")
    changed(replaced("train/labels", dtype=np.float64), "is not a list of uint8 or int64")
    changed(replaced("train/labels", dtype=">i8"), "has an element type other than")
    changed(external, "is a soft or external link")
    changed(lambda file: file["test/labels"].__setitem__(3, -1), "/test/labels: sample 3 has label -1, expected 0 to 2")

    write_by_h5py(path)
    with h5py.File(path, "r+") as file:
        file["test/images"][2, 1, 3, 0] ^= 255
    assert "/test/images: SHA-256 is" in run("verify", path, code=1)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    h5py_reads_ours("ours.h5")
    we_read_h5pys("theirs.h5")
    we_refuse("bad.h5")
print("h5py", h5py.__version__, "with HDF5", h5py.version.hdf5_version, "reads ours, and we read its files")
