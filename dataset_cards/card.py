"""The dataset card: metadata, prose from ``template.md``, and tables computed from the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from deepwriting import __version__
from deepwriting.dataset_cards import sections
from deepwriting.dataset_cards.markdown import code, count, escaped, number, share
from deepwriting.dataset_cards.metadata import card_data
from deepwriting.dataset_cards.plots import Plot
from deepwriting.dataset_cards.statistics import Statistics
from deepwriting.errors import BuildError

#: Names of languages in the prose.
LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}
#: Settings that the card shows outside of the settings table.
_SHOWN_ELSEWHERE = frozenset({"pretty_name", "repo_id", "source_datasets", "changes", "counts"})


def render_card(
    statistics: Statistics,
    settings: Mapping[str, Any],
    *,
    name: str,
    version: str,
    infos: Any,
    plots: Sequence[Plot] = (),
) -> str:
    """Text of the dataset's README.md.

    Args:
        statistics: statistics of the rows; at least one row is kept.
        settings: facts about the run, shown as a table. Some names have a meaning of their own: ``pretty_name``
            (title), ``repo_id`` (``namespace/name`` on the Hub), ``source_datasets`` (list of Hub ids), ``changes``
            (list of sentences for the change log), ``counts`` (rows in, out and rejected of each stage) and
            ``search.clip_logprob`` (nats).
        name: name of the dataset.
        version: version of the dataset.
        infos: `datasets` ``DatasetInfosDict`` with features, splits and sizes of every config.
        plots: plots inside the ``assets`` folder beside the card.

    Returns:
        Markdown with a YAML block that ``load_dataset`` understands.

    Raises:
        BuildError: if no row is kept.
    """
    from huggingface_hub import DatasetCard

    if not statistics.kept.rows:
        raise BuildError("a card needs at least one kept row; all rows were dropped")
    data = card_data(statistics, settings, name=name, infos=infos)
    template = files("deepwriting.dataset_cards").joinpath("template.md").read_text(encoding="utf-8")
    card = DatasetCard.from_template(
        data,
        template_str=template,
        name=name,
        title=escaped(str(settings.get("pretty_name", name))),
        version=version,
        repo_id=settings.get("repo_id"),
        deepwriting_version=__version__,
        changes=[escaped(str(change)) for change in settings.get("changes", [])],
        plots=plots,
        empty_configs="",
        clip=_clip(settings),
        numbers=_numbers(statistics),
        tables=_tables(statistics, settings, infos),
    )
    return str(card).rstrip() + "\n"


def _numbers(statistics: Statistics) -> dict[str, str | bool]:
    everything, kept = statistics.everything, statistics.kept
    before, after = kept.distribution("perplexity_before"), kept.distribution("perplexity_after")
    languages = [
        f"{LANGUAGE_NAMES.get(tag, escaped(tag))} ({count(rows)})" for tag, rows in statistics.languages.items()
    ]
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
        "lower_perplexity": share(kept.lower_perplexity, kept.rows),
        "not_below_no_thinking": share(kept.rows - kept.below_no_thinking, kept.rows),
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


def _tables(statistics: Statistics, settings: Mapping[str, Any], infos: Any) -> dict[str, str]:
    everything, kept = statistics.everything, statistics.kept
    return {
        "configs": sections.configs(infos),
        "columns_default": sections.columns("default"),
        "columns_all": sections.columns("all", without="default"),
        "columns_sft": sections.columns("sft"),
        "columns_steps": sections.columns("steps"),
        "search_effect": sections.search_effect(kept),
        "improved": sections.improved(statistics),
        "lengths": sections.lengths(kept),
        "stop_reasons": sections.counted("stop reason", dict(kept.stop_reasons.most_common()), kept.rows),
        "categories": sections.categories(statistics),
        "sources": sections.sources(statistics),
        "models": sections.models(statistics),
        "drop_reasons": sections.counted("reason", statistics.drop_reasons, everything.rows),
        "flags": sections.counted("flag", statistics.flags, everything.rows),
        "funnel": sections.funnel(settings.get("counts")),
        "settings": sections.settings(settings, _SHOWN_ELSEWHERE),
    }
