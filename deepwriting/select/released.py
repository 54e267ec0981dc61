"""Pairs of an earlier release, so that a new version adds only new ones.

Three layouts are read, all from Parquet or JSON lines on any fsspec file system:

    a dataset folder of ours      data/default/*.parquet with query and answer
    any table                     columns query and answer
    the original DeepWriting-20K  prompt (messages, or text) and solution (<think>…</think> before the answer)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from datatrove.data import Document
from datatrove.io import DataFolder

from deepwriting.errors import SourceError
from deepwriting.schema import normalise, pair_id
from deepwriting.sources.base import PairReader
from deepwriting.sources.fields import RecordError, identifier, text_field
from deepwriting.sources.files import find_files

#: Where our builder puts the rows of the default config: those that were released, without what was dropped.
_OURS = re.compile(r"(?:^|/)data/default/[^/]*\.parquet$")
#: The thinking in front of an answer in the training layout.
_THINKING = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_ID_COLUMNS = ("row_id", "id", "source_id", "uuid")


def released_files(path: str) -> tuple[DataFolder, list[str]]:
    """The files of an earlier release.

    Raises:
        SourceError: if there are none.
    """
    try:
        return find_files(path, ReleasedPairs.suffixes)
    except SourceError as error:
        raise SourceError(f"dedupe.earlier_release: {error}") from None
    except OSError as error:
        raise SourceError(f"dedupe.earlier_release: path {path!r} cannot be read: {error}") from error


class ReleasedPairs(PairReader):
    """Reads the pairs of an earlier release; what is no pair comes as a rejected document.

    Args:
        path: dataset folder, folder, file or glob.
        position: the release's place in the recipe's list.
    """

    name = "🗃 Earlier release"

    def __init__(self, path: str, position: int):
        super().__init__(path, name=path, license="")
        self.position = position

    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield a document for each row; its ``place`` is where it stands in the release."""
        ours = [file for file in files if _OURS.search(file)]
        for number, file in list(enumerate(ours or files))[rank::world_size]:
            readable = 0
            unreadable = None
            for row, (location, record) in enumerate(self.records(folder, file)):
                doc = self.checked(location, record, self._read)
                doc.metadata["place"] = [self.position, number, row]
                if isinstance(record, Document) or doc.metadata.get("reject") != "missing_columns":
                    readable += 1
                else:
                    unreadable = doc.metadata.get("reject_detail")
                yield doc
            if unreadable and not readable:
                raise SourceError(f"no row of {file!r} in {self.path!r} is a pair: {unreadable}")

    def _read(self, location: str, record: dict[str, Any]) -> Document:
        if "query" in record and "answer" in record:
            query = text_field(record, "query", empty="empty_query")
            answer = text_field(record, "answer", empty="empty_answer")
        elif "prompt" in record and "solution" in record:
            query = _request(record["prompt"])
            answer = _THINKING.sub("", text_field(record, "solution", empty="empty_answer"))
        else:
            found = ", ".join(str(column)[:40] for column in list(record)[:20]) or "none"
            raise RecordError("missing_columns", f"neither query and answer nor prompt and solution; found {found}")
        query, answer = normalise(query), normalise(answer)
        if not query or not answer:
            raise RecordError("empty_answer" if query else "empty_query", "no text is left")
        row = next((known for column in _ID_COLUMNS if (known := identifier(record, column))), location)
        doc = self.pair(query, answer, row)
        doc.id = pair_id(query, answer)
        return doc


def _request(prompt: Any) -> str:
    """The user's request: a text, or the last user turn of messages."""
    if isinstance(prompt, str):
        return prompt
    turns = [turn for turn in prompt if isinstance(turn, dict)] if isinstance(prompt, list) else []
    for turn in reversed(turns):
        if turn.get("role") == "user" and isinstance(turn.get("content"), str):
            return str(turn["content"])
    raise RecordError("wrong_type", f"prompt is {type(prompt).__name__} without a user's turn")
