"""What a search leaves: a row's values, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepwriting.engines.base import EngineInfo
from deepwriting.reer.given import Given


@dataclass(frozen=True)
class Skipped:
    """A pair that could not be searched.

    Attributes:
        reason: short reason, counted and written to the rejects.
        detail: one sentence.
        refusals: how often candidates were refused, by reason.
    """

    reason: str
    detail: str
    refusals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A searched trajectory: the values of the row's search columns, its segments and its steps."""

    thinking: str
    values: Mapping[str, Any]
    segments: list[dict[str, Any]]
    trace: list[dict[str, Any]]
    refusals: Mapping[str, int]


def model_columns(
    generators: Sequence[EngineInfo], scorer: EngineInfo, given: Given | None, edited_by: Collection[int]
) -> dict[str, str]:
    """The columns that name the models of a row; several generators stand in the order of the recipe.

    Args:
        generators: all of the search.
        scorer: who was surprised by the answer.
        given: the thinking that came with the pair, if the row began with it: then its model is named first, and of the
            generators only those whose edits it took.
        edited_by: those generators.
    """
    writers = [(info.model, info.revision) for info in generators]
    if given is not None:
        writers = [(given.generator, given.revision), *(writers[which] for which in sorted(edited_by))]
    return {
        "generator": ", ".join(model for model, _ in writers),
        "generator_revision": ", ".join(revision for _, revision in writers),
        "scorer": scorer.model,
        "scorer_revision": scorer.revision,
    }


def trace_rows(steps: Sequence[Mapping[str, Any]], generators: Sequence[EngineInfo]) -> list[dict[str, Any]]:
    """The steps of a search as rows of the ``steps`` config, without the row id."""
    return [
        {
            "step": step["step"],
            "segment_index": step["segment_index"],
            "segment": step["segment"],
            "candidate_index": index,
            "candidate": candidate["text"],
            "generator": generators[candidate["generator"]].model,
            "refusal": candidate["refusal"],
            "score_current": step["score_current"],
            "score": candidate["score"],
            "perplexity": candidate["perplexity"],
            "accepted": index == step["accepted"],
        }
        for step in steps
        for index, candidate in enumerate(step["candidates"])
    ]
