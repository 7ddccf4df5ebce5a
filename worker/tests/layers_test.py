"""What `lockstep-train` does with layers (--sync-batch-norm as one process with all samples, --checkpoint-activations with equal
bits, refusals), and what it says of waiting."""
from training import Folder, check, equal, run_checks

IMAGES = "synthetic:1x12x12:10:48"
SHORT = ("--model", "resnet18", "--data", IMAGES, "--steps", 3, "--log-every", 1, "--learning-rate", 0.01, "--threads", 1)


def losses(program, ranks, *options):
    with Folder(program) as folder:
        summary = folder.summary(*SHORT, *options, ranks=ranks, launcher=ranks > 1)
        return [value for _, value in folder.scalars()["train/loss"]] + [summary["eval_loss"]]


def largest_difference(found, expected):
    equal(len(found), len(expected), "number of losses")
    return max(abs(a - b) / abs(b) for a, b in zip(found, expected))


def check_synchronised_batch_norm_is_that_of_one_process(program):
    # 8 samples on 2 ranks, 3 samples on 4 ranks: one of them has none.
    for ranks, batch in ((2, 8), (4, 3)):
        alone = losses(program, 1, "--global-batch-size", batch)
        together = losses(program, ranks, "--global-batch-size", batch, "--sync-batch-norm")
        print(f"{ranks} ranks: {together}, one process {alone}")
        check(largest_difference(together, alone) < 2e-3, f"{ranks} ranks: {together}, one process {alone}")
    apart = losses(program, 2, "--global-batch-size", 8)
    alone = losses(program, 1, "--global-batch-size", 8)
    check(largest_difference(apart, alone) > 1e-2, f"the comparison sees nothing: {apart}, {alone}")


def check_models_without_batch_norm_are_refused(program):
    with Folder(program) as folder:
        result = folder.train("--data", IMAGES, "--model", "mlp", "--sync-batch-norm")
        equal(result.code, 2, "exit code")
        check("mlp has no batch normalisation" in result.error, result.error)


# Shared memory sees who comes last; of MPI's collectives only how long each rank waits is known.
def check_a_slow_rank_is_named(program):
    for communicator in ("shm", "mpi"):
        with Folder(program) as folder:
            result = folder.train("--data", IMAGES, "--model", "mlp", "--steps", 20, "--log-every", 10, "--communicator", communicator,
                                  environment={"LOCKSTEP_FAULT": "rank=1:step=2:kind=slow"})
            equal(result.code, 0, "exit code")
            check("rank 1 kept the others waiting for" in result.output, f"{communicator}: {result.output}")
            scalars = folder.scalars()
            steps = [step for step, _ in scalars["train/loss"]]
            equal([step for step, _ in scalars["train/waited_fraction"]], steps, "steps of train/waited_fraction")
            check(scalars["train/waited_fraction"][-1][1] > 0.2, scalars["train/waited_fraction"])
            weights = 4 * 18_000  # bytes, about
            check(scalars["train/comm_bytes_per_step"][-1][1] > weights, scalars["train/comm_bytes_per_step"])


def check_checkpointed_activations_give_the_same_weights(program):
    for options in (("--global-batch-size", 8), ("--global-batch-size", 8, "--sync-batch-norm", "--precision", "bf16")):
        digests = []
        for more in ((), ("--checkpoint-activations",)):
            with Folder(program) as folder:
                digests.append(folder.summary(*SHORT, *options, *more)["weights_sha256"])
        equal(digests[1], digests[0], f"weights after {options}")


def check_models_without_blocks_are_refused(program):
    with Folder(program) as folder:
        result = folder.train("--data", IMAGES, "--model", "mlp", "--checkpoint-activations")
        equal(result.code, 2, "exit code")
        check("mlp has no blocks" in result.error, result.error)


run_checks(globals())
