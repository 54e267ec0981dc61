"""WildChat's conversations, LongWriter's messages and plain pairs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from synthetic import words
from synthetic.dirt import Dirt, Row

#: What conversations are that no pair comes of, as shares of all.
OTHER_CHATS = {"not_writing": 0.30, "toxic": 0.04, "redacted": 0.03, "foreign": 0.10, "no_answer": 0.005}
#: Rows of a Parquet file, and of one row group.
_FILE_ROWS, _GROUP_ROWS = 50_000, 2_000
#: LongWriter's answers are long (words).
_LONG_WORDS = (800, 4_000)


def write_wildchat(folder: Path, dirt: Dirt, count: int, seed: int) -> Iterator[Row]:
    """Write conversations as Parquet; yield what is planted and what is no pair (with that as kind)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    rng, batch, writer = random.Random(f"wildchat:{seed}"), list[dict[str, Any]](), None
    for index in range(count):
        other = rng.choices([*OTHER_CHATS, ""], [*OTHER_CHATS.values(), 1 - sum(OTHER_CHATS.values())])[0]
        row = dirt.row(f"w{index:08x}", dirty=not other)
        if other:
            row.kind = other
            if dirt.recent and dirt.recent[-1] is row:
                dirt.recent.pop()
            if other == "not_writing":
                row.query = dirt.texts.other_request()
            elif other == "foreign":
                row.language = rng.choice(sorted(words.OTHERS))
                row.query, row.answer = dirt.texts.request(row.language), dirt.texts.answer(row.language)
        batch.append(_conversation(row, rng))
        if len(batch) == _GROUP_ROWS or index == count - 1:
            table = pa.Table.from_pylist(batch, schema=_schema())
            if writer is None:
                writer = pq.ParquetWriter(folder / f"train-{index // _FILE_ROWS:05d}.parquet", table.schema)
            writer.write_table(table)
            batch = []
            if (index + 1) % _FILE_ROWS == 0 or index == count - 1:
                writer.close()
                writer = None
        if row.kind:
            yield row


def write_longwriter(folder: Path, dirt: Dirt, count: int, seed: int) -> Iterator[Row]:
    """Write messages as JSON lines; yield the planted rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"longwriter:{seed}")
    with (folder / "longwriter.jsonl").open("wb") as out:
        for index in range(count):
            row = dirt.row(f"l{index:07x}")
            if not row.kind:
                row.answer = dirt.texts.answer(row.language, rng.randint(*_LONG_WORDS))
            messages = [{"role": "user", "content": row.query}, {"role": "assistant", "content": row.answer}]
            out.write(orjson.dumps({"id": row.id, "messages": messages}) + b"\n")
            if row.kind:
                yield row


def write_pairs(folder: Path, dirt: Dirt, count: int) -> Iterator[Row]:
    """Write plain pairs as JSON lines, some thousands a file; yield the planted rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, count, _FILE_ROWS):
        with (folder / f"pairs-{first // _FILE_ROWS:05d}.jsonl").open("wb") as out:
            for index in range(first, min(count, first + _FILE_ROWS)):
                row = dirt.row(f"p{index:08x}")
                out.write(orjson.dumps({"id": row.id, "query": row.query, "answer": row.answer}) + b"\n")
                if row.kind:
                    yield row


def _conversation(row: Row, rng: random.Random) -> dict[str, Any]:
    toxic, redacted = row.kind == "toxic", row.kind == "redacted"
    person = {"hashed_ip": f"{rng.getrandbits(128):032x}", "state": "Somewhere", "country": "Nowhere"}
    # The layout names the language that the user wrote in.
    language = "English" if row.kind == "other_language" else row.language

    def turn(role: str, content: str) -> dict[str, Any]:
        return {"role": role, "content": content, "language": language, "toxic": toxic, "redacted": redacted, **person}

    turns = [turn("user", row.query)]
    if row.kind != "no_answer":
        turns.append(turn("assistant", row.answer))
    if rng.random() < 0.4 and row.kind != "no_answer":
        turns += [turn("user", "Make it shorter, please."), turn("assistant", row.answer[:400])]
    return {
        "conversation_hash": row.id, "model": rng.choice(("gpt-4", "gpt-3.5-turbo")),
        "timestamp": "2026-03-01 12:00:00",
        "conversation": turns, "turn": max(1, len(turns) // 2), "language": language, "toxic": toxic,
        "redacted": redacted, **person, "header": '{"user-agent": "x"}',
    }  # fmt: skip


def _schema() -> Any:
    import pyarrow as pa

    person = [("hashed_ip", pa.string()), ("state", pa.string()), ("country", pa.string())]
    turn = pa.struct(
        [("role", pa.string()), ("content", pa.string()), ("language", pa.string()), ("toxic", pa.bool_()),
         ("redacted", pa.bool_()), *person]
    )  # fmt: skip
    return pa.schema(
        [("conversation_hash", pa.string()), ("model", pa.string()), ("timestamp", pa.string()),
         ("conversation", pa.list_(turn)), ("turn", pa.int64()), ("language", pa.string()), ("toxic", pa.bool_()),
         ("redacted", pa.bool_()), *person, ("header", pa.string())]
    )  # fmt: skip
