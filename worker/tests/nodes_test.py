"""Two ranks on each of two nodes that share no memory, against four ranks of one node."""
import os
import pathlib
import subprocess
import sys

from training import AS_ROOT, SMALL, Folder, check, equal, run_checks, skip

ON_NODES = pathlib.Path(__file__).resolve().parents[2] / "tests/nodes/on_nodes.py"
OPTIONS = ["--data", SMALL, "--batch-size", "8", "--steps", "40", "--log-every", "10", "--clip-norm", "2"]
NOT_ALLOWED = 77


def on_nodes(folder, *options, nodes=2, ranks=2, environment=None):
    argv = [sys.executable, str(ON_NODES), str(nodes), str(ranks), str(folder.program), *map(str, options)]
    return subprocess.run(argv, cwd=folder.path, env={**os.environ, **AS_ROOT, **(environment or {})}, capture_output=True, text=True,
                          timeout=100)


# Between nodes sums are taken in another order: rounding, no more.
def check_two_nodes_train_as_one(program):
    with Folder(program) as folder:
        folder.summary(*OPTIONS, ranks=4)
        expected = folder.scalars()["train/loss"]
    for more in ([], ["--shard-optimizer"], ["--communicator", "mpi"]):
        with Folder(program) as folder:
            done = on_nodes(folder, *OPTIONS, *more)
            equal(done.returncode, 0, f"exit code; {done.stdout}{done.stderr}")
            check("2 nodes" in done.stdout, done.stdout)
            found = folder.scalars()["train/loss"]
            equal([step for step, _ in found], [step for step, _ in expected], "steps")
            for (step, a), (_, b) in zip(found, expected):
                check(abs(a - b) < 1e-4 * abs(b), f"{more}: loss {a} at step {step}, {b} on one node")


def check_a_slow_rank_of_another_node_is_named(program):
    with Folder(program) as folder:
        options = [*OPTIONS[:4], "--model", "mlp", "--steps", "20", "--log-every", "10"]
        done = on_nodes(folder, *options, ranks=1, environment={"LOCKSTEP_FAULT": "rank=1:step=2:kind=slow"})
        equal(done.returncode, 0, f"exit code; {done.stdout}{done.stderr}")
        check("rank 1 kept the others waiting for" in done.stdout, done.stdout)


def check_a_rank_that_throws_ends_the_ranks_of_all_nodes(program):
    with Folder(program) as folder:
        done = on_nodes(folder, *OPTIONS, environment={"LOCKSTEP_FAULT": "rank=3:step=5:kind=throw"})
        check(done.returncode != 0, done.stdout)
        check("rank 3 on node2: fault injected before step 5" in done.stderr, done.stderr)


if __name__ == "__main__":
    if subprocess.run([sys.executable, str(ON_NODES), "1", "1", "true"], capture_output=True).returncode == NOT_ALLOWED:
        skip("no namespaces here")
    run_checks(globals())
