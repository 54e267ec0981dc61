from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from deepwriting.errors import JournalError, RunLockedError
from deepwriting.journal import replicated
from deepwriting.reer.journal import Journal
from deepwriting.remote import journals
from deepwriting.remote.folder import RemoteFolder
from deepwriting.remote.journals import claim_journal, fetch_journal
from deepwriting.remote.task import task_copy
from deepwriting.remote.working import run_folder

PATH = "search/journal/00003.jsonl"


def steps(file: Path) -> int:
    """Lines of steps in a journal's file."""
    return file.read_text().count('"event":"step"')


def search(file: Path, remote: RemoteFolder, row: str, count: int) -> int:
    """A life that takes some steps, each on the other side before the next; returns how many were known before."""

    async def work(journal: Journal) -> int:
        known = journal.row(row)
        if known.start is None:
            journal.write("start", row)
        for number in range(count):
            journal.write("step", row, step=len(known.steps) + number + 1)
            await journal.safe()
        return len(known.steps)

    with claim_journal(remote, PATH, file) as upload, replicated(file, upload), Journal(file, "hash") as journal:
        return asyncio.run(work(journal))


def test_another_machine_goes_on_where_the_lost_one_stopped(bucket: str, tmp_path: Path) -> None:
    remote = RemoteFolder(bucket)
    assert search(tmp_path / "one.jsonl", remote, "row", 3) == 0
    assert search(tmp_path / "two.jsonl", remote, "row", 2) == 3
    assert search(tmp_path / "one.jsonl", remote, "row", 1) == 5
    assert fetch_journal(remote, PATH, tmp_path / "all.jsonl") == (tmp_path / "one.jsonl").stat().st_size
    assert (tmp_path / "all.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert [name.split("/")[3] for name in remote.list()] == ["000003"] * 3


def test_every_step_is_there_before_the_next(bucket: str, tmp_path: Path) -> None:
    remote, file = RemoteFolder(bucket), tmp_path / "a.jsonl"

    async def work(journal: Journal) -> list[int]:
        seen = []
        for number in range(4):
            journal.write("step", "row", step=number)
            await journal.safe()
            fetch_journal(remote, PATH, tmp_path / "seen.jsonl")
            seen.append(steps(tmp_path / "seen.jsonl"))
        return seen

    with claim_journal(remote, PATH, file) as upload, replicated(file, upload), Journal(file, "hash") as journal:
        assert asyncio.run(work(journal)) == [1, 2, 3, 4]


def test_steps_of_many_searches_share_parts(bucket: str, tmp_path: Path) -> None:
    remote, file, rows, each = RemoteFolder(bucket), tmp_path / "a.jsonl", 40, 3

    async def one(journal: Journal, row: str) -> None:
        for number in range(each):
            journal.write("step", row, step=number)
            await journal.safe()

    async def all_rows(journal: Journal) -> None:
        await asyncio.gather(*(one(journal, f"row{number}") for number in range(rows)))

    with claim_journal(remote, PATH, file) as upload, replicated(file, upload), Journal(file, "hash") as journal:
        asyncio.run(all_rows(journal))
    assert steps(file) == rows * each
    assert len(remote.list()) < rows
    fetch_journal(remote, PATH, tmp_path / "seen.jsonl")
    assert (tmp_path / "seen.jsonl").read_bytes() == file.read_bytes()


def test_what_never_arrived_is_dropped(bucket: str, tmp_path: Path) -> None:
    remote, file = RemoteFolder(bucket), tmp_path / "a.jsonl"
    search(file, remote, "row", 2)
    arrived = file.read_bytes()
    with file.open("ab") as torn:
        torn.write(b'{"event":"step","row":"row","step":3}\n{"event":"st')
    claim_journal(remote, PATH, file).close()
    assert file.read_bytes() == arrived


def test_a_line_of_which_only_a_part_arrived_is_dropped(bucket: str, tmp_path: Path) -> None:
    remote, file = RemoteFolder(bucket), tmp_path / "a.jsonl"
    search(file, remote, "row", 2)
    remote.write(f"search/journal/00003.parts/000001/{file.stat().st_size:012d}", b'{"event":"end","row":"another')
    assert search(tmp_path / "b.jsonl", remote, "row", 2) == 2
    fetch_journal(remote, PATH, tmp_path / "seen.jsonl")
    assert (tmp_path / "seen.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert steps(tmp_path / "seen.jsonl") == 4


def test_a_life_that_was_taken_over_cannot_harm(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = RemoteFolder(bucket)
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    search(old, remote, "row", 2)
    lost = claim_journal(remote, PATH, old)
    search(new, remote, "row", 2)  # takes over: the machine was thought lost
    with old.open("ab") as file:
        file.write(b'{"event":"step","row":"row","step":"of the old life"}\n')
    lost.appended(old.stat().st_size)
    asyncio.run(lost.safe(old.stat().st_size))
    monkeypatch.setattr(journals, "LOOK_SECONDS", 0.0)
    with old.open("ab") as file:
        file.write(b'{"event":"step","row":"row","step":"one more"}\n')
    lost.appended(old.stat().st_size)
    with pytest.raises(RunLockedError, match="has taken over"):
        asyncio.run(lost.safe(old.stat().st_size))
    with pytest.raises(RunLockedError, match="has taken over"):
        lost.finish()
    fetch_journal(remote, PATH, tmp_path / "seen.jsonl")
    assert (tmp_path / "seen.jsonl").read_bytes() == new.read_bytes()


def test_a_finished_journal_is_one_object(bucket: str, tmp_path: Path) -> None:
    remote, file = RemoteFolder(bucket), tmp_path / "a.jsonl"
    search(file, remote, "row", 2)
    upload = claim_journal(remote, PATH, file)
    upload.close()
    upload.finish()
    assert list(remote.list()) == [PATH]
    assert remote.read(PATH) == file.read_bytes()
    assert search(tmp_path / "b.jsonl", remote, "row", 1) == 2


def test_the_task_between_two_stages_leaves_journals_and_datasets_alone(bucket: str) -> None:
    remote, run = RemoteFolder(bucket), run_folder(bucket)
    remote.write(PATH.replace("3", "0"), b"a journal")
    before = remote.entry(PATH.replace("3", "0"))
    with task_copy(run, "search", "search/logs/settle", 0, everything=True):
        for name in ("search/facts.json", "dataset/half.parquet", "search/logs/settle/completions/00000"):
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text("x")
    assert set(remote.list()) == {
        PATH.replace("3", "0"), "search/facts.json", "search/logs/settle/completions/00000",
    }  # fmt: skip
    assert remote.entry(PATH.replace("3", "0")) == before


def test_a_lost_part_is_noticed(bucket: str, tmp_path: Path) -> None:
    remote = RemoteFolder(bucket)
    search(tmp_path / "a.jsonl", remote, "row", 3)
    parts = [name for name in remote.list() if name[-1].isdigit()]
    remote.delete([parts[1]])
    with pytest.raises(JournalError, match="lacks what comes after byte"):
        fetch_journal(remote, PATH, tmp_path / "b.jsonl")
    assert not (tmp_path / "b.jsonl").exists()


def test_without_a_store_steps_wait_and_then_fail(bucket: str, tmp_path: Path) -> None:
    import s3fs

    from deepwriting.errors import RemoteError

    remote, file = RemoteFolder(bucket, patience=0.5), tmp_path / "a.jsonl"
    upload = claim_journal(remote, PATH, file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setattr(s3fs.S3FileSystem, "retries", 1)
        s3fs.S3FileSystem.clear_instance_cache()
        with replicated(file, upload), Journal(file, "hash") as journal:
            began = time.monotonic()
            with pytest.raises(RemoteError, match="cannot write"):
                asyncio.run(journal.safe())
            assert time.monotonic() - began >= 0.1
        with pytest.raises(RemoteError, match="cannot write"):
            upload.close()
    s3fs.S3FileSystem.clear_instance_cache()
