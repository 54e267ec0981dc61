"""The page's sections about counts: funnel, sources, reasons, categories, languages, search.

One function a section; a section that has nothing to show is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deepwriting.cli.console import duration
from deepwriting.report.charts import colour_of, legend, stacked
from deepwriting.report.gather import PAIR_STAGES
from deepwriting.report.html_tables import Column, Row, number, table
from deepwriting.report.markup import Markup, element, joined
from deepwriting.report.model import Flow, Reason, Report, Search, Source, Stage
from deepwriting.report.wording import behind, count, figure, percent

#: Reasons named below a bar of the funnel; the rest is summed up.
_MOST_REASONS = 4
#: Stages that never reject a row: a line of their own would repeat the one before.
_AS_BEFORE = ("annotate", "build")
#: Facts that have a section of their own, by stage.
_TOLD_ELSEWHERE = {"select": ("categories", "cells"), "build": ("rows", "folder", "bytes", "kept", "dropped_by_reason")}
_CONDITIONS = (("no_thinking", "no thinking"), ("before", "before the search"), ("after", "after the search"))


def names_of(report: Report) -> list[str]:
    """The sources in the order of their colours."""
    return [source.name for source in report.sources]


def source_legend(report: Report, *further: tuple[str, str]) -> Markup:
    """What the colours of the sources mean."""
    names = names_of(report)
    entries = {name: colour_of(name, names) for name in names if colour_of(name, names) != "cx"}
    if len(entries) < len(names):
        entries["other sources"] = "cx"
    return legend(entries | dict(further))


def funnel(report: Report) -> Markup:
    """A bar a stage, and the table of all its numbers."""
    if all(stage.state == "waiting" for stage in report.stages):
        return Markup("")
    chart = Markup("")
    finished = [stage for stage in report.stages if stage.finished]
    if finished:
        most = max(max(stage.rows_in or 0, stage.rows_out) for stage in finished)
        candidates = finished[0].rows_in or 0
        lines = list(_funnel_lines(report, finished, most, candidates))
        spoken = ", ".join(f"{stage.rows_out:,} after {stage.name}" for stage in finished)
        chart = element(
            "figure",
            source_legend(report, ("rejected in the stage", "lost")),
            element(
                "div", *lines, class_="funnel", role="img", aria_label=f"Funnel: {candidates:,} candidates, {spoken}."
            ),
            element("figcaption", "All bars have one scale. The table below has the same numbers."),
        )
    return joined(chart, _stage_table(report))


def _funnel_lines(report: Report, finished: list[Stage], most: int, candidates: int) -> Iterator[Markup]:
    first = {name: flow.rows_in or 0 for name, flow in finished[0].sources.items()}
    yield _funnel_line("candidates", _by_source(report, first), most, candidates, candidates, "")
    several = any(stage.extra for stage in finished)
    for stage in finished:
        if stage.name in _AS_BEFORE:
            continue
        out = {name: flow.rows_out or 0 for name, flow in stage.sources.items()}
        parts = [*_by_source(report, out), ("lost", stage.rejected, f"rejected: {stage.rejected:,}")]
        why = ""
        if stage.rejected:
            named = list(stage.reasons.items())[:_MOST_REASONS]
            rest = stage.rejected - sum(rows for _, rows in named)
            said = [f"{reason} {rows:,}" for reason, rows in named] + ([f"others {rest:,}"] if rest else [])
            why = f"−{stage.rejected:,}: {', '.join(said)}"
        if stage.extra:
            why = f"+{stage.extra:,} further rollouts; {why}".removesuffix("; ")
        # With several rollouts a pair these are other rows than the candidates.
        whole = 0 if several and stage.name not in PAIR_STAGES else candidates
        yield _funnel_line(stage.name, parts, most, stage.rows_out, whole, why)
    found = report.search
    if found is not None and found.kept is not None:
        gone = found.rows - found.kept
        parts = [*_by_source(report, found.published), ("lost", gone, f"not published: {gone:,}")]
        why = ", ".join(f"{reason} {rows:,}" for reason, rows in found.drop_reasons.items())
        whole = 0 if several else candidates
        yield _funnel_line("published", parts, most, found.kept, whole, f"−{gone:,}: {why}" if gone else "")


def _funnel_line(
    what: str, parts: list[tuple[str, float, str]], most: int, rows: int, candidates: int, why: str
) -> Markup:
    return joined(
        element("div", what, class_="what"),
        element("div", stacked(parts, most, says=None, height=22), class_="bar"),
        element("div", f"{rows:,} ", element("small", percent(rows, candidates)), class_="rows"),
        element("p", why, class_="why"),
    )


def _by_source(report: Report, rows: Mapping[str, int]) -> list[tuple[str, float, str]]:
    names = names_of(report)
    return [(colour_of(name, names), rows.get(name, 0), f"{name}: {rows.get(name, 0):,}") for name in names]


def _stage_table(report: Report) -> Markup:
    columns = [
        Column("stage"),
        Column("what it does", "text"),
        number("rows in"),
        number("rows out"),
        number("rejected"),
        number("share rejected"),
        number("time"),
        number("rows/s"),
    ]
    rows = []
    for stage in report.stages:
        about = stage.title if stage.state in ("finished", "waiting") else f"{stage.title} ({stage.state}: so far)"
        waiting = stage.state == "waiting"
        rows_in = count(stage.rows_in) + (f" + {stage.extra:,}" if stage.extra else "")
        rows.append(
            Row(
                [
                    stage.name,
                    about,
                    "not begun" if waiting else rows_in,
                    "" if waiting else count(stage.rows_out),
                    "" if waiting else count(stage.rejected),
                    percent(stage.rejected, (stage.rows_in or 0) + stage.extra) if stage.finished else "",
                    duration(stage.seconds) if stage.seconds else "",
                    figure(stage.rows_per_second) if stage.rows_per_second else "",
                ]
            )
        )
    return table("Stages: rows in, out and rejected; time of the stage, loading of models included", columns, rows)


def sources(report: Report) -> Markup:
    """What each source brought, stage by stage."""
    if not report.sources:
        return Markup("")
    stages = [stage for stage in report.stages if stage.finished and stage.sources and stage.name not in _AS_BEFORE]
    columns = [
        Column("source"),
        Column("licence"),
        number("candidates"),
        *(number(behind(stage.name)) for stage in stages),
        number("left"),
        Column("", "bar"),
    ]
    nothing = Flow(0, 0, 0)
    names = names_of(report)
    rows = []
    for source in report.sources:
        flows = [stage.sources.get(source.name, nothing) for stage in stages]
        gone = source.candidates - source.left
        parts = [(colour_of(source.name, names), source.left, "left"), ("lost", gone, f"rejected: {gone:,}")]
        rows.append(
            Row(
                [
                    _named(source),
                    source.license,
                    count(source.candidates),
                    *(count(flow.rows_out) for flow in flows),
                    percent(source.left, source.candidates),
                    stacked(parts, source.candidates, says=None),
                ]
            )
        )
    if len(rows) > 1:
        candidates = sum(source.candidates for source in report.sources)
        left = sum(source.left for source in report.sources)
        total = [count(sum(flow.rows_out or 0 for flow in stage.sources.values())) for stage in stages]
        rows.append(Row(["all", "", count(candidates), *total, percent(left, candidates), ""], "sum"))
    share = behind(report.last)
    caption = f"Rows of each source after each stage; coloured is the share of its candidates that is left ({share})"
    return table(caption, columns, rows)


def _named(source: Source) -> Markup:
    """A source's name, and its layout where that is called otherwise."""
    if source.kind in ("", source.name):
        return joined(source.name)
    return joined(source.name, element("br"), element("small", source.kind))


