"""Every row of config ``all`` looked at once: its id, its annotations, the decision, and what other configs make of it.

    all + steps, row by row → id again, filters again, decision again → rows that every other config should hold

Nothing is kept of a row but hashes. Whatever the filters measure depends on the text alone, so it is computed again
with the thresholds that the manifest names; published numbers are float32, and the new ones are rounded likewise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepwriting.builders.manifest import Manifest, ManifestConfig
from deepwriting.errors import BuildError, SchemaError
from deepwriting.hub.hashes import batches
from deepwriting.hub.verify.expected import Expected
from deepwriting.hub.verify.report import Check
from deepwriting.schema import ALL_COLUMNS, LANGUAGES, STEP_COLUMNS, pair_id, row_id
from deepwriting.sections.outcome import BuildSection, FiltersSection

if TYPE_CHECKING:
    from deepwriting.stages.decide import Decide
    from deepwriting.steps import Annotator

Row = dict[str, Any]
#: Columns that the filters compute from the text of a row.
MEASURED = (
    "repetition",
    "thinking_patterns",
    "thinking_pattern_count",
    "end_pattern_count",
    "copy_ratio",
    "longest_copy",
)
#: A published score is a float32, so a threshold in its last digits may have been passed or not (nats).
SCORE_ROUNDING = 2e-6


@dataclass
class RowChecks:
    """The checks that the rows are put through."""

    rows: Check = field(
        default_factory=lambda: Check("rows", "are ids unique and those of the texts, and do values fit together?")
    )
    flags: Check = field(
        default_factory=lambda: Check("flags", "do the texts give the published measurements and flags?")
    )
    decision: Check = field(
        default_factory=lambda: Check("decision", "do flags and scores give the published decisions, keep or drop?")
    )
    configs: Check = field(
        default_factory=lambda: Check("configs", "do all other configs hold what the rows of `all` make of them?")
    )
    splits: Check = field(default_factory=lambda: Check("splits", "does validation share no query with train?"))

    @property
    def all(self) -> tuple[Check, ...]:
        """All of them in order."""
        return (self.rows, self.flags, self.decision, self.configs, self.splits)


def check_rows(folder: Path, manifest: Manifest, watch: Callable[[int], None] | None = None) -> tuple[Check, ...]:
    """Look at every row.

    Args:
        folder: folder of the dataset.
        manifest: its manifest, which names thresholds and rules.
        watch: told the number of rows looked at, now and then.

    Returns:
        The checks of rows, flags, decisions, configs and splits.
    """
    checks = RowChecks()
    if "all" not in manifest.configs:
        for check in checks.all:
            check.reason = "there is no config `all`"
        return checks.all
    try:
        _look(folder, manifest, checks, watch)
    except BuildError as error:
        for check in checks.all:
            check.reason = check.reason or str(error)
    return checks.all


def _look(folder: Path, manifest: Manifest, checks: RowChecks, watch: Callable[[int], None] | None) -> None:
    filters = _section(manifest, "filters", FiltersSection, checks.flags)
    decision = _section(manifest, "build", BuildSection, checks.decision)
    auditor = _Auditor(checks, filters, decision)
    expected = Expected(manifest, filters, checks.configs)
    for count, (split, row, trace) in enumerate(_with_steps(folder, manifest, checks.rows), start=1):
        try:
            auditor.look_at(split, row, trace)
            expected.add(split, row, trace)
        except SchemaError as error:
            checks.rows.found("a row breaks the schema", str(error))
        if watch and count % 100 == 0:
            watch(count)
    auditor.finish()
    expected.compare(folder)


def _section(manifest: Manifest, name: str, section: Any, check: Check) -> Any:
    """A section of the recipe as the manifest's settings hold it."""
    told = manifest.settings.get(name)
    if told is None:
        check.reason = f"the manifest's settings lack `{name}`, so its thresholds are not known"
        return None
    try:
        return section.model_validate(told)
    except ValueError as error:
        check.reason = f"settings.{name} of the manifest cannot be read: {str(error).splitlines()[0]}"
        return None


def _with_steps(folder: Path, manifest: Manifest, check: Check) -> Iterator[tuple[str, Row, list[Row]]]:
    """Every row of ``all`` with its split and its rows of ``steps``; both tables are sorted by row id in each split."""
    everything, steps = manifest.configs["all"], manifest.configs.get("steps")
    for split in everything.splits:
        groups = _groups(folder, steps, split)
        waiting = next(groups, None)
        for row in _rows(folder, everything, split, [column.name for column in ALL_COLUMNS]):
            while waiting is not None and waiting[0] < row["row_id"]:
                check.found("steps of no row", f"{waiting[0]}, or its rows are not in order")
                waiting = next(groups, None)
            trace: list[Row] = []
            if waiting is not None and waiting[0] == row["row_id"]:
                trace, waiting = waiting[1], next(groups, None)
            yield split, row, trace
        for orphan in (waiting, *groups):
            if orphan is not None:
                check.found("steps of no row", f"{orphan[0]}, or its rows are not in order")


def _groups(folder: Path, steps: ManifestConfig | None, split: str) -> Iterator[tuple[str, list[Row]]]:
    if steps is None:
        return
    rows = _rows(folder, steps, split, [column.name for column in STEP_COLUMNS])
    for row, group in groupby(rows, key=lambda step: step["row_id"]):
        yield row, list(group)


def _rows(folder: Path, config: ManifestConfig, split: str, columns: list[str]) -> Iterator[Row]:
    for file in config.files:
        if file.split == split:
            for batch in batches(folder, file.path, columns):
                yield from batch.to_pylist()


