"""The examples of cluster/examples, built with an installed Lockstep, do what their READMEs say.
usage: examples_test.py embedding|surrogate MPIEXEC PROGRAM RANKS"""
import os
import re
import subprocess
import sys
import tempfile


def run(mpiexec, ranks, program, *words, folder, code=0):
    done = subprocess.run([mpiexec, "--oversubscribe", "--bind-to", "none", "-np", str(ranks), program, *words], cwd=folder, text=True,
                          capture_output=True, timeout=240)
    assert done.returncode == code, f"exit code {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
    return done


def losses(text):
    return {int(epoch): float(loss) for epoch, loss in re.findall(r"^epoch (\d+), step \d+: loss ([\d.]+)$", text, re.M)}


def check_embedding(mpiexec, program, ranks):
    with tempfile.TemporaryDirectory() as at_once, tempfile.TemporaryDirectory() as in_two:
        whole = losses(run(mpiexec, ranks, program, "3", folder=at_once).stdout)
        assert list(whole) == [1, 2, 3], whole
        assert whole[3] < 0.5 * whole[1], f"it learns nothing: {whole}"
        first = losses(run(mpiexec, 2, program, "1", folder=in_two).stdout)
        rest = losses(run(mpiexec, ranks, program, "3", folder=in_two).stdout)
        assert list(first) == [1] and list(rest) == [2, 3], (first, rest)
        parted = {**first, **rest}
        # The same samples in the same order; on another number of ranks sums are rounded in another order.
        assert all(abs(parted[epoch] - whole[epoch]) < 2e-3 for epoch in whole), (whole, parted)
        assert run(mpiexec, ranks, program, "3", folder=in_two).stdout.count("epoch") == 0, "all epochs are done"


def check_surrogate(mpiexec, program, ranks):
    with tempfile.TemporaryDirectory() as folder:
        simulations = 1000
        text = run(mpiexec, ranks, program, str(simulations), folder=folder).stdout
        solver = re.search(rf"solver: {simulations} simulations in .*; (\d+) samples sent, (\d+) dropped", text)
        found = re.search(r"surrogate: (\d+) steps while the solver worked, .* error ([\d.]+) % .*guess: (\d+) %", text)
        assert solver and found, text
        assert int(solver[1]) + int(solver[2]) == simulations, text
        assert float(found[2]) < 5 and int(found[3]) > 20, f"it has not learned the solver's answers: {text}"
        # One sample: a trainer has none and fails. The others hear of it, and the solver ends as ever.
        failed = run(mpiexec, ranks, program, "0", folder=folder, code=1)
        assert "the solver sent this rank no samples" in failed.stderr, failed.stderr
        if ranks > 2:
            failed = run(mpiexec, ranks, program, "1", folder=folder, code=1)
            assert re.search(r"trainer 0: .*rank 1 on .* has failed: the solver sent this rank no samples", failed.stderr), failed.stderr
        assert "solver: " in failed.stdout, failed.stdout
        print(text)


if __name__ == "__main__":
    what, mpiexec, program, ranks = sys.argv[1:]
    {"embedding": check_embedding, "surrogate": check_surrogate}[what](mpiexec, os.path.abspath(program), int(ranks))
