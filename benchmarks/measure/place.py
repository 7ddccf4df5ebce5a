"""Where things are: the programs under test, the Python of the peers, a work folder, and how processes are started."""
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"


class Place:
    def __init__(self, build, say):
        self.bin = pathlib.Path(build).resolve() / "bin"
        self.benchmarks = pathlib.Path(build).resolve() / "benchmarks"
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-bench-"))
        self.say = say
        self.cores = sorted(os.sched_getaffinity(0))
        # One thread per rank on both sides, and mpirun must not refuse root in a container.
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
                            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}

    def remove(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def program(self, name):
        path = self.bin / name
        if not path.exists():
            sys.exit(f"paired.py: {path} is missing; build it first, or name the build folder with --build")
        return str(path)

    def run(self, argv, timeout=600, **more):
        """Runs to the end and returns its standard output; a failure ends the measurement with the program's words."""
        done = subprocess.run([str(a) for a in argv], env=self.environment, text=True, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=more.get("cwd", self.work))
        if done.returncode != 0:
            sys.exit(f"paired.py: {shlex.join(map(str, argv))}\nended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def binary_weights(self, path, like):
        """A file of float32 values, one tensor after the other, as arrays with the names and shapes of `like`."""
        values, weights, first = numpy.fromfile(path, numpy.float32), {}, 0
        for name, array in like.items():
            weights[name] = values[first:first + array.size].reshape(array.shape)
            first += array.size
        if first != values.size:
            sys.exit(f"paired.py: {path} holds {values.size} values, expected {first}")
        return weights

    def last_json(self, argv, **more):
        """The JSON object on the last line that holds one."""
        lines = [line for line in self.run(argv, **more).splitlines() if line.startswith("{")]
        if not lines:
            sys.exit(f"paired.py: {shlex.join(map(str, argv))} printed no JSON line")
        return json.loads(lines[-1])

    def one_core(self):
        """Prefix for a single process: the last core, which tends to have the fewest interrupts."""
        return ["taskset", "-c", str(self.cores[-1])]

    def mpirun(self, ranks):
        """Prefix for ranks, each bound to a core of its own where there are enough."""
        binding = "core" if ranks <= len(self.cores) else "none"
        return ["mpirun", "--oversubscribe", "--bind-to", binding, "-n", str(ranks)]

    def torchrun(self, ranks):
        return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
