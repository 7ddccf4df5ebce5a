"""Two and four ranks with global batch B do what one rank does with batch B, and do it again bit for bit.

B = 8 divides evenly; B = 10 gives four ranks 3, 3, 2 and 2 samples, so a mean of the ranks' means would be wrong.
100 steps to 1e-5 relative in float32: only the order of additions differs.

ReLU and max-pooling have kinks. Where two values are equal to seven digits, rounding decides which of them gets the gradient, and from that step on
two correct trainings differ by about 1e-4. Such a step is rare and depends on the seed and the processor's kernels; a fault in sharding or
averaging shows with every seed. So one of three seeds has to agree to 1e-5, and none may differ by more than a kink does.
"""
import numpy

from harness import Harness

STEPS = 100
SEEDS = (5, 6, 7)
TOLERANCE, KINK = 1e-5, 1e-3


def difference(ours, reference):
    """The largest of losses and weights, relative to the largest loss and to the largest weight of each tensor."""
    pairs = [(list(ours.losses().values()), list(reference.losses().values()))]
    pairs += [(ours.weights()[name], array) for name, array in reference.weights().items()]
    return max(float(numpy.abs(numpy.subtract(a, b)).max() / numpy.abs(b).max()) for a, b in pairs)


def compare(test, data, batch, ranks):
    name = f"batch {batch} on {ranks} ranks"
    for seed in SEEDS:
        options = ["--global-batch-size", batch, "--steps", STEPS, "--seed", seed, "--log-every", 1]
        single = test.train(data, *options)
        run, again = (test.train(data, *options, ranks=ranks) for _ in range(2))
        test.check(run.summary["world_size"] == ranks, f"{name}: world size {run.summary['world_size']}")
        test.check(list(run.losses()) == list(single.losses()) == list(range(1, STEPS + 1)), f"{name}: a loss for each of {STEPS} steps")
        test.check(run.summary["weights_sha256"] == again.summary["weights_sha256"], f"{name}: bitwise equal when repeated")
        largest = difference(run, single)
        test.check(largest <= KINK, f"{name}, seed {seed}: losses and weights differ from one rank's by at most {largest:.1e}")
        if largest <= TOLERANCE:
            return
    test.check(False, f"{name}: none of {len(SEEDS)} seeds agrees with one rank to {TOLERANCE:.0e}")


def main():
    with Harness() as test:
        data = next(iter(test.data_sets().values()))
        for batch in (8, 10):
            for ranks in (2, 4):
                compare(test, data, batch, ranks)


if __name__ == "__main__":
    main()
