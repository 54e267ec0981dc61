"""Locks, ports and processes: how processes of one machine find and outlive each other.

The locks are those of ``flock``: the kernel gives them back when the process that holds them is gone, however it ended.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import IO


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def lock_shared(file: IO[bytes]) -> None:
    """Take a shared lock, as one of several; waits for whoever has the exclusive one."""
    import fcntl  # not on Windows, where hosted servers can still be used

    fcntl.flock(file, fcntl.LOCK_SH)


def lock_alone(file: IO[bytes]) -> bool:
    """Take the exclusive lock if nobody else holds any; it goes when the file is closed."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def alive(pid: int) -> bool:
    """Whether a process runs. One that has ended and was not waited for, as in some containers, does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:  # no /proc (macOS), or it ended in between
        return not Path("/proc/self/stat").exists()
