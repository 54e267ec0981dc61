"""The files of a Reddit dump, and which task a line of them belongs to.

Every task reads all lines, since the comments on a submission of January may stand in the file of June; each keeps
those whose submission falls to it. That is told from the raw bytes where they leave no doubt, so that lines of other
tasks are not parsed.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datatrove.data import Document

from deepwriting.sources.base import Record
from deepwriting.sources.fields import identifier
from deepwriting.sources.files import COMPRESSIONS


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a dump that falls to one task.

    Attributes:
        column: where a record names its submission: ``id`` of submissions, ``link_id`` of comments.
        rank: the task.
        world_size: number of tasks.
    """

    column: str
    rank: int
    world_size: int

    def holds(self, owner: str) -> bool:
        """Whether the submission ``owner`` falls to this task."""
        return zlib.crc32(owner.encode("utf-8", errors="replace")) % self.world_size == self.rank

    def holds_record(self, location: str, record: Record) -> bool:
        """Whether a record, or the reject in its place, falls to this task; exactly one task says yes."""
        owner = None if isinstance(record, Document) else submission_of(record, self.column)
        return self.holds(owner or location)


def submission_of(record: Mapping[str, Any], column: str) -> str | None:
    """The submission that a record names, without Reddit's ``t3_``; ``None`` when it names none."""
    own = identifier(record, column)
    return own.removeprefix("t3_") if own else None


def dump_files(files: list[str]) -> tuple[list[str], list[str]]:
    """Tell a dump's files of submissions from those of comments by name; others are left out.

    Returns:
        Files of submissions, files of comments.
    """
    submissions, comments = [], []
    for file in files:
        base = file.rpartition("/")[2]
        for compression in COMPRESSIONS:
            base = base.removesuffix(compression)
        _, dot, ending = base.rpartition(".")
        if dot and ending not in ("jsonl", "ndjson", "json", "parquet"):
            continue
        if base.startswith("RS") or "submissions" in base.lower():
            submissions.append(file)
        elif base.startswith("RC") or "comments" in base.lower():
            comments.append(file)
    return submissions, comments