def reasons(report: Report) -> Markup:
    """Every reason, with its share of the rows that the stage got."""
    if not report.reasons:
        return Markup("")
    columns = [Column("reason"), number("rows"), number("share"), Column("by source", "bar")]
    parts = [source_legend(report)] if report.sources else []
    for stage in report.stages:
        found = [reason for reason in report.reasons if reason.stage == stage.name]
        if not found:
            continue
        most = max(reason.rows for reason in found)
        so_far = "; share of the rows that it got" if stage.finished else " by its finished tasks so far"
        got = (stage.rows_in or 0) + stage.extra if stage.finished else 0
        rows = [
            [
                reason.reason,
                count(reason.rows),
                percent(reason.rows, got),
                stacked(_by_source(report, reason.sources), most, says=_spoken(reason)),
            ]
            for reason in found
        ]
        caption = f"{stage.name}: {stage.rejected:,} {'row' if stage.rejected == 1 else 'rows'} rejected{so_far}"
        parts += [table(caption, columns, rows)]
    return joined(*parts)


def _spoken(reason: Reason) -> str:
    return ", ".join(f"{source} {rows:,}" for source, rows in reason.sources.items())


def categories(report: Report) -> Markup:
    """Selected pairs by domain and category, with what was asked for where the recipe asked."""
    if not report.categories:
        return Markup("")
    asked = any(category.asked is not None for category in report.categories)
    available = any(category.available is not None for category in report.categories)
    columns = [Column("category"), number("pairs"), number("share")]
    columns += [number("asked for")] if asked else []
    columns += [number("available")] if available else []
    columns += [number("probability"), Column("by source", "bar")]
    total = sum(category.rows for category in report.categories)
    most = max(max(category.rows, category.asked or 0) for category in report.categories)
    rows: list[Row] = []
    domains = list(dict.fromkeys(category.domain for category in report.categories))
    for domain in domains:
        inside = [category for category in report.categories if category.domain == domain]
        share = percent(sum(category.rows for category in inside), total)
        rows.append(Row([f"{domain or 'other'} ({share})"]))
        for category in inside:
            short = (
                joined(category.name, element("br"), element("small", category.why)) if category.why else category.name
            )
            cells = [short, count(category.rows), percent(category.rows, total)]
            cells += [count(category.asked)] if asked else []
            cells += [count(category.available)] if available else []
            cells.append(figure(category.probability) if category.probability is not None else "")
            parts = _by_source(report, category.sources)
            cells.append(stacked(parts, most, says=None, mark=category.asked))
            rows.append(Row(cells))
    mark = " The line marks what was asked for." if asked else ""
    about = element(
        "p",
        f"{total:,} pairs in {sum(1 for category in report.categories if category.rows)} of the 25 categories. "
        f"Probability is the median of what the classifier gave the category.{mark}",
    )
    return joined(_asked(report), about, source_legend(report), table("Selected pairs by category", columns, rows))


