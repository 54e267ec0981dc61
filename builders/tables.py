"""One annotated document → the rows it contributes to each published table. Pure functions, no files.

    all       every row with its annotations and the decision about it
    default   the kept rows
    steps     every candidate of every search step, of kept and dropped rows alike
    sft       the kept rows as chat messages

A value that does not fit its column stops the build: a published table holds what ``schema.py`` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from deepwriting.builders.features import columns
from deepwriting.builders.values import checked
from deepwriting.errors import BuildError
from deepwriting.schema import assistant_turn

#: A document as datatrove's ``JsonlWriter`` writes it: ``text``, ``id`` and ``metadata``.
DocumentDict = Mapping[str, Any]
Record = dict[str, Any]


def document_row_id(document: DocumentDict) -> str:
    """Row id of a document.

    Raises:
        BuildError: if the document has none, which means that it never went through the search stage.
    """
    found = document.get("metadata", {}).get("row_id")
    if not isinstance(found, str) or not found:
        raise BuildError(f"document {document.get('id')!r} has no row_id in its metadata (found {found!r})")
    return found


def _full_row(document: DocumentDict) -> Record:
    # datatrove leaves empty fields out, so a document without text really lacks the key. A pair that no cleaning has
    # seen has nothing masked.
    record = {"pii_masked": 0, **document["metadata"], "answer": document.get("text")}
    keep, reasons = record.get("keep"), record.get("drop_reasons")
    if isinstance(keep, bool) and isinstance(reasons, list) and keep == bool(reasons):
        raise BuildError(
            f"row {record['row_id']}: keep is {keep} but drop_reasons is {reasons}; "
            "a dropped row needs a reason, a kept row has none"
        )
    return record


def _all(document: DocumentDict) -> Iterator[Record]:
    yield _full_row(document)


def _default(document: DocumentDict) -> Iterator[Record]:
    if document["metadata"].get("keep"):
        yield _full_row(document)


def _steps(document: DocumentDict) -> Iterator[Record]:
    row = document_row_id(document)
    trace = document["metadata"].get("trace")
    if not isinstance(trace, list) or not all(isinstance(entry, dict) for entry in trace):
        raise BuildError(f"row {row}: trace is {type(trace).__name__}; expected a list of step records")
    yield from ({**entry, "row_id": row} for entry in trace)


def _sft(document: DocumentDict) -> Iterator[Record]:
    for record in _default(document):
        if isinstance(record.get("thinking"), str) and isinstance(record.get("answer"), str):
            turn = assistant_turn(record["thinking"], record["answer"])
            messages = [{"role": "user", "content": record.get("query")}, {"role": "assistant", "content": turn}]
            yield {**record, "messages": messages}
        else:
            raise BuildError(f"row {record['row_id']}: a conversation needs thinking and answer as text")


_MAKERS: Mapping[str, Callable[[DocumentDict], Iterator[Record]]] = {
    "default": _default,
    "all": _all,
    "steps": _steps,
    "sft": _sft,
}


def rows(config: str, document: DocumentDict) -> Iterator[Record]:
    """Rows that one document contributes to one table, with the table's columns only and all values checked.

    Args:
        config: ``default``, ``all``, ``steps`` or ``sft``.
        document: one line of an annotated shard, parsed.

    Yields:
        Records with exactly the columns of the config, in order.

    Raises:
        BuildError: if the config is unknown, a required value is missing or a value has the wrong kind.
    """
    wanted = columns(config)
    row = document_row_id(document)
    for record in _MAKERS[config](document):
        yield {column.name: checked(record.get(column.name), column, row) for column in wanted}


def table(config: str, documents: Iterable[DocumentDict]) -> Iterator[Record]:
    """Rows of one table from many documents, in the documents' order; see ``rows``."""
    for document in documents:
        yield from rows(config, document)
