"""From the same weights and in the same order, 200 steps of lockstep-train are 200 steps of PyTorch.

Loss at each step and final weights to 1e-4 relative: both compute in float32, and rounding is all that may differ.
"""
from harness import Harness

STEPS = 200
TOLERANCE = 1e-4
COMMON = ["--batch-size", 4, "--seed", 3, "--learning-rate", 0.001, "--momentum", 0.9]


def main():
    with Harness() as test:
        for name, data in test.data_sets().items():
            initial = test.train(data, *COMMON, "--steps", 0)
            options = [*COMMON, "--steps", STEPS, "--weights", initial.model_file]
            ours = test.train(data, *options, "--log-every", 1)
            losses, weights = test.pytorch(data, *options)
            by_step = ours.losses()
            test.check(list(by_step) == list(range(1, STEPS + 1)), f"{name}: a loss for each of {STEPS} steps")
            for step, loss in enumerate(losses, 1):
                if abs(by_step.get(step, 0) - loss) > TOLERANCE * loss:
                    test.check(False, f"{name}: step {step}: loss {by_step.get(step)}, PyTorch {loss}")
                    break
            test.check_close([by_step[s] for s in sorted(by_step)], losses, TOLERANCE, f"{name}: losses")
            test.check_weights(ours.weights(), weights, TOLERANCE, f"{name}: final weights")
            moved = max(abs(weights[n] - initial.weights()[n]).max() for n in weights)
            test.check(moved > 100 * TOLERANCE, f"{name}: training moved the weights by up to {moved:.3f}")


if __name__ == "__main__":
    main()
