"""The CIFAR-10 tutorial by lockstep-train: its twelve running losses lie where ten seeds of PyTorch put theirs.

The rule, for each of the twelve: between min - d and max + d of the ten PyTorch losses, with d half of max - min. Ten seeds do
not span all that chance can do, and losses of one run hang together, so the bare range would refuse correct runs.
The band was made by benchmarks/peers/pytorch_losses.py on the same pixels; its file names their digest.
"""
import json

from harness import ROOT, Harness

import dataset

BAND = ROOT / "benchmarks" / "results" / "cifar10_tutorial_band.json"
SEED = 11
PIECE = 500                    # logged every 500 steps: divides both the tutorial's 2,000 and an epoch's 12,500
EPOCH = 12500


def running_losses(by_step):
    """The tutorial's numbers: means of 2,000 mini-batches, begun anew with each epoch; the last 500 of an epoch are not shown."""
    losses = []
    for epoch in range(2):
        for last in range(2000, EPOCH, 2000):
            steps = [epoch * EPOCH + last - PIECE * k for k in range(4)]
            losses.append(sum(by_step[s] for s in steps) / 4)
    return losses


def main():
    with Harness() as test:
        data = test.cifar10()
        stored = json.loads(BAND.read_text())
        test.check(dataset.digest(dataset.load(data)) == stored["data_sha256"], "the pixels are those of the band")
        run = test.train(data, "--batch-size", 4, "--learning-rate", 0.001, "--momentum", 0.9, "--epochs", 2, "--seed", SEED,
                         "--normalize", "none", "--log-every", PIECE, timeout=1200)
        band = stored["band"]
        for i, loss in enumerate(running_losses(run.losses())):
            low, high = band["min"][i], band["max"][i]
            d = (high - low) / 2
            test.check(low - d <= loss <= high + d,
                       f"epoch {i // 6 + 1}, batch {i % 6 * 2000 + 2000:5}: loss {loss:.3f} in [{low - d:.3f}, {high + d:.3f}]")
        accuracies = [r["test_accuracy"] for r in stored["runs"]]
        test.check(run.summary["eval_accuracy"] > 0.9 * min(accuracies),
                   f"test accuracy {run.summary['eval_accuracy']:.4f}; PyTorch {min(accuracies):.4f} .. {max(accuracies):.4f}")


if __name__ == "__main__":
    main()
