from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from datatrove.data import Document

from deepwriting.errors import SourceError
from deepwriting.sources import WritingPromptsDump, WritingPromptsTable
from deepwriting.sources.reddit_text import STORY_REQUEST


def submission(own: str = "s1", **more: Any) -> dict[str, Any]:
    return {
        "id": own,
        "title": "[WP] A lamp &amp; a key.",
        "selftext": "",
        "score": 90,
        "subreddit": "WritingPrompts",
        "link_flair_text": "Writing Prompt",
        "over_18": False,
        "created_utc": 1,
        "author": "AskerName",
        "permalink": f"/r/WritingPrompts/comments/{own}/a_lamp/",
        **more,
    }


def comment(own: str = "c1", **more: Any) -> dict[str, Any]:
    return {
        "id": own,
        "link_id": "t3_s1",
        "parent_id": "t3_s1",
        "body": "The lamp \\*hummed\\*.\n\n&gt; Key!",
        "score": 9,
        "author": "WriterName",
        "created_utc": 2,
        **more,
    }


def lines(records: list[Any]) -> bytes:
    return (
        b"\n".join(record if isinstance(record, bytes) else json.dumps(record).encode() for record in records) + b"\n"
    )


def read(folder: Path, submissions: list[Any], comments: list[Any], **options: Any) -> list[Document]:
    (folder / "RS_2020-01.zst").write_bytes(zstandard.compress(lines(submissions)))
    (folder / "RC_2020-01.zst").write_bytes(zstandard.compress(lines(comments)))
    return list(WritingPromptsDump(str(folder), name="wp", license="L", **options).run())


def reasons(docs: list[Document]) -> list[str | None]:
    return [doc.metadata.get("reject") for doc in docs]


