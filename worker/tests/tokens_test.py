"""lockstep-train on sequences of tokens, from a file that h5py wrote.

usage: tokens_test.py PATH_OF_lockstep-train [CHECK...]
"""
import math

import h5py
import numpy as np
from training import SMALL, Folder, check, equal, run_checks

TOKENS = ("--data", "text.h5", "--model", "gpt2_tiny", "--learning-rate", 0.03)


def write_text(folder, vocabulary=16, length=12):
    """Text whose next token follows from the last one: a model that learns comes to a loss of about 0."""
    numbers = np.cumsum(np.full(12 * 100 + 1, 5)) % vocabulary
    with h5py.File(folder.path / "text.h5", "w") as file:
        file.attrs.update(format="lockstep-tokens", format_version=1, vocabulary_size=vocabulary, sequence_length=length)
        file["train/tokens"] = numbers.astype("int32")
        file["test/tokens"] = numbers[:241].astype("int32")


def check_gpt2_learns_the_next_token(program):
    with Folder(program) as folder:
        write_text(folder)
        summary = folder.summary(*TOKENS, "--batch-size", 5, "--epochs", 5, ranks=2)
        equal(summary["steps"], 50, "steps of 10 sequences of 100")
        equal(summary["eval_accuracy"], 1.0, "part of the test tokens that are right")
        check(summary["eval_loss"] < 0.1 * math.log(16), f"loss {summary['eval_loss']}")


def check_any_number_of_ranks_gives_the_same_training(program):
    losses = []
    for ranks in (1, 3):  # 3: batches of 4, 3 and 3
        with Folder(program) as folder:
            write_text(folder)
            summary = folder.summary(*TOKENS, "--global-batch-size", 10, "--steps", 6, ranks=ranks)
            losses.append((summary["train_loss"], summary["eval_loss"]))
    for one, three in zip(*losses):
        check(abs(one - three) < 1e-4 * abs(one), f"losses {losses}")


def check_models_and_data_have_to_fit(program):
    with Folder(program) as folder:
        write_text(folder, length=200)
        for options, word in (((*TOKENS,), "sequences of 200 tokens are too long for gpt2_tiny"),
                              (("--data", "text.h5", "--model", "mlp"), "mlp takes images, not sequences of 200 tokens"),
                              (("--data", SMALL, "--model", "gpt2_tiny"), "gpt2_tiny takes tokens, not images of 28x28")):
            result = folder.train(*options, ranks=1)
            equal(result.code, 2, f"exit code\n{result.error}")
            check(word in result.error, f"{word} is not in {result.error}")


run_checks(globals())
