"""What one rank can do for all is done by one: reading --weights, making folders, checking labels."""
import os
import pathlib

from training import SMALL, Folder, check, equal, run_checks


def in_own_folders(folder, program, ranks):
    """Ranks that run in rank_0, rank_1, …: whatever they touch by a relative path tells who did it."""
    for rank in range(ranks):
        (folder.path / f"rank_{rank}").mkdir()
    script = folder.path / "in_own_folder.sh"
    script.write_text(f'#!/bin/sh\ncd "rank_$OMPI_COMM_WORLD_RANK" && exec {pathlib.Path(program).resolve()} "$@"\n')
    script.chmod(0o755)
    folder.program = script


def check_weights_and_outputs_are_rank_0s(program):
    with Folder(program) as folder:
        weights = folder.summary("--data", SMALL, "--steps", "3", ranks=1)["weights_sha256"]
        in_own_folders(folder, program, 2)
        os.rename(folder.path / "outputs/model.h5", folder.path / "rank_0/start.h5")
        result = folder.train("--data", SMALL, "--weights", "start.h5", "--steps", "0", "--summary", "summary.json", "--logs", "logs")
        equal(result.code, 0, f"exit code; stderr: {result.error}")
        check(weights in (folder.path / "rank_0/summary.json").read_text(), "the weights are others")
        check((folder.path / "rank_0/outputs/model.h5").exists(), "rank 0 has no outputs")
        equal(sorted(os.listdir(folder.path / "rank_1")), [], "what rank 1 made")


def check_missing_weights_are_told_once(program):
    with Folder(program) as folder:
        result = folder.train("--data", SMALL, "--weights", "missing.h5")
        equal(result.code, 2, f"exit code; stderr: {result.error}")
        equal(len(result.messages), 1, result.error)
        check("missing.h5" in result.error, result.error)


if __name__ == "__main__":
    run_checks(globals())
