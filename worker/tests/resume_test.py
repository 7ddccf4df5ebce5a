"""A training that is killed and resumed ends with the same bits as one that never stopped."""
import json
import math
import random

from training import SMALL, Folder, check, equal, run_checks

# Everything that has state: momentum, a schedule, micro-batches, an uneven last batch, the running loss.
OPTIONS = ["--data", SMALL, "--batch-size", "7", "--accumulate", "2", "--learning-rate", "0.02", "--schedule", "cosine",
           "--warmup-steps", "5", "--weight-decay", "0.01", "--epochs", "3", "--log-every", "10", "--checkpoint-every", "4"]


def check_killed_ranks_resume_to_the_same_bits(program):
    seed = random.randrange(1 << 30)
    print("random steps from seed", seed)
    dice = random.Random(seed)
    with Folder(program) as whole, Folder(program) as broken:
        truth = whole.summary(*OPTIONS)
        for start in range(0, truth["steps"], 20):
            step = dice.randint(start + 1, min(start + 20, truth["steps"]))
            fault = f"rank={dice.randint(0, 1)}:step={step}:kind=kill"
            result = broken.train(*OPTIONS, "--resume", "auto", environment={"LOCKSTEP_FAULT": fault})
            check(result.code != 0, f"{fault} did not end the job\n{result.output}")
        resumed = broken.summary(*OPTIONS, "--resume", "auto")
        equal(resumed["weights_sha256"], truth["weights_sha256"], "weights after the kills")
        equal(resumed["train_loss"], truth["train_loss"], "last running loss")
        equal(resumed["steps"], truth["steps"], "steps")
        check("step_" in resumed["resumed_from"], resumed["resumed_from"])
        compare_metrics(broken.scalars(), whole.scalars())


# What each optimizer keeps, with clipping, outliers, averaged weights and loss scales, which have state too.
OPTIMIZERS = {
    "sgd": ["--momentum", "0.8", "--nesterov", "--precision", "fp16", "--loss-scale", "1e7"],
    "adam": ["--weight-decay", "0.01"],
    "adamw": ["--beta2", "0.99", "--schedule", "one-cycle", "--parameter-group", "fc3.*: learning-rate-factor=3"],
    "lamb": ["--exempt-vectors", "--schedule", "linear"],
    "lars": ["--trust-coefficient", "0.01", "--schedule", "polynomial"],
    "muon": ["--adamw-parameters", "fc3.*", "--schedule", "multistep", "--milestone", "1"],
}


# In two attempts of which one is sharded, against one attempt that never is.
def check_every_optimizer_goes_on_with_the_same_bits(program):
    sharded = False
    for name, more in OPTIMIZERS.items():
        options = ["--data", SMALL, "--batch-size", "16", "--optimizer", name, "--learning-rate", "0.01", "--clip-norm", "1.5",
                   "--skip-outliers", "3", "--outlier-window", "5", "--ema-decay", "0.95", "--epochs", "2",
                   "--checkpoint-every", "5", *more]
        with Folder(program) as whole, Folder(program) as broken:
            truth = whole.summary(*options)
            sharded = not sharded
            first, second = [["--shard-optimizer"], []][::1 if sharded else -1]
            result = broken.train(*options, *first, environment={"LOCKSTEP_FAULT": "rank=1:step=28:kind=kill"})
            check(result.code != 0, f"the fault did not end the job\n{result.output}")
            resumed = broken.summary(*options, *second, "--resume", "auto")
            check("step_" in resumed["resumed_from"], resumed["resumed_from"])
            equal(resumed["weights_sha256"], truth["weights_sha256"], f"weights by {name}")
            equal(sorted(set(broken.scalars()["train/loss"])), whole.scalars()["train/loss"], f"losses by {name}")


