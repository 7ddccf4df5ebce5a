"""One lockstep-train process, or one peer, on the same samples from the same weights: what it cost and what came out."""
import functools
import json
import os
import pathlib
import sys

import numpy

from . import pairs
from .place import PEERS

sys.path.insert(0, str(PEERS))
import dataset  # noqa: E402  (found through the line above)
import model_file  # noqa: E402

CIFAR_RECORD = 1 + 3 * 32 * 32


class Task:
    """Data set and initial weights that all programs of this measurement share."""

    def __init__(self, place, steps):
        self.place, self.steps = place, steps
        self.data, self.origin = data_set(place)
        self.weights = place.work / "initial"
        place.run([place.program("lockstep-train"), *self._common(4), "--steps", 0, "--outputs", self.weights, "--logs",
                   place.work / "initial_logs"])
        self.weights = self.weights / "model.h5"
        self.count = 0

    def _common(self, batch):
        return ["--model", "cifar_net", "--data", self.data, "--batch-size", batch, "--learning-rate", 0.001, "--momentum", 0.9,
                "--seed", 1]

    def ours(self, ranks, batch):
        """The command of lockstep-train without its output folders."""
        start = self.place.one_core() if ranks == 1 else self.place.mpirun(ranks)
        return [*start, self.place.program("lockstep-train"), *self._common(batch), "--steps", self.steps,
                "--weights", self.weights, "--device", "cpu"]

    def run_ours(self, ranks, batch):
        self.count += 1
        folder = self.place.work / f"ours_{self.count}"
        folder.mkdir()
        summary = folder / "summary.json"
        self.place.run([*self.ours(ranks, batch), "--outputs", folder / "outputs", "--logs", folder / "logs", "--summary", summary])
        result = json.loads(summary.read_text())
        return pairs.Sample(result["step_seconds"]["p50"], model_file.read_weights(folder / "outputs" / "model.h5"))

    def peer(self, script, start, batch, extra=()):
        """The command of a peer. Words like NAME=VALUE in `extra` become variables of its environment."""
        variables = [word for word in extra if "=" in word and not word.startswith("-")]
        extra = [word for word in extra if word not in variables]
        start = ["env", *variables, *start] if variables else start
        return [*start, PEERS / script, "--data", self.data, "--weights", self.weights, "--batch-size", batch, "--seed", 1,
                "--steps", self.steps, *extra]

    def libtorch(self, program, ranks, batch, extra=()):
        """The command of the loop by hand in C++."""
        return [*self.place.mpirun(ranks), self.place.program(program), self._binary_samples(ranks, batch), batch, self.steps, *extra]

    def run_libtorch(self, program, ranks, batch, extra=()):
        output = self.place.work / "libtorch.f32"
        line = self.place.last_json([*self.libtorch(program, ranks, batch, extra), "--output", output])
        return pairs.Sample(line["step_seconds"]["p50"], self.place.binary_weights(output, model_file.read_weights(self.weights)))

    def _binary_samples(self, ranks, batch):
        """A folder with the samples of all steps and ranks and the initial weights as plain numbers; made once."""
        folder = self.place.work / f"samples_{ranks}_{batch}"
        if folder.exists():
            return folder
        folder.mkdir()
        split = dataset.load(self.data)
        order = dataset.sample_order(len(split), 1, 0)
        for rank in range(ranks):
            with open(folder / f"inputs_{rank}.f32", "wb") as inputs, open(folder / f"targets_{rank}.i64", "wb") as targets:
                for rows in dataset.rows_of_rank(len(split), rank, ranks, batch, self.steps, order):
                    split.inputs(rows, normalize=True).tofile(inputs)
                    split.labels[rows].tofile(targets)
        with open(folder / "weights.f32", "wb") as weights:
            for array in model_file.read_weights(self.weights).values():
                array.tofile(weights)
        return folder

    def run_peer(self, script, start, batch, extra=()):
        self.count += 1
        output = self.place.work / f"peer_{self.count}.npz"
        line = self.place.last_json([*self.peer(script, start, batch, extra), "--output", output])
        with numpy.load(output) as arrays:
            weights = {name: arrays[name] for name in arrays.files if name != "losses"}
        return pairs.Sample(line["step_seconds"]["p50"], weights)


def weight_difference(a, b):
    """The largest difference of a weight, relative to the largest weight of its tensor."""
    if a.keys() != b.keys():
        return float("inf")
    return max(float(numpy.abs(a[name] - b[name]).max() / numpy.abs(b[name]).max()) for name in a)


BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def parameters_first(weights):
    """Parameters, then buffers, each in their order: as engine_step writes them."""
    return dict(sorted(weights.items(), key=lambda item: item[0].endswith(BUFFERS)))


@functools.cache
def data_set(place):
    """CIFAR-10 where LOCKSTEP_CIFAR10 names it, else random records in its layout: the times do not depend on the pixels."""
    folder, origin = os.environ.get("LOCKSTEP_CIFAR10"), "CIFAR-10"
    if not folder:
        folder, origin = place.work / "random-cifar", "random images in CIFAR-10's layout"
        _write_random_cifar(pathlib.Path(folder))
    output = place.work / "images.h5"
    place.run([place.program("lockstep-data"), "import", "cifar10", folder, "--output", output])
    return output, origin


def _write_random_cifar(folder):
    folder.mkdir()
    random = numpy.random.default_rng(20)
    for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
        records = random.integers(0, 256, size=(10000, CIFAR_RECORD), dtype=numpy.uint8)
        records[:, 0] %= 10
        records.tofile(folder / name)
    (folder / "batches.meta.txt").write_text("".join(f"class {i}\n" for i in range(10)))
