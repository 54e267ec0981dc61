"""A real Slurm cluster on this machine, in a folder of its own: munge, a controller and several node daemons.

Debian's packages are enough (``apt-get install slurm-wlm munge``); neither systemd nor cgroups are needed. Each "node"
is a slurmd of its own with its own port, so that one of them can be killed with all that runs on it.

As a program:

    python tests/clusters/slurm_cluster.py start /tmp/cluster     # prints what to export
    python tests/clusters/slurm_cluster.py stop /tmp/cluster
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

#: What a cluster consists of, and the Debian packages that bring it.
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
#: Daemons live here, which is not on everybody's PATH.
SBIN = "/usr/sbin:/usr/local/sbin"
#: How long the daemons may take to find each other (seconds).
START_SECONDS = 20.0
#: When a job begins that was queued again and is to be hastened (seconds).
SOON_SECONDS = 3

#: No accounting, no cgroups. Jobs go to the idlest node, and nodes have as many processors as they claim. One that says
#: nothing for ten seconds is down, which is as quick as Slurm gets: its jobs are queued again.
CONFIGURATION = """\
ClusterName=deepwriting
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/logs/slurmctld.log
SlurmdLogFile={folder}/logs/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory,CR_LLN
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
KillWait=5
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1,sched_min_interval=0
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=1 State=UP
"""


class ClusterError(RuntimeError):
    """The cluster cannot be started here."""


class SlurmCluster:
    """A cluster in a folder; a context manager that starts and stops it.

    Args:
        folder: where keys, sockets, logs and state go; its path has to be short (a socket's may have 107 bytes).
        nodes: how many nodes there are: ``n1``, ``n2``, …
        cpus: processors that each node claims to have.
        memory_mb: memory that each node claims to have (MiB).
    """

    def __init__(self, folder: Path, *, nodes: int = 2, cpus: int = 8, memory_mb: int = 16_000):
        self.folder = folder.absolute()
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.cpus = cpus
        self.memory_mb = memory_mb

    @property
    def environment(self) -> dict[str, str]:
        """What processes need that are to talk to this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    @staticmethod
    def why_not() -> str | None:
        """Why no cluster can be started on this machine; ``None`` if nothing speaks against it."""
        missing = [program for program in PROGRAMS if _program(program) is None]
        if missing:
            return f"no {', '.join(missing)} on this machine; apt-get install slurm-wlm munge"
        return None

    def start(self) -> None:
        """Start all daemons and wait until every node is there.

        Raises:
            ClusterError: if they do not come up; the message holds the last lines of their logs.
        """
        if reason := self.why_not():
            raise ClusterError(reason)
        for name in ("state", "logs", *self.nodes):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munged refuses a socket in a folder that others may write to
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        (self.folder / "slurm.conf").write_text(self._configuration(), encoding="utf-8")
        try:
            self._munge()
            self._daemon("slurmctld")
            for node in self.nodes:
                self.start_node(node)
            self._wait_for_nodes()
        except ClusterError:
            self.stop()
            raise

    def stop(self) -> None:
        """End all jobs and daemons, whoever started them; the folder stays."""
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            self.run("scancel", "--user", _user(), timeout=10)
        _kill(self._processes(), signal.SIGKILL)
        nodes = sorted(file.stem for file in self.folder.glob("slurmd-*.pid"))  # all, however many this object knows of
        for name in (*nodes, "slurmctld", "munged"):
            self._end(name, signal.SIGTERM)

    def __enter__(self) -> SlurmCluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_node(self, node: str) -> None:
        """Start a node's daemon, for the first time or after ``kill_node``."""
        self._daemon("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill a node's daemon and everything that runs on it, as a power cut would."""
        self._end(f"slurmd-{node}", signal.SIGKILL)
        _kill(self._processes(node), signal.SIGKILL)

    def run(self, *command: str, timeout: float = 60.0) -> str:
        """What one of Slurm's commands prints.

        Raises:
            subprocess.CalledProcessError: if it fails.
        """
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=timeout, check=True
        )
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """What is queued or running: id (``12_3`` for a task of an array), name, state, reason, node and start."""
        keys = ("id", "name", "state", "reason", "node", "start")
        lines = self.run("squeue", "--noheader", "--array", "--format=%i|%j|%T|%r|%N|%S").splitlines()
        return [dict(zip(keys, line.split("|"), strict=True)) for line in lines]

    def hasten(self) -> None:
        """Let jobs begin soon that were queued again: Slurm makes them wait for two minutes.

        Not at once. What Slurm sent a node for the attempt before counts as withdrawn, and so does whatever it sends
        within the same second: the job would end there, unknown to the queue, without having begun.
        """
        for job in self.jobs():
            waits = job["state"] == "PENDING" and job["reason"] == "BeginTime"
            if waits and _seconds_until(job["start"]) > SOON_SECONDS:
                with contextlib.suppress(subprocess.CalledProcessError):  # it has just begun, or is not quite ended
                    self.run("scontrol", "update", f"JobId={job['id']}", f"StartTime=now+{SOON_SECONDS}")

    def processes_of(self, job: str) -> list[int]:
        """Ids of the processes of a job (``12_3``) that run Python, or whatever its script has started last."""
        array, _, task = job.partition("_")
        wanted = {f"SLURM_ARRAY_JOB_ID={array}", f"SLURM_ARRAY_TASK_ID={task}"}
        scripts = [pid for pid in self._processes() if wanted <= _environment(pid)]
        return [pid for pid in scripts if "slurm_script" not in _command(pid)]

    def _processes(self, node: str | None = None) -> list[int]:
        """Processes of jobs, on one node or all, with the step daemons that look after them."""
        wanted = {f"SLURM_CONF={self.folder / 'slurm.conf'}"} | ({f"SLURMD_NODENAME={node}"} if node else set())
        of_jobs = [
            pid for pid in _all_processes()
            if wanted <= (found := _environment(pid)) and any(entry.startswith("SLURMD_NODENAME=") for entry in found)
        ]  # fmt: skip
        parents = {parent for pid in of_jobs if (parent := _parent(pid)) and "slurmstepd" in _command(parent)}
        return [*sorted(parents), *of_jobs]

    def _configuration(self) -> str:
        ports = _free_ports(len(self.nodes) + 1)
        host = socket.gethostname()
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} "
            f"RealMemory={self.memory_mb}"
            for node, port in zip(self.nodes, ports[1:], strict=True)
        ]
        return CONFIGURATION.format(
            host=host, user=_user(), folder=self.folder, controller_port=ports[0], nodes="\n".join(nodes)
        )

    def _munge(self) -> None:
        self._daemon(
            "munged", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={self.folder}/munge.key",
            f"--log-file={self.folder}/logs/munged.log", f"--pid-file={self.folder}/munged.pid",
            f"--seed-file={self.folder}/munged.seed",
        )  # fmt: skip

    def _daemon(self, program: str, *arguments: str) -> None:
        path = _program(program)
        assert path is not None
        # A job's processes are told by their environment: a daemon started from within a job must not look like one.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
        with (self.folder / "logs" / "start.log").open("a", encoding="utf-8") as log:
            done = subprocess.run(
                [path, *arguments], env=environment | self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, check=False,
            )  # fmt: skip
        if done.returncode:
            raise ClusterError(f"{program} does not start:\n{self._last_words()}")

    def _wait_for_nodes(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(subprocess.SubprocessError):
                states = self.run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T").split()
                if states == ["idle"] * len(self.nodes):
                    return
            time.sleep(0.2)
        raise ClusterError(f"not all nodes came up within {START_SECONDS:.0f} s:\n{self._last_words()}")

    def _end(self, name: str, how: signal.Signals) -> None:
        """Signal a daemon and wait until it is gone."""
        try:
            pid = int((self.folder / f"{name}.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return
        if name.split("-")[0] not in _command(pid):  # gone long ago, and the number is somebody else's now
            return
        _kill([pid], how)
        end = time.monotonic() + 10
        while _alive(pid):
            if time.monotonic() > end:
                _kill([pid], signal.SIGKILL)
            time.sleep(0.05)

    def _last_words(self) -> str:
        lines: list[str] = []
        for file in sorted((self.folder / "logs").glob("*.log")):
            lines += [f"{file.name}: {line}" for line in file.read_text(errors="replace").splitlines()[-5:]]
        return "\n".join(lines)


def _seconds_until(start: str) -> float:
    """How far away a time is that ``squeue`` prints; it has none for a job that may begin at any moment."""
    try:
        return (datetime.fromisoformat(start) - datetime.now()).total_seconds()
    except ValueError:
        return 0.0


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name  # not what the environment says: it may be somebody else's


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _all_processes() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _environment(pid: int) -> set[str]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0"))
    except OSError:
        return set()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def _status(pid: int) -> list[str]:
    """State, parent and so on; what stands before them, the name in brackets, may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int | None:
    status = _status(pid)
    return int(status[1]) if status else None


def _alive(pid: int) -> bool:
    return (status := _status(pid)) != [] and status[0] != "Z"


def _kill(pids: list[int], how: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def main() -> None:
    """Start or stop a cluster from a shell."""
    parser = argparse.ArgumentParser(description="A Slurm cluster on this machine.")
    parser.add_argument("command", choices=["start", "stop"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", type=int, default=2)
    asked = parser.parse_args()
    cluster = SlurmCluster(asked.folder, nodes=asked.nodes)
    if asked.command == "stop":
        cluster.stop()
        return
    try:
        cluster.start()
    except ClusterError as error:
        sys.exit(f"error: {error}")
    for key, value in cluster.environment.items():
        sys.stdout.write(f"export {key}={value}\n")


if __name__ == "__main__":
    main()
