"""The paper's ablations as data (Table 2): which kept rows they hold, and how a row of ``initial`` is made.

===============  =====================================================================================
config           Table 2
===============  =====================================================================================
initial          "Remove Iterative Search": the thinking z(0) that the search began with
no-reflection    "Remove Reflection Tokens": a search with prompts that ask for no thinking patterns
short            "Downsample Long Traces": most rows with a long thinking are left out
long             "Downsample Short Traces": most rows with a short thinking are left out
no-literature    "Remove Literature data": without Literature & Arts and Ordinary Life
===============  =====================================================================================

The paper gives neither the length that parts short from long nor the share that stays. Here the median of the kept rows
parts them, and ``build.downsample`` is the share. Which rows stay depends on their ids alone, so that it is the same in
the next version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from deepwriting.sections.outcome import FiltersSection

#: Domains that ``no-literature`` leaves out (paper, section 3.3); a test compares them with the taxonomy.
LITERATURE_DOMAINS = frozenset({"Artistic (Literature & Arts)", "Ordinary Life"})
#: The prompt set whose rows may be called ``no-reflection``.
NO_REFLECTION_PROMPTS = "no-reflection"
#: ``stop_reason`` of the rows in ``initial``.
NOT_SEARCHED = "not_searched"


def searched_without_reflection(settings: Mapping[str, Any]) -> bool:
    """Whether a run, by the settings in its manifest, used the prompts without thinking patterns."""
    search = settings.get("search")
    return isinstance(search, Mapping) and search.get("prompts") == NO_REFLECTION_PROMPTS


def stays(row: str, share: float) -> bool:
    """Whether a row is among the share that a downsampled part keeps.

    Args:
        row: the row's id, which alone decides.
        share: 0 to 1.
    """
    digest = hashlib.sha256(f"downsample\x1f{row}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def initial_maker(filters: FiltersSection) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that makes a row of ``initial`` from a row of ``all``.

    The scores after the search become those before it, and everything that filters measure is measured again on the
    initial thinking.

    Args:
        filters: the thresholds of the run.
    """
    from datatrove.data import Document

    from deepwriting.stages.annotate import annotators

    steps = annotators(filters)

    def make(row: dict[str, Any]) -> dict[str, Any]:
        begun = row | {
            "thinking": row["initial_thinking"],
            "score_after": row["score_before"],
            "perplexity_after": row["perplexity_before"],
            "thinking_tokens_after": row["thinking_tokens_before"],
            "steps": 0,
            "accepted_edits": 0,
            "stop_reason": NOT_SEARCHED,
        }
        if begun["thinking"] != row["thinking"]:
            document = Document(row["answer"], row["row_id"], metadata=begun)
            for step in steps:
                step.annotate(document)
            begun = document.metadata
        return begun

    return make
