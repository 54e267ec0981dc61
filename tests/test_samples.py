"""The bundled samples: whole, in their native layouts, long enough, and without unintended copies."""

from __future__ import annotations

import html
import importlib.util
import io
import itertools
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from deepwriting.errors import SourceError
from deepwriting.samples import resolve_samples, samples_folder
from deepwriting.schema import pair_id
from deepwriting.sources.base import find_files, read_lines

SOURCES = Path(__file__).parent / "samples_source"
SAMPLES = samples_folder()
BINARY = (
    "writingprompts_dump/RS_sample.zst",
    "writingprompts_dump/RC_sample.zst",
    "writingprompts_table/writingprompts.parquet",
)
#: zstd refuses larger windows unless the reader asks for them (power of two, bytes).
DEFAULT_WINDOW_LOG = 27
#: Five-unit runs that two different answers may share, of those in the shorter one (0 to 1).
MAX_SHARED_RUNS = 0.05

Row = dict[str, Any]


def load_pack() -> ModuleType:
    spec = importlib.util.spec_from_file_location("samples_pack", SOURCES / "pack.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(path: Path) -> list[Row]:
    if path.suffix == ".parquet":
        rows: list[Row] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix == ".zst":
        raw = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(io.BytesIO(path.read_bytes())).read()
    else:
        raw = path.read_bytes()
    return [json.loads(line) for line in raw.decode("utf-8").split("\n") if line]


def wildchat_rows() -> list[Row]:
    return rows_of(SAMPLES / "wildchat/wildchat.jsonl")


def is_story(comment: Row) -> bool:
    machine = comment["author"] == "AutoModerator" or "I am a bot" in comment["body"]
    gone = comment["body"] in ("[deleted]", "[removed]")
    return comment["parent_id"] == comment["link_id"] and not machine and not gone


def book_text() -> str:
    return (SAMPLES / "gutenberg/the-lamp-at-wren-point.txt").read_bytes().decode("utf-8-sig").replace("\r\n", "\n")


def chapters() -> list[str]:
    body = re.split(r"\*\*\* (?:START|END) OF .*\n", book_text())[1].replace("THE END", "")
    parts = re.split(r"^CHAPTER [IVX]+\. .*$", body, flags=re.MULTILINE)[1:]
    return [re.sub(r"\[Illustration: [^\]]*\]\s+", "", part).strip() for part in parts]


def pairs() -> list[tuple[str, str, str]]:
    """(source, query, answer) of every good pair, the intended duplicate included; passages have an empty query."""
    found = []
    titles = {f"t3_{row['id']}": row["title"] for row in rows_of(SAMPLES / BINARY[0])}
    for row in filter(is_story, rows_of(SAMPLES / BINARY[1])):
        found.append(("writingprompts_dump", html.unescape(titles[row["link_id"]]), html.unescape(row["body"])))
    for row in rows_of(SAMPLES / BINARY[2]):
        found.append(("writingprompts_table", row["prompt"], row["story"].replace(" <newline> <newline> ", "\n\n")))
    found += [("gutenberg", "", chapter) for chapter in chapters()]
    for row in wildchat_rows():
        if row["language"] in ("English", "Chinese") and not row["toxic"]:
            found.append(("wildchat", row["conversation"][0]["content"], row["conversation"][1]["content"]))
    for row in rows_of(SAMPLES / "longwriter/longwriter.jsonl"):
        found.append(("longwriter", row["messages"][0]["content"], row["messages"][1]["content"]))
    found += [("pairs", row["query"], row["answer"]) for row in rows_of(SAMPLES / "pairs/pairs.jsonl")]
    return found


def units(text: str) -> list[str]:
    """Latin words and single Chinese characters."""
    return re.findall(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff][\w'’]*", text.lower())


@pytest.mark.parametrize("name", BINARY)
def test_packing_the_sources_gives_the_bundled_records(name: str, tmp_path: Path) -> None:
    load_pack().pack(tmp_path)
    assert rows_of(tmp_path / name) == rows_of(SAMPLES / name)
    assert rows_of(SAMPLES / name) == rows_of(SOURCES / f"{Path(name).stem}.jsonl")


def test_packing_is_deterministic(tmp_path: Path) -> None:
    pack = load_pack()
    first = [file.read_bytes() for file in pack.pack(tmp_path / "one")]
    assert first == [file.read_bytes() for file in pack.pack(tmp_path / "two")]
    assert len(first) == len(BINARY)


@pytest.mark.parametrize("name", BINARY[:2])
def test_dumps_are_one_frame_with_a_long_window(name: str) -> None:
    data = (SAMPLES / name).read_bytes()
    assert zstandard.get_frame_parameters(data).window_size > 2**DEFAULT_WINDOW_LOG
    with pytest.raises(zstandard.ZstdError, match="too much memory"):
        zstandard.ZstdDecompressor().decompressobj().decompress(data)
    decompressor = zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj()
    decompressor.decompress(data)
    assert decompressor.eof
    assert decompressor.unused_data == b""


def test_dumps_are_found_and_read_by_the_readers_base() -> None:
    folder, files = find_files("samples://writingprompts_dump", (".jsonl", ""))
    assert files == ["RC_sample.zst", "RS_sample.zst"]
    assert [sum(1 for _ in read_lines(folder, file)) for file in files] == [10, 4]


def test_dump_has_the_columns_and_the_dirt_of_reddit() -> None:
    submissions, comments = rows_of(SAMPLES / BINARY[0]), rows_of(SAMPLES / BINARY[1])
    for row in submissions:
        assert set(row) == {
            *("id", "title", "selftext", "score", "subreddit", "link_flair_text", "over_18", "created_utc"),
            "permalink",
        }
        assert re.match(r"\[[A-Z]{2}\] ", row["title"])
    for row in comments:
        assert set(row) == {"id", "link_id", "parent_id", "body", "score", "author", "created_utc"}
    assert {row["link_id"] for row in comments} == {f"t3_{row['id']}" for row in submissions}
    assert len([row for row in comments if is_story(row)]) == 5
    assert "AutoModerator" in {row["author"] for row in comments}
    assert {"[deleted]", "[removed]"} <= {row["body"] for row in comments}
    assert sum(row["parent_id"].startswith("t1_") for row in comments) == 1
    bodies = "\n".join(row["body"] for row in comments)
    assert all(mark in bodies for mark in ("&amp;", "\\*", " *before* "))


def test_table_is_tokenised_like_the_one_on_the_hub() -> None:
    table = pq.read_table(SAMPLES / BINARY[2])
    assert table.column_names == ["prompt", "story"]
    for row in table.to_pylist():
        assert row["prompt"].startswith("[ WP ] ")
        assert row["story"].count(" <newline> <newline> ") == 2
        assert not re.search(r"\w[.,:;!?]|\w'\w(?<!n't)|[“”\"\n]", row["story"])
    stories = " ".join(row["story"] for row in table.to_pylist())
    assert all(mark in stories for mark in (" n't ", " 's ", "`` ", " ''"))


def test_book_looks_like_a_gutenberg_file() -> None:
    raw = (SAMPLES / "gutenberg/the-lamp-at-wren-point.txt").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfThe Project Gutenberg eBook of ")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    text = book_text()
    for line in ("Title: ", "Author: ", "Release date: ", "Language: English"):
        assert re.search(rf"^{line}", text, flags=re.MULTILINE)
    start, end = text.index("*** START OF THE PROJECT GUTENBERG EBOOK "), text.index("*** END OF THE PROJECT ")
    assert "Project Gutenberg License" in text[:start]
    assert "Project Gutenberg License" in text[end:]
    assert "gutenberg" not in text[start:end].lower().removeprefix("*** start of the project gutenberg")
    assert text[start:end].count("[Illustration: ") == 1
    assert max(len(line) for line in text.split("\n")) <= 75


def test_book_chapters_have_the_planned_lengths() -> None:
    assert len(chapters()) == 3
    for chapter in chapters():
        assert 110 <= len(units(chapter)) <= 160
        assert 2 <= len(chapter.split("\n\n")) <= 4


def test_wildchat_has_every_column_and_only_invented_private_values() -> None:
    columns = {"conversation_hash", "model", "timestamp", "conversation", "turn", "language", "openai_moderation"}
    columns |= {"detoxify_moderation", "toxic", "redacted", "state", "country", "hashed_ip", "header"}
    for row in wildchat_rows():
        assert set(row) == columns
        assert row["hashed_ip"].startswith("not-a-real-address-")
        assert (row["state"], row["country"]) == ("Sampleshire", "Samplonia")
        assert row["turn"] * 2 == len(row["conversation"]) == len(row["openai_moderation"])
        assert [turn["role"] for turn in row["conversation"]] == ["user", "assistant"] * row["turn"]
        for turn in row["conversation"]:
            assert {"content", "language", "toxic", "redacted", "hashed_ip", "header", "state", "country"} <= set(turn)
            assert turn["hashed_ip"] in (None, row["hashed_ip"])
        assert row["toxic"] == any(turn["toxic"] for turn in row["conversation"])
    languages = [row["language"] for row in wildchat_rows() if not row["toxic"]]
    assert sorted(languages) == ["Chinese", "Chinese", "English", "English", "English", "French"]
    assert sum(row["toxic"] for row in wildchat_rows()) == 1


def test_longwriter_requests_state_a_length() -> None:
    rows = rows_of(SAMPLES / "longwriter/longwriter.jsonl")
    assert len(rows) == 5
    for row in rows:
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert re.search(r"about \d+ words|一百二十字", row["messages"][0]["content"])


def test_pairs_have_their_columns_and_unique_ids() -> None:
    rows = rows_of(SAMPLES / "pairs/pairs.jsonl")
    assert all(list(row) == ["id", "query", "answer", "license"] and row["license"] == "CC0-1.0" for row in rows)
    assert len({row["id"] for row in rows}) == len(rows) == 5


def test_answers_are_long_enough_and_have_two_paragraphs() -> None:
    everything = [answer for _, _, answer in pairs()]
    # The rejected rows too: a user may allow toxic rows, and more languages will come.
    everything += [row["conversation"][1]["content"] for row in wildchat_rows()]
    for answer in everything:
        assert len(units(answer)) >= 60, answer
        assert len(answer.split("\n\n")) >= 2, answer


def test_only_the_intended_pair_occurs_twice() -> None:
    seen: dict[str, list[str]] = {}
    for source, query, answer in pairs():
        seen.setdefault(pair_id(query, answer), []).append(source)
    assert len(seen) == 25
    assert [sources for sources in seen.values() if len(sources) > 1] == [["wildchat", "pairs"]]


def test_no_other_answers_are_near_copies() -> None:
    answers = sorted({answer for _, _, answer in pairs()})
    assert len(answers) == 25

    def runs(text: str) -> set[tuple[str, ...]]:
        found = units(text)
        return {tuple(found[i : i + 5]) for i in range(len(found) - 4)}

    for one, other in itertools.combinations(answers, 2):
        first, second = runs(one), runs(other)
        assert len(first & second) <= MAX_SHARED_RUNS * min(len(first), len(second)), (one, other)


def test_samples_hold_no_addresses_or_telephone_numbers() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SAMPLES.rglob("*") if path.suffix in (".jsonl", ".txt")]
    texts += [path.read_text(encoding="utf-8") for path in SOURCES.glob("*.jsonl")]
    assert len(texts) == 8
    for text in texts:
        assert not re.search(r"[\w.]+@[\w-]+\.\w+|\b(?:\d{1,3}\.){3}\d{1,3}\b|\+\d{6,}", text)
        assert set(re.findall(r"(?:https?://|www\.)[\w./-]+\w", text)) <= {"www.gutenberg.org"}


def test_an_unknown_sample_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        SourceError,
        match=r"no bundled sample 'poems'; there are deepwriting_release, gutenberg, longwriter, pairs, wildchat",
    ):
        resolve_samples("samples://poems")


def test_every_sample_is_in_the_readme() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    for folder in SAMPLES.iterdir():
        if folder.is_dir() and not folder.name.startswith("_"):
            assert f"| `{folder.name}` |" in readme
