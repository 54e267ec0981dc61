"""The clock that stamps the files of a folder, which may be another machine's.

How long ago a process on a far node wrote something is the difference of two times: when its file was stamped, and
now. On a network file system a server stamps the files, and its clock may be minutes away from this machine's. So the
present is asked of the same clock: a file is made, its stamp is read, the file is deleted.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

from deepwriting.lease import folder_now

#: Clocks drift, and are set: a folder's is asked again after this long (seconds).
ASK_AGAIN_SECONDS = 60.0


class FolderClock:
    """Tells the present as the files of a folder know it.

    Args:
        folder: the folder. Where nothing may be written into it, its clock cannot be asked: this machine's is taken.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._exact = True
        self._asked: float | None = None
        self._ahead = 0.0  # of this machine's monotonic clock

    def now(self) -> float:
        """The present (seconds since the epoch)."""
        here = time.monotonic()
        if self._asked is None or here - self._asked > ASK_AGAIN_SECONDS:
            self._exact = os.access(self.folder, os.W_OK)
            self._ahead = (folder_now(self.folder) if self._exact else time.time()) - here
            self._asked = here
        return here + self._ahead

    @property
    def exact(self) -> bool:
        """Whether the folder's clock could be asked."""
        self.now()
        return self._exact

    def age(self, stamp: float) -> float:
        """Seconds since a file of the folder was stamped, at least 0.

        A stamp from the future shows that a clock which could not be asked is ahead of this machine's.
        """
        age = stamp - self.now()
        if age > 0 and not self._exact:
            self._ahead += age
        return max(-age, 0.0)


@functools.lru_cache(maxsize=64)
def clock_of(folder: Path) -> FolderClock:
    """The clock of a folder (an absolute path), the same one for everybody in this process."""
    return FolderClock(folder)
