"""The card's tables: statistics, schema and settings as Markdown, one function a section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deepwriting.dataset_cards.markdown import code, count, escaped, number, share, size, table
from deepwriting.dataset_cards.statistics import Group, Statistics
from deepwriting.schema import CONFIG_COLUMNS, CONFIG_PURPOSE

#: How a reader would write the types that are not plain values.
_TYPE_NAMES = {
    "strings": "list of string",
    "messages": "list of {role, content}",
    "pattern_counts": "list of {pattern, count}",
    "segments": "list of {initial, final, edited}",
}
#: Titles of the three conditions under which an answer is scored, by the suffix of their columns.
CONDITIONS = {
    "no_thinking": "empty thinking",
    "before": "initial thinking",
    "after": "final thinking",
}


def configs(infos: Mapping[str, Any]) -> str:
    """Configs with their rows and download sizes."""
    rows = []
    for name, info in infos.items():
        number = sum(split.num_examples for split in info.splits.values())
        rows.append((code(name), CONFIG_PURPOSE[name], count(number), size(info.download_size)))
    return table(("config", "what it holds", "rows", "download"), rows, numbers=2)


def columns(config: str, without: str | None = None) -> str:
    """Columns of one config with type and meaning, generated from the schema.

    Args:
        config: name of the config.
        without: a config whose columns are left out.
    """
    left_out = CONFIG_COLUMNS[without] if without else ()
    rows = [
        (code(column.name), _TYPE_NAMES.get(column.kind, column.kind), escaped(column.doc), "yes" * column.nullable)
        for column in CONFIG_COLUMNS[config]
        if column not in left_out
    ]
    if not any(row[-1] for row in rows):
        return table(("column", "type", "meaning"), [row[:-1] for row in rows])
    return table(("column", "type", "meaning", "may be null"), rows)


def search_effect(group: Group) -> str:
    """Search score and true perplexity under the three conditions."""
    rows = []
    for suffix, title in CONDITIONS.items():
        score, perplexity = group.distribution(f"score_{suffix}"), group.distribution(f"perplexity_{suffix}")
        rows.append((title, *(number(v) for v in (score.mean, score.median, perplexity.mean, perplexity.median))))
    header = ("", "score, mean (nats)", "score, median (nats)", "true perplexity, mean", "true perplexity, median")
    return table(header, rows, numbers=4)


def improved(statistics: Statistics) -> str:
    """How often the search helped, among kept rows and among all rows."""
    lines = (
        ("search score lower than with the initial thinking", "lower_score"),
        ("true perplexity lower than with the initial thinking", "lower_perplexity"),
        ("true perplexity lower than with empty thinking", "below_no_thinking"),
        ("at least one accepted edit", "edited"),
    )
    rows = []
    for title, name in lines:
        cells = [share(getattr(group, name), group.rows) for group in (statistics.kept, statistics.everything)]
        rows.append((title, *cells))
    return table(("with the final thinking", "kept rows", "all rows"), rows, numbers=2)


def lengths(group: Group) -> str:
    """Lengths, steps and annotation measures."""
    lines = (
        ("initial thinking (tokens)", "thinking_tokens_before"),
        ("final thinking (tokens)", "thinking_tokens_after"),
        ("answer (tokens)", "answer_tokens"),
        ("search steps", "steps"),
        ("accepted edits", "accepted_edits"),
        ("share of the three most frequent n-grams", "repetition"),
        ("thinking patterns in the last tenth", "end_pattern_count"),
        ("share of the answer copied into the thinking", "copy_ratio"),
        ("longest copied run (words)", "longest_copy"),
    )
    rows = []
    for title, name in lines:
        values = group.distribution(name)
        rows.append((title, *(number(value) for value in (values.mean, values.low, values.median, values.high))))
    return table(("", "mean", "10th percentile", "median", "90th percentile"), rows, numbers=4)


def counted(title: str, counts: Mapping[str, int], whole: int) -> str:
    """Labels with their rows and share."""
    rows = [(code(label), count(rows), share(rows, whole)) for label, rows in counts.items()]
    return table((title, "rows", "share"), rows, numbers=2)


def categories(statistics: Statistics) -> str:
    """Kept rows by category."""
    rows = [
        (escaped(category), escaped(domain), count(rows), share(rows, statistics.kept.rows))
        for (domain, category), rows in statistics.categories.items()
    ]
    return table(("category", "domain", "kept rows", "share"), rows, numbers=2)


def sources(statistics: Statistics) -> str:
    """Sources with their licences."""
    rows = [
        (code(source), escaped(licence), count(rows), count(kept))
        for (source, licence), (rows, kept) in statistics.sources.items()
    ]
    return table(("source", "licence", "all rows", "kept rows"), rows, numbers=2)


def models(statistics: Statistics) -> str:
    """Generator and scorer models that occur in the rows."""
    rows = [
        (role, code(name), code(revision), count(rows)) for (role, name, revision), rows in statistics.models.items()
    ]
    return table(("role", "model", "revision or checksum", "rows"), sorted(rows), numbers=1)


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _flattened(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and all(not isinstance(item, (list, dict)) for item in value):
        yield path, ", ".join(str(item) for item in value)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _flattened(item, f"{path}.{position}")
    else:
        yield path, str(value)


def settings(facts: Mapping[str, Any], hidden: frozenset[str]) -> str:
    """Settings of the build as dotted names and values; empty when there are none.

    Args:
        facts: nested settings.
        hidden: top-level names that the card shows elsewhere.
    """
    shown = {key: value for key, value in facts.items() if key not in hidden}
    rows = [(code(name), code(value)) for name, value in _flattened(shown) if name]
    return table(("setting", "value"), rows) if rows else ""


def funnel(counts: Any) -> str:
    """What each stage did with its rows; empty when nothing is known.

    Args:
        counts: for each stage in order ``stage``, ``in``, ``out``, ``rejected``, and ``reasons`` (reason -> rows).
    """
    rows = [
        (
            code(numbers["stage"]),
            ", ".join(f"{code(reason)} {count(rows)}" for reason, rows in numbers.get("reasons", {}).items()),
            *(count(numbers[name]) for name in ("in", "out", "rejected")),
        )
        for numbers in counts or []
    ]
    return table(("stage", "why rejected", "in", "out", "rejected"), rows, numbers=3) if rows else ""
