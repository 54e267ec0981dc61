"""From a run's folder to its report, in one pass over the rows.

No row is read twice: a pair that is left stands in the shards of the last finished stage, and every other one in the
rejects of the stage where it ended. What went into a stage is therefore the sum of what ended in it and behind it.
The search may make several rows of a pair, so the stages up to the selection and those from the search on are summed
separately. Of a stage that has not finished only its finished tasks are read; their counts are "so far".
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deepwriting.errors import DamagedStageError
from deepwriting.remote.working import fetched
from deepwriting.report.fold import lengths, masked, measures, ranked, reasons, search, selected
from deepwriting.report.model import Flow, Report, Source, Stage, State
from deepwriting.report.reading import Part, read_parts
from deepwriting.report.tally import RowTally, Tally
from deepwriting.rundir import RunFolder, StageFolder, StageRecord

#: The stages whose rows are pairs, each at most once; those behind have a row for each rollout.
PAIR_STAGES = ("source", "dedupe", "select")
ROW_STAGES = ("search", "annotate", "build")
#: Suffix of the files that ``WriteShard`` writes.
_SUFFIX = ".jsonl.gz"


@dataclass(frozen=True)
class TaskCounts:
    """What one task of a stage counted."""

    rows_out: int
    extra: int
    rejected: int
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Known:
    """What a stage's folder tells without its rows."""

    folder: StageFolder
    record: StageRecord | None
    tasks: Mapping[str, TaskCounts]

    @property
    def finished(self) -> bool:
        """Whether all rows are through."""
        return self.record is not None and self.record.state == "finished"


def gather(run: RunFolder, *, workers: int | None = None, watch: Callable[[int, int], None] | None = None) -> Report:
    """Gather the report of a run, whatever state it is in.

    Args:
        run: the run.
        workers: processes that read; by default one for each core where there is much to read.
        watch: is called with the bytes read so far and their total.

    Raises:
        DamagedStageError: if a file that a stage has left is missing or damaged.
        RunError: if a ``stage.json`` is damaged.
    """
    import deepwriting
    from deepwriting.stages import STAGES

    known: dict[str, Known] = {}
    for stage in STAGES:
        # Results behind a stage that has not finished came from rows that are gone: the run will make them anew.
        current = all(before.finished for before in known.values())
        folder = run.stage(stage.name)
        known[stage.name] = _known(folder) if current else Known(folder, None, {})
    _check_handed_over(list(known.values()))
    configured = _configured(known["source"].record)
    last_pairs, last_rows = _last_finished(known, PAIR_STAGES), _last_finished(known, ROW_STAGES)
    parts = [part for name in known for part in _parts(known[name], name in (last_pairs or "source", last_rows))]
    for rows in sorted({part.path.parent for part in parts}):
        fetched(rows)
    tallies = read_parts(parts, frozenset(configured), workers=workers, watch=watch)
    flows = _flows(known, tallies, last_pairs, PAIR_STAGES) | _flows(known, tallies, last_rows, ROW_STAGES)
    left = tallies.get((last_pairs, "shards"), Tally()).rows if last_pairs else {}
    if last_rows:
        # The rows that it made of one pair did not go in.
        flows["search"] = {
            source: replace(flow, rows_in=left[source].rows if source in left else 0)
            for source, flow in flows["search"].items()
        }
    held = run.holder() is not None
    stages, before = [], None
    for stage in STAGES:
        stages.append(_stage(stage.title, known[stage.name], before, flows.get(stage.name, {}), held=held))
        before = stages[-1]
    checked = _summed(
        tallies.get((name, folder), Tally())
        for name, folder in (("dedupe", "rejects"), ("select", "rejects"), (last_pairs, "shards"))
        if last_pairs
    )
    searched = tallies.get((last_rows, "shards"), Tally()).rows if last_rows else {}
    sources = _sources(configured, flows, left, last_pairs)
    names = [source.name for source in sources]
    return Report(
        run=run.shown,
        name=_name(run),
        version=deepwriting.__version__,
        stages=stages,
        last=last_pairs,
        sources=sources,
        reasons=reasons(tallies, {stage.name: stage.reasons for stage in stages}),
        lengths=lengths(checked, left, names),
        categories=selected(left, known["select"].record.facts if known["select"].record else {}),
        languages=ranked(sum((rows.languages for rows in left.values()), Counter())),
        measures=measures(checked, left, names),
        masked=masked(left, names),
        search=search(last_rows, searched),
        notes=_notes(stages, last_pairs),
    )


