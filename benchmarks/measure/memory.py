"""Memory of the ranks with the data set in use: beside a process that has only loaded LibTorch, and what they share."""
import subprocess
import time

from . import pairs, processes, training

RANKS = 2
MEGABYTE = 1e6


def measure(place, options):
    place.say(f"memory: one epoch on {RANKS} ranks")
    data, origin = training.data_set(place)
    bare = _bare_libtorch(place)
    ranks, resident, proportional = _ranks(place, data)
    above = [(peak - bare) / MEGABYTE for peak in ranks]
    images = data.stat().st_size / MEGABYTE
    return [
        pairs.Limit("memory of a rank above bare LibTorch", max(above), "MB", 200, above,
                    {"data": origin, "bare LibTorch": f"{bare / MEGABYTE:.0f} MB",
                     "ranks": ", ".join(f"{peak / MEGABYTE:.0f} MB" for peak in ranks),
                     "of it the data set's pages": ", ".join(f"{r / MEGABYTE:.0f} MB" for r in resident)}),
        pairs.Limit("data set in memory, copies on the node", sum(proportional) / MEGABYTE / images, "copies", 1.05,
                    proportional, {"file": f"{images:.0f} MB", "sum of the ranks' Pss of it": f"{sum(proportional) / MEGABYTE:.0f} MB"}),
    ]


def _bare_libtorch(place):
    with subprocess.Popen([place.program("bare_libtorch")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=place.environment, text=True) as process:
        process.stdout.readline()           # it says when LibTorch has worked once
        peak = processes.peak_rss_bytes(process.pid)
        process.stdin.close()
    return peak


def _ranks(place, data):
    """Peak resident set of each rank, and of the data file's pages the resident and proportional bytes near the end."""
    command = [*place.mpirun(RANKS), place.program("lockstep-train"), "--model", "cifar_net", "--data", data, "--batch-size", 16,
               "--epochs", 1, "--outputs", place.work / "memory_outputs", "--logs", place.work / "memory_logs"]
    peaks, mapped = {}, {}
    with subprocess.Popen([str(a) for a in command], env=place.environment, cwd=place.work,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                pids = processes.children(process.pid, "lockstep-train")
                now = {pid: (processes.peak_rss_bytes(pid), processes.file_mapping_bytes(pid, data)) for pid in pids}
            except (OSError, ValueError):
                now = {}                    # a rank ended between two reads
            if len(now) == RANKS:
                peaks = {pid: peak for pid, (peak, _) in now.items()}
                if sum(m[0] for _, m in now.values()) >= sum(m[0] for m in mapped.values()):
                    mapped = {pid: m for pid, (_, m) in now.items()}
            time.sleep(0.2)
    if process.returncode != 0 or not peaks:
        raise SystemExit("paired.py: lockstep-train failed while its memory was measured")
    return list(peaks.values()), [m[0] for m in mapped.values()], [m[1] for m in mapped.values()]
