"""`lockstep data` as a user types it: what it prints, what it leaves behind, how it ends.

Usage: program_test.py LOCKSTEP_DATA
"""

import gzip
import json
import os
import pathlib
import random
import resource
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

PROGRAM = sys.argv[1]
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")


def run(*words, code=0, **options):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=100, **options)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def message(text):
    return text[text.index("lockstep data: "):]


def expect(text, *parts):
    for part in parts:
        assert part in text, f"expected {part!r} in:\n{text}"


def write_cifar(folder, count=3):
    folder.mkdir(parents=True)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for number, name in enumerate(names):
        records = b"".join(bytes([(number + i) % 10]) + bytes((number * 50 + i + at) % 256 for at in range(3072)) for i in range(count))
        (folder / name).write_bytes(records)
    return folder


def write_idx(folder, pack=lambda data: data, ending=""):
    folder.mkdir(parents=True)
    for stem, count in (("train", 7), ("t10k", 2)):
        (folder / f"{stem}-images-idx3-ubyte{ending}").write_bytes(pack(struct.pack(">4i", 0x803, count, 5, 6) + bytes(range(30)) * count))
        (folder / f"{stem}-labels-idx1-ubyte{ending}").write_bytes(pack(struct.pack(">2i", 0x801, count) + bytes(range(count))))
    return folder


def help_and_bad_input():
    expect(run("--help"), "fetch", "verify", "lockstep data fetch fashion-mnist")
    for command in ("import", "fetch", "register", "list", "show", "verify"):
        expect(run(command, "--help"), "usage: lockstep data " + command, "Examples:")
    expect(run(code=2), "Usage:")
    expect(run("improt", code=2), "there is no command 'data improt'; did you mean import?")
    expect(run("import", "cifar10", code=2), "1 names or paths were given, expected 2")
    expect(run("import", "cifar", "x", code=2), "there is no importer 'cifar'", "cifar10")
    expect(run("import", "cifar10", "nowhere", code=2), "nowhere: no such file or folder")
    expect(run("fetch", "cifar-10", code=2), "did you mean cifar10?")
    expect(run("fetch", "cifar10", "--md5", "123", code=2), "--md5 takes 32 hexadecimal digits")
    expect(run("fetch", "mnist", "--md5", "0" * 32, code=2), "mnist has 4 files: write FILE=DIGEST for each")
    expect(run("fetch", "cifar10", "--from", "ftp://host/file", code=2), "is not an address that begins with https:// or http://")
    expect(run("show", "nothing", code=2), "there is no data set 'nothing'")
    expect(run("import", "idx", ".", "--name", "../x", code=2), "'../x' cannot name a data set")
    expect(run("list", "--jsn", code=2), "json")


