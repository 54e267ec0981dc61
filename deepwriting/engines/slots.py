"""Dealing out devices to the worker processes of one machine, without a process that deals.

Every process takes the first free slot: the first device that nobody has, then the first that one process has, and so
on. A slot is a lock on a file; the kernel gives it back when its process is gone, however that ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from deepwriting.engines.server.locks import lock_alone
from deepwriting.errors import EngineError

#: Processes that one device takes before something must be wrong.
MAX_ROUNDS = 1000


class DeviceSlot:
    """One process's place at a device.

    Args:
        devices: what is dealt out, in order.
        what: whose devices they are: engines that differ in it are dealt to separately, so that a generator and a
            scorer that share a list both spread over it.

    Attributes:
        device: the device.
        number: how many places before this one are taken.

    Raises:
        EngineError: if the folder for the slots belongs to somebody else.
    """

    def __init__(self, devices: Sequence[str], what: str):
        self._file: IO[bytes] | None = None
        folder = _folder(devices, what)
        for self.number in range(MAX_ROUNDS * len(devices)):
            self.device = devices[self.number % len(devices)]
            file = open(folder / f"{self.number:04d}.lock", "a+b")  # noqa: SIM115 - held until close
            if lock_alone(file):
                self._file = file
                return
            file.close()
        raise EngineError(f"the {len(devices)} devices have {MAX_ROUNDS} processes each; that is the most")

    def __enter__(self) -> DeviceSlot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the place back. May be called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _folder(devices: Sequence[str], what: str) -> Path:
    # Which device "cuda:0" is depends on what a scheduler shows this process.
    key = json.dumps([list(devices), what, os.environ.get("CUDA_VISIBLE_DEVICES")])
    parent = Path(tempfile.gettempdir()) / f"deepwriting-devices-{os.getuid()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    if parent.lstat().st_uid != os.getuid() or parent.is_symlink():
        raise EngineError(f"{parent} belongs to somebody else; set TMPDIR to a folder of your own")
    folder = parent / hashlib.sha256(key.encode()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    return folder