def test_a_top_level_comment_and_its_title_are_a_pair(tmp_path: Path) -> None:
    (doc,) = read(tmp_path, [submission()], [comment()])
    assert doc.id == "wp/c1"
    assert doc.metadata["query"] == STORY_REQUEST + "A lamp & a key."
    assert doc.text == "The lamp *hummed*.\n\n> Key!"
    assert json.loads(doc.metadata["provenance"]) == {
        "tag": "WP",
        "score": 9,
        "prompt_score": 90,
        "flair": "Writing Prompt",
        "permalink": "/r/WritingPrompts/comments/s1/a_lamp/",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parent_id": "t1_c0"}, "not_top_level"),
        ({"body": "[deleted]"}, "deleted"),
        ({"body": " [removed] "}, "deleted"),
        ({"body": ""}, "empty_answer"),
        ({"body": "&#x200B;"}, "empty_answer"),
        ({"body": "More at r/WriterName"}, "empty_answer"),
        ({"body": 3}, "wrong_type"),
        ({"author": "AutoModerator"}, "moderator_or_bot"),
        ({"author": "RemindMeBot"}, "moderator_or_bot"),
        ({"distinguished": "moderator"}, "moderator_or_bot"),
        ({"stickied": True}, "moderator_or_bot"),
        ({"body": "*I am a bot, and this action was performed automatically.*"}, "moderator_or_bot"),
        ({"score": 1}, "low_score"),
        ({"score": None}, "wrong_type"),
        ({"score": "many"}, "wrong_type"),
        ({"link_id": "t3_zz", "parent_id": "t3_zz"}, "missing_prompt"),
        ({"link_id": "t3_nsfw", "parent_id": "t3_nsfw"}, "nsfw"),
        ({"link_id": "t3_ot", "parent_id": "t3_ot"}, "not_a_prompt"),
        ({"link_id": "t3_gone", "parent_id": "t3_gone"}, "empty_query"),
        ({"link_id": "t3_else", "parent_id": "t3_else"}, "missing_prompt"),
    ],
)
def test_reasons_and_no_user_name_in_rejects(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    prompts = [
        submission(),
        submission("nsfw", over_18=True),
        submission("ot", title="[OT] Chat"),
        submission("gone", title="[deleted]"),
        submission("else", subreddit="pics"),
    ]
    (doc,) = read(tmp_path, prompts, [comment(**changes)])
    assert doc.metadata["reject"] == reason
    if "WriterName" not in str(changes):
        assert "WriterName" not in json.dumps([doc.text, doc.metadata])


@pytest.mark.parametrize("author", ["JaneTalbot", "abbot", "I_am_a_robot_friend"])
def test_names_that_only_look_like_bots_are_writers(tmp_path: Path, author: str) -> None:
    assert reasons(read(tmp_path, [submission()], [comment(author=author, body="I am a bot, said the bot.")])) == [None]


def test_settings_change_what_is_taken(tmp_path: Path) -> None:
    prompts = [submission(over_18=True, title="[OT] A lamp", subreddit="other")]
    options = {"min_score": -5, "include_nsfw": True, "skip_tags": [], "subreddit": None}
    assert reasons(read(tmp_path, prompts, [comment(score="-5")], **options)) == [None]
    with pytest.raises(SourceError, match="max_stories_per_prompt is 0"):
        WritingPromptsDump("x", name="wp", license="L", max_stories_per_prompt=0)


def test_only_the_best_stories_of_a_prompt_are_kept(tmp_path: Path) -> None:
    scores = [5, 9, 9, 2, 9]
    comments = [comment(f"c{n}", score=score) for n, score in enumerate(scores)]
    comments.append(comment("other", score=3, link_id="t3_s2", parent_id="t3_s2"))
    docs = read(tmp_path, [submission(), submission("s2")], comments, max_stories_per_prompt=2)
    assert reasons(docs) == ["too_many_stories", None, None, "too_many_stories", "too_many_stories", None]


def test_unreadable_lines_on_both_sides_are_rejects_and_submissions_are_not_counted(tmp_path: Path) -> None:
    prompts = [
        b'{"id": "broken AskerName',
        submission(),
        {"id": "s9"},
        {"id": ["x"], "title": "t"},
        submission("s2", score="x"),
    ]
    docs = read(tmp_path, prompts, [b"\xff\xfe", comment(), {"id": "c2"}])
    assert reasons(docs) == [
        "malformed_json",
        "missing_columns",
        "wrong_type",
        "wrong_type",
        "wrong_encoding",
        None,
        "missing_columns",
    ]
    assert "AskerName" not in json.dumps([[doc.text, doc.metadata] for doc in docs])


def test_tasks_share_the_dump_and_keep_prompts_together(tmp_path: Path) -> None:
    prompts = [submission(f"s{n}") for n in range(20)]
    comments: list[Any] = [
        comment(f"c{n}", link_id=f"t3_s{n % 20}", parent_id=f"t3_s{n % 20}", score=n + 2) for n in range(60)
    ]
    comments += [b"broken", {"id": "c"}, comment("lost", link_id="t3_no", parent_id="t3_no")]
    prompts_and_bad = [*prompts, b"{", {"id": "s99"}]
    alone = read(tmp_path, prompts_and_bad, comments, max_stories_per_prompt=1)
    reader = WritingPromptsDump(str(tmp_path), name="wp", license="L", max_stories_per_prompt=1)
    shared = [list(reader.run(rank=rank, world_size=3)) for rank in range(3)]
    assert all(len(docs) > 5 for docs in shared)
    key = [(doc.id, doc.metadata.get("reject")) for doc in alone]
    assert sorted((doc.id, doc.metadata.get("reject")) for docs in shared for doc in docs) == sorted(key)
    assert reasons(alone).count(None) == 20


def test_plain_gz_and_parquet_dumps(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([submission()]), tmp_path / "WritingPrompts_submissions.parquet")
    (tmp_path / "WritingPrompts_comments").write_bytes(lines([comment()]))
    assert reasons(list(WritingPromptsDump(str(tmp_path), name="wp", license="L").run())) == [None]


def test_half_a_dump_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "RC_1.jsonl").write_bytes(lines([comment()]))
    with pytest.raises(SourceError, match="holds no file of submissions"):
        list(WritingPromptsDump(str(tmp_path), name="wp", license="L").run())