def import_register_list():
    write_cifar(pathlib.Path("cifar"))
    expect(run("import", "cifar10", "cifar"), "cifar10@1: 15 training and 3 test images of 3x32x32, 10 classes", "lockstep-train --data cifar10")
    run("import", "cifar10", "cifar")  # the same again is no new version
    records = json.loads(run("list", "--json"))
    assert [(r["name"], r["version"]) for r in records] == [("cifar10", 1)], records
    assert os.path.getsize(records[0]["path"]) == records[0]["bytes"]

    with tarfile.open("cifar.tar.gz", "w:gz") as archive:  # Python's own tar: names as PAX headers and all
        archive.add("cifar", "cifar-10-batches-bin")
    expect(run("import", "cifar10", "cifar.tar.gz", "--name", "packed"), "packed@1")
    digests = [json.loads(run("show", name, "--json"))["splits"] for name in ("cifar10", "packed")]
    assert digests[0] == digests[1], "folder and archive give other samples"

    write_idx(pathlib.Path("digits"), gzip.compress, ".gz")
    expect(run("import", "idx", "digits"), "digits@1: 7 training and 2 test images of 1x5x6, 10 classes")
    expect(run("import", "idx", "digits", "--output", "own.h5", "--class-names", "a,b,c,d,e,f,g"), "own.h5: 7 training")
    expect(run("import", "idx", "digits", "--output", "own.h5", code=2), "exists already", "--force")
    run("import", "idx", "digits", "--output", "own.h5", "--force", "--class-names", "a,b,c,d,e,f,g")
    expect(run("import", "idx", "digits", "--class-names", "a,b", code=2), "record 2 (byte 10) has label 2, expected 0 to 1")
    expect(run("show", "own.h5"), "a, b, c, d, e, f, g")

    expect(run("register", "own", "own.h5"), "own@1")
    run("import", "idx", "digits", "--output", "own.h5", "--force", "--class-names", "g,f,e,d,c,b,a")
    expect(run("register", "own", "own.h5"), "own@2")
    expect(run("register", "folder", "cifar"), "folder@1: a folder of cifar10 files")
    expect(run("register", "archive", "cifar.tar.gz"), "archive@1: an archive of cifar10 files")
    pathlib.Path("notes").mkdir()
    pathlib.Path("notes/a.txt").write_text("any file")
    expect(run("register", "notes", "notes"), "notes@1: a folder of 1 files")
    run("verify", "notes")
    pathlib.Path("notes/a.txt").write_text("ANY file")
    expect(run("verify", "notes", code=1), "DIFFERS", "the folder: SHA-256 is")
    expect(run("register", "notes", "notes"), "notes@2")
    expect(run("list"), "cifar10@1", "digits@1", "folder@1", "own@2", "packed@1")
    expect(run("verify", "own", "digits"), "sound")
    expect(run("verify", "own@1", code=1), "DIFFERS", "the file: SHA-256 is")


def fashion_mnist():
    if not FASHION.is_dir():
        return "Fashion-MNIST is not installed"
    expect(run("fetch", "fashion-mnist"), "fashion-mnist@1: 60,000 training and 10,000 test images of 1x28x28, 10 classes")
    shown = json.loads(run("show", "fashion-mnist", "--json"))
    assert shown["class_names"][9] == "Ankle boot" and abs(shown["mean"][0] - 0.2860) < 1e-4 and abs(shown["std"][0] - 0.3530) < 1e-4, shown
    expect(run("fetch", "fashion-mnist", "--from", str(FASHION)), "fashion-mnist@1")  # a path, with the same contents
    no_dpkg = {**os.environ, "PATH": "/nonexistent"}
    expect(run("fetch", "fashion-mnist", code=1, env=no_dpkg), "apt-get install dataset-fashion-mnist")
    return "Fashion-MNIST from Debian's package"


def cifar10():
    folder = os.environ.get("LOCKSTEP_CIFAR10")
    if not folder:
        return "CIFAR-10 left out (LOCKSTEP_CIFAR10 is not set)"
    expect(run("import", "cifar10", folder, "--name", "real"), "real@1: 50,000 training and 10,000 test images of 3x32x32, 10 classes")
    shown = json.loads(run("show", "real", "--json"))
    published = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]  # as papers give them
    for found, known in zip((shown["mean"], shown["std"]), published):
        assert all(abs(f - k) < 5e-3 for f, k in zip(found, known)), shown
    expect(run("verify", "real"), "sound")
    return "CIFAR-10 from " + folder


