"""Clusters on this machine that are broken on purpose: Ray, Slurm, and Hugging Face Jobs of a local Hub."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from fault_grounds import Driver, Ground, LocalGround, killed, skewed
from fault_server import from_tests

#: How long the store may take to start (seconds).
_START_S = 60.0
#: How long a dead node stays away (seconds).
_AWAY_S = 2.0


class RayGround(Ground):
    """A Ray cluster of a head and a node with another host name, and the driver beside them."""

    name = "ray"
    kinds = ("worker", "node", "driver")

    def __init__(self, root: Path, *, tasks: int, workers: int):
        super().__init__(root, tasks=tasks, workers=workers)
        self._module = from_tests("clusters/ray_cluster.py")
        self._dead_since: float | None = None

    @classmethod
    def why_not(cls) -> str | None:
        """Why there can be no cluster."""
        found: str | None = from_tests("clusters/ray_cluster.py").why_not()
        return found

    def start(self) -> None:
        """A head without room for tasks would be wasteful here: both nodes take them."""
        self.cluster = self._module.RayCluster(self._module.short_folder(), cpus=1, hosts=os.getuid() == 0)
        self.cluster.start(2)
        self._node = 1

    def stop(self) -> None:
        """Kill both nodes."""
        self.cluster.stop()

    def execution(self, *, skew: bool = False) -> dict[str, Any]:
        """With the cluster's address."""
        ray = {"address": self.cluster.address}
        return super().execution(skew=skew) | {"cpus": 1, "memory_gb": 1.0, "ray": ray}

    def kill(self, kind: str, driver: Driver, place: str, rng: random.Random) -> bool:
        """Kill a worker, the second node, or the driver."""
        if kind == "driver":
            driver.kill()
            return True
        if kind == "node":
            if self._dead_since is not None:
                return False
            self.cluster.kill_node(self._node)
            self._dead_since = time.monotonic()
            return True
        workers = self.cluster.workers()
        return bool(workers) and killed(rng.choice(workers))

    def tend(self) -> None:
        """Start a node in place of the dead one."""
        if self._dead_since is not None and time.monotonic() - self._dead_since > _AWAY_S:
            self._node, self._dead_since = self.cluster.add_node(), None

    def skew(self, on: bool) -> None:
        """Replace the second node by one with another clock."""
        self.cluster.kill_node(self._node)
        before = dict(os.environ)
        os.environ.update(skewed(3) if on else {})
        try:
            self._node = self.cluster.add_node()
        finally:
            os.environ.clear()
            os.environ.update(before)


class SlurmGround(Ground):
    """A Slurm cluster of two nodes; the driver only watches."""

    name = "slurm"
    detached = True

    def __init__(self, root: Path, *, tasks: int, workers: int):
        super().__init__(root, tasks=tasks, workers=workers)
        self._module = from_tests("clusters/slurm_cluster.py")
        self._dead: dict[str, float] = {}

    @classmethod
    def why_not(cls) -> str | None:
        """Why there can be no cluster."""
        found: str | None = from_tests("clusters/slurm_cluster.py").SlurmCluster.why_not()
        return found

    def start(self) -> None:
        """Start munge, the controller and the nodes."""
        self._folder = Path(f"/tmp/dwslurm{os.getpid()}")
        self._folder.mkdir()
        self.cluster = self._module.SlurmCluster(self._folder, nodes=2, cpus=1)
        self.cluster.start()

    def stop(self) -> None:
        """End all jobs and daemons."""
        self.cluster.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """Where the cluster's configuration is."""
        return dict(self.cluster.environment)

    def arguments(self) -> list[str]:
        """Jobs are submitted and watched to their end."""
        return ["--wait"]

    def execution(self, *, skew: bool = False) -> dict[str, Any]:
        """With as many retries as a night of faults may need; with ``skew`` every second task has another clock."""
        slurm: dict[str, Any] = {"retries": 20}
        if skew:
            setting = " ".join(f"{key}={value}" for key, value in skewed(3).items())
            slurm["setup"] = f'if [ "$((${{SLURM_ARRAY_TASK_ID:-0}} % 2))" = 1 ]; then export {setting}; fi'
        return super().execution(skew=skew) | {"cpus": 1, "memory_gb": 1.0, "slurm": slurm}

    def kill(self, kind: str, driver: Driver, place: str, rng: random.Random) -> bool:
        """Kill the process of a running task, or a node."""
        if kind == "node":
            alive = [node for node in self.cluster.nodes if node not in self._dead]
            node = rng.choice(alive)
            self.cluster.kill_node(node)
            self._dead[node] = time.monotonic()
            return True
        running = [job["id"] for job in self.cluster.jobs() if job["state"] == "RUNNING"]
        processes = [pid for job in running for pid in self.cluster.processes_of(job)]
        return bool(processes) and killed(rng.choice(processes))

    def tend(self) -> None:
        """Bring dead nodes back, and let jobs that were queued again begin without their usual two minutes."""
        for node, since in list(self._dead.items()):
            if time.monotonic() - since > _AWAY_S:
                self.cluster.start_node(node)
                del self._dead[node]
        with contextlib.suppress(subprocess.SubprocessError):
            self.cluster.hasten()


