"""The card's tables: statistics, schema and settings as Markdown, one function a section."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deepwriting.dataset_cards.licences import licence_asks, licence_url
from deepwriting.dataset_cards.markdown import amount, code, count, escaped, link, number, share, size, table
from deepwriting.dataset_cards.statistics import Group, Statistics

#: Digits shown of a checksum.
CHECKSUM_DIGITS = 12
#: Titles of the three conditions under which an answer is scored, by the suffix of their columns.
CONDITIONS = {
    "no_thinking": "empty thinking",
    "before": "initial thinking",
    "after": "final thinking",
}


def configs(infos: Mapping[str, Any], descriptions: Mapping[str, str]) -> str:
    """Configs with what they hold, the rows of each split, and download sizes.

    Args:
        infos: config -> `datasets` ``DatasetInfo``.
        descriptions: config -> a sentence.
    """
    splits = list(dict.fromkeys(split for info in infos.values() for split in info.splits))
    rows = []
    for name, info in infos.items():
        numbers = [count(info.splits[split].num_examples) if split in info.splits else "–" for split in splits]
        purpose = escaped(descriptions.get(name, "").rstrip("."))
        rows.append((code(name), purpose, *numbers, size(info.download_size)))
    titles = splits if len(splits) > 1 else ["rows"]
    return table(("config", "what it holds", *titles, "download"), rows, numbers=len(titles) + 1)


def type_name(feature: Any) -> str:
    """A `datasets` feature as a reader would write it: ``string``, ``list of {role, content}``."""
    if isinstance(feature, dict):
        return "{" + ", ".join(feature) + "}"
    inner = getattr(feature, "feature", None)
    return f"list of {type_name(inner)}" if inner is not None else str(feature.dtype)


def columns(features: Mapping[str, Any], documented: Sequence[Any], without: Sequence[str] = ()) -> str:
    """Columns of one config with type and meaning.

    Args:
        features: column -> `datasets` feature, as the Parquet files have it.
        documented: the columns' documentation: ``name``, ``doc`` and ``nullable``.
        without: columns that are left out.
    """
    docs = {column.name: column for column in documented}
    rows = []
    for name, feature in features.items():
        if name not in without:
            known = docs.get(name)
            rows.append((code(name), type_name(feature), escaped(known.doc if known else ""), known and known.nullable))
    if not any(row[-1] for row in rows):
        return table(("column", "type", "meaning"), [row[:-1] for row in rows])
    return table(("column", "type", "meaning", "may be null"), [(*row[:-1], "yes" * bool(row[-1])) for row in rows])


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
        ("thinking patterns", "thinking_pattern_count"),
        ("reflection patterns in the last tenth", "end_pattern_count"),
        ("share of the answer copied into the thinking", "copy_ratio"),
        ("longest copied run (words)", "longest_copy"),
    )
    rows = []
    for title, name in lines:
        values = group.distribution(name)
        shown = number if name in ("repetition", "copy_ratio") else amount
        rows.append((title, *(shown(value) for value in (values.mean, values.low, values.median, values.high))))
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


def patterns(group: Group) -> str:
    """Thinking patterns: in how many rows each occurs, and how often."""
    rows = [
        (escaped(name), count(rows), share(rows, group.rows), count(occurrences))
        for name, (rows, occurrences) in group.ranked_patterns().items()
    ]
    return table(("pattern", "rows with it", "share of rows", "occurrences"), rows, numbers=3)


def sources(statistics: Statistics, told: Any) -> str:
    """Sources with their licences, what these ask for, and their rows.

    Args:
        statistics: statistics of the rows.
        told: what the settings say about the sources: records with ``name`` and perhaps ``dataset``, a Hub id.
    """
    entries = [entry for entry in told or [] if isinstance(entry, Mapping)]
    datasets = {entry.get("name") or entry.get("kind"): entry.get("dataset") for entry in entries}
    rows = []
    for (source, licence), (all_rows, kept) in statistics.sources.items():
        dataset = datasets.get(source)
        origin = link(escaped(source), f"https://huggingface.co/datasets/{dataset}") if dataset else code(source)
        url = licence_url(licence)
        named = link(escaped(licence), url) if url else escaped(licence)
        rows.append((origin, named, licence_asks(licence), count(all_rows), count(kept)))
    return table(("source", "licence", "it asks for", "all rows", "kept rows"), rows, numbers=2)


def models(statistics: Statistics) -> str:
    """Generator and scorer models that occur in the rows; long checksums are cut, the rows have them whole."""
    rows = [
        (role, code(name), code(_cut_checksum(revision)), count(rows))
        for (role, name, revision), rows in statistics.models.items()
    ]
    return table(("role", "model", "revision or checksum", "rows"), sorted(rows), numbers=1)


def _cut_checksum(text: str) -> str:
    return re.sub(rf"\b([0-9a-f]{{{CHECKSUM_DIGITS}}})[0-9a-f]{{8,}}\b", r"\1…", text)


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
