"""What the parity tests share: real images, runs of lockstep-train, and what they left behind, read by other people's programs."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
sys.path.insert(0, str(PEERS))
import model_file  # noqa: E402  (found through the line above)

FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")     # Debian's package dataset-fashion-mnist
SKIPPED = 77                                                           # ctest's SKIP_RETURN_CODE


class Run:
    """A finished run: its summary, its final weights by name, and its scalars as TensorBoard reads them."""

    def __init__(self, folder):
        self.folder = folder
        self.summary = json.loads((folder / "summary.json").read_text())

    @property
    def model_file(self):
        return self.folder / "outputs" / "model.h5"

    def weights(self):
        return model_file.read_weights(self.model_file)

    def scalars(self):
        """{tag: [(step, value), …]} by TensorBoard's reader, none left out."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        accumulator = EventAccumulator(str(self.folder / "logs"), size_guidance={"scalars": 0}).Reload()
        return {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
                for tag in accumulator.Tags()["scalars"]}

    def losses(self):
        return dict(self.scalars()["train/loss"])


class Harness:
    """Runs the programs of one build folder in a temporary folder, and collects verdicts: `with Harness() as test`."""

    def __init__(self):
        if len(sys.argv) != 2:
            sys.exit(f"usage: {sys.argv[0]} BUILD/bin")
        self.bin = pathlib.Path(sys.argv[1]).resolve()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-parity-"))
        self.failed = 0
        self.runs = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        shutil.rmtree(self.work, ignore_errors=True)
        if kind is None and self.failed:
            sys.exit(f"{self.failed} check(s) failed")

    def check(self, passed, what):
        print(f"{'ok    ' if passed else 'FAILED'} {what}", flush=True)
        self.failed += not passed

    def check_close(self, ours, reference, relative, what):
        """Largest difference, over the largest absolute value of the reference."""
        ours, reference = numpy.asarray(ours, dtype=numpy.float64), numpy.asarray(reference, dtype=numpy.float64)
        if ours.shape != reference.shape:
            return self.check(False, f"{what}: shape {ours.shape}, expected {reference.shape}")
        difference = numpy.abs(ours - reference).max() / numpy.abs(reference).max()
        self.check(bool(difference <= relative), f"{what}: largest relative difference {difference:.1e}, allowed {relative:.0e}")

    def check_weights(self, ours, reference, relative, what):
        """Tensor by tensor; reported is the worst."""
        self.check(list(ours) == list(reference), f"{what}: names {' '.join(ours)}")
        worst = max(numpy.abs(ours[n] - reference[n]).max() / numpy.abs(reference[n]).max() for n in reference)
        self.check(bool(worst <= relative), f"{what}: largest relative difference of a weight {worst:.1e}, allowed {relative:.0e}")

    def command(self, argv, timeout=300):
        """Standard output; ends the test with the program's own words when it fails."""
        done = subprocess.run([str(a) for a in argv], cwd=self.work, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, argv))}\nended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def train(self, data, *options, ranks=1, timeout=300):
        """One run of lockstep-train with cifar_net; more than one rank under mpirun."""
        self.runs += 1
        folder = self.work / f"run_{self.runs}"
        folder.mkdir()
        start = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", ranks] if ranks > 1 else []
        self.command([*start, self.bin / "lockstep-train", "--model", "cifar_net", "--data", data, "--device", "cpu",
                      "--outputs", folder / "outputs", "--logs", folder / "logs", "--summary", folder / "summary.json",
                      "--resume", "none", *options], timeout)
        return Run(folder)

    def pytorch(self, data, *options):
        """The same training by benchmarks/peers/pytorch_eager.py: (losses by step, final weights)."""
        self.runs += 1
        output = self.work / f"pytorch_{self.runs}.npz"
        self.command([sys.executable, PEERS / "pytorch_eager.py", "--data", data, "--output", output, "--warm-up", 0, *options])
        with numpy.load(output) as arrays:
            return arrays["losses"], {name: arrays[name] for name in arrays.files if name != "losses"}

    def data_sets(self):
        """Fashion-MNIST, and CIFAR-10 where LOCKSTEP_CIFAR10 names it: {name: HDF5 file}."""
        found = {}
        if FASHION_MNIST.is_dir():
            found["Fashion-MNIST"] = self.imported("idx", FASHION_MNIST, "fashion.h5")
        if os.environ.get("LOCKSTEP_CIFAR10"):
            found["CIFAR-10"] = self.cifar10()
        if not found:
            skip("neither Debian's dataset-fashion-mnist is installed nor LOCKSTEP_CIFAR10 set")
        return found

    def cifar10(self):
        folder = os.environ.get("LOCKSTEP_CIFAR10")
        if not folder:
            skip("LOCKSTEP_CIFAR10 does not name a folder with the CIFAR-10 binary files")
        return self.imported("cifar10", folder, "cifar10.h5")

    def imported(self, form, folder, name):
        output = self.work / name
        if not output.exists():
            self.command([self.bin / "lockstep-data", "import", form, folder, "--output", output])
        return output


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)
