"""A comparison in words: sentences for the change log of a card, and a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deepwriting.dataset_cards.markdown import code, escaped, number, table
from deepwriting.hub.diff import ConfigChange, Diff
from deepwriting.hub.diff_statistics import Figure
from deepwriting.hub.rows import RowChanges

#: Columns that are named in a sentence; the others are counted.
_MOST_COLUMNS = 6
#: Settings that a sentence names with both values; more are counted.
_MOST_SETTINGS = 8
#: A value of a setting is shown up to this length (characters).
_SHOWN = 60
#: Configs whose rows are not told one by one: they are made from those of `default` and `all`.
_TOLD = ("all", "default", "steps")


def sentences(diff: Diff) -> list[str]:
    """What changed, for ``settings["changes"]`` of the new version's card.

    Args:
        diff: the comparison with the version before.

    Returns:
        Plain sentences, the most important first; one that says so if nothing changed.
    """
    found = [*_schema_sentences(diff), *_row_sentences(diff), *_setting_sentences(diff)]
    if not found and diff.required_bump == "patch":
        return ["The rows are the same; only the card, its files or the division into shards changed."]
    return found or ["Nothing changed."]


def _schema_sentences(diff: Diff) -> Iterator[str]:
    for config in diff.configs:
        if not config.old_splits:
            yield f"New config {config.name} ({_rows(config.new_splits)} rows)."
        elif not config.new_splits:
            yield f"Config {config.name} was removed."
        else:
            yield from _column_sentences(config)


def _column_sentences(config: ConfigChange) -> Iterator[str]:
    for split in config.new_splits.keys() - config.old_splits.keys():
        yield f"Config {config.name} has a new split {split} ({config.new_splits[split]:,} rows)."
    for split in config.old_splits.keys() - config.new_splits.keys():
        yield f"Config {config.name} no longer has the split {split}."
    if config.added:
        yield f"Config {config.name}: new {_plural('column', config.added)} {', '.join(config.added)}."
    if config.removed:
        yield f"Config {config.name}: without the {_plural('column', config.removed)} {', '.join(config.removed)}."
    for column, (old, new) in config.retyped.items():
        yield f"Config {config.name}: column {column} is {new}, was {old}."
    if config.reordered:
        yield f"Config {config.name}: columns stand in another order."


def _row_sentences(diff: Diff) -> Iterator[str]:
    for name in _TOLD:
        config = diff.config(name)
        if config is not None and config.rows is not None and config.rows.any:
            yield f"Config {name}: {_row_words(config.rows)}."
    rest = [c.name for c in diff.configs if c.name not in _TOLD and c.rows is not None and c.rows.any]
    if rest:
        yield f"Other rows follow in {', '.join(rest)}."


def _row_words(rows: RowChanges) -> str:
    if rows.reordered:
        return "the same rows in another order"
    counted = (("added", rows.added), ("removed", rows.removed), ("changed", rows.changed))
    words = ", ".join(f"{count:,} {verb}" for verb, count in counted if count)
    if rows.columns:
        named = list(rows.columns)[:_MOST_COLUMNS]
        more = len(rows.columns) - len(named)
        words += f" (in {', '.join(named)}{f' and {more} more' if more else ''})"
    return f"{words}; {rows.new:,} rows now, {rows.old:,} before"


def _setting_sentences(diff: Diff) -> Iterator[str]:
    changed = {name: values for name, values in diff.settings.items() if not name.startswith(("stages.", "history"))}
    for name, (old, new) in list(changed.items())[:_MOST_SETTINGS]:
        yield f"Setting {name}: {_shown(new)}, was {_shown(old)}."
    if (more := len(changed) - _MOST_SETTINGS) > 0:
        yield f"{more} more settings changed."


def _shown(value: Any) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _plural(word: str, items: tuple[str, ...]) -> str:
    return word if len(items) == 1 else f"{word}s"


def _rows(splits: Any) -> str:
    return f"{sum(splits.values()):,}"


def markdown(diff: Diff) -> str:
    """The comparison as a page that can stand in a change log."""
    lines = [f"## {escaped(diff.new.name)} {diff.new.version} (after {diff.old.version})", ""]
    lines += [f"- {escaped(sentence)}" for sentence in sentences(diff)]
    lines += ["", f"The version has to grow by at least: **{diff.required_bump}**.", "", "### Rows", ""]
    rows = [
        (code(c.name), *(f"{value:,}" for value in row_cells(c)), ", ".join(map(code, _changed(c))))
        for c in diff.configs
    ]
    lines += [table(("config", "before", "now", "added", "removed", "changed", "columns"), rows), ""]
    if figures := [figure for figure in diff.statistics if figure.kind != "rows"]:
        lines += [
            "### Statistics",
            "",
            table(("", "", "before", "now"), [figure_cells(f) for f in figures], numbers=2),
            "",
        ]
    return "\n".join(lines)


def row_cells(config: ConfigChange) -> tuple[int, int, int, int, int]:
    """Rows of a config: before, now, added, removed, changed."""
    before, now = sum(config.old_splits.values()), sum(config.new_splits.values())
    if config.rows is None:
        return before, now, now, before, 0
    return before, now, config.rows.added, config.rows.removed, config.rows.changed


def _changed(config: ConfigChange) -> list[str]:
    return list(config.rows.columns)[:_MOST_COLUMNS] if config.rows else []


def figure_cells(figure: Figure) -> tuple[str, str, str, str]:
    """One statistic: kind, name, before, now."""
    return (figure.kind, escaped(figure.name), figure_text(figure, figure.old), figure_text(figure, figure.new))


def figure_text(figure: Figure, value: float | None) -> str:
    """A number as it is shown: counts whole, measures with the card's decimals."""
    if value is None:
        return "–"
    return number(value) if figure.kind in ("mean", "median") else f"{value:,.0f}"
