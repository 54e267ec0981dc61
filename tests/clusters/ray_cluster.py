"""A Ray cluster of several nodes on this machine, to try what happens when a worker or a node dies.

    python tests/clusters/ray_cluster.py start /tmp/rays --nodes 2    prints the address for RAY_ADDRESS
    python tests/clusters/ray_cluster.py kill-worker /tmp/rays
    python tests/clusters/ray_cluster.py kill-node /tmp/rays 1
    python tests/clusters/ray_cluster.py add-node /tmp/rays
    python tests/clusters/ray_cluster.py stop /tmp/rays

Node 0 is the head, which holds what the cluster knows of itself and dies with it; the others can die. With ``--hosts``
each further node has a host name of its own (needs root), so that its processes look to the others as those of another
machine do. Killing a node is ``kill -9`` of all its processes at once, as a power cut does it. The head asks each
node every second whether it lives, where Ray's default is three, so that tests need not wait as long.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Memory for Ray's objects on each node (bytes): the least that Ray accepts is 75 MiB.
OBJECT_STORE_BYTES = 80 << 20
#: How long a node may take to start (seconds).
START_SECONDS = 150.0
#: What a worker process is called that has an actor, by its class.
WORKER = "ray::Tasks"
#: Memory that a node offers to tasks (bytes); nothing checks that it is there.
MEMORY_BYTES = 8 << 30


class RayCluster:
    """The cluster.

    Args:
        folder: what it writes; short, because Ray keeps sockets there, whose paths may have 107 bytes.
        cpus: processors that each node offers; a number, whatever the machine has.
        hosts: give each node but the head a host name of its own.
        disk: a folder in whose place each node has an empty disk of its own, which is lost with it (needs root).
    """

    def __init__(self, folder: Path, *, cpus: int = 1, hosts: bool = False, disk: Path | None = None):
        self.folder, self.cpus, self.hosts, self.disk = folder, cpus, hosts, disk
        self._state = folder / "cluster.json"
        if self._state.exists():
            known = json.loads(self._state.read_text())
            self.port, self.nodes, self.cpus, self.hosts = (known[key] for key in ("port", "nodes", "cpus", "hosts"))
        else:
            self.port, self.nodes = _free_port(), list[int]()
        self._started: dict[int, subprocess.Popen[bytes]] = {}  # those of this process

    @property
    def address(self) -> str:
        """Where the cluster is found."""
        return f"127.0.0.1:{self.port}"

    def start(self, nodes: int = 2) -> None:
        """Start the head and the other nodes.

        Raises:
            RuntimeError: if one does not start in time; with the end of what it said.
        """
        for _ in range(nodes):
            self.add_node()

    def add_node(self) -> int:
        """Start one more node; its number."""
        number = len(self.nodes)
        head = ["--head", f"--port={self.port}", f"--temp-dir={self.folder}/s", "--include-dashboard=false"]
        where = head if number == 0 else [f"--address={self.address}"]
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *where, f"--num-cpus={self.cpus}",
            f"--memory={MEMORY_BYTES}", f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats",
            "--include-log-monitor=false",
        ]  # fmt: skip
        if self.hosts and number > 0:
            command = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', f"node{number}", *command]
        if self.disk is not None:
            command = [
                "unshare",
                "--mount",
                "sh",
                "-c",
                'mount -t tmpfs none "$0" && exec "$@"',
                str(self.disk),
                *command,
            ]
        self.folder.mkdir(parents=True, exist_ok=True)
        said = self.folder / f"node{number}.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env=os.environ | {"RAY_TMPDIR": str(self.folder), "RAY_health_check_period_ms": "1000"},
            )  # fmt: skip
        self.nodes.append(process.pid)
        self._started[process.pid] = process
        self._save()
        end = time.monotonic() + START_SECONDS
        while "Ray runtime started" not in said.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > end:
                self.kill_node(number)
                raise RuntimeError(f"node {number} of the Ray cluster did not start:\n{said.read_text()[-2000:]}")
            time.sleep(0.1)
        return number

    def workers(self, number: int | None = None) -> list[int]:
        """Process ids of the workers on one node, or on all, that have begun to work on a run."""
        roots = self.nodes if number is None else [self.nodes[number]]
        return [pid for root in roots for pid in process_tree(root) if _title(pid).startswith(WORKER)]

    def kill_node(self, number: int) -> None:
        """Kill a node with all its processes."""
        doomed = process_tree(self.nodes[number])
        for pid in doomed:  # none of them is to react to another one's death
            _signal(pid, signal.SIGSTOP)
        for pid in {*doomed, *process_tree(self.nodes[number])}:
            _signal(pid, signal.SIGKILL)
        if (started := self._started.pop(self.nodes[number], None)) is not None:
            started.wait()
        else:
            _await_end(self.nodes[number])

    def stop(self) -> None:
        """Kill everything and remove the folder."""
        for number in reversed(range(len(self.nodes))):
            self.kill_node(number)
        for pid in self._orphans():
            _signal(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _orphans(self) -> list[int]:
        """Helpers of a node that ended by itself, as it does without a head: they have lost their parent."""
        mark, found = f"RAY_TMPDIR={self.folder}".encode(), []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):  # somebody else's, or it has just ended
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return [pid for pid in found if pid != os.getpid()]

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    def _save(self) -> None:
        state = {"port": self.port, "nodes": self.nodes, "cpus": self.cpus, "hosts": self.hosts}
        self._state.write_text(json.dumps(state))


def short_folder() -> Path:
    """A new folder with a path that is short enough for Ray's sockets."""
    return Path(tempfile.mkdtemp(prefix="dwray", dir="/tmp"))


def why_not() -> str | None:
    """Why no cluster can be started here; ``None`` if one can."""
    import importlib.util

    if importlib.util.find_spec("ray") is None:
        return "ray is not installed"
    return None if sys.platform == "linux" else "processes are looked up in /proc"


def process_tree(root: int) -> list[int]:
    """A process and all below it, as far as they live."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root] if Path(f"/proc/{root}").exists() else []
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _await_end(pid: int) -> None:
    end = time.monotonic() + START_SECONDS
    while process_tree(pid) and time.monotonic() < end:
        time.sleep(0.05)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    """Start, hurt and stop a cluster from a shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["start", "kill-worker", "kill-node", "add-node", "stop"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("node", type=int, nargs="?", help="number of the node")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=1, help="processors that each node offers")
    parser.add_argument("--hosts", action="store_true", help="a host name for each node but the head")
    options = parser.parse_args()
    cluster = RayCluster(options.folder, cpus=options.cpus, hosts=options.hosts)
    if options.action == "start":
        if (why := why_not()) is not None:
            raise SystemExit(f"no Ray cluster here: {why}")
        cluster.start(options.nodes)
        _say(cluster.address)
    elif options.action == "kill-worker":
        workers = cluster.workers(options.node)
        if not workers:
            raise SystemExit("no worker works on a run")
        os.kill(workers[0], signal.SIGKILL)
        _say(f"killed worker {workers[0]}")
    elif options.action == "kill-node":
        cluster.kill_node(options.node if options.node is not None else len(cluster.nodes) - 1)
    elif options.action == "add-node":
        _say(f"node {cluster.add_node()}")
    else:
        cluster.stop()


if __name__ == "__main__":
    main()
