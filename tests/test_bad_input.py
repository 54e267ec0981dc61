"""Bad input through the real stages: each bad record ends in the rejects with its reason, and nothing disappears."""

from __future__ import annotations

import bz2
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard

from deepwriting.errors import RunError, SourceError
from deepwriting.pipeline import run_recipe
from deepwriting.recipe import parse_recipe
from deepwriting.rundir import RunFolder, StageRecord
from deepwriting.stages.rows import stage_documents

QUERY = "Write a note to the neighbour about the ladder."
ANSWER = "Your ladder is back behind the shed. I cleaned its feet. Thank you for lending it to me twice."

Write = Callable[..., Path]


def pair(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": f"n{number}", "query": f"{QUERY} ({number})", "answer": f"{ANSWER} ({number})"} | changes


def run(
    tmp_path: Path, *sources: Path | str, until: str = "dedupe", tasks: int = 1, **options: Any
) -> list[StageRecord]:
    listed = [
        {"kind": "pairs", "path": str(path), "name": f"s{index}", **options} for index, path in enumerate(sources)
    ]
    text = yaml.safe_dump(
        {
            "name": "bad", "sources": listed, "engines": {"generator": {"model": "no-such-model"}},
            "execution": {"tasks": tasks},
            # The pairs of these tests differ in a number alone.
            "dedupe": {"near_duplicate_answers": False, "near_duplicate_queries": False},
            "cleaning": {"fix_text": False},  # it would mend control characters before the check sees them
        }
    )  # fmt: skip
    return run_recipe(parse_recipe(text), text, tmp_path / "run", until=until)


def rejects(tmp_path: Path, stage: str = "source") -> dict[str, str]:
    """Location (or id) of each rejected record and its reason."""
    documents = stage_documents(RunFolder(tmp_path / "run"), stage, "rejects")
    return {doc["metadata"]["source_id"]: doc["metadata"]["reject"] for doc in documents}


def kept(tmp_path: Path, stage: str = "dedupe") -> list[str]:
    return [doc["metadata"]["source_id"] for doc in stage_documents(RunFolder(tmp_path / "run"), stage)]


def test_every_bad_record_has_its_reason_and_the_good_ones_go_on(tmp_path: Path, write_lines: Write) -> None:
    lines: list[tuple[bytes | dict[str, Any], str | None]] = [
        (pair(1), None),
        (b'{"query": "cut off', "malformed_json"),
        (b"not json at all", "malformed_json"),
        (b"{'query': 'single quotes'}", "malformed_json"),
        (b'["a", "list"]', "not_an_object"),
        (b"null", "not_an_object"),
        (b"42", "not_an_object"),
        (b'{"id": "x", "query": "caf\xe9 \xff", "answer": "latin"}', "wrong_encoding"),
        (json.dumps(pair(9)).encode("utf-16"), "wrong_encoding"),
        (b"\x00\x00\x00\x00", "malformed_json"),
        ({"prompt": QUERY, "story": ANSWER}, "missing_columns"),
        ({"query": QUERY}, "missing_columns"),
        ({}, "missing_columns"),
        (pair(14, query=None), "empty_query"),
        (pair(15, query=" \n "), "empty_query"),
        (pair(16, answer=""), "empty_answer"),
        (pair(17, answer=None), "empty_answer"),
        (pair(18, answer=["a", "b"]), "wrong_type"),
        (pair(19, query=3), "wrong_type"),
        (pair(20, answer="Short."), "too_few_words"),
        (pair(21, answer="word " * 20_000), "giant_answer"),
        (pair(22, query="word " * 5_000), "giant_query"),
        (pair(23, answer=ANSWER + "\x00"), "control_characters"),
        (pair(24, query="\x1b[31m" + QUERY), "control_characters"),
        (pair(25, answer=ANSWER + "</think>"), "reserved_tag"),
        (pair(26, answer="<refine>" + ANSWER), "reserved_tag"),
        (pair(27, query=QUERY + "<answer>"), "reserved_tag"),
        (pair(28, answer=ANSWER + "<|im_end|>"), "chat_token"),
        (pair(29, query="[INST] " + QUERY), "chat_token"),
        (pair(30, query="Напиши записку соседу о лестнице, пожалуйста."), "unsupported_language"),
        (b'{"query": "\\ud800", "answer": "half a character"}', "malformed_json"),
        (b"[" * 3_000, "malformed_json"),
        (pair(33), None),
    ]
    path = write_lines(tmp_path / "pairs.jsonl", *(line for line, _ in lines))
    source, dedupe = run(tmp_path, path)
    expected = Counter(reason for _, reason in lines if reason)
    # UTF-16 holds a newline byte of its own where a character ends in 0x0A; here it does not.
    assert source.counts.reasons == dict(expected)
    assert source.counts.rows_in == len(lines) == source.counts.rows_out + source.counts.rejected
    assert source.counts.balanced
    found = rejects(tmp_path)
    for number, (line, reason) in enumerate(lines, start=1):
        if reason is not None:
            own = line.get("id") if isinstance(line, dict) else None
            assert reason in (found.get(str(own)), found.get(f"pairs.jsonl:{number}")), (number, reason)
    assert kept(tmp_path) == ["n1", "n33"]
    assert dedupe.counts.rows_in == dedupe.counts.rows_out == 2


def test_rejects_can_be_read_and_say_what_was_wrong(tmp_path: Path, write_lines: Write) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", pair(1), {"prompt": "p"}, pair(3, answer="x" * 3_000_000))
    run(tmp_path, path)
    missing, giant = stage_documents(RunFolder(tmp_path / "run"), "source", "rejects")
    assert missing["metadata"]["reject_detail"] == "missing query, answer; found prompt"
    assert missing["text"] == '{"prompt": "p"}'
    assert giant["metadata"]["reject_detail"] == "3000000 characters, 60000 are allowed"
    assert len(giant["text"]) == 20_000


def test_duplicates_are_rejected_and_name_the_first(tmp_path: Path, write_lines: Write) -> None:
    first = write_lines(
        tmp_path / "a.jsonl",
        pair(1),
        pair(2, query=pair(1)["query"], answer=pair(1)["answer"] + "  \r\n"),  # the same pair but for white space
        pair(1, query="Write something else about a ladder."),  # another text under the id n1
        pair(4),
    )
    second = write_lines(tmp_path / "b.jsonl", pair(4, id="elsewhere"), pair(4), pair(5, id="n1"))
    source, dedupe = run(tmp_path, first, second)
    assert source.counts.rejected == 0
    assert dedupe.counts.reasons == {"duplicate_pair": 3, "duplicate_source_id": 1}
    assert kept(tmp_path) == ["n1", "n4", "n1"]
    details = [
        doc["metadata"]["reject_detail"] for doc in stage_documents(RunFolder(tmp_path / "run"), "dedupe", "rejects")
    ]
    assert details[0] == "duplicate of s0/n1"
    assert details[1].startswith("s0/n1 stands for pair dw-")
    assert details[2:] == ["duplicate of s0/n4"] * 2


def compressed(lines: bytes, ending: str) -> bytes:
    if ending == ".gz":
        return gzip.compress(lines, compresslevel=0)
    if ending == ".bz2":
        return bz2.compress(lines)
    return zstandard.ZstdCompressor(level=1).compress(lines)


def lines_of(*numbers: int) -> bytes:
    return b"".join(json.dumps(pair(number)).encode() + b"\n" for number in numbers)


@pytest.mark.parametrize("ending", [".zst", ".gz", ".bz2"])
def test_a_truncated_archive_is_one_reject_beside_the_good_file(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / f"a.jsonl{ending}").write_bytes(compressed(lines_of(1, 2), ending))
    (folder / f"b.jsonl{ending}").write_bytes(compressed(lines_of(*range(3, 40)), ending)[:-12])
    source, _ = run(tmp_path, folder)
    assert source.counts.reasons == {"truncated_file": 1}
    assert rejects(tmp_path) == {f"b.jsonl{ending}:end": "truncated_file"}
    names = kept(tmp_path)
    assert names[:2] == ["n1", "n2"]
    assert names == [f"n{number}" for number in range(1, len(names) + 1)]
    assert source.counts.rows_in == len(names) + 1


@pytest.mark.parametrize("ending", [".zst", ".gz"])
def test_an_archive_that_is_none(tmp_path: Path, ending: str, write_lines: Write) -> None:
    (tmp_path / f"bad.jsonl{ending}").write_bytes(b"this is plain text\n")
    (tmp_path / f"empty.jsonl{ending}").write_bytes(b"")
    good = write_lines(tmp_path / "good.jsonl", pair(1))
    source, _ = run(tmp_path, tmp_path / f"bad.jsonl{ending}", tmp_path / f"empty.jsonl{ending}", good)
    assert source.counts.reasons == {"truncated_file": 2}
    assert kept(tmp_path) == ["n1"]


def test_empty_files_and_blank_lines_hold_no_candidates(tmp_path: Path, write_lines: Write) -> None:
    write_lines(tmp_path / "in" / "a.jsonl")
    write_lines(tmp_path / "in" / "b.jsonl", b"", b"  ", pair(1), b"")
    write_lines(tmp_path / "in" / "c.jsonl", b"\xef\xbb\xbf" + json.dumps(pair(2)).encode())
    source, _ = run(tmp_path, tmp_path / "in")
    assert (source.counts.rows_in, source.counts.rows_out) == (2, 2)
    assert kept(tmp_path) == ["n1", "n2"]


def stopped(tmp_path: Path, *sources: Path | str, **options: Any) -> str:
    """The message of a run that cannot go on: one line."""
    with pytest.raises((SourceError, RunError)) as caught:
        run(tmp_path, *sources, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("tasks", [1, 2])
def test_where_nothing_can_be_read_the_run_stops_with_one_line(tmp_path: Path, tasks: int, write_lines: Write) -> None:
    missing = stopped(tmp_path, tmp_path / "missing.jsonl", tasks=tasks)
    assert missing == f"source path '{tmp_path}/missing.jsonl' does not exist"
    (tmp_path / "empty").mkdir()
    tmp_path = tmp_path / "second"
    assert stopped(tmp_path, tmp_path.parent / "empty", tasks=tasks) == (
        f"source path '{tmp_path.parent}/empty' holds no file ending in .jsonl, .ndjson, .parquet"
    )


def test_a_glob_without_a_match(tmp_path: Path) -> None:
    assert stopped(tmp_path, f"{tmp_path}/*.jsonl") == f"no file matches the source path '{tmp_path}/*.jsonl'"


def test_an_empty_file_alone(tmp_path: Path, write_lines: Write) -> None:
    path = write_lines(tmp_path / "nothing.jsonl")
    assert stopped(tmp_path, path) == "stage 'source' has no row left of 0: it got none"


def test_only_bad_records(tmp_path: Path, write_lines: Write) -> None:
    path = write_lines(tmp_path / "bad.jsonl", b"[]", b"x", b"y")
    assert stopped(tmp_path, path) == "stage 'source' has no row left of 3: 2 malformed_json, 1 not_an_object"


def test_a_repaired_source_is_read_again_without_asking_for_it(tmp_path: Path, write_lines: Write) -> None:
    path = write_lines(tmp_path / "bad.jsonl", b"x")
    stopped(tmp_path, path)
    write_lines(path, pair(1), b"x")
    source, dedupe = run(tmp_path, path)
    assert (source.counts.rows_in, source.counts.rows_out, dedupe.counts.rows_out) == (2, 1, 1)


def test_a_missing_source_that_appears_is_read_by_the_next_run(tmp_path: Path, write_lines: Write) -> None:
    stopped(tmp_path, tmp_path / "later.jsonl")
    write_lines(tmp_path / "later.jsonl", pair(1))
    assert run(tmp_path, tmp_path / "later.jsonl")[0].counts.rows_out == 1


def test_tasks_share_the_files_and_lose_none(tmp_path: Path, write_lines: Write) -> None:
    for number in range(5):
        write_lines(tmp_path / "in" / f"{number}.jsonl", pair(number), b"bad")
    source, dedupe = run(tmp_path, tmp_path / "in", tasks=3)
    assert (source.counts.rows_in, source.counts.rows_out, source.counts.rejected) == (10, 5, 5)
    assert sorted(kept(tmp_path)) == [f"n{number}" for number in range(5)]
    assert dedupe.counts.rows_in == 5


def test_a_limit_counts_bad_records_too(tmp_path: Path, write_lines: Write) -> None:
    path = write_lines(tmp_path / "in.jsonl", b"bad", pair(1), pair(2))
    source, _ = run(tmp_path, path, limit=2)
    assert (source.counts.rows_in, source.counts.rows_out) == (2, 1)


def test_a_file_that_disappears_stops_the_run_and_the_next_one_goes_on(tmp_path: Path, write_lines: Write) -> None:
    write_lines(tmp_path / "in" / "a.jsonl", pair(1), b"bad", pair(2))
    elsewhere = write_lines(tmp_path / "b.jsonl", pair(3))
    # Listed like a file, and gone when it is opened.
    (tmp_path / "in" / "b.jsonl").symlink_to(elsewhere)
    moved = elsewhere.rename(tmp_path / "moved.jsonl")
    message = stopped(tmp_path, tmp_path / "in", tasks=2)
    assert message.startswith("source file 'b.jsonl' cannot be read: ")
    shard = RunFolder(tmp_path / "run").stage("source").shards / "00000.jsonl.gz"
    written = shard.stat().st_mtime_ns
    moved.rename(elsewhere)
    source, _ = run(tmp_path, tmp_path / "in", tasks=2)
    assert (source.counts.rows_in, source.counts.reasons) == (4, {"malformed_json": 1})
    assert kept(tmp_path) == ["n1", "n2", "n3"]
    assert shard.stat().st_mtime_ns == written, "what was read is not read again"


def test_a_shard_that_disappears_is_noticed_and_no_row_is_lost_in_silence(tmp_path: Path, write_lines: Write) -> None:
    for number in (1, 2):
        write_lines(tmp_path / "in" / f"{number}.jsonl", pair(number))
    run(tmp_path, tmp_path / "in", until="source", tasks=2)
    shard = RunFolder(tmp_path / "run").stage("source").shards / "00001.jsonl.gz"
    moved = shard.rename(tmp_path / "moved")
    assert stopped(tmp_path, tmp_path / "in", tasks=2) == (
        "stage 'dedupe' got 2 rows (and made 0 more), but 1 went on and 0 were rejected"
    )
    moved.rename(shard)
    assert run(tmp_path, tmp_path / "in", tasks=2)[1].counts.rows_out == 2


def test_a_shard_that_is_damaged_stops_the_stage_behind_it(tmp_path: Path, write_lines: Write) -> None:
    path = write_lines(tmp_path / "in.jsonl", *map(pair, range(50)))
    run(tmp_path, path, until="source")
    shard = RunFolder(tmp_path / "run").stage("source").shards / "00000.jsonl.gz"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-20])
    assert f"{shard} is damaged after line" in stopped(tmp_path, path)
    shard.write_bytes(whole)
    assert run(tmp_path, path)[1].counts.rows_out == 50
