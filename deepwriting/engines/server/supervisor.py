"""The process that keeps a local model server running: starts it, watches it, starts it again, ends it.

Run as a script by ``process.py``; it imports nothing but the standard library. It lives for as long as somebody
uses the server, and that is asked of the kernel: every user holds a shared lock on a file, which goes with the process
however that ends, ``kill -9`` included. When the exclusive lock can be had, nobody is left. The server itself is told
by the kernel to end when this process does (Linux).

What happens is written to ``state.json``, the server's output to ``server.log``, both in the folder of the
specification that is this script's only argument.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

#: How often the server and its users are looked after (seconds).
TICK_S = 0.2
#: How often a running server is asked for its health, and how long one answer may take (seconds).
HEALTH_EVERY_S, HEALTH_ANSWER_S = 10.0, 10.0
#: How long a server gets to end by itself (seconds).
GRACE_S = 10.0
#: Pause before the server is started again (seconds): the memory of a GPU is given back with a delay.
REST_S = 2.0
#: Files that processes find each other by.
LOCKS = ("users.lock", "supervisor.lock", "start.lock", "spec.json", "state.json")
#: prctl's option that names the signal for the parent's death (linux/prctl.h).
PR_SET_PDEATHSIG = 1


class Supervisor:
    """Runs one server.

    Args:
        folder: where specification, state, log and locks are.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
        self.users = open(folder / "users.lock", "r+b")  # noqa: SIM115 - held until this process ends
        self.child: subprocess.Popen[bytes] | None = None
        self.deaths: deque[float] = deque()
        self.restarts = 0
        self.was_ready = False
        self.asked_to_end = False
        self._prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def run(self) -> None:
        """Supervise until nobody uses the server, or it cannot be kept running."""
        signal.signal(signal.SIGTERM, self._end)
        reason = "it was not started"
        try:
            while (reason := self._life()) and self._worth_another():
                self._note("restarting", reason)
                self.restarts += 1
                self._wait(REST_S)
            if reason:
                self._note("failed", reason)
        finally:
            self._kill()

    def _life(self) -> str:
        """One life of the server; returns why it ended, or nothing if nobody needs it any more."""
        with open(self.folder / "server.log", "ab") as log:
            log.write(f"--- start {self.restarts + 1}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
            log.flush()
            try:
                self.child = subprocess.Popen(
                    self.spec["command"],
                    env=os.environ | self.spec["environment"],
                    cwd=self.folder,  # `python -m` looks for modules here first: nobody's own may hide one
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # its own group, so that its helpers can be ended with it
                    preexec_fn=self._end_with_parent,
                )
            except OSError as error:
                return f"{self.spec['command'][0]} cannot be run: {error}"
        self._note("starting")
        begun = healthy = asked = time.monotonic()
        ready = False
        while not self._nobody_left():
            time.sleep(TICK_S)
            now = time.monotonic()
            code = self.child.poll()
            if code is not None:
                self._kill()
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
                return f"it {how}" if ready else f"it {how} before it was ready"
            if ready and now - asked < HEALTH_EVERY_S:
                continue
            asked = now
            self._keep_locks()
            if self._answers():
                healthy = time.monotonic()
                if not ready:
                    ready = self.was_ready = True
                    self._note("ready")
            elif not ready and now - begun > self.spec["ready_s"]:
                self._kill()
                return f"it was not ready after {self.spec['ready_s']:g} s (ready_s)"
            elif ready and now - healthy > self.spec["unhealthy_s"]:
                self._kill()
                return f"it did not answer /health for {self.spec['unhealthy_s']:g} s"
        return ""

    def _worth_another(self) -> bool:
        """Whether the server is started again: it has been ready once, and did not die too often lately."""
        now = time.monotonic()
        self.deaths.append(now)
        while now - self.deaths[0] > self.spec["window_s"]:
            self.deaths.popleft()
        return self.was_ready and len(self.deaths) <= self.spec["max_restarts"] and not self._nobody_left()

    def _keep_locks(self) -> None:
        """Keep the locks' files young: systems delete what has not been touched in /tmp for some days."""
        for name in LOCKS:
            with contextlib.suppress(OSError):
                os.utime(self.folder / name)

    def _answers(self) -> bool:
        for path in ("/health", "/v1/models"):
            connection = http.client.HTTPConnection("127.0.0.1", self.spec["port"], timeout=HEALTH_ANSWER_S)
            try:
                connection.request("GET", path)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()
            if status != 404:  # 404: a server that does not know /health
                return status == 200
        return False

    def _nobody_left(self) -> bool:
        if self.asked_to_end:
            return True
        try:
            fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        self.asked_to_end = True  # the lock is kept: who comes now waits until this process is gone
        return True

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._nobody_left():
            time.sleep(TICK_S)

    def _kill(self) -> None:
        """End the server and its helpers."""
        child, self.child = self.child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_S)
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def _end(self, *_: object) -> None:
        self.asked_to_end = True

    def _end_with_parent(self) -> None:
        if self._prctl is not None:
            self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def _note(self, state: str, reason: str = "") -> None:
        note = {
            "state": state,
            "reason": reason,
            "supervisor": os.getpid(),
            "server": self.child.pid if self.child else None,
            "restarts": self.restarts,
            "port": self.spec["port"],
        }
        draft = self.folder / "state.json.new"
        draft.write_text(json.dumps(note))
        draft.replace(self.folder / "state.json")


def main() -> None:
    """Leave the starting process behind, then supervise."""
    if os.fork():
        os._exit(0)  # the starter waits for this one, and so never has a child that it forgot
    Supervisor(Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()
