"""Memory: what `lockstep-train` reports, batches cut until they fit on a rank that has less, weights that part."""
import json
import os
import subprocess

from training import AS_ROOT, Folder, check, equal, run_checks

IMAGES = ("--model", "cifar_net", "--data", "synthetic:3x32x32:10:6144", "--threads", 1, "--steps", 2, "--log-every", 1)
BATCH = 4096


def check_the_report_adds_up(program):
    with Folder(program) as folder:
        options = ("--model", "mlp", "--data", "synthetic:1x28x28:10:600", "--optimizer", "adam", "--steps", 3)
        whole = folder.summary(*options)["memory"]
        text = folder.train(*options, "--outputs", "again").output
        check("memory of a rank: weights 0.4 MB, gradients 0.4 MB, optimizer 0.8 MB, communicator " in text, text)
        scalars = folder.scalars()
        sharded = folder.summary(*options, "--outputs", "sharded", "--shard-optimizer")["memory"]
    weights = 4 * (784 * 128 + 128 + 128 * 10 + 10)
    equal(len(whole), 2, "ranks in the summary")
    for rank in whole:
        for name, bytes_ in (("weights", weights), ("gradients", weights), ("optimizer_state", 2 * weights)):
            check(bytes_ <= rank[name] <= bytes_ + 8192, f"{name} {rank[name]}, computed {bytes_}")
        check(rank["resident_peak"] >= rank["resident"] > 4 * weights, rank)
        equal((rank["frozen"], rank["device"]), (0, 0), "frozen, device")
    equal(scalars["memory/weights"][0], (1, whole[0]["weights"]), "the metric")
    state = sum(rank["optimizer_state"] for rank in sharded)
    check(2 * weights <= state <= 2 * weights + 32768, f"{state} in two shards, computed {2 * weights}")
    check(max(rank["optimizer_state"] for rank in sharded) < 1.5 * weights, sharded)


def train_with_less_on_rank_1(program, folder, kilobytes, *options):
    """Rank 1 alone may not have more address space than this: its allocations fail, really."""
    options = [str(option) for option in (*options, "--summary", "summary.json")]
    limited = ["bash", "-c", f'ulimit -v {kilobytes} && exec "$0" "$@"', program]
    argv = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", "1", program, *options, ":", "-np", "1", *limited, *options]
    return subprocess.run(argv, cwd=folder.path, env={**os.environ, **AS_ROOT}, capture_output=True, text=True, timeout=100)


def losses(folder):
    return [value for _, value in folder.scalars()["train/loss"]]


def check_a_batch_is_cut_until_it_fits_on_every_rank(program):
    program = str(os.path.abspath(program))
    peaks = []
    for batch in (BATCH, BATCH // 2):
        with Folder(program) as folder:
            summary = folder.summary(*IMAGES, "--global-batch-size", batch, "--accumulate", "auto")
            equal(summary["pieces"], 1, "pieces without a limit")
            peaks.append(summary["memory"][1]["address_space_peak"] // 1024)
            expected = expected if batch < BATCH else losses(folder)
    check(peaks[0] - peaks[1] > 50_000, f"the batch is too small to matter: {peaks} kB")
    with Folder(program) as folder:
        result = train_with_less_on_rank_1(program, folder, sum(peaks) // 2, *IMAGES, "--global-batch-size", BATCH)
        check(result.returncode != 0 and "allocate memory" in result.stderr, f"the limit is none: {result.stderr}")
    with Folder(program) as folder:
        result = train_with_less_on_rank_1(program, folder, sum(peaks) // 2, *IMAGES, "--global-batch-size", BATCH,
                                           "--accumulate", "auto")
        equal(result.returncode, 0, f"exit code; {result.stdout}{result.stderr}")
        check("do not fit into the memory of rank 1" in result.stdout, result.stdout)
        print([line for line in result.stdout.splitlines() if "accumulate" in line], peaks)
        summary = json.loads((folder.path / "summary.json").read_text())
        check(summary["pieces"] >= 2, f"pieces: {summary['pieces']}")
        equal(summary["steps"], 2, "steps")
        found = losses(folder)
        check(all(abs(a - b) < 1e-4 * abs(b) for a, b in zip(found, expected)), f"losses {found}, expected {expected}")


def check_auto_wants_the_size_of_the_global_batch(program):
    with Folder(program) as folder:
        result = folder.train(*IMAGES, "--accumulate", "auto")
        equal(result.code, 2, "exit code")
        check("--global-batch-size" in result.error, result.error)
        result = folder.train(*IMAGES, "--accumulate", "some")
        equal(result.code, 2, "exit code")
        check("some" in result.error, result.error)


def check_a_flipped_bit_is_found_and_named(program):
    for ranks, words in ((2, "the weights of ranks 0 and 1 differ"), (4, "the weights of rank 1 differ from those of the other")):
        with Folder(program) as folder:
            options = ("--data", "synthetic:1x28x28:10:600", "--model", "mlp", "--steps", 8, "--check-replicas", 2)
            check(folder.train(*options, "--outputs", "sound", ranks=ranks).code == 0, "sound ranks were refused")
            result = folder.train(*options, ranks=ranks, environment={"LOCKSTEP_FAULT": "rank=1:step=4:kind=bit"})
            equal(result.code, 1, f"exit code; {result.error}")
            equal(len(result.messages), 1, f"messages: {result.error}")
            check(words in result.error and "parameter 'fc2.bias'" in result.error, result.error)
            check("after step 4" in result.error, result.error)
            check(not folder.checkpoints(), "a checkpoint was written of weights that differ")


run_checks(globals())