# On one node the bits do not depend on which gradients travel together, and checkpoints know nothing of it.
def check_a_checkpoint_goes_on_with_other_buckets(program):
    options = ["--data", SMALL, "--model", "mlp", "--batch-size", "16", "--clip-norm", "1", "--steps", "30",
               "--checkpoint-every", "5"]
    with Folder(program) as whole, Folder(program) as broken:
        truth = whole.summary(*options)
        cache = {"LOCKSTEP_CACHE": str(broken.path / "cache")}
        kill = {"LOCKSTEP_FAULT": "rank=1:step=13:kind=kill"}
        result = broken.train(*options, "--bucket-mb", "auto", environment={**cache, **kill})
        check(result.code != 0, f"the fault did not end the job\n{result.output}")
        check("the order of the first backward" in result.output, result.output)
        result = broken.train(*options, "--bucket-mb", "0.05", "--shard-optimizer", "--resume", "auto",
                              environment={"LOCKSTEP_FAULT": "rank=0:step=22:kind=kill"})
        check("buckets, " in result.output, f"one bucket shows nothing\n{result.output}")
        resumed = broken.summary(*options, "--bucket-mb", "auto", "--resume", "auto", environment=cache)
        check("step_" in resumed["resumed_from"], resumed["resumed_from"])
        equal(resumed["weights_sha256"], truth["weights_sha256"], "weights")
        text = broken.train(*options, "--bucket-mb", "auto", "--deterministic", "--outputs", "again").output
        check("buckets by size, as --deterministic asks for" in text, text)


def compare_metrics(found, truth):
    # TensorBoard's Python reader keeps both points when the last step of one file is the first of the next: a set.
    for tag in ("train/loss", "train/learning_rate", "eval/loss", "eval/accuracy"):
        equal(sorted(set(found[tag])), truth[tag], f"{tag} of the resumed training")


def check_another_number_of_ranks_sees_the_rest_of_the_samples(program):
    """Global batch and order being equal, 1 rank after 2 does what 1 rank alone does, up to rounding."""
    options = ["--data", SMALL, "--global-batch-size", "12", "--learning-rate", "0.02", "--epochs", "2", "--log-every", "10"]
    with Folder(program) as whole, Folder(program) as changed:
        truth = whole.summary(*options, ranks=1)
        first = changed.summary(*options, "--steps", "33", ranks=2)
        equal(first["steps"], 33, "steps of the first part")
        rest = changed.summary(*options, "--resume", "auto", ranks=1)
        equal(rest["steps"], truth["steps"], "steps")
        close(rest["eval_loss"], truth["eval_loss"], "test loss")
        losses = changed.scalars()["train/loss"], whole.scalars()["train/loss"]
        equal([step for step, _ in losses[0]], [step for step, _ in losses[1]], "steps of the loss curve")
        for (step, found), (_, expected) in zip(*losses):
            close(found, expected, f"running loss at step {step}")


def close(found, expected, what):
    check(abs(found - expected) <= 1e-4 * abs(expected), f"{what}: {found}, expected {expected}")


def check_statistics_of_normalisations_are_part_of_the_state(program):
    """ResNet-18's running means differ between ranks while they train: one set is tested, kept and resumed."""
    data = ["--data", "synthetic:1x28x28:10:48", "--model", "resnet18"]
    options = [*data, "--batch-size", "4", "--learning-rate", "0.02"]
    with Folder(program) as whole, Folder(program) as broken:
        truth = whole.summary(*options, "--steps", "5")
        broken.summary(*options, "--steps", "3")
        resumed = broken.summary(*options, "--steps", "5", "--resume", "auto")
        for name in ("weights_sha256", "eval_loss", "eval_accuracy"):
            equal(resumed[name], truth[name], f"{name} after the resume")
        # What was tested on two ranks is what was written: one rank that tests the file finds the same.
        alone = broken.summary(*data, "--steps", "0", "--weights", whole.path / "outputs/model.h5", "--outputs", "again", ranks=1)
        equal(alone["weights_sha256"], truth["weights_sha256"], "weights of the file")
        close(alone["eval_loss"], truth["eval_loss"], "test loss of the file")


