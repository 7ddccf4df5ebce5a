"""Memory of the ranks with the data set in use: beside a process that has only loaded LibTorch, and what they share."""
import subprocess
import time

import h5py

from . import pairs, processes, training

RANKS = 2
MEGABYTE = 1e6


def measure(place, options):
    place.say(f"memory: one epoch on {RANKS} ranks")
    data, origin = training.data_set(place)
    with h5py.File(data, "r") as file:
        train_bytes = file["train/images"].size
    bare = _bare_libtorch(place)
    samples = _samples(place, data)
    # All training images in use: the last look before the test images came in too.
    loaded = max((s for s in samples if _mapped(s) <= 1.01 * train_bytes), key=_mapped)
    highest = max(samples, key=lambda sample: max(rank["peak"] for rank in sample))     # the first look at that height
    copies = max(sum(rank["shared"] for rank in s) for s in samples) / data.stat().st_size
    return [
        _above(bare, loaded, "rss", "memory of a rank above bare LibTorch, training images loaded", 200,
               {"data": origin, "bare LibTorch": _megabytes([bare])}),
        _above(bare, highest, "peak", "the same at its peak, with the test images", None, {}),
        pairs.Limit("data set in memory, copies on the node", copies, "copies", 1.05, [],
                    {"file": _megabytes([data.stat().st_size])}),
    ]


def _above(bare, sample, key, name, limit, details):
    above = [(rank[key] - bare) / MEGABYTE for rank in sample]
    details = {**details, "ranks": _megabytes(rank[key] for rank in sample),
               "of it pages of the data file, shared by the ranks": _megabytes(rank["mapped"] for rank in sample)}
    return pairs.Limit(name, max(above), "MB", limit, above, details)


def _megabytes(values):
    return ", ".join(f"{value / MEGABYTE:.0f} MB" for value in values)


def _mapped(sample):
    return max(rank["mapped"] for rank in sample)


def _bare_libtorch(place):
    with subprocess.Popen([place.program("bare_libtorch")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=place.environment, text=True) as process:
        process.stdout.readline()           # it says when LibTorch has worked once
        rss, _ = processes.rss_bytes(process.pid)
        process.stdin.close()
    return rss


def _look(pid, data):
    rss, peak = processes.rss_bytes(pid)
    mapped, shared = processes.file_mapping_bytes(pid, data)
    return {"rss": rss, "peak": peak, "mapped": mapped, "shared": shared}


def _samples(place, data):
    """Looks at all ranks at once, from the start of a training to its end."""
    command = [*place.mpirun(RANKS), place.program("lockstep-train"), "--model", "cifar_net", "--data", data, "--batch-size", 16,
               "--epochs", 1, "--outputs", place.work / "memory_outputs", "--logs", place.work / "memory_logs"]
    samples = []
    with subprocess.Popen([str(a) for a in command], env=place.environment, cwd=place.work,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                sample = [_look(pid, data) for pid in processes.children(process.pid, "lockstep-train")]
            except (OSError, ValueError):
                continue                    # a rank ended between two reads
            if len(sample) == RANKS:
                samples.append(sample)
            time.sleep(0.05)
    if process.returncode != 0 or not samples:
        raise SystemExit("lockstep-train failed while its memory was measured")
    return samples
