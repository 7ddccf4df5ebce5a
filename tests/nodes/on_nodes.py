"""Ranks on several nodes of one machine that really share no memory: each node has a network, process ids, System V memory,
/dev/shm and a host name of its own (Linux namespaces), and reaches the others through a virtual switch alone.

usage: on_nodes.py NODES RANKS_PER_NODE PROGRAM [ARGUMENT...]
       on_nodes.py 2 2 build/tests/communicator_test

Starts one real mpirun over all nodes and ends with its exit code; 77 where the machine does not allow namespaces (root is needed).
Nothing remains: the kernel takes everything down with the outermost namespace.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
NAMESPACES = ["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
NETWORK = "10.99.0.0/24"
TOOLS = ("unshare", "nsenter", "ip", "mpirun")


def run(*command):
    subprocess.run([str(word) for word in command], check=True)


class Node:
    """A host name and an address; its first process, which keeps the namespaces open."""

    def __init__(self, folder, number):
        self.name, self.address, self.folder = f"node{number}", f"10.99.0.{number}", folder
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", f"port{number}", "master", "switch", "up")
        run("ip", "-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            run("ip", "-n", self.name, "link", "set", device, "up")

    def start(self):
        shell = f"hostname {self.name}; mount -t tmpfs tmpfs /dev/shm; touch {self.folder}/{self.name}.up; exec sleep infinity"
        self.keeper = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.name}", "unshare", *NAMESPACES, "sh", "-c", shell])
        while not (self.folder / f"{self.name}.up").exists():
            if self.keeper.poll() is not None:
                sys.exit(f"on_nodes.py: {self.name} cannot be made")
            time.sleep(0.01)
        children = pathlib.Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text().split()
        (self.folder / f"{self.name}.pid").write_text(children[0])


def inside(nodes, ranks, program):
    """Within the outermost namespaces: two folders of its own, a switch, the nodes, and beside them mpirun, as on a login node."""
    for place in ("/run", "/dev/shm"):
        run("mount", "-t", "tmpfs", "tmpfs", place)
    folder = pathlib.Path("/run/lockstep")
    folder.mkdir()
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "switch", "type", "bridge")
    run("ip", "addr", "add", "10.99.0.254/24", "dev", "switch")
    run("ip", "link", "set", "switch", "up")
    cluster = [Node(folder, number) for number in range(1, nodes + 1)]
    hosts = "127.0.0.1 localhost\n" + "".join(f"{node.address} {node.name}\n" for node in cluster)
    (folder / "hosts").write_text(hosts)
    run("mount", "--bind", folder / "hosts", "/etc/hosts")
    for node in cluster:
        node.start()
    # What ssh would do.
    agent = folder / "enter"
    agent.write_text(f'#!/bin/sh\nname=$1; shift\nexec nsenter -t $(cat {folder}/$name.pid) -a --wd="$PWD" -- /bin/sh -c "$*"\n')
    agent.chmod(0o755)
    mpirun = ["mpirun", "--host", ",".join(f"{node.name}:{ranks}" for node in cluster), "-np", nodes * ranks, "--bind-to", "none",
              "--map-by", f"ppr:{ranks}:node", "--oversubscribe", "--mca", "plm_rsh_agent", agent,
              "--mca", "plm_rsh_no_tree_spawn", "1", "--mca", "btl_tcp_if_include", NETWORK, "--mca", "oob_tcp_if_include", NETWORK]
    for variable in os.environ:
        if variable.startswith(("LOCKSTEP_", "OMP_")):
            mpirun += ["-x", variable]
    return subprocess.run([str(word) for word in [*mpirun, *program]]).returncode


def why_not():
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    probe = subprocess.run(["unshare", "--net", *NAMESPACES, "mount", "-t", "tmpfs", "tmpfs", "/run"], capture_output=True, text=True)
    return probe.stderr.strip() if probe.returncode != 0 else ""


def main(words):
    if words[:1] == ["--inside"]:
        sys.exit(inside(int(words[1]), int(words[2]), words[3:]))
    if len(words) < 3 or not words[0].isdigit() or not words[1].isdigit():
        sys.exit(__doc__)
    if reason := why_not():
        print(f"on_nodes.py: skipped: {reason}")
        sys.exit(SKIPPED)
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    outer = ["unshare", "--net", *NAMESPACES, sys.executable, __file__, "--inside", *words]
    sys.exit(subprocess.run(outer, env=environment).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
