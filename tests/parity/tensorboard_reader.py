"""TensorBoard's own reader gets every scalar of a run with its step, and the values of the summary."""
from harness import Harness

STEPS, EVERY = 70, 7
TRAINING = ["train/loss", "train/learning_rate", "train/samples_per_second", "train/exposed_comm_fraction"]


def main():
    with Harness() as test:
        data = next(iter(test.data_sets().values()))
        run = test.train(data, "--global-batch-size", 16, "--steps", STEPS, "--log-every", EVERY, "--learning-rate", 0.0125, ranks=2)
        scalars = run.scalars()
        for tag in TRAINING:
            steps = [step for step, _ in scalars.get(tag, [])]
            test.check(steps == list(range(EVERY, STEPS + 1, EVERY)), f"{tag}: steps {steps}")
        for tag in ("eval/loss", "eval/accuracy"):
            points = scalars.get(tag, [])
            test.check(points != [] and points[-1][0] == STEPS, f"{tag}: last point {points[-1:]}, of step {STEPS}")
        test.check_close([value for _, value in scalars["train/learning_rate"]], [0.0125] * (STEPS // EVERY), 1e-6,
                         "train/learning_rate")
        test.check_close(scalars["train/loss"][-1][1], run.summary["train_loss"], 1e-6, "last train/loss, as in the summary")
        test.check_close(scalars["eval/accuracy"][-1][1], run.summary["eval_accuracy"], 1e-6, "eval/accuracy, as in the summary")
        fractions = [value for _, value in scalars["train/exposed_comm_fraction"]]
        test.check(all(0 <= f <= 1 for f in fractions), "train/exposed_comm_fraction lies in [0, 1]")


if __name__ == "__main__":
    main()
