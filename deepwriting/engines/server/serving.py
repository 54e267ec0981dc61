"""A recipe's servers on a machine of their own, for runs elsewhere: started, watched, and announced while they answer.

The servers are those of ``start`` under the same supervisor; here it is this process that uses them. An announcement
stands in the folder exactly as long as its server is ready: one that is being started again is withdrawn meanwhile.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from deepwriting.engines.models import ResolvedModel, resolve_model
from deepwriting.engines.server import announcement
from deepwriting.engines.server.announcement import Announcement
from deepwriting.engines.server.key import ApiKey
from deepwriting.engines.server.process import ServerProcess, ServerStart
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

#: How often the servers' states are read (seconds).
LOOK_S = 0.5
#: The variable from which vLLM takes a key. SGLang takes one only on its command line, where every user of the machine
#: can read it.
KEY_VARIABLE = "VLLM_API_KEY"


class Serving:
    """Serves a model until it is told to stop.

    Args:
        start: the servers.
        model: the model's name in the recipe.
        folder: where they are announced.
        revision: Hub revision of the model.
        dtype: precision to compute in; ``unknown`` leaves it to the servers.
        host: address by which others reach this machine; a loopback address keeps the servers to this machine.
        api_key_env: environment variable with the key that the servers ask for; ``None`` for none.

    Raises:
        EngineError: if a server cannot be started, or the host is unknown.
        ModelNotFoundError: if the model cannot be found.
        OSError: if the folder cannot be written to.
    """

    def __init__(
        self,
        start: ServerStart,
        model: str,
        folder: Path,
        *,
        revision: str | None,
        dtype: str,
        host: str,
        api_key_env: str | None,
    ):
        key = ApiKey(api_key_env)
        if api_key_env is not None and start.program != "vllm":
            raise EngineError(
                f"{start.program} would show its key to every user of the machine, so api_key_env is not allowed here; "
                "allowed: program vllm, or no key"
            )
        self.host, self.folder = host, folder
        self._here = _is_loopback(host)
        self._dtype, self._resolved = dtype, resolve_model(model, revision)
        folder.mkdir(parents=True, exist_ok=True)
        # Servers of their own: two commands on one machine are two servers, also where they are alike.
        start = replace(start, mark=secrets.token_hex(8), listen="127.0.0.1" if self._here else "0.0.0.0")
        self.start = start
        self.processes: list[ServerProcess] = []
        self._announced: dict[ServerProcess, Announcement] = {}
        self._beaten = time.monotonic()
        self._complaint = ""
        with ExitStack() as undo:
            undo.callback(self.close)
            for one in start.each():
                variables = key.environment(KEY_VARIABLE)
                self.processes.append(ServerProcess(one, self._resolved, dtype=dtype, secrets=variables))
            undo.pop_all()

    @property
    def urls(self) -> list[str]:
        """The servers' addresses as others reach them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return [f"http://{host}:{process.port}/v1" for process in self.processes]

    def run(self, stop: threading.Event, ready: Callable[[str, ServerProcess], None]) -> None:
        """Serve until ``stop`` is set.

        Args:
            stop: set by whoever ends it.
            ready: told the address and the process of a server that is announced, again after each new start.

        Raises:
            EngineError: if a server will not come back.
        """
        while not stop.is_set():
            now = time.monotonic()
            beat = now - self._beaten >= announcement.BEAT_SECONDS
            if beat:
                self._beaten = now
            for url, process in zip(self.urls, self.processes, strict=True):
                self._look(url, process, beat, ready)
            stop.wait(LOOK_S)

    def close(self) -> None:
        """Withdraw the announcements, then end the servers. May be called twice."""
        while self._announced:
            self._announced.popitem()[1].withdraw()
        for process in self.processes:
            process.close()

    def _look(self, url: str, process: ServerProcess, beat: bool, ready: Callable[[str, ServerProcess], None]) -> None:
        if (why := process.failure()) is not None:
            raise EngineError(why)
        announced = self._announced.get(process)
        is_ready = process.state()["state"] == "ready"
        try:
            if announced is not None and not is_ready:
                self._announced.pop(process).withdraw()
                log.warning("the server at %s is being started again", url)
            elif announced is not None and beat:
                announced.beat()
                self._complaint = ""
            elif announced is None and is_ready:
                self._announced[process] = Announcement(self.folder, url, self._about(process, self._resolved))
                self._complaint = ""
                ready(url, process)
        except OSError as error:  # a file system that is away for a while; the server itself is fine
            if self._complaint != str(error):  # it is tried again twice a second
                self._complaint = str(error)
                log.warning("%s cannot be written to: %s", self.folder, error)

    def _about(self, process: ServerProcess, model: ResolvedModel) -> dict[str, object]:
        return {
            "model": model.name,
            "revision": model.revision,
            "program": self.start.program,
            "dtype": self._dtype,
            "log": str(process.log_file),
        }


def own_name() -> str:
    """The name by which other machines are likely to reach this one.

    Raises:
        EngineError: if this machine does not even know it itself.
    """
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        raise EngineError(
            f"this machine's own name {name!r} leads nowhere ({error}); name an address as --host"
        ) from None
    return name


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
