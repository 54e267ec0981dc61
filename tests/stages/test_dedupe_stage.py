"""The dedupe stage through the real executor: any number of tasks, and killed in any phase."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deepwriting.pipeline import run_recipe
from deepwriting.recipe import parse_recipe
from deepwriting.rundir import RunFolder
from deepwriting.stages.rows import stage_documents

WORDS = [f"word{number}" for number in range(400)]
PHASES = ("rows", "equal", "signatures", "buckets", "clusters", "shingles", "verdicts", "")


def pairs(seed: int, count: int) -> list[dict[str, Any]]:
    """Pairs with every kind of duplicate among them, in any order."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        query, answer = f"Write about {rng.choice(WORDS)} and {rng.choice(WORDS)}", rng.choices(WORDS, k=60)
        rows.append({"id": f"{number}", "query": query, "answer": " ".join(answer)})
        other = rng.randrange(6)
        if other == 0:
            rows.append({"id": f"{number}-again", "query": query, "answer": " ".join(answer) + "  \r\n"})
        elif other == 1:
            rows.append({"id": f"{number}-near", "query": f"{query}, please", "answer": " ".join([*answer[1:], "end"])})
        elif other == 2:
            rows.append({"id": f"{number}", "query": query, "answer": " ".join(reversed(answer))})
        elif other == 3:
            rows.append({"id": f"{number}-same", "query": f"Other {query}", "answer": " ".join(answer)})
        elif other == 4:
            rows += [
                {
                    "id": f"{number}-{more}",
                    "query": query.upper() + "!" * more,
                    "answer": " ".join(rng.choices(WORDS, k=60)),
                }
                for more in range(3)
            ]
    rng.shuffle(rows)
    return rows


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, write_lines: Callable[..., Path]) -> Callable[..., str]:
    """Two sources, one of four files and one of one, and an earlier release with some of their rows."""
    folder = tmp_path_factory.mktemp("in")
    first, second = pairs(1, 60), pairs(2, 25)
    for number in range(4):
        write_lines(folder / "first" / f"{number}.jsonl", *first[number::4])
    write_lines(folder / "second.jsonl", *second, *first[:10])
    write_lines(folder / "release.jsonl", *first[20:26])

    def make(tasks: int, **settings: Any) -> str:
        text: str = yaml.safe_dump(
            {
                "name": "many",
                "sources": [
                    {"kind": "pairs", "path": str(folder / "first"), "name": "first"},
                    {"kind": "pairs", "path": str(folder / "second.jsonl"), "name": "second"},
                ],
                "pairs": {"min_answer_chars": 10},
                # The texts are words without sense.
                "cleaning": {"quality": False, "repetition": False, "language": False},
                "engines": {"generator": {"model": "no-such-model"}},
                "dedupe": {"max_answers_per_query": 2, "earlier_release": [str(folder / "release.jsonl")]} | settings,
                "execution": {"tasks": tasks},
            }
        )
        return text

    return make


def verdicts(run: Path) -> list[list[Any]]:
    """Every row with its reason and detail."""
    found = []
    for part in ("shards", "rejects"):
        for doc in stage_documents(RunFolder(run), "dedupe", part):
            data = doc["metadata"]
            found.append([data["source"], data["source_id"], doc["id"], data.get("reject"), data.get("reject_detail")])
    return sorted(found, key=str)


def dedupe(text: str, run: Path) -> Any:
    return run_recipe(parse_recipe(text), text, run, until="dedupe")[1]


@pytest.fixture(scope="module")
def expected(recipe: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """The verdicts with one task."""
    folder = tmp_path_factory.mktemp("one")
    record = dedupe(recipe(1), folder)
    assert record.facts == {"released_rows": 6}
    assert record.counts.balanced
    assert set(record.counts.reasons) == {
        "duplicate_pair", "duplicate_source_id", "duplicate_answer", "near_duplicate_answer", "in_earlier_release",
        "enough_answers",
    }  # fmt: skip
    assert not RunFolder(folder).stage("dedupe").work.exists()
    return verdicts(folder)


@pytest.mark.parametrize("tasks", [2, 5, 9])
def test_the_number_of_tasks_changes_nothing(
    recipe: Callable[..., str], expected: list[list[Any]], tmp_path: Path, tasks: int
) -> None:
    """Nine tasks leave five without a file."""
    record = dedupe(recipe(tasks), tmp_path)
    assert record.counts.balanced
    assert verdicts(tmp_path) == expected


def test_without_near_duplicates_there_is_no_minhash(recipe: Callable[..., str], tmp_path: Path) -> None:
    text = recipe(2, near_duplicate_answers=False, max_answers_per_query=None)
    reasons = dedupe(text, tmp_path).counts.reasons
    assert set(reasons) == {"duplicate_pair", "duplicate_source_id", "in_earlier_release"}
    assert not (tmp_path / "dedupe" / "logs" / "buckets").exists()


RUNNER = """
import os, signal, sys
from pathlib import Path
import duckdb, pyarrow.parquet
import deepwriting.select.verdicts
from deepwriting.executors.local import QuietExecutor
from deepwriting.pipeline import run_recipe
from deepwriting.recipe import parse_recipe

text, folder, phases = sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(",")
mark, begin = QuietExecutor.mark_rank_as_completed, QuietExecutor._run_for_rank

def beginning(self, *args):
    (folder / "begun").write_text("")
    return begin(self, *args)

# Killed when a phase's last task has written everything, but is not marked as complete; its files are cut in half.
def killing(self, rank):
    phase = Path(self.logging_dir.path).name
    once = folder / f"killed-{phase}-{rank}"
    if phase in phases and rank == self.tasks - 1 and not once.exists():
        once.touch()
        for file in (folder / "dedupe").rglob("*"):
            if file.is_file() and "logs" not in file.parts and file.suffix != ".json":
                if file.stat().st_mtime_ns > (folder / "begun").stat().st_mtime_ns:
                    os.truncate(file, file.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    mark(self, rank)

QuietExecutor.mark_rank_as_completed, QuietExecutor._run_for_rank = killing, beginning
while True:  # a process for each life of the run
    child = os.fork()
    if not child:
        run_recipe(parse_recipe(text), text, folder, until="dedupe")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status != signal.SIGKILL:
        sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_run_killed_in_every_phase_ends_as_one_that_was_not(
    recipe: Callable[..., str], expected: list[list[Any]], tmp_path: Path
) -> None:
    """Each kill leaves the files of its task cut in half, as a crash of the machine might."""
    names = ",".join(name for name in PHASES if name)
    result = subprocess.run(
        [sys.executable, "-c", RUNNER, recipe(2), str(tmp_path), names], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    killed = sorted(file.name.removeprefix("killed-") for file in tmp_path.glob("killed-*"))
    assert killed == [
        "buckets-1", "clusters-0", "equal-0", "rows-1", "shingles-1", "signatures-1", "verdicts-0",
    ]  # fmt: skip
    assert verdicts(tmp_path) == expected
    assert json.loads((tmp_path / "dedupe" / "stage.json").read_text())["state"] == "finished"
