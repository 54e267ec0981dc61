"""A local vLLM or SGLang server that a run starts, watches and ends.

    this process ──starts──▶ supervisor.py ──starts, watches, restarts──▶ vLLM or SGLang
         └───── holds a shared lock: "I use it" ─────┘

Processes of one user on one machine that ask for the same server (same command, same devices) share it: a run with
several worker processes loads the model once. The server ends when the last of them closes it or dies. It listens on
the loopback interface only. Log, state and locks lie in one folder below the system's folder for temporary files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

from filelock import FileLock

from deepwriting.engines.models import ResolvedModel
from deepwriting.engines.server.locks import alive, free_port, lock_alone, lock_shared
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

#: A server that dies more often than this within the window (seconds) is given up.
MAX_RESTARTS, WINDOW_S = 5, 3600.0
#: A server that was ready and does not answer /health for this long is started again (seconds). Long, because a server
#: under full load may take a while.
UNHEALTHY_S = 300.0
#: Lines of the server's log that a message shows.
TAIL_LINES = 12
#: Environment variables with these beginnings decide what a server is, so they belong to its identity.
ENVIRONMENT = ("CUDA_", "HIP_", "ROCR_", "VLLM_", "SGLANG_", "SGL_")
#: How often the state of a starting or ending server is read (seconds).
LOOK_S = 0.1
#: How long the last user waits for the server's end (seconds); the supervisor kills what takes longer than its grace.
END_S = 60.0


@dataclass(frozen=True)
class ServerStart:
    """A local server to start.

    Attributes:
        program: what serves the model.
        arguments: more arguments for its command line, behind ours, for example ``("--max-model-len", "8192")``.
        port: a fixed port; a free one if ``None``. Several copies take this one and those behind it.
        ready_s: how long it may take to load the model (seconds).
        python: interpreter that has the program, often one of another environment; this one if ``None``.
        devices: GPUs that it sees, by their place among those that this process sees; all of these if empty.
        copies: servers of this kind, with an equal part of the devices each.
        listen: address to listen on; the default is reached from this machine only.
        mark: tells servers apart that are alike otherwise: processes share those of the same mark.
    """

    program: Literal["vllm", "sglang"]
    arguments: tuple[str, ...] = ()
    port: int | None = None
    ready_s: float = 600.0
    python: str | None = None
    devices: tuple[int, ...] = ()
    copies: int = 1
    listen: str = "127.0.0.1"
    mark: str = ""

    def __post_init__(self) -> None:
        """Recipes hold lists; a start is compared and hashed."""
        object.__setattr__(self, "arguments", tuple(self.arguments))
        object.__setattr__(self, "devices", tuple(self.devices))

    def each(self) -> list[ServerStart]:
        """The copies, each as a start of its own."""
        if self.copies == 1:
            return [self]
        part = len(self.devices) // self.copies
        return [
            replace(
                self,
                copies=1,
                port=self.port and self.port + number,
                devices=self.devices[number * part : (number + 1) * part],
                mark=f"{self.mark}{number + 1}",
            )
            for number in range(self.copies)
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that show the server its devices.

        Raises:
            EngineError: if a device is none of those that this process sees.
        """
        if not self.devices:
            return {}
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")  # a scheduler's choice: numbers or UUIDs
        if shown is None:
            return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, self.devices))}
        seen = [name.strip() for name in shown.split(",") if name.strip()]
        if missing := [device for device in self.devices if device >= len(seen)]:
            raise EngineError(
                f"start.devices names device {missing[0]}, but CUDA_VISIBLE_DEVICES={shown!r} shows this process "
                f"{len(seen)}; allowed: below {len(seen)}"
            )
        return {"CUDA_VISIBLE_DEVICES": ",".join(seen[device] for device in self.devices)}

    def command(self, model: ResolvedModel, port: int, dtype: str) -> list[str]:
        """The command line.

        Args:
            model: where the model's files are; served under the name that the recipe gives it.
            port: where to listen.
            dtype: precision to compute in; ``unknown`` leaves it to the server.
        """
        module, option, quiet = {
            # The log of a server that answers for weeks must not grow by a line with each request.
            "vllm": ("vllm.entrypoints.openai.api_server", "--model", "--uvicorn-log-level"),
            "sglang": ("sglang.launch_server", "--model-path", "--log-level-http"),
        }[self.program]
        python = self.python or sys.executable
        if os.sep in python:
            python = os.path.abspath(python)  # not resolved: a link is what makes it the interpreter of its environment
        path = model.path if model.on_hub else os.path.abspath(model.path)
        command = [python, "-m", module, option, path, "--served-model-name", model.name]
        command += ["--host", self.listen, "--port", str(port), quiet, "warning"]
        if model.on_hub and model.revision:
            command += ["--revision", model.revision]
        if dtype != "unknown":
            command += ["--dtype", dtype]
        return [*command, *self.arguments]


