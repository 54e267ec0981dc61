"""Runs of whole recipes with a model of one layer, in moments instead of minutes; everything else is the real thing."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting.errors import (
    BuildError,
    CountsError,
    NotFoundError,
    RunError,
    RunLockedError,
    StageChangedError,
    StageMissingError,
)
from deepwriting.executors.local import LocalRunner
from deepwriting.pipeline import Planned, Watcher, plan, run_recipe, run_stage
from deepwriting.recipe import Recipe
from deepwriting.rundir import RunFolder, StageFolder, StageRecord
from deepwriting.stages import STAGE_NAMES, StageContext
from deepwriting.stages.dedupe import DedupeStage
from deepwriting.stages.rows import stage_documents

pytestmark = pytest.mark.usefixtures("closing_engines")

PAIRS = 6
#: Seconds after which a test of processes gives up.
PATIENCE = 120


class Run(NamedTuple):
    """A finished run and what it was made from."""

    folder: Path
    recipe: Recipe
    text: str
    records: list[StageRecord]


class Notes(Watcher):
    """Keeps what a run tells."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str, int | None]] = []
        self.finished: list[tuple[str, str]] = []

    def stage_started(self, planned: Planned, total: int | None) -> None:
        self.started.append((planned.stage.name, planned.action, total))

    def stage_finished(self, planned: Planned, record: StageRecord) -> None:
        self.finished.append((planned.stage.name, record.state))


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, pocket_model: Path, own_pairs: Any, write_lines: Any, recipe_for: Any
) -> Callable[..., tuple[Recipe, str]]:
    """The recipe of this module's runs; keywords change it."""
    path = tmp_path_factory.mktemp("in") / "pairs.jsonl"
    write_lines(path, *own_pairs(PAIRS), b"no json", own_pairs(1)[0] | {"id": "again"})

    def make(**changes: Any) -> tuple[Recipe, str]:
        found: tuple[Recipe, str] = recipe_for(path, pocket_model, **{"build": {"drop_flags": ["copying"]}, **changes})
        return found

    return make


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, made: Any) -> Run:
    """A finished run that no test may change."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    recipe, text = made()
    return Run(folder, recipe, text, run_recipe(recipe, text, folder))


@pytest.fixture
def finished(original: Run, tmp_path: Path) -> Run:
    """A copy of the finished run."""
    shutil.copytree(original.folder, tmp_path / "short")
    return original._replace(folder=tmp_path / "short")


def times(folder: Path, *stages: str) -> dict[str, int]:
    """When each file of a run was written (nanoseconds)."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.parent != folder)
    parts = ((str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in found)
    return {name: when for name, when in parts if not stages or name.split("/")[0] in stages}


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The searched rows, kept and rejected, by row id; fails if one stands there twice."""
    found: dict[str, dict[str, Any]] = {}
    for kind in ("shards", "rejects"):
        for document in stage_documents(RunFolder(folder), "search", kind):
            row = document["metadata"] | {"text": document["text"], "pair": document["id"]}
            assert row["row_id"] not in found
            found[row["row_id"]] = row
    return found


def assert_same(found: Any, expected: Any) -> None:
    """Equal texts, lists and counts; scores may differ by the noise of float32."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-4)
    else:
        assert found == expected


def test_every_stage_finishes_and_its_counts_balance(original: Run) -> None:
    assert [record.stage for record in original.records] == list(STAGE_NAMES)
    assert all(record.state == "finished" and record.counts.balanced for record in original.records)
    source, dedupe, *later = (record.counts for record in original.records)
    assert (source.rows_in, source.rows_out, source.reasons) == (PAIRS + 2, PAIRS + 1, {"malformed_json": 1})
    assert (dedupe.rows_in, dedupe.rows_out, dedupe.reasons) == (PAIRS + 1, PAIRS, {"duplicate_pair": 1})
    assert all(one.rows_out == behind.rows_in for one, behind in itertools.pairwise(later))
    assert [RunFolder(original.folder).stage(name).record() for name in STAGE_NAMES] == original.records
    assert RunFolder(original.folder).recipe_text == original.text


def test_the_search_of_these_tests_improves_something(original: Run) -> None:
    found = rows(original.folder)
    assert len(found) == PAIRS
    assert sum(row.get("accepted_edits", 0) for row in found.values()) > 0


def test_progress_ends_at_all_rows(original: Run) -> None:
    for record in original.records:
        assert RunFolder(original.folder).stage(record.stage).progress() == record.counts.rows_in


def test_logs_name_device_and_dtype_and_keep_datatroves_notes(original: Run) -> None:
    log = (original.folder / "search" / "logs" / "deepwriting" / "task_00000.log").read_text()
    assert f"{original.recipe.engines.generator.model} " in log
    assert " on cpu in float32" in log
    for name in STAGE_NAMES:
        logs = sorted((original.folder / name / "logs").rglob("logs/task_00000.log"))
        assert logs
        assert all("Processing done for rank=0" in log.read_text() for log in logs)


def test_nothing_of_the_machinery_reaches_the_console(
    made: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_recipe(*made(), tmp_path / "quiet", until="select")
    run_recipe(*made(execution={"tasks": 2, "workers": 2}), tmp_path / "workers", until="dedupe")
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out == ""


def test_a_second_run_skips_everything_and_changes_nothing(finished: Run) -> None:
    before, notes = times(finished.folder), Notes()
    records = run_recipe(finished.recipe, finished.text, finished.folder, watcher=notes)
    assert records == finished.records
    assert notes.started == []
    assert notes.finished == [(name, "finished") for name in STAGE_NAMES]
    assert times(finished.folder) == before


CHANGES: list[tuple[dict[str, Any], str, str]] = [
    ({"search": {"max_steps": 1}}, "search", "search.max_steps was 2, is 1"),
    ({"search": {"prompts": "default"}}, "search", r"search.prompts was 'compact', is 'default'; .*; and \d+ more$"),
    ({"seed": 7}, "search", "seed was 42, is 7"),
    ({"generator": {"dtype": "bfloat16"}}, "search", "scorer.dtype was 'float32', is 'bfloat16'"),
    ({"generator": {"context_tokens": 900}}, "search", "scorer.context_tokens was None, is 900"),
    ({"pairs": {"max_query_chars": 900}}, "source", "pairs.max_query_chars was 20000, is 900"),
    ({"select": {"calibrate": False}}, "select", "select.calibrate was True, is False"),
    ({"filters": {"max_end_patterns": 2}}, "annotate", "filters.max_end_patterns was 0, is 2"),
    ({"build": {"drop_flags": []}}, "build", r"build.drop_flags\[0\] was 'copying', is 'absent'"),
    ({"dataset": {"version": "0.2.0"}}, "build", "dataset.version was '0.1.0', is '0.2.0'"),
    ({"execution": {"tasks": 2}}, "source", "tasks was 1, is 2"),
]


@pytest.mark.parametrize(("changes", "stage", "message"), CHANGES)
def test_a_changed_setting_under_a_finished_stage_is_refused(
    original: Run, made: Any, changes: dict[str, Any], stage: str, message: str
) -> None:
    before = times(original.folder)
    with pytest.raises(StageChangedError, match=f"^stage '{stage}' is finished under other settings: .*{message}"):
        run_recipe(*made(**changes), original.folder)
    assert times(original.folder) == before
    assert RunFolder(original.folder).recipe_text == original.text


@pytest.mark.parametrize(
    "changes",
    [
        {"search": {"concurrency": 9}},
        {"generator": {"max_batch": 2, "prefix_cache_gb": 0.0, "device": "auto"}},
        {"execution": {"workers": 4}},
        {"name": "renamed"},
    ],
)
def test_settings_of_speed_may_change(original: Run, made: Any, changes: dict[str, Any]) -> None:
    actions = {item.action for item in plan(made(**changes)[0], RunFolder(original.folder))}
    assert actions == {"skip"}


def test_a_change_in_an_earlier_stage_is_named_as_such(finished: Run, made: Any) -> None:
    recipe, text = made(search={"max_steps": 1})
    # The search was deleted by hand, so that only what was made from it is left.
    RunFolder(finished.folder).stage("search").remove()
    with pytest.raises(StageChangedError, match=r"^stage 'annotate' is finished under other settings: a stage before"):
        run_recipe(recipe, text, finished.folder)


def test_redo_starts_at_its_stage(finished: Run, made: Any) -> None:
    before, notes = times(finished.folder), Notes()
    recipe, text = made(filters={"max_repetition": 0.9})
    records = run_recipe(recipe, text, finished.folder, redo="annotate", watcher=notes)
    assert [(name, action) for name, action, _ in notes.started] == [("annotate", "run"), ("build", "run")]
    after = times(finished.folder)
    for stage in ("source", "dedupe", "select", "search"):
        mine = {name for name in before if name.startswith(f"{stage}/")}
        assert {name: after.get(name) for name in mine} == {name: before[name] for name in mine}
    assert after["annotate/stage.json"] > before["annotate/stage.json"]
    assert records[4].settings["filters"]["max_repetition"] == 0.9
    assert RunFolder(finished.folder).recipe_text == text


def test_redo_of_the_search_forgets_its_journal(finished: Run, made: Any) -> None:
    recipe, text = made(search={"max_steps": 1})
    run_recipe(recipe, text, finished.folder, until="search", redo="search")
    assert {row.get("steps", 0) for row in rows(finished.folder).values()} <= {0, 1}
    record = RunFolder(finished.folder).stage("annotate").record()
    assert record is None, "what was made from the old search is gone"


def test_a_rebuild_from_the_same_rows_has_the_same_bytes(finished: Run) -> None:
    dataset = finished.folder / "deepwriting-20k"
    before = {path.relative_to(dataset): path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    written = dataset.joinpath("README.md").stat().st_mtime_ns
    run_recipe(finished.recipe, finished.text, finished.folder, redo="build")
    after = {path.relative_to(dataset): path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    assert dataset.joinpath("README.md").stat().st_mtime_ns > written
    assert after == before


def test_an_interrupted_redo_leaves_no_stage_without_the_one_before_it(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, removed = StageFolder.remove, []

    def interrupted(folder: StageFolder) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(folder.name)
        remove(folder)

    monkeypatch.setattr(StageFolder, "remove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(finished.recipe, finished.text, finished.folder, redo="dedupe")
    run = RunFolder(finished.folder)
    left = [name for name in STAGE_NAMES if run.stage(name).record()]
    assert left == list(STAGE_NAMES[: len(left)])


def test_what_was_made_from_a_deleted_stage_is_done_anew(finished: Run) -> None:
    run = RunFolder(finished.folder)
    assert [item.action for item in plan(finished.recipe, run)] == ["skip"] * 6
    run.stage("search").remove()
    assert [item.action for item in plan(finished.recipe, run)] == ["skip"] * 3 + ["run"] * 3


def test_until_and_from(made: Any, tmp_path: Path) -> None:
    recipe, text = made()
    first = run_recipe(recipe, text, tmp_path, until="source")
    assert [record.stage for record in first] == ["source"]
    assert not (tmp_path / "dedupe").exists()
    with pytest.raises(StageMissingError, match="stage 'dedupe' has not finished, and --from select would leave it"):
        run_recipe(recipe, text, tmp_path, start="select")
    notes = Notes()
    second = run_recipe(recipe, text, tmp_path, start="dedupe", until="dedupe", watcher=notes)
    assert second[0] == first[0]
    assert notes.started == [("dedupe", "run", PAIRS + 1)]
    assert notes.finished == [("source", "finished"), ("dedupe", "finished")]


def test_stages_that_do_not_exist_or_stand_in_the_wrong_order(original: Run) -> None:
    recipe, run = original.recipe, RunFolder(original.folder)
    for option in ("until", "start", "redo"):
        with pytest.raises(NotFoundError, match="there is no stage 'publish'; the stages are source, dedupe, select"):
            plan(recipe, run, **{option: "publish"})
    with pytest.raises(RunError, match="redo 'search' comes after until 'dedupe'; the order is source"):
        plan(recipe, run, redo="search", until="dedupe")
    with pytest.raises(RunError, match="from 'search' comes after until 'dedupe'"):
        plan(recipe, run, start="search", until="dedupe")


def test_another_process_that_holds_the_run_is_respected(finished: Run) -> None:
    script = (
        "import sys, pathlib; from deepwriting.rundir import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).locked():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(finished.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = times(finished.folder)
        with pytest.raises(RunLockedError, match=f"another process is working on {finished.folder}"):
            run_recipe(finished.recipe, finished.text, finished.folder, redo="source")
        assert times(finished.folder) == before
        holder.kill()
    assert run_recipe(finished.recipe, finished.text, finished.folder) == finished.records


def test_a_build_that_keeps_nothing_stops_and_goes_on_after_a_change(finished: Run, made: Any) -> None:
    strict, text = made(build={"max_score": 0.0})
    for redo in ("build", None):  # the second try finds the tasks done and fails the same way
        with pytest.raises(BuildError, match=r"none of the \d+ rows is kept \(dropped by reason: high_score \d+, "):
            run_recipe(strict, text, finished.folder, redo=redo)
    record = RunFolder(finished.folder).stage("build").record()
    assert record is not None
    assert record.state == "running"
    with pytest.raises(StageChangedError, match=r"stage 'build' was begun under other settings: build\.drop_flags"):
        run_recipe(finished.recipe, finished.text, finished.folder)
    assert run_recipe(finished.recipe, finished.text, finished.folder, redo="build")[-1].state == "finished"


class Tamper(PipelineStep):
    """Loses or invents one document."""

    name = "Tamper"

    def __init__(self, how: str):
        super().__init__()
        self.how = how

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for index, doc in enumerate(data):
            if index == 1:
                if self.how == "invent":
                    yield doc
                elif self.how == "lose":
                    continue
            yield doc


class TamperingStage(DedupeStage):
    """The dedupe stage with a step that does not account for a document."""

    def __init__(self, how: str):
        self.how = how

    def last_steps(self, context: StageContext) -> list[PipelineStep]:
        *reader, writer = super().last_steps(context)
        return [*reader, Tamper(self.how), writer]


@pytest.mark.parametrize(("how", "total"), [("lose", PAIRS - 1), ("invent", PAIRS + 1)])
def test_a_step_that_loses_or_invents_a_document_is_caught(made: Any, tmp_path: Path, how: str, total: int) -> None:
    recipe, text = made()
    run_recipe(recipe, text, tmp_path, until="source")
    context = plan(recipe, RunFolder(tmp_path))[1].context
    message = f"stage 'dedupe' got {PAIRS + 1} rows .and made 0 more., but {total} went on and 1 were rejected"
    with pytest.raises(CountsError, match=message):
        run_stage(Planned(TamperingStage(how), context, {}, "run"), LocalRunner(recipe), Watcher())
    record = RunFolder(tmp_path).stage("dedupe").record()
    assert record is not None
    assert record.state == "running"
    # The step repaired, the next run does the stage again.
    assert run_recipe(recipe, text, tmp_path, until="dedupe")[1].counts.rows_out == PAIRS


def test_without_tampering_the_same_stage_is_sound(made: Any, tmp_path: Path) -> None:
    recipe, text = made()
    run_recipe(recipe, text, tmp_path, until="source")
    context = plan(recipe, RunFolder(tmp_path))[1].context
    assert (
        run_stage(Planned(TamperingStage("not at all"), context, {}, "run"), LocalRunner(recipe), Watcher()).state
        == "finished"
    )


def test_rollouts_are_rows_of_their_own(made: Any, tmp_path: Path) -> None:
    recipe, text = made(search={"rollouts": 2, "max_steps": 1})
    records = run_recipe(recipe, text, tmp_path, until="annotate")
    search = records[3].counts
    assert (search.rows_in, search.extra) == (PAIRS, PAIRS)
    assert search.rows_out + search.rejected == 2 * PAIRS
    found = rows(tmp_path)
    assert Counter(row["rollout"] for row in found.values()) == {0: PAIRS, 1: PAIRS}
    assert all(row["row_id"] == f"{row['pair']}-{row['rollout']}" for row in found.values())
    firsts = [row["thinking"] for row in found.values() if "thinking" in row]
    assert len(set(firsts)) == len(firsts), "each trajectory is sampled anew"


def test_two_tasks_find_the_same_rows_as_one(original: Run, made: Any, tmp_path: Path) -> None:
    records = run_recipe(*made(execution={"tasks": 2}), tmp_path)
    assert [len(list((tmp_path / name / "counts").iterdir())) for name in STAGE_NAMES] == [2, 2, 2, 2, 2, 2]
    assert all(record.counts.balanced for record in records)
    assert_same(rows(tmp_path), rows(original.folder))


RUNNER = """
import sys
from pathlib import Path
from deepwriting.pipeline import run_recipe
from deepwriting.recipe import load_recipe

if __name__ == "__main__":
    recipe, text = load_recipe(sys.argv[1])
    run_recipe(recipe, text, Path(sys.argv[2]))
"""


def journal_lines(folder: Path) -> list[bytes]:
    files = sorted((folder / "search" / "journal").glob("*.jsonl"))
    return [line for file in files for line in file.read_bytes().splitlines(keepends=True)]


def killed_in_the_search(tmp_path: Path, text: str, lines: int) -> list[bytes]:
    """Start a run in its own process, kill it with SIGKILL as soon as its journal is so long; returns the journal."""
    (tmp_path / "recipe.yaml").write_text(text)
    (tmp_path / "runner.py").write_text(RUNNER)
    command = [sys.executable, str(tmp_path / "runner.py"), str(tmp_path / "recipe.yaml"), str(tmp_path / "run")]
    end = time.monotonic() + PATIENCE
    # In a session of its own, so that whatever it leaves behind can be found.
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        while len(journal_lines(tmp_path / "run")) < lines:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end, "the search did not begin"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        while True:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                break
            if time.monotonic() > end:
                os.killpg(process.pid, signal.SIGKILL)
                pytest.fail("processes of the killed run are still there")
            time.sleep(0.05)
    record = RunFolder(tmp_path / "run").stage("search").record()
    assert record is not None
    assert record.state == "running"
    return journal_lines(tmp_path / "run")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_where_it_stopped(original: Run, made: Any, tmp_path: Path, workers: int) -> None:
    recipe, text = made(execution={"tasks": workers, "workers": workers})
    before = killed_in_the_search(tmp_path, text, lines=6 + workers)
    events = [json.loads(line)["event"] for line in before if line.endswith(b"\n")]
    assert events.count("start") > 0
    assert events.count("end") < PAIRS, "it was killed before the end"

    notes = Notes()
    records = run_recipe(recipe, text, tmp_path / "run", until="search", watcher=notes)
    assert notes.started[0] == ("search", "continue", PAIRS)
    assert records[3].counts.balanced
    assert_same(rows(tmp_path / "run"), rows(original.folder))
    # No step was searched twice: what the journal held stays, and every event stands there once.
    after = journal_lines(tmp_path / "run")
    assert {line for line in before if line.endswith(b"\n")} <= set(after)
    keys = Counter((e["event"], e.get("row"), e.get("step")) for e in map(json.loads, after) if e["event"] != "header")
    assert set(keys.values()) == {1}
    assert keys.keys() == {
        (e["event"], e.get("row"), e.get("step"))
        for e in map(json.loads, journal_lines(original.folder))
        if e["event"] != "header"
    }