def check_the_same_options_on_another_number_of_ranks_end_after_the_same_epochs(program):
    """The default batch is per rank: twice the ranks do an epoch in half the steps."""
    options = ["--data", SMALL, "--epochs", "2", "--schedule", "cosine", "--learning-rate", "0.01", "--warmup-steps", "30",
               "--log-every", "10", "--checkpoint-every", "10"]
    for ranks_before, ranks_after, stopped, steps in ((1, 2, 160, 160 + 560 // 8), (2, 1, 80, 80 + 560 // 4)):
        with Folder(program) as folder:
            fault = {"LOCKSTEP_FAULT": f"step={stopped + 1}:kind=throw"}
            equal(folder.train(*options, ranks=ranks_before, environment=fault).code, 1, "exit code of the first part")
            done = folder.summary(*options, "--resume", "auto", ranks=ranks_after)
            equal(done["steps"], steps, f"steps of {ranks_before} ranks, then {ranks_after}")
            equal(done["epochs"], 2, f"epochs of {ranks_before} ranks, then {ranks_after}")
            check(done["eval_accuracy"] > 0.5, f"it has not learned: {done}")
            first_batch, batch = 4 * ranks_before, 4 * ranks_after
            epoch_samples = 600
            positions = {}      # of the schedule, in steps of the first batch, before each step
            for step in range(1, steps + 1):
                seen = (step - 1) * first_batch if step <= stopped else stopped * first_batch + (step - 1 - stopped) * batch
                positions[step] = seen / first_batch
            end = 2 * epoch_samples / first_batch
            for step, rate in folder.scalars()["train/learning_rate"]:
                at = positions[step]
                expected = 0.01 * (at + 1) / 30 if at < 30 else 0.005 * (1 + math.cos(math.pi * (at - 30) / (end - 30)))
                close_to(rate, expected, 1e-8, f"learning rate at step {step} of {ranks_before} ranks, then {ranks_after}")
            again = folder.summary(*options, "--resume", "auto", ranks=ranks_before)
            equal(again["steps"], steps, "steps after its end")


def close_to(found, expected, tolerance, what):
    check(abs(found - expected) <= tolerance, f"{what}: {found}, expected {expected}")


def check_a_damaged_checkpoint_is_named_and_passed_over(program):
    with Folder(program) as folder:
        options = ["--data", SMALL, "--steps", "12", "--checkpoint-every", "4"]
        truth = folder.summary(*options)
        newest = folder.checkpoints()[-1]
        damaged = bytearray(newest.read_bytes())
        damaged[len(damaged) // 2] ^= 4
        newest.write_bytes(damaged)
        result = folder.train(*options, "--resume", "auto", "--summary", "summary.json")
        equal(result.code, 0, "exit code")
        check(newest.name in result.error, f"stderr does not name {newest.name}: {result.error}")
        check("step_0000000008.h5" in result.output, f"not resumed from step 8: {result.output}")
        equal(folder.summary(*options, "--resume", "auto")["weights_sha256"], truth["weights_sha256"], "weights")


def check_only_damaged_checkpoints_stop_the_training(program):
    with Folder(program) as folder:
        folder.summary("--data", SMALL, "--steps", "2")
        for path in folder.checkpoints():
            path.write_bytes(path.read_bytes()[:-100])
        for attempt in range(2):
            result = folder.train("--data", SMALL, "--steps", "4", "--resume", "auto")
            equal(result.code, 1, "exit code")
            check("none of the 1 checkpoints is valid" in result.messages[0], result.error)


def check_a_fresh_start_leaves_the_earlier_training_aside(program):
    with Folder(program) as folder:
        folder.summary("--data", SMALL, "--steps", "9", ranks=1)
        folder.summary("--data", SMALL, "--steps", "3", ranks=1)
        equal([path.name for path in folder.checkpoints()], ["step_0000000003.h5"], "checkpoints")
        check((folder.path / "outputs/checkpoints/superseded_1/step_0000000009.h5").exists(), "the earlier one is gone")


def check_other_options_are_refused(program):
    with Folder(program) as folder:
        folder.summary("--data", SMALL, "--steps", "2", ranks=1)
        result = folder.train("--data", SMALL, "--steps", "4", "--resume", "auto", "--seed", "5", ranks=1)
        equal(result.code, 2, "exit code")
        check("--seed 0, now it is 5" in result.messages[0], result.error)
        result = folder.train("--data", SMALL, "--steps", "4", "--resume", "nonsuch", ranks=1)
        equal(result.code, 2, "exit code")
        check("nonsuch" in result.messages[0], result.error)


def check_a_run_started_again_resumes_by_itself(program):
    with Folder(program) as folder:
        folder.summary("--data", SMALL, "--steps", "5", ranks=1)
        summary = folder.summary("--data", SMALL, "--steps", "8", ranks=1, environment=supervised(folder, 2))
        check("step_0000000005.h5" in (summary["resumed_from"] or ""), f"resumed from {summary['resumed_from']}")
        check((folder.path / "attempts/002/started").exists(), "the supervisor was not told that work began")


def check_a_run_finds_its_start(program):
    """By attempt, LOCKSTEP_RESUME_FROM, --resume and own checkpoints: its own first, else the base, else the beginning."""
    with Folder(program) as other:
        other.summary("--data", SMALL, "--steps", "3", ranks=1)
        base = str(other.checkpoints()[-1])
        for attempt, variable, option, own, expected in [
                (1, base, None, False, base),
                (2, base, None, False, base),
                (2, base, None, True, "step_0000000005.h5"),
                (2, "auto", None, False, None),
                (2, "auto", None, True, "step_0000000005.h5"),
                (2, None, None, False, None),
                (2, None, base, False, base),
                (2, None, base, True, "step_0000000005.h5"),
                (1, None, base, False, base)]:
            with Folder(program) as folder:
                if own:
                    folder.summary("--data", SMALL, "--steps", "5", ranks=1, environment=supervised(folder, 1))
                options = ["--data", SMALL, "--steps", "8"] + (["--resume", option] if option else [])
                case = f"attempt {attempt}, LOCKSTEP_RESUME_FROM {variable}, --resume {option}, own checkpoints {own}"
                result = folder.train(*options, "--summary", "summary.json", ranks=1, environment=supervised(folder, attempt, variable))
                equal(result.code, 0, f"{case}: exit code; stderr: {result.error}")
                found = json.loads((folder.path / "summary.json").read_text())["resumed_from"]
                check(found == expected if expected in (None, base) else expected in (found or ""), f"{case}: resumed from {found}")
                equal("starts from the beginning" in result.output, expected is None, f"{case}: {result.output}")


def supervised(folder, attempt, resume_from=None):
    """The environment that a supervisor gives an attempt of a run in this folder."""
    for place in (f"attempts/{attempt:03}", "outputs", "logs"):
        (folder.path / place).mkdir(parents=True, exist_ok=True)
    environment = {"LOCKSTEP_RUN_DIR": str(folder.path), "LOCKSTEP_RUN_ID": "x_1700000000_00000000",
                   "LOCKSTEP_EXPERIMENT": "x", "LOCKSTEP_ATTEMPT": str(attempt)}
    return environment if resume_from is None else {**environment, "LOCKSTEP_RESUME_FROM": resume_from}


def check_a_named_file_that_is_no_checkpoint_is_refused(program):
    with Folder(program) as folder:
        folder.summary("--data", SMALL, "--steps", "2", ranks=1)
        result = folder.train("--data", SMALL, "--resume", "outputs/model.h5", ranks=1)
        equal(result.code, 2, f"exit code; stderr: {result.error}")
        for word in ("outputs/model.h5", "is not a checkpoint", "--weights takes a model.h5"):
            check(word in result.error, f"{word!r} is not in: {result.error}")
        (folder.path / "text.h5").write_text("no checkpoint " * 20)
        result = folder.train("--data", SMALL, "--resume", "text.h5", ranks=1)
        equal(result.code, 2, f"exit code; stderr: {result.error}")
        check("text.h5" in result.messages[0] and "--weights" not in result.error, result.error)


def check_a_finished_training_says_that_nothing_is_left(program):
    with Folder(program) as folder:
        weights = folder.summary("--data", SMALL, "--steps", "5", ranks=1)["weights_sha256"]
        for steps in ("3", "5"):
            result = folder.train("--data", SMALL, "--steps", steps, "--resume", "auto", "--summary", "summary.json", ranks=1)
            equal(result.code, 0, f"exit code; stderr: {result.error}")
            check(f"the checkpoint is at step 5 already, --steps is {steps}: nothing to do" in result.output, result.output)
            check("0 samples/s" not in result.output, result.output)
            equal(json.loads((folder.path / "summary.json").read_text())["weights_sha256"], weights, "weights")
        result = folder.train("--data", SMALL, "--epochs", "0", "--resume", "auto", ranks=1)
        check("the checkpoint is at step 5 already, --epochs is 0: nothing to do" in result.output, result.output)


if __name__ == "__main__":
    run_checks(globals())
