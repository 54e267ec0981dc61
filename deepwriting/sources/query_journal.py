"""The journal of written queries: a run that is killed after ten thousand of them does not write them again.

One file a task, one JSON object a line (``deepwriting/journal.py``):

    {"event": "header", "settings": {"model": …, "seed": …, …}}
    {"event": "query", "passage": KEY, "query": …, "writer": …}
    {"event": "query", "passage": KEY, "reject": …, "detail": …}     no valid query: that is not tried again either

In memory are three numbers for each line of earlier lives (24 bytes), in sorted arrays: a million queries take 24 MB.
The queries of this life are not looked up, since no passage comes twice.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepwriting.journal import Event, JournalFile

#: Hexadecimal digits of a key that are compared first: 64 bits, so that they fit into an array.
_PREFIX_DIGITS = 16
_KEY = re.compile(r"[0-9a-f]{32}")


def passage_key(passage_id: str, text: str) -> str:
    """What a passage is known by: its id decides the seed and its text the prompt, so both count."""
    return hashlib.sha256(f"{passage_id}\x1f{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


class QueryJournal:
    """An append-only journal of queries that a model has written.

    Args:
        path: the file; made if it does not exist.
        settings: everything that decides what is written, by name.

    Raises:
        JournalError: if the file was written under other settings, or is damaged before its last line.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]):
        self._found = (array("Q"), array("Q"), array("Q"))  # beginning of the key, offset, length
        self._file = JournalFile(path, settings, belongs=_belongs, noted=self._note)
        keys, offsets, lengths = (np.frombuffer(column, dtype=np.uint64) for column in self._found)
        order = np.argsort(keys, kind="stable")
        self._keys, self._offsets, self._lengths = keys[order], offsets[order], lengths[order]
        del self._found

    def __len__(self) -> int:
        """Queries of earlier lives."""
        return len(self._keys)

    def _note(self, event: Event, offset: int, length: int) -> None:
        keys, offsets, lengths = self._found
        keys.append(_prefix(event["passage"]))
        offsets.append(offset)
        lengths.append(length)

    def known(self, key: str) -> Event | None:
        """What an earlier life has written for a passage, or ``None``."""
        prefix = np.uint64(_prefix(key))
        for at in range(int(np.searchsorted(self._keys, prefix)), len(self._keys)):
            if self._keys[at] != prefix:
                return None
            event = self._file.read(int(self._offsets[at]), int(self._lengths[at]))
            if event["passage"] == key:
                return event
        return None

    def write(self, key: str, **values: Any) -> None:
        """Append what came out for a passage; on disk before it returns, as far as killing this process goes."""
        self._file.append({"event": "query", "passage": key, **values})

    async def safe(self) -> None:
        """Wait until what was written outlives this machine, if it is to; see ``JournalFile.safe``."""
        await self._file.safe()

    def close(self) -> None:
        """Close the file, on the disk itself."""
        self._file.close()


def _prefix(key: str) -> int:
    return int(key[:_PREFIX_DIGITS], 16)


def _belongs(event: Event) -> bool:
    passage = event.get("passage")
    return event.get("event") == "query" and isinstance(passage, str) and _KEY.fullmatch(passage) is not None
