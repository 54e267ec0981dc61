"""A Ray cluster before any work: connecting to it, and whether its nodes can do what a recipe asks for."""

from __future__ import annotations

import logging
import os
import platform
import secrets
import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deepwriting
from deepwriting.errors import ExecutorError
from deepwriting.remote.places import url_of

log = logging.getLogger(__name__)

#: How long the nodes may take to answer (seconds): each starts a process for it.
ANSWER_SECONDS = 120.0
#: How long the head of the cluster may take to be reached (seconds).
KNOCK_SECONDS = 15.0
_GIB = 1 << 30


@dataclass(frozen=True)
class Needs:
    """What one worker takes from a node: processors, GPUs, and memory (bytes)."""

    cpus: int
    gpus: int
    memory: int

    def fit(self, node: Node) -> bool:
        """Whether a node that does nothing else can hold it."""
        return self.cpus <= node.cpus and self.gpus <= node.gpus and self.memory <= node.memory

    def __str__(self) -> str:
        return f"{self.cpus} CPUs, {self.gpus} GPUs and {self.memory / _GIB:.1f} GB"


@dataclass(frozen=True)
class Node:
    """A node of the cluster: Ray's id, its address, and what it has; memory in bytes."""

    id: str
    address: str
    cpus: float
    gpus: float
    memory: float

    def __str__(self) -> str:
        return f"{self.address} ({self.cpus:.0f} CPUs, {self.gpus:.0f} GPUs, {self.memory / _GIB:.1f} GB)"


def connect(address: str) -> None:
    """Connect this process to a cluster; once is enough for its lifetime.

    Args:
        address: ``host:port``, ``ray://host:port``, ``auto`` for the one of this machine, or ``local`` for a new one
            that ends with this process.

    Raises:
        ExecutorError: if Ray is not installed, or no cluster answers there.
    """
    try:
        import ray
    except ImportError:
        raise ExecutorError("executor 'ray' needs the package ray, which is not installed") from None
    if ray.is_initialized():
        return
    _knock(address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ExecutorError(f"there is no Ray cluster at execution.ray.address {address!r}: {said[0]}") from error
    else:
        # Ray prints what it thinks of every death on stdout, which belongs to the command's own results.
        ray._private.worker._worker_logs_enabled = False
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own one leaves with the signal's number as exit code


def _knock(address: str) -> None:
    """Look whether anybody answers at ``host:port``: Ray itself tries that for ever.

    Raises:
        ExecutorError: if nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ExecutorError(f"there is no Ray cluster at execution.ray.address {address!r}: {error}") from error


def alive_nodes() -> list[Node]:
    """The nodes of the cluster that live."""
    import ray

    found = []
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            cpus, gpus, memory = (float(has.get(name, 0)) for name in ("CPU", "GPU", "memory"))
            found.append(Node(node["NodeID"], node["NodeManagerAddress"], cpus, gpus, memory))
    return found


def check_nodes(run: Path, needs: Mapping[str, Needs]) -> None:
    """Look whether the nodes can do the work.

    Args:
        run: the run's folder, which all nodes have to see.
        needs: what one task takes, by stage.

    Raises:
        ExecutorError: if a node lacks this package, has another version of it, or does not see the folder; or if no
            node can hold a task of some stage.
    """
    nodes = alive_nodes()
    for stage, need in needs.items():
        if not any(need.fit(node) for node in nodes):
            largest = max(nodes, key=lambda node: (node.gpus, node.cpus, node.memory))
            raise ExecutorError(
                f"a task of stage {stage!r} needs {need}, more than any node of the Ray cluster has; the largest is "
                f"{largest}"
            )
    remote = url_of(run) is not None  # then each node makes a copy of its own
    run.mkdir(parents=True, exist_ok=True)
    proof = run / f".seen-{secrets.token_hex(8)}"
    proof.touch()
    try:
        answers = _ask(nodes, proof, shared=not remote)
    finally:
        proof.unlink()
    wrong = [f"{node.address} {fault}" for node, fault in answers.items() if fault is not None]
    if wrong:
        more = f"; and {len(wrong) - 1} more nodes" if len(wrong) > 1 else ""
        raise ExecutorError(f"node {wrong[0]}{more}")


def _ask(nodes: list[Node], proof: Path, *, shared: bool) -> dict[Node, str | None]:
    """What is wrong with each node that answers; ``None`` if nothing is."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(_looker())
    calls = {
        look.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)
        ).remote(str(proof)): node
        for node in nodes
    }
    done, late = ray.wait(list(calls), num_returns=len(calls), timeout=ANSWER_SECONDS)
    for call in late:
        log.warning("node %s of the Ray cluster does not answer", calls[call].address)
        ray.cancel(call, force=True)
    found = {}
    for call in done:
        try:
            found[calls[call]] = _fault(ray.get(call), proof, shared=shared)
        except ray.exceptions.RayError as error:  # it has died meanwhile: Ray will place nothing there
            log.warning("node %s of the Ray cluster: %s", calls[call].address, str(error).splitlines()[0])
    return found


def _fault(answer: dict[str, Any], proof: Path, *, shared: bool) -> str | None:
    if answer["error"] is not None:
        return f"cannot import deepwriting with its Python {answer['python']}: {answer['error']}"
    if answer["version"] != deepwriting.__version__:
        return f"has deepwriting {answer['version']}; this machine has {deepwriting.__version__}"
    if answer["python"] != platform.python_version():
        log.warning("a node has Python %s, this machine %s", answer["python"], platform.python_version())
    return None if answer["seen"] or not shared else f"does not see the run's folder {proof.parent}"


def _looker() -> Any:
    """What a node runs; made here so that it is pickled as a whole: the package may be missing there."""

    def look(proof: str) -> dict[str, Any]:
        answer = {"python": platform.python_version(), "seen": os.path.exists(proof), "version": None, "error": None}
        try:
            import deepwriting.executors.task
        except ImportError as error:
            answer["error"] = str(error)
        else:
            answer["version"] = deepwriting.__version__
        return answer

    return look