class _Auditor:
    """Looks at one row after the other."""

    def __init__(self, checks: RowChecks, filters: FiltersSection | None, decision: BuildSection | None):
        self.checks = checks
        self.annotators: list[Annotator] = []
        self.decides: list[Decide] = []
        if filters is not None:
            from deepwriting.stages.annotate import annotators

            self.annotators = annotators(filters)
        if decision is not None:
            self.decides = _decides(decision)
        self.seen: set[str] = set()
        self.queries: dict[str, set[str]] = {}

    def look_at(self, split: str, row: Row, trace: list[Row]) -> None:
        """Check one row; what is wrong goes to the checks."""
        from deepwriting.builders.validation import query_key

        self._identity(row)
        self._search(row, trace)
        if isinstance(row["query"], str):
            self.queries.setdefault(split, set()).add(query_key(row["query"]))
        if not all(isinstance(row[name], str) for name in ("query", "thinking", "answer")):
            return  # told by the schema
        if self.annotators:
            self._measures(row)
        if self.decides:
            self._decision(row)

    def finish(self) -> None:
        """Say how much was looked at, and compare the queries of the splits."""
        checks, rows = self.checks, f"{len(self.seen):,} rows"
        for check in (checks.rows, checks.flags, checks.decision):
            check.looked_at = rows
        names = list(self.queries)
        for at, one in enumerate(names):
            for other in names[at + 1 :]:
                if shared := self.queries[one] & self.queries[other]:
                    checks.splits.found("a query in two splits", f"{one} and {other} share {len(shared)}", len(shared))
        checks.splits.looked_at = ", ".join(f"{name} {len(found):,} queries" for name, found in self.queries.items())

    def _identity(self, row: Row) -> None:
        found, check = row["row_id"], self.checks.rows
        if found in self.seen:
            check.found("an id twice", str(found))
        self.seen.add(found)
        if isinstance(row["query"], str) and isinstance(row["answer"], str):
            right = row_id(pair_id(row["query"], row["answer"]), row["rollout"])
            if found != right:
                check.found("not the id of its texts", f"{found} should be {right}")
        if row["language"] not in LANGUAGES:
            check.found("an unknown language", f"{found}: {row['language']!r}")

    def _search(self, row: Row, trace: list[Row]) -> None:
        """What the search's columns say of each other."""
        found, check = row["row_id"], self.checks.rows
        for name, side in (("initial_thinking", "initial"), ("thinking", "final")):
            if isinstance(row[name], str) and not _made_of(row[name], [part[side] for part in row["segments"] or ()]):
                check.found("segments are not the thinking's", f"{found}: {side} segments and column {name}")
        if not trace:
            return
        accepted = [step for step in trace if step["accepted"]]
        if len({step["step"] for step in trace}) != row["steps"] or len(accepted) != row["accepted_edits"]:
            check.found(
                "steps do not fit the row", f"{found}: {row['steps']} steps, {row['accepted_edits']} accepted edits"
            )
        last = accepted[-1] if accepted else None
        ends = (last["score"], last["perplexity"]) if last else (row["score_before"], row["perplexity_before"])
        if ends != (row["score_after"], row["perplexity_after"]):
            check.found(
                "scores do not fit the steps", f"{found}: score {row['score_after']}, the steps end at {ends[0]}"
            )

    def _measures(self, row: Row) -> None:
        from datatrove.data import Document

        document = Document(row["answer"], row["row_id"], metadata={"thinking": row["thinking"], "flags": []})
        for step in self.annotators:
            step.annotate(document)
        check = self.checks.flags
        for name in MEASURED:
            right, said = _rounded(document.metadata[name]), row[name]
            if right != said:
                check.found(name, f"{row['row_id']}: {_short(said)}, the text gives {_short(right)}")
        if document.metadata["flags"] != row["flags"]:
            check.found("flags", f"{row['row_id']}: {row['flags']}, the text gives {document.metadata['flags']}")

    def _decision(self, row: Row) -> None:
        from datatrove.data import Document

        said = (row["keep"], row["drop_reasons"])
        right: tuple[Any, Any] = (None, None)
        for decide in self.decides:
            document = Document(row["answer"], row["row_id"], metadata=dict(row))
            decide.annotate(document)
            outcome = (document.metadata["keep"], document.metadata["drop_reasons"])
            if outcome == said:
                return
            right = outcome if right == (None, None) else right
        case = f"{row['row_id']}: {_outcome(*said)}, should be {_outcome(*right)}"
        self.checks.decision.found("another decision", case)


def _outcome(keep: Any, reasons: Any) -> str:
    return "kept" if keep else f"dropped for {', '.join(reasons or ['nothing'])}"


def _decides(section: BuildSection) -> list[Decide]:
    """The decision, and where a threshold on scores could hide in rounding, the decisions on both sides of it."""
    from deepwriting.stages.decide import Decide

    sections = [section]
    for name in ("max_score", "min_improvement"):
        if (threshold := getattr(section, name)) is not None:
            sections += [
                one.model_copy(update={name: threshold + shift})
                for one in tuple(sections)
                for shift in (-SCORE_ROUNDING, SCORE_ROUNDING)
            ]
    return [Decide(one, "") for one in sections]


def _made_of(text: str, segments: list[str]) -> bool:
    """Whether a text is these segments in order, with nothing but white space between them."""
    at = 0
    for segment in segments:
        start = text.find(segment, at)
        if start < 0 or text[at:start].strip():
            return False
        at = start + len(segment)
    return not text[at:].strip()


def _rounded(value: Any) -> Any:
    return float(np.float32(value)) if isinstance(value, float) else value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return str(dict(Counter({item["pattern"]: item["count"] for item in value})))
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
