"""The dataset card: metadata, prose from ``template.md``, and tables computed from the rows."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from deepwriting.dataset_cards import changelog, sections
from deepwriting.dataset_cards.check import check_card
from deepwriting.dataset_cards.markdown import amount, code, count, escaped, number, percent, share
from deepwriting.dataset_cards.metadata import DEFAULT_CONFIG, card_data
from deepwriting.dataset_cards.plots import Plot
from deepwriting.dataset_cards.statistics import Statistics, ranked
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_PURPOSE

#: Names of languages in the prose.
LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}
#: Settings that the card shows outside of the settings table.
_SHOWN_ELSEWHERE = frozenset(
    ("pretty_name", "repo_id", "source_datasets", "changes", "history", "counts", "authors", "date")
)


def render_card(
    statistics: Statistics,
    settings: Mapping[str, Any],
    *,
    name: str,
    version: str,
    deepwriting_version: str,
    infos: Any,
    schema: Mapping[str, Sequence[Any]],
    shared_requests: int = 0,
    plots: Sequence[Plot] = (),
) -> str:
    """Text of the dataset's README.md.

    Args:
        statistics: statistics of the rows; at least one row is kept.
        settings: facts about the run, shown as a table. Some names have a meaning of their own: ``pretty_name``
            (title), ``repo_id`` (``namespace/name`` on the Hub), ``authors`` (list of names), ``date`` (of the release,
            such as 2026-11-26), ``source_datasets`` (list of Hub ids), ``changes`` and ``history`` (see
            ``changelog.py``), ``counts`` (rows in, out and rejected of each stage), ``sources`` (records with ``name``
            and perhaps ``dataset``, a Hub id) and ``search.clip_logprob`` (nats).
        name: name of the dataset.
        version: version of the dataset.
        deepwriting_version: version of deepwriting that built the dataset.
        infos: `datasets` ``DatasetInfosDict`` with features, splits and sizes of every config, in the card's order.
        schema: config -> documentation of its columns (``name``, ``doc``, ``nullable``).
        shared_requests: requests that stand in more than one split.
        plots: plots inside the ``assets`` folder beside the card.

    Returns:
        Markdown with a YAML block that ``load_dataset`` understands.

    Raises:
        BuildError: if no row is kept, a setting with a meaning has another shape, or the YAML would not be valid.
    """
    from huggingface_hub import DatasetCard

    if not statistics.kept.rows:
        raise BuildError("a card needs at least one kept row; all rows were dropped")
    data = card_data(statistics, settings, name=name, infos=infos)
    summary = f"{count(statistics.kept.rows)} kept rows of {count(statistics.everything.rows)} searched."
    card = DatasetCard.from_template(
        data,
        template_str=files("deepwriting.dataset_cards").joinpath("template.md").read_text(encoding="utf-8"),
        name=name,
        title=escaped(str(settings.get("pretty_name") or name)),
        version=version,
        repo_id=settings.get("repo_id"),
        dataset_id=settings.get("repo_id") or name,
        citation=citation(settings, name=name, version=version),
        deepwriting_version=deepwriting_version,
        changes=changelog.entries(settings, version, f"{summary} Made with deepwriting {deepwriting_version}."),
        plots={plot.file.removesuffix(".png"): plot for plot in plots},
        configs=tuple(infos),
        joined=[config for config in infos if "row_id" in infos[config].features],
        splits=tuple(dict.fromkeys(split for info in infos.values() for split in info.splits)),
        shared_requests=shared_requests,
        columns=_columns(infos, schema),
        clip=_clip(settings),
        numbers=_numbers(statistics),
        tables=_tables(statistics, settings, infos),
    )
    text = str(card).rstrip() + "\n"
    check_card(text)
    return text


def citation(settings: Mapping[str, Any], *, name: str, version: str) -> str:
    """BibTeX entry of the dataset itself.

    Args:
        settings: may hold ``authors``, ``date``, ``pretty_name`` and ``repo_id``.
        name: name of the dataset.
        version: version of the dataset.
    """
    fields = {
        "title": str(settings.get("pretty_name") or name),
        "author": " and ".join(settings.get("authors") or []),
        "year": str(settings.get("date") or "")[:4],
        "version": version,
        "url": f"https://huggingface.co/datasets/{settings['repo_id']}" if settings.get("repo_id") else "",
        "note": "Reasoning searched backwards from known-good texts (REER)",
    }
    key = "".join(character for character in name.lower() if character.isalnum())
    width = max(len(field) for field in fields)
    lines = [f"  {field:<{width}} = {{{_bibtex(value)}}}" for field, value in fields.items() if value]
    # Styles write titles in small letters unless they stand in a second pair of braces.
    lines[0] = f"  {'title':<{width}} = {{{{{_bibtex(fields['title'])}}}}}"
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}"


def _bibtex(value: str) -> str:
    # A back-quote would end the block of code that the entry stands in, a brace the field.
    return " ".join(value.translate({ord("`"): "'", ord("{"): "(", ord("}"): ")"}).split())


def _numbers(statistics: Statistics) -> dict[str, Any]:
    everything, kept = statistics.everything, statistics.kept
    before, after = kept.distribution("perplexity_before"), kept.distribution("perplexity_after")
    length_before, length_after = (kept.distribution(f"thinking_tokens_{when}") for when in ("before", "after"))
    languages = [
        f"{LANGUAGE_NAMES.get(tag, escaped(tag))} ({count(rows)})" for tag, rows in statistics.languages.items()
    ]
    (_, category), in_category = next(iter(statistics.categories.items()))
    by_source: Counter[str] = Counter()
    for (source, _), (_, kept_rows) in statistics.sources.items():
        by_source[source] += kept_rows
    top_source, from_source = min(by_source.items(), key=lambda item: (-item[1], item[0]))
    return {
        "rows": count(everything.rows),
        "kept": count(kept.rows),
        "dropped": count(everything.rows - kept.rows),
        "dropped_share": share(everything.rows - kept.rows, everything.rows),
        "any_dropped": everything.rows > kept.rows,
        "any_flags": bool(statistics.flags),
        "pairs": count(statistics.pairs),
        "language_list": ", ".join(languages),
        "perplexity_before": number(before.median),
        "perplexity_after": number(after.median),
        "length_before": amount(length_before.median),
        "length_after": amount(length_after.median),
        "lower_perplexity": share(kept.lower_perplexity, kept.rows),
        "not_below_no_thinking": share(kept.rows - kept.below_no_thinking, kept.rows),
        "with_patterns": share(kept.with_patterns, kept.rows),
        "any_patterns": bool(kept.patterns),
        "pii_masked": count(kept.pii_masked),
        "pii_share": share(kept.pii_masked, kept.rows),
        "top_category": escaped(category),
        "top_category_share": share(in_category, kept.rows),
        "categories": count(len(statistics.categories)),
        "top_source": code(top_source),
        "top_source_share": share(from_source, kept.rows),
        "copy_high": percent(kept.distribution("copy_ratio").high),
        "first_segment": _first_segment(statistics),
    }


def _clip(settings: Mapping[str, Any]) -> str:
    """The range that log-probabilities are clipped to, in words."""
    search = settings.get("search")
    floor = search.get("clip_logprob") if isinstance(search, Mapping) else None
    if floor is None:
        return "clipped (nats per token; the settings of the run say where)"
    return f"clipped to the range from −{abs(float(floor)):g} to 0 (nats per token)"


def _first_segment(statistics: Statistics) -> str:
    scored, rows = statistics.first_segment_scored, statistics.everything.rows
    if scored == rows:
        return "The first paragraph of the answer counts in every row."
    if scored == 0:
        return "The first paragraph of the answer is context only and does not count."
    return f"The first paragraph of the answer counts in {share(scored, rows)} of all rows and is context in the rest."


def _columns(infos: Any, schema: Mapping[str, Sequence[Any]]) -> list[dict[str, str]]:
    """For every distinct set of columns a summary (HTML) and a table; configs with the same columns share one."""
    base = DEFAULT_CONFIG if DEFAULT_CONFIG in infos else next(iter(infos))
    base_features = infos[base].features
    same = [config for config in infos if infos[config].features == base_features]
    blocks = []
    for config in infos:
        features = infos[config].features
        if config in same:
            if config != same[0]:
                continue
            names, left_out = same, ()
        else:
            names = [config]
            left_out = tuple(base_features) if base_features.keys() <= features.keys() else ()
        number = len(features) - len(left_out)
        told = f"the {len(left_out)} of {_html(base)} and {number} more" if left_out else f"{number} columns"
        blocks.append(
            {
                "summary": f"{', '.join(_html(name) for name in names)}: {told}",
                "table": sections.columns(features, schema.get(config, ()), without=left_out),
            }
        )
    return blocks


def _html(config: str) -> str:
    return f"<code>{html.escape(config)}</code>"


def _tables(statistics: Statistics, settings: Mapping[str, Any], infos: Any) -> dict[str, str]:
    everything, kept = statistics.everything, statistics.kept
    return {
        "configs": sections.configs(infos, CONFIG_PURPOSE),
        "search_effect": sections.search_effect(kept),
        "improved": sections.improved(statistics),
        "lengths": sections.lengths(kept),
        "stop_reasons": sections.counted("stop reason", ranked(kept.stop_reasons), kept.rows),
        "patterns": sections.patterns(kept),
        "categories": sections.categories(statistics),
        "sources": sections.sources(statistics, settings.get("sources")),
        "models": sections.models(statistics),
        "drop_reasons": sections.counted("reason", statistics.drop_reasons, everything.rows),
        "flags": sections.counted("flag", statistics.flags, everything.rows),
        "funnel": sections.funnel(settings.get("counts")),
        "settings": sections.settings(settings, _SHOWN_ELSEWHERE),
    }
