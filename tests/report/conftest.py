from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.rundir import RunFolder, StageRecord
from deepwriting.stages.writer import WriteShard

#: Sources of the runs below, as the source stage has them among its settings.
SOURCES = [
    {"kind": "wildchat", "name": "chats", "license": "ODC-BY-1.0", "path": "/secret/place"},
    {"kind": "pairs", "name": None, "license": "CC0-1.0", "path": "p.jsonl"},
]


def document(name: str, source: str = "pairs", text: str = "An answer.", **metadata: Any) -> Document:
    """A row as it stands in a stage's folder; ``reject=`` and ``reject_detail=`` make it a rejected one."""
    row = {"query": "Write something.", "source": source, "source_id": name, "license": "x", "language": "en"}
    return Document(text=text, id=f"dw-{name}", metadata=row | metadata)


def searched(name: str, gain: float, **metadata: Any) -> Document:
    """A row as the search leaves it."""
    row = {
        "score_no_thinking": 3.0, "score_before": 2.5, "score_after": 2.5 - gain, "perplexity_no_thinking": 30.0,
        "perplexity_before": 20.0, "perplexity_after": 18.0, "thinking_tokens_before": 100,
        "thinking_tokens_after": 120, "steps": 4, "accepted_edits": 2 if gain > 0 else 0, "stop_reason": "max_steps",
        "refusals": {"copies_answer": 1}, "flags": [], "keep": True, "drop_reasons": [],
    }  # fmt: skip
    return document(name, **row | metadata)


@pytest.fixture(scope="session")
def write_stage() -> Callable[..., None]:
    """Writes a stage with the step that ends every stage: ``write_stage(run, "source", [task 0's rows, task 1's])``."""

    def write(
        run: RunFolder,
        name: str,
        tasks: Sequence[Sequence[Document]],
        *,
        rows_in: int | None = None,
        state: str = "finished",
        seconds: float = 2.0,
        facts: dict[str, Any] | None = None,
    ) -> None:
        run.path.mkdir(parents=True, exist_ok=True)
        if not (run.path / "recipe.yaml").exists():
            (run.path / "recipe.yaml").write_text("name: tried\n")
        folder = run.stage(name)
        for rank, rows in enumerate(tasks):
            for _ in WriteShard(str(folder.path), multiplies=name == "search").run(iter(rows), rank, len(tasks)):
                pass
        counts = folder.counted()
        counts.rows_in = counts.rows_out + counts.rejected - counts.extra if rows_in is None else rows_in
        settings = {"sources": SOURCES} if name == "source" else {}
        folder.save(StageRecord(name, "hash", settings, state, seconds, counts, facts or {}))  # type: ignore[arg-type]

    return write


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that has not begun."""
    folder = RunFolder(tmp_path / "runs/tried")
    folder.path.mkdir(parents=True)
    (folder.path / "recipe.yaml").write_text("name: tried\n")
    return folder


@pytest.fixture
def whole_run(run: RunFolder, write_stage: Callable[..., None]) -> RunFolder:
    """All stages finished: 10 records, 7 pairs, 5 without duplicates, 4 selected, 5 rows searched, 4 published."""
    kept = [
        document("a", "chats", "A" * 100, provenance='{"score": 7, "pii_masked": {"email": 2}}', pii_masked=2),
        document("b", "pairs", "B" * 200, language="zh"),
        document("c", "pairs", "C" * 300),
        document("d", "chats", "D" * 400, provenance='{"score": 3}'),
    ]
    extra = document("e", "pairs", "E" * 1000)
    twice = [document(f"t{i}", "pairs", "C" * 300) for i in range(2)]
    bad = [
        document("chats.jsonl:3", "chats", "{broken", reject="malformed_json", reject_detail="column 1 of line 3"),
        document("chats.jsonl:9", "chats", "{worse", reject="malformed_json", reject_detail="column 8 of line 1"),
        document("m", "pairs", "m", reject="short_answer", reject_detail="1 characters, 50 are needed"),
    ]
    write_stage(run, "source", [[*kept[:2], bad[0], extra], [*kept[2:], *twice, *bad[1:]]])
    doubles = [
        document(row.id[3:], "pairs", row.text, reject="duplicate_pair", reject_detail="duplicate of pairs/c7f3")
        for row in twice
    ]
    write_stage(run, "dedupe", [[*kept, extra, *doubles]])
    for row in kept:
        row.metadata |= {"category": "Essay Writing", "domain": "Artistic", "category_probability": 0.5}
    full = document("e", "pairs", "E" * 1000, reject="category_full")
    categories = {
        "Essay Writing": {
            "wanted": 6,
            "available": 5,
            "chosen": 4,
            "shortfall": 2,
            "why": "source_limits reached: pairs",
        },
        "Poetry & Lyrics": {"wanted": 2, "available": 0, "chosen": 0, "shortfall": 2, "why": "there are only 0"},
    }
    facts = {
        "pairs": 8, "available": 5, "chosen": 4, "unclear": 0, "classified_by": {"fast": 3, "scorer": 2},
        "categories": categories, "sources": {"pairs": {"available": 3, "chosen": 2, "limit": 2}},
    }  # fmt: skip
    write_stage(run, "select", [kept[:1], [*kept[1:], full]], facts=facts)
    rows = [searched("a", 0.2), searched("a", 0.0, rollout=1), searched("b", 0.1), searched("c", 0.3)]
    short = document("d", "chats", reject="initial_one_segment")
    write_stage(run, "search", [[*rows, short]])
    rows[1].metadata |= {"flags": ["repetition"], "keep": False, "drop_reasons": ["repetition"]}
    write_stage(run, "annotate", [rows])
    write_stage(run, "build", [rows], facts={"kept": 3, "rows": {"default": 3}})
    return run