class ServerProcess:
    """This process's share in a local server.

    Args:
        start: the server.
        model: the model that it serves.
        dtype: precision to compute in; ``unknown`` leaves it to the server.
        secrets: environment variables for the server that stand nowhere else.

    Raises:
        EngineError: if the folder for its state belongs to somebody else, or a device is not to be had.
    """

    def __init__(
        self, start: ServerStart, model: ResolvedModel, *, dtype: str, secrets: Mapping[str, str] | None = None
    ):
        self.start = start
        self._secrets = dict(secrets or {})
        self.folder = _folder(start, model, dtype)
        self._users: IO[bytes] | None = open(self.folder / "users.lock", "a+b")  # noqa: SIM115 - until close
        try:
            with FileLock(self.folder / "start.lock"):
                self._join(self._users, model, dtype)
        except BaseException:
            self._users.close()
            raise

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def log_file(self) -> Path:
        """Where the server's output goes."""
        return self.folder / "server.log"

    def state(self) -> dict[str, Any]:
        """What the supervisor says: ``state``, ``reason``, ``server`` (its process id), ``restarts``, ``port``."""
        with contextlib.suppress(FileNotFoundError):
            return _read(self.folder / "state.json")
        return {"state": "starting", "reason": "", "supervisor": os.getpid()}  # another process is just starting it

    def wait_ready(self) -> None:
        """Wait until the server answers.

        Raises:
            EngineError: if it cannot be started, or is not ready in time; with the end of its log.
        """
        log.info("waiting for the %s server; its log is %s", self.start.program, self.log_file)
        while self.state()["state"] != "ready":
            if (why := self.failure()) is not None:
                raise EngineError(why)
            time.sleep(LOOK_S)
        log.info("the %s server on port %d is ready", self.start.program, self.port)

    def failure(self) -> str | None:
        """Why the server will not come back; ``None`` as long as it runs or is being started again."""
        state = self.state()
        if state["state"] == "failed":
            return f"the {self.start.program} server does not run: {state['reason']}. {self._tail()}"
        if not alive(state["supervisor"]):
            return f"the supervisor of the {self.start.program} server was killed. {self._tail()}"
        return None

    def close(self) -> None:
        """Give up this process's share; the last one waits until the server has ended. May be called twice."""
        users, self._users = self._users, None
        if users is None:
            return
        state = self.state()
        with users:
            if not lock_alone(users):  # others go on using it
                return
        end = time.monotonic() + END_S
        while alive(state["supervisor"]) and time.monotonic() < end:
            time.sleep(LOOK_S)

    def _join(self, users: IO[bytes], model: ResolvedModel, dtype: str) -> None:
        """Become a user of the server that runs, or start it; one process at a time does this."""
        lock_shared(users)  # waits while a server that nobody used any more is being ended
        with open(self.folder / "supervisor.lock", "a+b") as supervisor:
            if lock_alone(supervisor):
                self.port = self.start.port or free_port()
                self._begin(self.start.command(model, self.port, dtype), supervisor)
            else:
                self.port = int(_read(self.folder / "spec.json")["port"])
                log.info("using the %s server on port %d that is running already", self.start.program, self.port)

    def _begin(self, command: list[str], lock: IO[bytes]) -> None:
        """Start the supervisor; it inherits the lock that says that there is one."""
        (self.folder / "state.json").unlink(missing_ok=True)
        if self.log_file.exists():
            self.log_file.replace(self.folder / "server.log.1")
        spec = {
            "command": command, "environment": self.start.environment, "port": self.port, "ready_s": self.start.ready_s,
            "unhealthy_s": UNHEALTHY_S, "max_restarts": MAX_RESTARTS, "window_s": WINDOW_S,
        }  # fmt: skip
        (self.folder / "spec.json").write_text(json.dumps(spec))
        script = Path(__file__).with_name("supervisor.py")
        with open(self.folder / "supervisor.log", "wb") as output:
            subprocess.run(
                [sys.executable, "-I", str(script), str(self.folder)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                pass_fds=[lock.fileno()], check=True, env=os.environ | self._secrets,
            )  # fmt: skip
        lock.close()  # the supervisor's own copy goes on holding it
        while not (self.folder / "state.json").exists():
            if not self._supervised():
                said = (self.folder / "supervisor.log").read_text(errors="replace").strip()
                raise EngineError(f"the supervisor of the {self.start.program} server did not start: {said}")
            time.sleep(LOOK_S)

    def _supervised(self) -> bool:
        with open(self.folder / "supervisor.lock", "a+b") as lock:
            return not lock_alone(lock)

    def _tail(self) -> str:
        with contextlib.suppress(OSError), open(self.log_file, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
            lines = file.read().decode(errors="replace").splitlines()
            return "\n".join([f"The end of {self.log_file}:", *lines[-TAIL_LINES:]])
        return f"It has no log at {self.log_file}."


def _folder(start: ServerStart, model: ResolvedModel, dtype: str) -> Path:
    environment = {key: value for key, value in os.environ.items() if key.startswith(ENVIRONMENT)} | start.environment
    command = start.command(model, start.port or 0, dtype)
    what = [start.port, start.mark, model.revision, command, sorted(environment.items())]
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    parent = Path(tempfile.gettempdir()) / f"deepwriting-servers-{os.getuid()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    if parent.lstat().st_uid != os.getuid() or parent.is_symlink():
        raise EngineError(f"{parent} belongs to somebody else; set TMPDIR to a folder of your own")
    folder = parent / f"{start.program}-{digest}"
    folder.mkdir(exist_ok=True)
    return folder


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found
