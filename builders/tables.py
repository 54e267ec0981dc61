"""One annotated document → the rows it contributes to each published table. Pure functions, no files.

    all             every row with its annotations and the decision about it
    default         the kept rows; no-reflection, short, long and no-literature are parts of such rows
    steps           every candidate of every search step, of kept and dropped rows alike
    preferences     the best edit of each kept row, and what it beat
    sft             the kept rows as chat messages; sft-reasoning with the thinking in a field of its own
    verl            the kept rows in the layout of the original release
    initial         the kept rows as they were before the search

Which documents a table is made of is decided in ``selection.py``. A value that does not fit its column stops the build:
a published table holds what ``schema.py`` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from deepwriting.builders.ablations import initial_maker
from deepwriting.builders.features import columns
from deepwriting.builders.preferences import preference
from deepwriting.builders.values import checked
from deepwriting.errors import SchemaError
from deepwriting.schema import ALL_COLUMNS, assistant_turn
from deepwriting.sections.outcome import FiltersSection
from deepwriting.select.taxonomy import DOMAIN_OF

#: A document as datatrove's ``JsonlWriter`` writes it: ``text``, ``id`` and ``metadata``.
DocumentDict = Mapping[str, Any]
Record = dict[str, Any]
#: Texts that no row may leave empty.
_FILLED = ("query", "thinking", "answer")


def document_row_id(document: DocumentDict) -> str:
    """Row id of a document.

    Raises:
        SchemaError: if the document has none, which means that it never went through the search stage.
    """
    found = document.get("metadata", {}).get("row_id")
    if not isinstance(found, str) or not found:
        raise SchemaError(f"document {document.get('id')!r} has no row_id in its metadata (found {found!r})")
    return found


def _full_row(document: DocumentDict) -> Record:
    """The row of config ``all``, checked."""
    # datatrove leaves empty fields out, so a document without text really lacks the key. A pair that no cleaning has
    # seen has nothing masked.
    found = {"pii_masked": 0, **document["metadata"], "answer": document.get("text")}
    row = document_row_id(document)
    record = {column.name: checked(found.get(column.name), column, row) for column in ALL_COLUMNS}
    if record["keep"] == bool(record["drop_reasons"]):
        raise SchemaError(
            f"row {row}: keep is {record['keep']} but drop_reasons is {record['drop_reasons']}; "
            "a dropped row needs a reason, a kept row has none"
        )
    if empty := [name for name in _FILLED if not record[name].strip()]:
        raise SchemaError(f"row {row}: column {empty[0]!r} is empty; expected a text")
    category, domain = record["category"], record["domain"]
    if category not in DOMAIN_OF:
        raise SchemaError(f"row {row}: category {category!r} is not in the taxonomy; allowed: {', '.join(DOMAIN_OF)}")
    if domain != DOMAIN_OF[category]:
        raise SchemaError(f"row {row}: domain {domain!r} is not that of {category!r}, which is {DOMAIN_OF[category]!r}")
    return record


def _trace(document: DocumentDict) -> list[Record]:
    trace = document["metadata"].get("trace")
    if not isinstance(trace, list) or not all(isinstance(entry, dict) for entry in trace):
        raise SchemaError(
            f"row {document_row_id(document)}: trace is {type(trace).__name__}; expected a list of step records"
        )
    row, wanted = document_row_id(document), columns("steps")
    entries = ({**entry, "row_id": row} for entry in trace)
    return [{column.name: checked(entry.get(column.name), column, row) for column in wanted} for entry in entries]


def _as_it_is(row: Record, document: DocumentDict) -> Iterator[Record]:
    yield row


def _preferences(row: Record, document: DocumentDict) -> Iterator[Record]:
    yield from preference(row, _trace(document))


def _sft(row: Record, document: DocumentDict) -> Iterator[Record]:
    turn = assistant_turn(row["thinking"], row["answer"])
    yield {**row, "messages": [_user(row), {"role": "assistant", "content": turn}]}


def _sft_reasoning(row: Record, document: DocumentDict) -> Iterator[Record]:
    asked = _user(row) | {"reasoning_content": ""}
    turn = {"role": "assistant", "content": row["answer"], "reasoning_content": row["thinking"]}
    yield {**row, "messages": [asked, turn]}


def _verl(row: Record, document: DocumentDict) -> Iterator[Record]:
    yield {
        "data_source": row["source"],
        "prompt": [_user(row)],
        "ability": "writing",
        "reward_model": {"ground_truth": "", "style": "rule"},
        "extra_info": {"index": row["row_id"]},
        "solution": assistant_turn(row["thinking"], row["answer"]),
    }


def _user(row: Record) -> dict[str, str]:
    return {"role": "user", "content": row["query"]}


#: How the configs of kept rows are made from one; those that are absent hold the row as it is.
_MAKERS: Mapping[str, Callable[[Record, DocumentDict], Iterator[Record]]] = {
    "preferences": _preferences,
    "sft": _sft,
    "sft-reasoning": _sft_reasoning,
    "verl": _verl,
}
#: The maker of ``initial`` loads the filters, so one serves all rows.
_initial_maker = cache(initial_maker)


def rows(config: str, document: DocumentDict, filters: FiltersSection | None = None) -> Iterator[Record]:
    """Rows that one document contributes to one table, with the table's columns only and all values checked.

    Args:
        config: one of ``schema.CONFIG_COLUMNS``.
        document: one line of an annotated shard, parsed.
        filters: thresholds by which the rows of ``initial`` are measured again; None means the defaults.

    Yields:
        Records with exactly the columns of the config, in order.

    Raises:
        BuildError: if the config is unknown.
        SchemaError: if a required value is missing, a value has the wrong kind, or values contradict each other.
    """
    wanted = columns(config)
    if config == "steps":
        yield from _trace(document)
        return
    row = _full_row(document)
    if config != "all" and not row["keep"]:
        return
    if config == "initial":
        row = _initial_maker(filters or FiltersSection.model_validate({}))(row)
    for record in _MAKERS.get(config, _as_it_is)(row, document):
        yield {column.name: checked(record.get(column.name), column, row["row_id"]) for column in wanted}


def table(config: str, documents: Iterable[DocumentDict], filters: FiltersSection | None = None) -> Iterator[Record]:
    """Rows of one table from many documents, in the documents' order; see ``rows``."""
    for document in documents:
        yield from rows(config, document, filters)