class JobsGround(Ground):
    """Hugging Face Jobs of a Hub on this machine, and the run in an S3 store on this machine."""

    name = "jobs"
    kinds = ("worker", "driver")

    @classmethod
    def why_not(cls) -> str | None:
        """Why there can be no store."""
        import importlib.util

        missing = [name for name in ("moto", "s3fs") if importlib.util.find_spec(name) is None]
        return f"{' and '.join(missing)} not installed: pip install 'moto[server]' s3fs" if missing else None

    def start(self) -> None:
        """Start the Hub and the store."""
        from deepwriting.hub.local.server import LocalHub

        self._stack = contextlib.ExitStack()
        self.hub = self._stack.enter_context(LocalHub(self.root / "hub", jobs=True).running())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (self.root / "store.txt").open("wb") as output:
            store = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=output, stderr=output
            )  # fmt: skip
        self._stack.callback(lambda: (store.kill(), store.wait()))
        self._store = f"http://127.0.0.1:{port}"
        # For this process too, which reads the runs.
        os.environ.update(self._keys())
        end = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(OSError):
                request = urllib.request.Request(f"{self._store}/runs", method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                return
            if time.monotonic() > end:
                raise SystemExit(f"the store does not start; see {self.root / 'store.txt'}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End jobs, Hub and store."""
        self._stack.close()

    def _keys(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self._store, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Where Hub and store are; the copies of runs are in this ground's folder."""
        token = self.hub.store.tokens.of_role("write")
        return self._keys() | {
            "HF_ENDPOINT": self.hub.endpoint, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0",
            "DEEPWRITING_COPIES": str(self.disk()),
        }  # fmt: skip

    def disk(self) -> Path:
        """Where this machine's copies are, those of the jobs too."""
        return self.root / "copies"

    def place(self, name: str) -> str:
        """In the store."""
        return f"s3://runs/{name}"

    def execution(self, *, skew: bool = False) -> dict[str, Any]:
        """Quick to look after jobs."""
        return super().execution(skew=skew) | {"jobs": {"poll_s": 1, "retries": 5, "secrets": sorted(self._keys())}}

    def read(self, place: str) -> Path:
        """A copy of the run as it is in the store."""
        from deepwriting.remote.mirror import Mirror
        from deepwriting.remote.places import view_copy

        os.environ["DEEPWRITING_COPIES"] = str(self.root / "views")
        copy = view_copy(place)
        Mirror(copy).pull("", exact=True, vanishing=True)
        return copy

    def kill(self, kind: str, driver: Driver, place: str, rng: random.Random) -> bool:
        """Kill a job's process, with which the job ends, or the driver."""
        if kind == "driver":
            driver.kill()
            return True
        processes = self.running(place)
        return bool(processes) and killed(rng.choice(processes))

    def running(self, place: str) -> list[int]:
        """Processes of the search's jobs."""
        assert self.hub.store.jobs is not None
        jobs = self.hub.store.jobs.all(self.hub.store.tokens.user)
        searching = [job for job in jobs if job.labels.get("deepwriting_stage") == "search"]
        return [job.process.pid for job in searching if job.stage == "RUNNING" and job.process is not None]

    def skew(self, on: bool) -> None:
        """Give every second job another clock, or none any more."""
        from deepwriting.hub.local.jobs import Job, Jobs

        class SkewedJobs(Jobs):
            def start(self, namespace: str, spec: Any, *, endpoint: str) -> Job:
                environment = dict(spec.get("environment") or {})
                if int(environment.get("DATATROVE_JOB_ARRAY_INDEX", "0")) % 2:
                    environment |= skewed(3)
                return super().start(namespace, {**spec, "environment": environment}, endpoint=endpoint)

        assert self.hub.store.jobs is not None
        self.hub.store.jobs.close()
        self.hub.store.jobs = (SkewedJobs if on else Jobs)(self.hub.store.jobs.folder)


#: All grounds by name.
GROUNDS: dict[str, type[Ground]] = {
    ground.name: ground for ground in (LocalGround, RayGround, SlurmGround, JobsGround)
}  # fmt: skip
