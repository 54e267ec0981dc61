from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from deepwriting.errors import NotFoundError, RunError, RunLockedError
from deepwriting.files import write_json
from deepwriting.holder import NOTE, Holder
from deepwriting.lease import BEAT_SECONDS, SILENT_BEATS
from deepwriting.rundir import Counts, RunFolder, StageFolder, StageRecord, Stopwatch

RECORD = StageRecord(
    "search", "abc", {"search": {"max_steps": 2}}, "finished", 1.5, Counts(3, 2, 0, 1, {"empty": 1}), {"note": "ü"}
)


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path).stage("search")
    assert folder.record() is None
    folder.save(RECORD)
    assert folder.record() == RECORD
    assert [file.name for file in folder.path.iterdir()] == ["stage.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stage": "search"}', '{"counts": {"rows": 1}}', "null"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path).stage("search")
    folder.path.mkdir()
    (folder.path / "stage.json").write_text(text)
    with pytest.raises(RunError, match=r"search/stage\.json is damaged \(.*\); delete it to have the stage done anew"):
        folder.record()


@pytest.mark.parametrize(
    ("counts", "balanced"),
    [
        (Counts(5, 5), True),
        (Counts(5, 3, 0, 2), True),
        (Counts(5, 8, 5, 2), True),
        (Counts(5, 4), False),
        (Counts(5, 6), False),
        (Counts(5, 5, 1), False),
        (Counts(), True),
    ],
)
def test_rows_in_and_made_equal_rows_out_and_rejected(counts: Counts, balanced: bool) -> None:
    assert counts.balanced is balanced


def test_counts_are_summed_over_tasks_with_the_most_frequent_reason_first(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    for task, reasons in enumerate(({"b": 1, "a": 1}, {"c": 3, "a": 0, "b": 1})):
        values = {"rows_out": 4, "extra": task, "rejected": sum(reasons.values()), "reasons": reasons}
        write_json(tmp_path / "counts" / f"{task:05d}.json", values)
    counts = folder.counted()
    assert (counts.rows_out, counts.extra, counts.rejected) == (8, 1, 6)
    assert list(counts.reasons.items()) == [("c", 3), ("b", 2), ("a", 1)]


def test_progress_is_summed_and_survives_a_file_that_is_being_written(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    assert folder.progress() == 0
    write_json(tmp_path / "progress" / "00000.json", {"rows": 3})
    write_json(tmp_path / "progress" / "00001.json", {"rows": 4})
    (tmp_path / "progress" / "00002.json").write_text("")
    assert folder.progress() == 7


def test_a_reader_never_sees_a_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_json(file, {"rows": 0})
    done = threading.Event()

    def write() -> None:
        for rows in range(200):
            write_json(file, {"rows": rows, "padding": "x" * 20_000})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while not done.is_set():
        assert file.read_text().endswith("}\n")
        looks += 1
    writer.join()
    assert looks > 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_removing_deletes_the_record_first(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path).stage("search")
    folder.remove()  # nothing there: nothing happens
    folder.save(RECORD)
    (folder.path / "shards").mkdir()
    folder.remove()
    assert not folder.path.exists()


def test_forgetting_tasks_keeps_everything_but_their_completion(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path).stage("search")
    folder.forget_tasks()
    folder.save(RECORD)
    for name in ("logs/completions/00000", "logs/stats/00000.json", "journal/00000.jsonl"):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text("")
    folder.forget_tasks()
    left = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    assert left == {"stage.json", "logs/stats/00000.json", "journal/00000.jsonl"}


def test_runs_are_found_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match="no run at 'first'; runs here: none"):
        RunFolder.existing("first")
    for name in ("first", "second"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "recipe.yaml").write_text(f"name: {name}\n")
    (tmp_path / "runs" / "empty").mkdir()
    assert RunFolder.existing("first").recipe_text == "name: first\n"
    assert RunFolder.existing(tmp_path / "runs" / "second").path == tmp_path / "runs" / "second"
    with pytest.raises(NotFoundError, match="no run at 'empty'; runs here: first, second"):
        RunFolder.existing("empty")


def test_a_run_is_held_by_one_holder_at_a_time(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new" / "run")
    with (
        run.locked(),
        pytest.raises(RunLockedError, match="another process is working on"),
        RunFolder(run.path).locked(),
    ):
        pass
    with run.locked():
        pass


def test_a_lock_ends_with_its_process_even_if_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from deepwriting.rundir import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).locked():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunLockedError), RunFolder(tmp_path).locked():
            pass
        holder.kill()
    with RunFolder(tmp_path).locked():
        pass


def test_whoever_holds_a_run_is_known(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.holder() is None
    with run.locked():
        holder = run.holder()
        assert holder is not None
        assert (holder.host, holder.pid) == (socket.gethostname(), os.getpid())
    assert run.holder() is None
    assert not (tmp_path / NOTE).exists()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / NOTE).write_text(json.dumps(asdict(Holder(socket.gethostname(), ended.pid, "2026-11-22T12:00:00"))))
    assert RunFolder(tmp_path).holder() is None


def test_a_holder_elsewhere_is_believed_while_it_leaves_traces(tmp_path: Path) -> None:
    run, far = RunFolder(tmp_path), Holder("elsewhere", 1, "2026-11-22T12:00:00")
    write_json(tmp_path / NOTE, asdict(far))
    assert run.holder() == far
    long_ago = time.time() - SILENT_BEATS * BEAT_SECONDS - 5
    os.utime(tmp_path / NOTE, (long_ago, long_ago))
    assert run.holder() is None
    write_json(tmp_path / "search" / "status" / "00000.json", {})
    assert run.holder() == far


@pytest.mark.parametrize("text", ["", "[]", '{"host": "x"}'])
def test_a_damaged_note_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / NOTE).write_text(text)
    assert RunFolder(tmp_path).holder() is None


def test_a_stopwatch_runs() -> None:
    watch = Stopwatch()
    first = watch.seconds
    assert 0 <= first <= watch.seconds < 60
