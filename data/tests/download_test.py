"""`lockstep data fetch` against servers on loopback: whole, broken off, without ranges, corrupted.

Usage: download_test.py LOCKSTEP_DATA
"""

import hashlib
import http.server
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading

PROGRAM = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves server.files by path. server.break_after: bytes after which a connection is closed, and only `breaks` times."""

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        data = server.files.get(self.path)
        if data is None:
            return self.send_error(404)
        start = 0
        if self.headers.get("Range") and server.ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
            if start >= len(data):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if server.breaks > 0:
            server.breaks -= 1
            body = body[: server.break_after]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server:
    def __init__(self, files, ranges=True, breaks=0, break_after=0):
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.files, self.http.ranges, self.http.breaks, self.http.break_after = files, ranges, breaks, break_after
        self.http.requests = []

    def __enter__(self):
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def address(self, path):
        return f"http://127.0.0.1:{self.http.server_port}{path}"


def fetch(*words, code=0):
    environment = {k: v for k, v in os.environ.items() if k.lower() not in ("http_proxy", "all_proxy")}
    done = subprocess.run([PROGRAM, "fetch", *words], capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def expect(text, *parts):
    for part in parts:
        assert part in text, f"expected {part!r} in:\n{text}"


def archive():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for number, name in enumerate([*(f"data_batch_{i}.bin" for i in (3, 1, 2, 5, 4)), "test_batch.bin"]):
            data = bytes([number]) + os.urandom(3072) + bytes([9 - number]) + os.urandom(3072)
            info = tarfile.TarInfo("cifar-10-batches-bin/" + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def fresh(name):
    os.makedirs(name)
    os.chdir(name)


def part_files():
    return list(pathlib.Path(".lockstep/datasets/.downloads").rglob("*.part"))


def whole(files, md5):
    fresh("whole")
    with Server(files) as server:
        expect(fetch("cifar10", "--from", server.address("/c.tar.gz"), "--md5", md5), "cifar10@1: 10 training and 2 test images")
        assert server.http.requests == [("/c.tar.gz", None)]
    assert not pathlib.Path(".lockstep/datasets/.downloads/cifar10").exists(), "the archive is kept"


def broken_off_and_continued(files, md5):
    """Two connections break; the third brings the rest. Nothing is sent twice."""
    fresh("../broken")
    with Server(files, breaks=2, break_after=10000) as server:
        expect(fetch("cifar10", "--from", server.address("/c.tar.gz"), "--sha256", hashlib.sha256(files["/c.tar.gz"]).hexdigest()), "cifar10@1")
        assert [wanted for _, wanted in server.http.requests] == [None, "bytes=10000-", "bytes=20000-"], server.http.requests


def continued_by_the_next_command(files, md5):
    fresh("../next")
    with Server(files, breaks=100, break_after=7000) as server:
        address = server.address("/c.tar.gz")
        server.http.break_after = 0  # after the first piece nothing comes any more
        server.http.files = {"/c.tar.gz": files["/c.tar.gz"]}
        folder = pathlib.Path(".lockstep/datasets/.downloads/cifar10")
        folder.mkdir(parents=True)
        (folder / "cifar-10-binary.tar.gz.part").write_bytes(files["/c.tar.gz"][:7000])
        text = fetch("cifar10", "--from", address, "--md5", md5, code=1)
        expect(text, "cannot be downloaded", "the same command goes on after the 7000 bytes that are here")
        server.http.breaks = 0
        server.http.requests.clear()
        expect(fetch("cifar10", "--from", address, "--md5", md5), "going on with", "cifar10@1")
        assert server.http.requests[0] == ("/c.tar.gz", "bytes=7000-"), server.http.requests


def a_server_without_ranges(files, md5):
    fresh("../ranges")
    with Server(files, ranges=False, breaks=1, break_after=5000) as server:
        expect(fetch("cifar10", "--from", server.address("/c.tar.gz"), "--md5", md5), "cifar10@1")


def a_part_of_another_file(files, md5):
    fresh("../other")
    folder = pathlib.Path(".lockstep/datasets/.downloads/cifar10")
    folder.mkdir(parents=True)
    (folder / "cifar-10-binary.tar.gz.part").write_bytes(b"x" * 9000)
    with Server(files) as server:
        expect(fetch("cifar10", "--from", server.address("/c.tar.gz"), "--md5", md5), "cifar10@1")
    # Complete, and only the last step is missing.
    (folder / "cifar-10-binary.tar.gz.part").parent.mkdir(parents=True)
    (folder / "cifar-10-binary.tar.gz.part").write_bytes(files["/c.tar.gz"])
    with Server({}) as server:
        expect(fetch("cifar10", "--from", server.address("/c.tar.gz"), "--md5", md5), "cifar10@1")
        assert not server.http.requests


def corrupted(files, md5):
    fresh("../corrupted")
    data = bytearray(files["/c.tar.gz"])
    data[len(data) // 2] ^= 1
    with Server({"/c.tar.gz": bytes(data)}) as server:
        text = fetch("cifar10", "--from", server.address("/c.tar.gz"), "--md5", md5, code=1)
        expect(text, "its MD5 is " + hashlib.md5(data).hexdigest() + ", expected " + md5)
        # Without --md5 the published digest is what counts.
        expect(fetch("cifar10", "--from", server.address("/c.tar.gz"), code=1), "expected c32a1d4ab5d03f1284b67883e8d87530")
    assert not part_files() and not list(pathlib.Path(".lockstep").rglob("*.h5")), "something of the bad file is left"


def no_such_file(files, md5):
    fresh("../missing")
    with Server(files) as server:
        expect(fetch("cifar10", "--from", server.address("/other"), code=1), "404", "cannot be downloaded (curl ended with code 22)")
        assert len(server.http.requests) == 1, "a missing file is asked for again"


def four_files():
    fresh("../four")
    files, digests = {}, []
    for stem, count in (("train", 6), ("t10k", 3)):
        files[f"/m/{stem}-images-idx3-ubyte.gz"] = struct.pack(">4i", 0x803, count, 2, 2) + os.urandom(4 * count)
        files[f"/m/{stem}-labels-idx1-ubyte.gz"] = struct.pack(">2i", 0x801, count) + bytes(count)
    import gzip
    files = {name: gzip.compress(data) for name, data in files.items()}
    for name, data in files.items():
        digests += ["--sha256", name.rsplit("/", 1)[1] + "=" + hashlib.sha256(data).hexdigest()]
    with Server(files) as server:
        expect(fetch("mnist", "--from", server.address("/m/"), *digests), "mnist@1: 6 training and 3 test images of 1x2x2")
        expect(fetch("mnist", "--from", server.address("/m"), code=1), "expected f68b3c2dcbeaaa9fbdd348bbdeb94873")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    data = archive()
    for check in (whole, broken_off_and_continued, continued_by_the_next_command, a_server_without_ranges, a_part_of_another_file, corrupted,
                  no_such_file):
        check({"/c.tar.gz": data}, hashlib.md5(data).hexdigest())
    four_files()
print("downloads are continued, checked and refused as they should")