def _asked(report: Report) -> Markup:
    """What the selection was asked for as a whole, and what it could choose from."""
    facts = report.stage("select").facts
    numbers = [value for name in ("pairs", "available", "chosen") if isinstance(value := facts.get(name), int)]
    if len(numbers) < 3:
        return Markup("")
    asked, available, chosen = numbers
    short = f" That is {asked - chosen:,} short; the table says where and why." if chosen < asked else ""
    return element("p", f"Asked for {asked:,} pairs, {available:,} could be had, {chosen:,} were chosen.{short}")


def languages(report: Report) -> Markup:
    """Languages of the pairs that are left, by source."""
    if not report.languages:
        return Markup("")
    found = list(report.languages)
    columns = [Column("source"), *(number(language) for language in found)]
    rows = [
        Row([source.name, *(count(source.languages.get(language, 0)) for language in found)])
        for source in report.sources
    ]
    if len(rows) > 1:
        rows.append(Row(["all", *(count(rows_) for rows_ in report.languages.values())], "sum"))
    return table(f"Language of the query, pairs {behind(report.last)}", columns, rows, wide=False)


def masked(report: Report) -> Markup:
    """Personal details that were masked."""
    if not report.masked:
        return Markup("")
    kinds: dict[str, int] = {}
    for one in report.masked:
        for kind, times in one.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + times
    ordered = sorted(kinds, key=lambda kind: (-kinds[kind], kind))
    columns = [Column("source"), number("pairs with any"), *(number(kind) for kind in ordered)]
    rows = [
        Row([one.source, count(one.rows), *(count(one.kinds.get(kind, 0)) for kind in ordered)])
        for one in report.masked
    ]
    if len(rows) > 1:
        pairs = sum(one.rows for one in report.masked)
        rows.append(Row(["all", count(pairs), *(count(kinds[kind]) for kind in ordered)], "sum"))
    return table("Occurrences replaced in the pairs that are left, by kind", columns, rows, wide=False)