def test_a_truncated_dump_is_one_reject(tmp_path: Path) -> None:
    (tmp_path / "RS_1.jsonl").write_bytes(lines([submission()]))
    packed = zstandard.compress(lines([comment(f"c{n}", body="word " * (n % 50)) for n in range(20_000)]), level=1)
    (tmp_path / "RC_1.zst").write_bytes(packed[: len(packed) * 3 // 4])
    found = reasons(list(WritingPromptsDump(str(tmp_path), name="wp", license="L").run()))
    assert found.count("truncated_file") == 1
    assert found[-1] == "truncated_file"
    assert found.count(None) > 1000


def write_months(folder: Path) -> None:
    """Two months; a comment of January stands in February, and submissions occur twice."""
    months = {
        "RS_2019-01.zst": [submission("a", title="[WP] Old."), submission("b", title="[EU] Kept.")],
        "RS_2019-02.zst": [submission("a", title="[WP] New."), {"id": "b"}, submission("b", subreddit="pics")],
        "RC_2019-01.zst": [comment("c1", link_id="t3_a", parent_id="t3_a")],
        "RC_2019-02.zst": [comment("c2", link_id="t3_b", parent_id="t3_b"), comment("c3", link_id="t3_a")],
    }
    for name, records in months.items():
        (folder / name).write_bytes(zstandard.compress(lines(records)))


@pytest.mark.parametrize("tasks", [1, 3])
def test_months_are_joined_and_the_later_record_of_a_submission_counts(tmp_path: Path, tasks: int) -> None:
    write_months(tmp_path)
    reader = WritingPromptsDump(str(tmp_path), name="wp", license="L")
    docs = [doc for rank in range(tasks) for doc in reader.run(rank=rank, world_size=tasks)]
    found = {doc.id: doc.metadata.get("query", doc.metadata.get("reject")).removeprefix(STORY_REQUEST) for doc in docs}
    assert found == {
        "wp/RS_2019-02.zst:2": "missing_columns",
        "wp/c1": "New.",
        "wp/c2": "Kept.",
        "wp/RC_2019-02.zst:2": "not_top_level",
    }
    assert len(docs) == 4


def test_length_limits_count_the_story_without_escapes(tmp_path: Path) -> None:
    bodies = ["12345", "123\\*\\*", "123456789", "1234"]
    comments = [comment(f"c{n}", body=body) for n, body in enumerate(bodies)]
    docs = read(tmp_path, [submission()], comments, min_chars=5, max_chars=8)
    assert reasons(docs) == [None, None, "long_story", "short_story"]
    for wrong in ({"min_chars": 0}, {"min_chars": 5, "max_chars": 4}, {"max_chars": 0}):
        with pytest.raises(SourceError, match="needed: 0 < min_chars <= max_chars"):
            WritingPromptsDump("x", name="wp", license="L", **wrong)


@pytest.mark.parametrize("keep", [None, 2])
@pytest.mark.parametrize("ending", ["zst", "parquet"])
def test_any_number_of_tasks_gives_the_same_rows_in_the_order_of_the_files(
    tmp_path: Path, keep: int | None, ending: str
) -> None:
    prompts = [submission(f"s{n}", gallery={"id": f"s{n % 5}"}) for n in range(30)] + [submission("s3", title="[WP] X")]
    comments = [
        comment(f"c{n}", link_id=f"t3_s{n * 7 % 31}", parent_id=f"t3_s{n * 7 % 31}", score=n % 6, body=f"{n} x")
        for n in range(150)
    ]
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(prompts), tmp_path / "RS.parquet")
        pq.write_table(pa.Table.from_pylist(comments), tmp_path / "RC.parquet")
    else:
        read(tmp_path, prompts, [*comments, b"{", b"\xff"])
    reader = WritingPromptsDump(str(tmp_path), name="wp", license="L", max_stories_per_prompt=keep)
    alone = [(doc.id, doc.text, doc.metadata) for doc in reader.run()]
    for tasks in (2, 5):
        shared = [[(d.id, d.text, d.metadata) for d in reader.run(rank=r, world_size=tasks)] for r in range(tasks)]
        together = [row for rows in shared for row in rows]
        assert sorted(together, key=repr) == sorted(alone, key=repr)
        for rows in shared:
            assert rows == [row for row in alone if row in rows]
    assert len(alone) == len(comments) + (2 if ending == "zst" else 0)
    if keep:
        assert {row[2]["reject"] for row in alone if "reject" in row[2]} >= {"too_many_stories", "missing_prompt"}


def test_a_limit_ends_the_reading_and_leaves_no_file_open(tmp_path: Path) -> None:
    comments = [comment(f"c{n}", score=n + 2) for n in range(500)]
    read(tmp_path, [submission()], comments)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for keep in (None, 2):
        reader = WritingPromptsDump(str(tmp_path), name="wp", license="L", limit=3, max_stories_per_prompt=keep)
        running = reader.run()
        assert len(list(running)) == 3
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        unfinished = reader.run()
        next(unfinished)
        unfinished.close()  # type: ignore[attr-defined]
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_numbers_that_are_no_scores(tmp_path: Path) -> None:
    docs = read(tmp_path, [submission()], [comment(score=2**60), comment(score=1e300), comment(score="7")])
    assert reasons(docs) == ["wrong_type", "wrong_type", None]


def test_submissions_before_the_damage_of_a_file_are_used(tmp_path: Path) -> None:
    packed = zstandard.compress(lines([submission(f"s{n}", selftext=f"{n**40}") for n in range(3000)]), level=1)
    (tmp_path / "RS_1.zst").write_bytes(packed[: len(packed) // 2])
    comments = [comment(f"c{n}", link_id=f"t3_s{n}", parent_id=f"t3_s{n}") for n in (1, 2999)]
    (tmp_path / "RC_1.jsonl").write_bytes(lines(comments))
    for tasks in (1, 4):
        reader = WritingPromptsDump(str(tmp_path), name="wp", license="L")
        docs = [doc for rank in range(tasks) for doc in reader.run(rank=rank, world_size=tasks)]
        assert sorted(map(str, reasons(docs))) == ["None", "missing_prompt", "truncated_file"]


@pytest.mark.parametrize("tasks", [1, 3])
def test_a_giant_line_is_one_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: int) -> None:
    monkeypatch.setattr("deepwriting.sources.files.MAX_LINE_BYTES", 2000)
    monkeypatch.setattr("deepwriting.sources.base.MAX_LINE_BYTES", 2000)
    comments = [comment("giant", body="x" * 10_000), comment(link_id="t3_s2", parent_id="t3_s2")]
    read(tmp_path, [submission(selftext="y" * 5000), submission("s2")], comments)
    reader = WritingPromptsDump(str(tmp_path), name="wp", license="L")
    docs = [doc for rank in range(tasks) for doc in reader.run(rank=rank, world_size=tasks)]
    assert sorted(map(str, reasons(docs))) == ["None", "giant_record", "giant_record"]


def test_parquet_without_a_column_is_a_reason_for_each_row(tmp_path: Path) -> None:
    rows = [{key: value for key, value in comment(f"c{n}").items() if key != "score"} for n in range(3)]
    pq.write_table(pa.Table.from_pylist([submission()]), tmp_path / "RS.parquet")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "RC.parquet")
    docs = list(WritingPromptsDump(str(tmp_path), name="wp", license="L").run())
    assert reasons(docs) == ["missing_columns"] * 3
    assert "missing score" in docs[0].metadata["reject_detail"]


def test_a_file_that_disappears_stops_the_task_and_the_next_run_reads_it(tmp_path: Path) -> None:
    read(tmp_path, [b"{", submission()], [comment()])
    reader = WritingPromptsDump(str(tmp_path), name="wp", license="L", max_stories_per_prompt=1)
    running = reader.run()
    assert next(running).metadata["reject"] == "malformed_json"
    (tmp_path / "RC_2020-01.zst").rename(tmp_path / "elsewhere.zst")
    with pytest.raises(SourceError, match=r"'RC_2020-01\.zst' cannot be read: .*No such file"):
        next(running)
    (tmp_path / "elsewhere.zst").rename(tmp_path / "RC_2020-01.zst")
    assert reasons(list(reader.run())) == ["malformed_json", None]


def table(folder: Path, *records: dict[str, Any]) -> list[Document]:
    (folder / "t.jsonl").write_bytes(lines(list(records)))
    return list(WritingPromptsTable(str(folder), name="t", license="L").run())


def test_table_rows_are_restored(tmp_path: Path) -> None:
    (doc,) = table(
        tmp_path, {"prompt": "[ WP ] You 're a lamp .\n", "story": "`` Oh , '' I hummed . <newline> <newline> Dark ."}
    )
    assert doc.metadata["query"] == STORY_REQUEST + "You're a lamp."
    assert doc.text == '"Oh," I hummed.\n\nDark.'
    assert json.loads(doc.metadata["provenance"]) == {"tag": "WP"}
    assert doc.id == "t/t.jsonl:1"


def test_table_rejects(tmp_path: Path) -> None:
    docs = table(
        tmp_path,
        {"prompt": "x"},
        {"prompt": "", "story": "x"},
        {"prompt": "[ WP ]", "story": "x"},
        {"prompt": "p", "story": "<newline> <newline>"},
        {"prompt": "p", "story": ["x"]},
        {"prompt": "[ OT ] p", "story": "x"},
    )
    assert reasons(docs) == [
        "missing_columns",
        "empty_query",
        "empty_query",
        "empty_answer",
        "wrong_type",
        "not_a_prompt",
    ]