def interrupted_import_leaves_nothing():
    folder = write_idx(pathlib.Path("endless"))
    images = folder / "train-images-idx3-ubyte"
    count = 20_000_000
    with open(images, "wb") as file:  # sparse: 20 million images that take a while
        file.write(struct.pack(">4i", 0x803, count, 28, 28))
        file.truncate(16 + count * 784)
    with open(folder / "train-labels-idx1-ubyte", "wb") as file:
        file.write(struct.pack(">2i", 0x801, count))
        file.truncate(8 + count)
    for stem in ("images-idx3", "labels-idx1"):
        name = folder / f"t10k-{stem}-ubyte"
        name.write_bytes(struct.pack(">4i", 0x803, 1, 28, 28) + bytes(784) if "images" in stem else struct.pack(">2i", 0x801, 1) + b"\0")
    os.mkdir("target")
    program = subprocess.Popen([PROGRAM, "import", "idx", "endless", "--output", "target/x.h5"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not os.listdir("target") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.listdir("target") and "x.h5" not in os.listdir("target")
    program.send_signal(signal.SIGINT)
    error = program.communicate(timeout=60)[1]
    assert program.returncode == 1 and "interrupted by signal 2" in error, (program.returncode, error)
    assert not os.listdir("target"), os.listdir("target")


def damaged_files_end_in_a_message():
    """Some of these make the HDF5 library itself crash."""
    write_idx(pathlib.Path("sound"))
    run("import", "idx", "sound", "--output", "sound.h5")
    whole = pathlib.Path("sound.h5").read_bytes()
    source = random.Random(3)
    for _ in range(250):
        damaged = bytearray(whole)
        for _ in range(source.randrange(1, 7)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        pathlib.Path("damaged.h5").write_bytes(damaged)
        done = subprocess.run([PROGRAM, "show", "damaged.h5"], capture_output=True, timeout=60)
        assert done.returncode in (0, 2) and (done.returncode == 0 or b"damaged.h5" in done.stderr), done


def a_full_file_system_is_named():
    """A file system of its own, where this process may mount one."""
    os.mkdir("tiny_disk")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "tiny_disk"], capture_output=True).returncode != 0:
        return
    try:
        write_cifar(pathlib.Path("cifar_for_tiny_disk"), 20)
        error = message(run("import", "cifar10", "cifar_for_tiny_disk", "--output", "tiny_disk/x.h5", code=1))
        expect(error, "No space left on device", "make room", os.path.realpath("tiny_disk"))
        assert len(error.splitlines()) == 2 and "bytes actually written" not in error, error
    finally:
        subprocess.run(["umount", "tiny_disk"], check=True)


def register_verifies_first():
    """A file that is not what it says gets no name, and a refusal leaves nothing behind."""
    write_cifar(pathlib.Path("source"))
    with tempfile.TemporaryDirectory() as elsewhere:
        whole = pathlib.Path(elsewhere) / "whole.h5"
        run("import", "cifar10", "source", "--output", str(whole))
        damaged = bytearray(whole.read_bytes())
        images = damaged.rindex(bytes((5 * 50 + at) % 256 for at in range(3072)))  # the first test image
        damaged[images] ^= 1
        (pathlib.Path(elsewhere) / "damaged.h5").write_bytes(damaged)
        os.mkdir(pathlib.Path(elsewhere) / "empty")
        expect(run("register", "x", "damaged.h5", code=2, cwd=elsewhere), "damaged.h5", "/test/images: SHA-256 is", "recorded is")
        expect(run("register", "x", "empty", code=2, cwd=elsewhere), "holds no files")
        expect(run("register", "x", "missing.h5", code=2, cwd=elsewhere), "no such file")
        assert not os.path.exists(elsewhere + "/.lockstep"), "a refusal made a workspace"
        expect(run("register", "x", "whole.h5", cwd=elsewhere), "x@1")


def output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        for words in (["list"], ["list", "--json"], ["--help"], ["list", "--help"]):
            done = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 1 and "No space left on device" in done.stderr, (words, done)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PROGRAM, "list"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.stderr == "", done


def a_full_disk_leaves_nothing():
    """Files may not grow beyond 100 KB, as on a full disk."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    write_cifar(pathlib.Path("larger"), 20)
    os.mkdir("full")
    expect(run("import", "cifar10", "larger", "--output", "full/x.h5", code=1, preexec_fn=limit), "full/x.h5", "File too large", "ulimit -f")
    error = message(run("import", "cifar10", "larger", "--output", "full/x.h5", code=1, preexec_fn=limit))
    assert len(error.splitlines()) == 2 and "bytes actually written" not in error, error
    assert not os.listdir("full"), os.listdir("full")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    help_and_bad_input()
    import_register_list()
    note = fashion_mnist() + "; " + cifar10()
    interrupted_import_leaves_nothing()
    a_full_disk_leaves_nothing()
    a_full_file_system_is_named()
    register_verifies_first()
    output_that_cannot_be_written_is_an_error()
    damaged_files_end_in_a_message()
print("lockstep data behaves;", note)