def search(report: Report) -> Markup:
    """What the search achieved."""
    found = report.search
    if found is None:
        return Markup("")
    rows = []
    for key, name, how in (
        ("score", "score, mean (nats)", "mean"),
        ("perplexity", "true perplexity, median", "median"),
        ("thinking_tokens", "thinking, median (tokens)", "median"),
    ):
        spreads = [found.measures.get(f"{key}_{when}") for when, _ in _CONDITIONS]
        digits = 3 if key == "score" else 1 if key == "perplexity" else 0
        rows.append([name, *(f"{getattr(spread, how):,.{digits}f}" if spread else "–" for spread in spreads)])
    columns = [Column(""), *(number(name) for _, name in _CONDITIONS)]
    caption = f"{found.rows:,} searched rows; lower is better for score and perplexity"
    return joined(table(caption, columns, rows, wide=False), _outcomes(found), _counted(found))


def _outcomes(found: Search) -> Markup:
    of = [
        ("score lower than with the first thinking", found.lower_score, found.rows),
        ("score lower than without thinking", found.below_no_thinking, found.rows),
        ("rows with an accepted edit", found.edited, found.rows),
        ("accepted edits, of all steps", found.accepted_edits, found.steps),
    ]
    if found.kept is not None:
        of.append(("published in the default config", found.kept, found.rows))
    rows = [
        [
            name,
            f"{part:,} of {whole:,}",
            percent(part, whole),
            stacked([("now", part, name)], whole, says=None),
        ]
        for name, part, whole in of
    ]
    return table("What came of it", [Column(""), number("rows"), number("share"), Column("", "bar")], rows)


def _counted(found: Search) -> Markup:
    parts = [
        table(caption, [Column(name), number(unit)], [[key, count(times)] for key, times in counts.items()], wide=False)
        for caption, name, unit, counts in (
            ("Why searches ended", "reason", "rows", found.stop_reasons),
            ("Why candidates were refused", "reason", "candidates", found.refusals),
            ("What the filters noticed", "flag", "rows", found.flags),
            (
                "Why rows are not published (a row may have several reasons)",
                "reason",
                "rows",
                found.drop_reasons,
            ),
        )
        if counts
    ]
    return element("div", *parts, class_="pair") if parts else Markup("")


def told(report: Report) -> Markup:
    """What stages told beyond their counts, as they told it."""
    parts = []
    for stage in report.stages:
        known = {key: value for key, value in stage.facts.items() if key not in _TOLD_ELSEWHERE.get(stage.name, ())}
        rows = [[key, value] for key, value in _flat(known)]
        if rows:
            parts.append(
                table(f"Facts of stage {stage.name}", [Column("fact"), Column("value", "text")], rows, wide=False)
            )
    return joined(*parts)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Nested values, each with the path to it."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(item, f"{key}, {name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for index, item in enumerate(value, start=1):
            yield from _flat(item, f"{key}, {index}")
    elif isinstance(value, list):
        yield key, ", ".join(map(str, value))
    elif isinstance(value, float | int) and not isinstance(value, bool):
        yield key, f"{value:,}" if isinstance(value, int) else figure(value)
    elif value is not None:
        yield key, str(value)
