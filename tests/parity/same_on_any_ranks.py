"""Two and four ranks with global batch B do what one rank does with batch B, and do it again bit for bit.

B = 8 divides evenly; B = 10 gives four ranks 3, 3, 2 and 2 samples, so a mean of the ranks' means would be wrong.
100 steps to 1e-5 relative in float32: only the order of additions differs.
"""
from harness import Harness

STEPS = 100
TOLERANCE = 1e-5


def main():
    with Harness() as test:
        data = next(iter(test.data_sets().values()))
        for batch in (8, 10):
            options = ["--global-batch-size", batch, "--steps", STEPS, "--seed", 5, "--learning-rate", 0.01, "--momentum", 0.9,
                       "--log-every", 1]
            single = test.train(data, *options)
            for ranks in (2, 4):
                run, again = (test.train(data, *options, ranks=ranks) for _ in range(2))
                name = f"batch {batch} on {ranks} ranks"
                test.check(run.summary["world_size"] == ranks, f"{name}: world size {run.summary['world_size']}")
                ours, reference = run.losses(), single.losses()
                test.check(list(ours) == list(reference) and len(ours) == STEPS, f"{name}: a loss for each of {STEPS} steps")
                test.check_close(list(ours.values()), list(reference.values()), TOLERANCE, f"{name}: losses, against one rank")
                test.check_weights(run.weights(), single.weights(), TOLERANCE, f"{name}: weights, against one rank")
                test.check(run.summary["weights_sha256"] == again.summary["weights_sha256"], f"{name}: bitwise equal when repeated")


if __name__ == "__main__":
    main()
