"""Whether memory grows while steps go by: the resident set during one long training of the tutorial's network."""
import subprocess
import time

from . import pairs, processes, training

RANKS = 2
STEPS = 20_000          # looked at, after as many to warm up: tests and checkpoints of the first epochs leave their marks in the heap
LIMIT = 10              # bytes per step: 0.2 MB, the noise of a heap that grows by pages


def measure(place, options):
    place.say(f"steady: {2 * STEPS:,} steps on {RANKS} ranks")
    data, origin = training.data_set(place)
    looks = _train(place, data)
    late = [(step, sizes) for step, sizes in looks if step >= STEPS]
    slope = max(_slope([(step, sizes[rank]) for step, sizes in late]) for rank in range(RANKS))
    first, last = late[0][1], late[-1][1]
    return [pairs.Limit(f"growth of the resident set without mapped files, {STEPS:,} steps of lockstep-train", slope, "bytes/step",
                        LIMIT, [], {"data": origin, "looks": len(late),
                                    "before": ", ".join(f"{size / 1e6:.2f} MB" for size in first),
                                    "after": ", ".join(f"{size / 1e6:.2f} MB" for size in last)})]


def _train(place, data):
    """[(step, [anonymous bytes of each rank])]; steps by the clock, which runs evenly enough for a slope."""
    command = [*place.mpirun(RANKS), place.program("lockstep-train"), "--model", "cifar_net", "--data", data, "--batch-size", 4,
               "--steps", 2 * STEPS, "--outputs", place.work / "steady_outputs", "--logs", place.work / "steady_logs"]
    looks = []
    with subprocess.Popen([str(a) for a in command], env=place.environment, cwd=place.work,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        begin = time.monotonic()
        while process.poll() is None:
            try:
                sizes = [processes.anonymous_bytes(pid) for pid in sorted(processes.children(process.pid, "lockstep-train"))]
            except (OSError, ValueError):
                continue                    # a rank ended between two reads
            if len(sizes) == RANKS:
                looks.append((time.monotonic() - begin, sizes))
            time.sleep(0.05)
    if process.returncode != 0 or len(looks) < 20:
        raise SystemExit("lockstep-train failed while its memory was measured")
    whole = looks[-1][0]
    # The test of the model and its last checkpoint are no steps: what is seen at the very end is left out.
    return [(seconds / whole * 2 * STEPS, sizes) for seconds, sizes in looks if seconds < 0.95 * whole]


def _slope(points):
    """By least squares."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / sum((x - x_mean) ** 2 for x in xs)
