"""A report in the terminal: tables that fit into 80 columns, and one sample a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deepwriting.cli.console import duration
from deepwriting.cli.tables import plain_table
from deepwriting.report.model import Reason, Report, Search, Stage
from deepwriting.report.wording import bar, behind, count, figure, headline, label, middle, percent

#: Terminals narrower than this get no bars (columns).
ROOM_FOR_BARS = 90
#: Length of a bar (characters).
_BAR = 16
#: Sources that are named beside a reason; the rest is summed up.
_MOST_SOURCES = 3


def report_view(report: Report, width: int) -> Group:
    """The whole report.

    Args:
        report: the report.
        width: columns of the terminal.
    """
    wide = width >= ROOM_FOR_BARS
    parts: list[RenderableType] = [Text(headline(report), style="bold"), Text(report.run, style="dim")]
    parts += [_funnel(report, wide=wide)]
    parts += [table for table in (_sources(report), _reasons(report), _lengths(report)) if table.row_count]
    parts += [
        table for table in (_categories(report, wide=wide), _measures(report), _masked(report)) if table.row_count
    ]
    if report.search is not None:
        parts.append(_search(report.search))
    parts += _samples(report.reasons, width)
    parts += [Text(note, style="yellow") for note in report.notes]
    return Group(*parts)


def _funnel(report: Report, *, wide: bool) -> Table:
    columns = ["stage", "in", "out", "of all", *([""] if wide else []), "rejected", "time", "rows/s"]
    right = [1, 2, 3, *((5, 6, 7) if wide else (4, 5, 6))]
    table = plain_table(*columns, right=right, title="Funnel")
    for column in table.columns:
        column.no_wrap = True
    most = max((stage.rows_in or 0 for stage in report.stages), default=0)
    candidates = report.stage("source").rows_in or 0
    for stage in report.stages:
        cells = _stage_cells(stage, candidates)
        if wide:
            cells.insert(4, bar(stage.rows_out, most, _BAR))
        table.add_row(*cells)
    return table


def _stage_cells(stage: Stage, candidates: int) -> list[str]:
    if stage.state == "waiting":
        return [stage.name, "", "waiting", "", "", "", ""]
    rows_in = count(stage.rows_in) + (f" (+{stage.extra:,})" if stage.extra else "")
    seconds = duration(stage.seconds) if stage.seconds else ""
    if not stage.finished:
        through = f"{stage.rows_out:,} so far"
        return [f"{stage.name} ({stage.state})", rows_in, through, "", count(stage.rejected), seconds, ""]
    rate = figure(stage.rows_per_second) if stage.rows_per_second else ""
    share = percent(stage.rows_out, candidates)
    return [stage.name, rows_in, count(stage.rows_out), share, count(stage.rejected), seconds, rate]


def _sources(report: Report) -> Table:
    stages = [stage for stage in report.stages if stage.finished and stage.sources and stage.name not in _AS_BEFORE]
    columns = ["source", "candidates", *(behind(stage.name) for stage in stages), "of all"]
    table = plain_table(*columns, right=range(1, len(columns)), title="Sources")
    for source in report.sources:
        flows = [stage.sources.get(source.name) for stage in stages]
        cells = [count(flow.rows_out if flow else 0) for flow in flows]
        table.add_row(source.name, count(source.candidates), *cells, percent(source.left, source.candidates))
    return table


#: Stages that let every row pass: their column would repeat the one before.
_AS_BEFORE = ("annotate", "build")


def _reasons(report: Report) -> Table:
    table = plain_table(
        "stage",
        "reason",
        "rows",
        "share",
        "sources",
        right=(2, 3),
        title="Why rows ended (share of the rows that the stage got)",
    )
    got = {stage.name: (stage.rows_in or 0) + stage.extra for stage in report.stages if stage.finished}
    before = ""
    for reason in report.reasons:
        name = "" if reason.stage == before else reason.stage
        if name and before:
            table.add_section()
        before = reason.stage
        share = percent(reason.rows, got.get(reason.stage, 0))
        sources = _named(reason.sources) if len(reason.sources) > 1 else _only(reason.sources)
        table.add_row(name, reason.reason, count(reason.rows), share, sources)
        for detail in reason.details:
            # A detail that one row has tells nothing about the others.
            if detail.rows > 1 and len(reason.details) > 1:
                said = Text(f"  {detail.text}", style="dim", no_wrap=True, overflow="ellipsis")
                table.add_row("", said, Text(count(detail.rows), style="dim"), "", "")
    return table


def _only(counts: Mapping[str, int]) -> str:
    return next(iter(counts), "")


def _named(counts: Mapping[str, int], most: int | None = _MOST_SOURCES) -> str:
    """Names with their counts, most first; beyond ``most`` they are summed up."""
    shown = [f"{name} {rows:,}" for name, rows in list(counts.items())[:most]]
    rest = sum(list(counts.values())[len(shown) :])
    return ", ".join([*shown, f"others {rest:,}"] if rest else shown)


def _lengths(report: Report) -> Table:
    after = behind(report.last) if report.last != "source" else ""
    columns = ["", "source", "pairs", *([after] if after else [])]
    title = "Lengths in characters: median (10% – 90%)"
    table = plain_table(*columns, right=range(2, len(columns)), title=title)
    for index, length in enumerate(report.lengths):
        total = not length.source
        if total and index:
            table.add_section()
        name = {"query": "queries", "answer": "answers"}[length.text] if total else ""
        cells = [middle(length.before), *([middle(length.after)] if after else [])]
        if total or len(report.sources) > 1:
            table.add_row(name, length.source or "all", *cells)
    return table


def _categories(report: Report, *, wide: bool) -> Table:
    asked = any(category.asked is not None for category in report.categories)
    columns = ["category", "rows", "share", *([""] if wide else []), *(["asked", "available"] if asked else [])]
    columns.append("probability")
    right = [index for index, name in enumerate(columns) if name not in ("category", "")]
    table = plain_table(*columns, right=right, title="Categories of the selected pairs")
    most = max((category.rows for category in report.categories), default=0)
    total = sum(category.rows for category in report.categories)
    domain = ""
    for category in sorted(report.categories, key=lambda one: _domain_order(report, one.domain)):
        if category.domain != domain:
            domain = category.domain
            table.add_row(Text(domain or "other", style="bold"), *[""] * (len(columns) - 1))
        cells = [f"  {category.name}", count(category.rows), percent(category.rows, total)]
        cells += [bar(category.rows, most, _BAR)] if wide else []
        cells += [count(category.asked), count(category.available)] if asked else []
        table.add_row(*cells, figure(category.probability) if category.probability is not None else "")
    return table


def _domain_order(report: Report, domain: str) -> int:
    return [category.domain for category in report.categories].index(domain)


def _measures(report: Report) -> Table:
    after = behind(report.last) if report.last != "source" else ""
    columns = ["", "source", "pairs", *([after] if after else [])]
    table = plain_table(*columns, right=range(2, len(columns)), title="Quality: median (10% – 90%)")
    before = ""
    for measure in report.measures:
        if not measure.source and before:
            table.add_section()
        name = label(measure.name) if measure.name != before else ""
        before = measure.name
        table.add_row(
            name, measure.source or "all", middle(measure.before), *([middle(measure.after)] if after else [])
        )
    return table


def _masked(report: Report) -> Table:
    table = plain_table("source", "pairs", "masked", right=(1,), title="Personal details masked")
    for masked in report.masked:
        table.add_row(masked.source, count(masked.rows), _named(masked.kinds, most=None))
    return table


def _search(search: Search) -> Table:
    table = plain_table("", "no thinking", "before", "after", right=(1, 2, 3), title="Search")
    for name, key, mean in (
        ("score, mean (nats)", "score", True),
        ("perplexity, median", "perplexity", False),
        ("thinking, median (tokens)", "thinking_tokens", False),
    ):
        spreads = [search.measures.get(f"{key}_{when}") for when in ("no_thinking", "before", "after")]
        digits = 3 if mean else 0 if key == "thinking_tokens" else 1
        table.add_row(name, *(f"{one.mean if mean else one.median:,.{digits}f}" if one else "" for one in spreads))
    table.add_section()
    rows = search.rows
    table.add_row("rows with a lower score", "", "", f"{search.lower_score:,} of {rows:,}")
    table.add_row("rows below no thinking", "", "", f"{search.below_no_thinking:,} of {rows:,}")
    table.add_row("accepted edits", "", "", f"{search.accepted_edits:,} in {search.steps:,} steps")
    if search.kept is not None:
        table.add_row("published (default config)", "", "", f"{search.kept:,} of {rows:,}")
    said = [
        f"{what}: {_named(counts, most=None)}"
        for what, counts in (
            ("refused candidates", search.refusals),
            ("stopped", search.stop_reasons),
            ("flags", search.flags),
            ("left out", search.drop_reasons),
        )
        if counts
    ]
    table.caption, table.caption_justify = "\n".join(said), "left"
    return table


def _samples(found: list[Reason], width: int) -> Iterator[Text]:
    """One reject a reason: where it stands, what it says, how it begins."""
    for index, reason in enumerate(reason for reason in found if reason.samples):
        if not index:
            yield Text("Samples of rejects, one for each reason\n", style="bold")
        sample = reason.samples[0]
        where = Text.assemble((f"{reason.stage}: {reason.reason}", "bold"), f"  {sample.source}  {sample.source_id}")
        where.truncate(width, overflow="ellipsis")
        yield where
        lines = (("", sample.detail), ("query: ", sample.query), ("text: ", sample.text))
        for name, text in lines:
            if text:
                line = Text(f"  {name}{text}", style="dim" if name else "")
                line.truncate(width, overflow="ellipsis")
                yield line
        yield Text("")
