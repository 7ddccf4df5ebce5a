"""Bad input and broken ranks: one clear message, the right exit code, all ranks gone within five seconds."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from training import AS_ROOT, SMALL, Folder, check, equal, run_checks

LIMIT_SECONDS = 5       # from the failure of one rank to the end of all


def refused(result, code, *words):
    equal(result.code, code, f"exit code; stderr: {result.error}")
    equal(len(result.messages), 1, f"messages of the program: {result.error}")
    for word in words:
        check(word in result.error, f"{word!r} is not in: {result.error}")


def make_data(path, images=60, label=None, classes=10):
    import h5py
    import numpy

    dice = numpy.random.default_rng(7)
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "lockstep-dataset", "name": "made-up", "source": "test"})
        file.attrs["format_version"] = numpy.int64(1)
        file.attrs["class_names"] = [str(i) for i in range(classes)]
        file.attrs["mean"], file.attrs["std"] = numpy.array([0.5]), numpy.array([0.25])
        for split in ("train", "test"):
            labels = dice.integers(0, classes, images, dtype=numpy.uint8)
            if label is not None and split == "train":
                labels[images // 2] = label
            file[f"{split}/images"] = dice.integers(0, 256, (images, 1, 28, 28), dtype=numpy.uint8)
            file[f"{split}/labels"] = labels


def check_unknown_names_are_answered_with_the_nearest(program):
    with Folder(program) as folder:
        refused(folder.train("--data", SMALL, "--batchsize", "4"), 2, "batchsize", "batch-size")
        refused(folder.train("--data", SMALL, "--model", "cifarnet"), 2, "cifarnet", "did you mean cifar_net")
        refused(folder.train("--data", "fashion_mist"), 2, "fashion_mist", "lockstep data")
        refused(folder.train("--data", SMALL, "--optimizer", "adamax"), 2, "adamax", "did you mean adam, adamw")
        refused(folder.train("--data", SMALL, "--batch-size", "many"), 2, "many")
        refused(folder.train("--data", SMALL, "--parameter-group", "fc3.wieght: weight-decay=0"), 2,
                'no parameter matches "fc3.wieght"; did you mean fc3.weight')
        refused(folder.train("--data", "no/such/file.h5", ranks=1, launcher=False), 2, "no/such/file.h5")


def check_the_default_data_set_says_how_to_get_it(program):
    with Folder(program) as folder:
        refused(folder.train(ranks=1, launcher=False), 2, "fashion-mnist", "lockstep data fetch fashion-mnist")


def check_help_and_version_speak_once(program):
    with Folder(program) as folder:
        result = folder.train("--help")
        equal(result.code, 0, "exit code")
        equal(result.output.count("usage:"), 1, "pages of help")
        for name in ("--global-batch-size", "--checkpoint-every", "Optimizer", "cifar_net"):
            check(name in result.output, f"{name} is not in the help")
        check("--zero" not in result.output, "options that do nothing must not be listed")
        equal(folder.train("--version").output.count("lockstep-train"), 1, "versions")


def check_damaged_data_is_refused(program):
    with Folder(program) as folder:
        good = folder.path / "data.h5"
        make_data(good)
        equal(folder.train("--data", "data.h5", "--steps", "1").code, 0, "exit code with sound data")
        bytes_ = good.read_bytes()
        good.write_bytes(bytes_[: len(bytes_) - 4000])
        refused(folder.train("--data", "data.h5", "--steps", "1"), 2, "data.h5")
        good.unlink()
        make_data(good, label=10)
        refused(folder.train("--data", "data.h5", "--steps", "1"), 2, "data.h5", "label", "10")
        good.write_text("this is no HDF5 file " * 100)
        refused(folder.train("--data", "data.h5", "--steps", "1"), 2, "data.h5")


def check_a_model_that_does_not_fit_the_images_is_refused(program):
    with Folder(program) as folder:
        refused(folder.train("--data", "synthetic:1x8x8:10:60"), 2, "cifar_net", "8")


def check_another_world_size_is_explained(program):
    with Folder(program) as folder:
        expected = {"LOCKSTEP_EXPECTED_WORLD_SIZE": "3"}
        refused(folder.train("--data", SMALL, environment=expected), 1, "world size is 2, expected 3")
        alone = folder.train("--data", SMALL, environment=expected, launcher=False)
        refused(alone, 1, "world size is 1, expected 3", "rank 0 of 1", "mpirun -n 3")


def check_ranks_that_mpi_does_not_know_of_are_refused(program):
    """As torchrun, and srun without a process interface to MPI, start them."""
    for environment, launcher in (({"RANK": "1", "WORLD_SIZE": "2"}, "torchrun"),
                                  ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, "srun")):
        with Folder(program) as folder:
            alone = folder.train("--data", SMALL, "--steps", "1", environment=environment, launcher=False)
            refused(alone, 1, "world size is 1, expected 2", launcher, "LOCKSTEP_EXPECTED_WORLD_SIZE=1")
            check(not (folder.path / "outputs/model.h5").exists(), "it trained")
            refused(folder.train("--batchsize", "4", environment=environment, launcher=False), 2, "batchsize")
            check("usage:" in folder.train("--help", environment=environment, launcher=False).output, "no help")
            meant = {**environment, "LOCKSTEP_EXPECTED_WORLD_SIZE": "1"}
            equal(folder.train("--data", SMALL, "--steps", "1", environment=meant, launcher=False).code, 0, "exit code where it is meant")


def check_a_bad_run_is_explained(program):
    with Folder(program) as folder:
        (folder.path / "run").mkdir()
        missing = {"LOCKSTEP_RUN_DIR": "/nonex"}
        no_number = {"LOCKSTEP_RUN_DIR": str(folder.path / "run"), "LOCKSTEP_ATTEMPT": "abc"}
        for launcher in (False, True):
            for environment, code, words in ((missing, 1, ("LOCKSTEP_RUN_DIR", "/nonex")), (no_number, 2, ("LOCKSTEP_ATTEMPT", "abc"))):
                refused(folder.train("--data", SMALL, environment=environment, launcher=launcher), code, *words)
                refused(folder.train("--batchsize", "4", environment=environment, launcher=launcher), 2, "batchsize")


def check_a_second_training_in_the_same_folder_is_refused(program):
    with Folder(program) as folder:
        argv = [str(folder.program), "--data", SMALL, "--steps", "1000000000", "--checkpoint-every", "1"]
        first = subprocess.Popen(argv, cwd=folder.path, stdout=subprocess.DEVNULL)
        try:
            while not folder.checkpoints():
                equal(first.poll(), None, "the first training's end")
                time.sleep(0.01)
            second = folder.train("--data", SMALL, "--steps", "3")
            refused(second, 1, "outputs/checkpoints", f"process {first.pid}", "--outputs")
            equal(first.poll(), None, "the first training's end")
        finally:
            first.kill()
            first.wait()
        equal(folder.train("--data", SMALL, "--steps", "3").code, 0, "exit code after the first one's end")


def check_data_beside_the_sources_is_explained(program):
    with Folder(program) as folder:
        refused(folder.train("--data", "digits/x.h5", launcher=False), 2, "digits/x.h5", str(folder.path))
        (folder.path / "run").mkdir()
        refused(folder.train("--data", "digits/x.h5", launcher=False, environment={"LOCKSTEP_RUN_DIR": str(folder.path / "run")}),
                2, "digits/x.h5", str(folder.path), "copy of the source directory", "absolute path")


def check_help_that_cannot_be_written_is_an_error(program):
    with Folder(program) as folder, open("/dev/full", "w") as full:
        for option in ("--help", "--version"):
            done = subprocess.run([str(folder.program), option], stdout=full, stderr=subprocess.PIPE, text=True)
            equal(done.returncode, 1, f"exit code; stderr: {done.stderr}")
            check("No space left on device" in done.stderr, done.stderr)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([str(folder.program), "--help"], stdout=writer, stderr=subprocess.PIPE, text=True)
        equal(done.stderr, "", "stderr where nobody reads")
        os.close(writer)


def check_a_deleted_working_directory_is_named(program):
    with Folder(program) as folder:
        gone = folder.path / "gone"
        argv = ["sh", "-c", f"mkdir {gone} && cd {gone} && rmdir {gone} && exec {folder.program} --data {SMALL}"]
        done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **AS_ROOT})
        equal(done.returncode, 1, f"exit code; stderr: {done.stderr}")
        check(done.stderr.startswith("lockstep-train: the working directory"), done.stderr)


def check_outputs_that_cannot_be_written_end_it_before_the_first_step(program):
    with Folder(program) as folder:
        (folder.path / "file").write_text("")
        result = folder.train("--data", SMALL, "--outputs", "file/outputs", "--steps", "1")
        refused(result, 1, "file/outputs", "--outputs")
        check("epoch=" not in result.output, "it trained first")


def check_other_weights_are_refused(program):
    with Folder(program) as folder:
        folder.summary("--data", SMALL, "--steps", "0", ranks=1)
        result = folder.train("--data", SMALL, "--model", "mlp", "--weights", "outputs/model.h5", "--outputs", "other", ranks=1)
        refused(result, 2, "outputs/model.h5")
        refused(folder.train("--data", SMALL, "--weights", "missing.h5", ranks=1), 2, "missing.h5")


def check_a_full_disk_leaves_the_last_checkpoint(program):
    if os.geteuid() != 0:
        return print("      (needs root for a small file system; checkpoint_test has the case with a file size limit)")
    with Folder(program) as folder:
        disk = folder.path / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", disk], capture_output=True, text=True)
        if mounted.returncode != 0:
            return print("      (no tmpfs can be mounted here:", mounted.stderr.strip() + ")")
        try:
            options = ["--data", SMALL, "--outputs", disk, "--checkpoint-every", "1", "--steps"]
            folder.summary(*options, "2")
            (disk / "ballast").write_bytes(bytes(free_bytes(disk) - 200_000))
            result = folder.train(*options, "9", "--resume", "auto")
            refused(result, 1, "checkpoint of step 3", str(disk), "No space left", "make room")
            check("bytes actually written" not in result.error, result.error)
            (disk / "ballast").unlink()
            check("step_0000000002.h5" in str(folder.summary(*options, "9", "--resume", "auto")["resumed_from"]), "not resumed")
        finally:
            subprocess.run(["umount", disk], check=True)


def check_made_up_data_on_a_full_disk_name_the_disk(program):
    with Folder(program) as folder:
        # 20 MB for a file, as on a full disk: enough for MPI's own.
        limited = f"trap '' XFSZ; ulimit -f 20000; exec {folder.program} --data synthetic:3x32x32:10:20000"
        done = subprocess.run(["bash", "-c", limited], cwd=folder.path, capture_output=True, text=True, env={**os.environ, **AS_ROOT})
        equal(done.returncode, 1, f"exit code; stderr: {done.stderr}")
        message = done.stderr[done.stderr.index("lockstep-train: "):]
        check("File too large" in message and "bytes actually written" not in message, message)
        check("ulimit -f" in message, message)
        equal(len(message.splitlines()), 2, f"lines: {message}")


def free_bytes(path):
    return shutil.disk_usage(path).free


def ends_in_time(program, kind, code, *words, steps=10**6):
    with Folder(program) as folder:
        unharmed = folder.train("--data", SMALL, "--steps", "6")
        equal(unharmed.code, 0, "exit code without the fault")
        fault = {"LOCKSTEP_FAULT": f"rank=1:step=7:kind={kind}"}
        result = folder.train("--data", SMALL, "--steps", steps, environment=fault)
        check(result.code == code, f"exit code {result.code}, expected {code}: {result.error}")
        for word in words:
            check(word in result.error, f"{word!r} is not in: {result.error}")
        # As long as a whole training of six steps, and what mpirun may take to end the others.
        check(result.seconds < unharmed.seconds + LIMIT_SECONDS, f"{kind}: {result.seconds:.1f} s; {unharmed.seconds:.1f} s without the fault")
        return folder, result


def check_one_rank_that_throws_ends_all(program):
    _, result = ends_in_time(program, "throw", 1, "lockstep-train: rank 1 on ", "fault injected before step 7")
    equal(len(result.messages), 1, result.error)


def check_a_loss_that_is_not_finite_names_step_and_rank(program):
    ends_in_time(program, "nan", 2, "lockstep-train: rank 1 on ", "the loss is NaN at step 7", "--learning-rate")


def check_a_killed_rank_ends_all(program):
    ends_in_time(program, "kill", 137)


def check_a_rank_that_leaves_without_a_word_ends_all(program):
    ends_in_time(program, "exit0", 1)


def check_the_supervisor_learns_who_failed(program):
    import json

    run = pathlib.Path(tempfile.mkdtemp(prefix="lockstep_worker_run_"))
    try:
        for place in ("attempts/001", "outputs", "logs"):
            (run / place).mkdir(parents=True)
        environment = {"LOCKSTEP_RUN_DIR": str(run), "LOCKSTEP_RUN_ID": "x_1700000000_00000000", "LOCKSTEP_EXPERIMENT": "x",
                       "LOCKSTEP_ATTEMPT": "1"}
        with Folder(program) as folder:
            folder.train("--data", SMALL, environment={**environment, "LOCKSTEP_FAULT": "rank=1:step=2:kind=throw"})
            error = json.loads((run / "attempts/001/error_1.json").read_text())
            equal(error["rank"], 1, "rank")
            check("fault injected" in error["what"], error)
            folder.train("--data", SMALL, "--model", "nonsuch", environment=environment)
            error = json.loads((run / "attempts/001/error_0.json").read_text())
            equal(error["kind"], "usage", "kind")
    finally:
        shutil.rmtree(run)


if __name__ == "__main__":
    run_checks(globals())
