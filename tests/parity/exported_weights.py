"""outputs/model.h5, read by h5py into the same network written in Python, classifies the test images as well as lockstep-train says."""
import torch

from harness import Harness

import dataset
import networks


def main():
    with Harness() as test:
        for name, data in test.data_sets().items():
            run = test.train(data, "--batch-size", 16, "--steps", 400, "--learning-rate", 0.02, "--momentum", 0.9, ranks=2)
            split = dataset.load(data, "test")
            net = networks.tutorial_net(split)
            networks.load_weights(net, run.model_file)
            right = 0
            with torch.no_grad():
                for first in range(0, len(split), 1000):
                    rows = slice(first, first + 1000)
                    answers = net(torch.from_numpy(split.inputs(rows, normalize=True))).argmax(1).numpy()
                    right += int((answers == split.labels[rows]).sum())
            said = run.summary["eval_accuracy"] * len(split)
            # Two logits may be equal to the last bit: one image in 10,000 may fall to either side.
            test.check(abs(right - said) < 1.5, f"{name}: {right} of {len(split)} right in Python, lockstep-train said {said:.0f}")
            test.check(right > 0.2 * len(split), f"{name}: better than chance")
            test.check(networks.weights_digest(net) == run.summary["weights_sha256"], f"{name}: weights_sha256 as computed in Python")


if __name__ == "__main__":
    main()