def _known(folder: StageFolder) -> Known:
    """Record and counts; those of a finished stage are checked against each other."""
    record, tasks = folder.record(), {}
    for file in sorted((folder.path / "counts").glob("*.json")):
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            tasks[file.stem] = TaskCounts(data["rows_out"], data["extra"], data["rejected"], data["reasons"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise DamagedStageError(f"{file} is damaged ({error!r})") from error
    known = Known(folder, record, tasks if record else {})
    if record is not None and known.finished:
        for what in ("rows_out", "extra", "rejected"):
            counted = sum(getattr(task, what) for task in tasks.values())
            if counted != getattr(record.counts, what):
                raise DamagedStageError(
                    f"{folder.path / 'counts'} sums up to {what} = {counted}, "
                    f"but {folder.path / 'stage.json'} says {getattr(record.counts, what)}"
                )
    return known


def _check_handed_over(known: list[Known]) -> None:
    """Whether each finished stage got the rows that the one before has left."""
    for before, behind in itertools.pairwise(known):
        if before.record is None or behind.record is None or not behind.finished:
            continue
        left, got = before.record.counts.rows_out, behind.record.counts.rows_in
        if left != got:
            raise DamagedStageError(
                f"{behind.folder.path / 'stage.json'} says that {got} rows came in, "
                f"but {before.folder.path / 'stage.json'} that {left} went on"
            )


def _last_finished(known: Mapping[str, Known], names: Iterable[str]) -> str:
    """The last of some stages that has finished; empty if none has."""
    finished = [name for name in names if known[name].finished]
    return finished[-1] if finished else ""


def _parts(known: Known, shards: bool) -> list[Part]:
    """The files of a stage that are whole: those of tasks that have counted their rows."""
    parts = []
    for task, counts in known.tasks.items():
        for folder, rows, wanted in (("rejects", counts.rejected, True), ("shards", counts.rows_out, shards)):
            path = known.folder.path / folder / f"{task}{_SUFFIX}"
            # datatrove writes no file for a task without rows.
            if wanted and (rows or path.exists()):
                parts.append(Part(known.folder.name, folder, path, rows))
    return parts


def _flows(
    known: Mapping[str, Known], tallies: Mapping[tuple[str, str], Tally], last: str, names: tuple[str, ...]
) -> dict[str, dict[str, Flow]]:
    """Stage -> source -> its rows, for stages of which rows were read; from the last stage to the first."""
    flows: dict[str, dict[str, Flow]] = {}
    behind: Counter[str] = Counter()
    if last:
        behind.update({source: rows.rows for source, rows in tallies.get((last, "shards"), Tally()).rows.items()})
    for name in reversed(names):
        ended = Counter({s: rows.rows for s, rows in tallies.get((name, "rejects"), Tally()).rows.items()})
        if known[name].finished:
            through = {source: behind[source] + ended[source] for source in behind.keys() | ended.keys()}
            flows[name] = {s: Flow(count, behind[s], ended[s]) for s, count in sorted(through.items())}
            behind = Counter(through)
        elif known[name].tasks:
            flows[name] = {source: Flow(None, None, count) for source, count in sorted(ended.items())}
    return flows


def _stage(title: str, known: Known, before: Stage | None, flows: dict[str, Flow], *, held: bool) -> Stage:
    record, tasks = known.record, known.tasks.values()
    rows_in = before.rows_out if before is not None and before.finished else None
    if record is None:
        return Stage(known.folder.name, title, "waiting", rows_in, 0, 0, 0, {}, 0.0, None, {})
    state: State = "finished" if known.finished else "running" if held else "interrupted"
    why: Counter[str] = Counter()
    for task in tasks:
        why.update(task.reasons)
    if known.finished:
        rows_in, why = record.counts.rows_in, Counter(record.counts.reasons)
    total = (rows_in or 0) + record.counts.extra
    return Stage(
        name=known.folder.name,
        title=title,
        state=state,
        rows_in=rows_in,
        rows_out=sum(task.rows_out for task in tasks),
        extra=record.counts.extra if known.finished else sum(task.extra for task in tasks),
        rejected=why.total(),
        reasons=ranked(why),
        seconds=record.seconds,
        rows_per_second=total / record.seconds if known.finished and record.seconds > 0 else None,
        sources=flows,
        facts=record.facts,
    )


def _configured(record: StageRecord | None) -> dict[str, dict[str, Any]]:
    """The sources as the source stage had them, by name; empty if it has not begun."""
    listed = record.settings.get("sources", []) if record else []
    return {str(source.get("name") or source.get("kind")): source for source in listed if isinstance(source, dict)}


def _sources(
    configured: Mapping[str, Mapping[str, Any]],
    flows: Mapping[str, Mapping[str, Flow]],
    left: Mapping[str, RowTally],
    last: str,
) -> list[Source]:
    if not last:
        return []
    read = flows.get("source", {})
    names = [*configured, *sorted((read.keys() | left.keys()) - configured.keys())]
    nothing = Flow(0, 0, 0)
    return [
        Source(
            name=name,
            kind=str(configured.get(name, {}).get("kind", "")),
            license=str(configured.get(name, {}).get("license", "")),
            candidates=read.get(name, nothing).rows_in or 0,
            pairs=read.get(name, nothing).rows_out or 0,
            left=left[name].rows if name in left else 0,
            languages=ranked(left[name].languages) if name in left else {},
        )
        for name in names
    ]


def _summed(tallies: Iterable[Tally]) -> dict[str, RowTally]:
    total = Tally()
    for tally in tallies:
        total.merge(Tally(tally.rows))
    return total.rows


def _name(run: RunFolder) -> str:
    """The run's name; a recipe that this version cannot read has the folder's."""
    import yaml

    try:
        name = yaml.safe_load(run.recipe_text)["name"]
    except (yaml.YAMLError, TypeError, KeyError, UnicodeDecodeError):
        name = None
    return name if isinstance(name, str) else run.path.resolve().name


def _notes(stages: list[Stage], last: str) -> list[str]:
    """What is not there yet, and why."""
    notes = []
    for stage in stages:
        if stage.state == "waiting":
            waiting = [other.name for other in stages if other.state == "waiting"]
            notes.append(f"Not begun yet: {', '.join(waiting)}.")
            break
        if not stage.finished:
            through = stage.rows_out + stage.rejected
            how = "is running" if stage.state == "running" else "was interrupted or failed, and nobody works on it"
            of = f" of {stage.rows_in:,}" if stage.rows_in is not None else ""
            notes.append(f"Stage {stage.name} {how}: its finished tasks have {through:,}{of} rows through.")
            if stage.rows_in and through == stage.rows_in and not stage.rows_out:
                notes.append(f"Stage {stage.name} has no row left; its reasons are below.")
    if not last:
        notes.append("No stage has finished, so there are no sources, lengths and categories to show.")
    elif last != PAIR_STAGES[-1]:
        notes.append(f"The pairs called “left” are those that came out of {last}: the selection has not finished.")
    return notes
