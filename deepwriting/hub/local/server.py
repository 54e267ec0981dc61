"""The server: listens, and answers every connection in a thread of its own."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Importing these registers their routes.
from deepwriting.hub.local import (  # noqa: F401
    api_buckets,
    api_control,
    api_files,
    api_jobs,
    api_refs,
    api_repos,
    api_uploads,
    api_xet,
)
from deepwriting.hub.local.handler import CutError, Handler
from deepwriting.hub.local.store import Store

if TYPE_CHECKING:
    from filelock import FileLock

LOOPBACK = "127.0.0.1"
#: How often it looks whether it shall stop (seconds).
_POLL = 0.05

log = logging.getLogger(__name__)


class LocalHub:
    """A Hub on this machine.

    Args:
        folder: where repositories are kept; made if it does not exist.
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        user: name of the user, where the folder is new.
        namespaces: organisations in whose names the user may write too.
        testing: whether it can be told to fail, and keeps a log of requests.
        jobs: whether it runs jobs, as processes on this machine.

    Raises:
        BlockingIOError: if another one serves the same folder.
        OSError: if it cannot listen there, or cannot use the folder.
        ValueError: if the folder's tokens cannot be read.

    Example:
        >>> with LocalHub(Path("hub-data")).running() as hub:
        ...     print(hub.endpoint, hub.store.tokens.of_role("write"))
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        user: str = "local",
        namespaces: tuple[str, ...] = (),
        testing: bool = False,
        jobs: bool = False,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        try:
            self.store = Store(folder, user, namespaces, testing=testing, jobs=jobs)
            self._server = HubServer((host, port), self.store)
        except BaseException:
            self._lock.release()
            raise

    @property
    def endpoint(self) -> str:
        """What clients need to know, for ``HF_ENDPOINT``."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def serve(self) -> None:
        """Answer until interrupted."""
        try:
            self._server.serve_forever(_POLL)
        finally:
            self._server.server_close()
            if self.store.jobs is not None:
                self.store.jobs.close()
            self._lock.release()

    @contextmanager
    def running(self) -> Iterator[LocalHub]:
        """Answer in the background while the block runs."""
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()


def _lock(folder: Path) -> FileLock:
    """Keep other servers away: branches are changed under locks of one process."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(f"another local Hub serves {folder}") from None
    return lock


class HubServer(ThreadingHTTPServer):
    """Listens, and has each connection handled in a thread.

    Args:
        address: host and port.
        store: what is served.
    """

    daemon_threads = True
    # Clients open several connections at once.
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], store: Store):
        super().__init__(address, Handler)
        self.store = store

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error; anything else is one of this server."""
        if isinstance(sys.exception(), (ConnectionError, TimeoutError, CutError)):
            log.debug("connection with %s ended early", client_address, exc_info=True)
        else:
            super().handle_error(request, client_address)
