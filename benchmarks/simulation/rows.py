"""What the search of a row asks for: a first thinking with its scores, then steps.

Lengths are drawn (``drawn_rows``), taken from the pilot of ``deepwriting plan`` (``pilot_rows``), or recorded from a
real search (``cluster_simulation_check.py``). All lengths are in tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepwriting.pilot import Pilot, PilotRow
from deepwriting.sections.search import SearchSection
from deepwriting.tally import Tally
from simulation.costs import Costs


@dataclass(frozen=True)
class Step:
    """A request to the generator, then one to the scorer.

    Attributes:
        prompt: length of the prompt.
        outputs: lengths of the continuations.
        texts: texts to score after that; 0 for none.
        scored: tokens that the scorer computes for them.
        whole: tokens of the texts, those of the prefix that they share counted for each.
        shared: beginning of the prompt that the row's prompt before had too.
        common: beginning of the prompt that the prompts of all rows have.
        journalled: whether the step ends with an event in the journal.
    """

    prompt: float
    outputs: tuple[float, ...]
    texts: int
    scored: float
    whole: float
    shared: float = 0.0
    common: float = 0.0
    journalled: bool = True


@dataclass(frozen=True)
class Row:
    """A row's search.

    Attributes:
        number: which row.
        steps: its steps; the first is that of the first thinking.
        size: length of query and answer, by which a pilot draws.
        skipped: whether no search came of it.
    """

    number: int
    steps: tuple[Step, ...]
    size: int
    skipped: bool = False

    @property
    def sampled(self) -> float:
        """Tokens sampled for it."""
        return sum(sum(step.outputs) for step in self.steps)

    def measured(self, seconds: float) -> PilotRow:
        """What a pilot would have written down about it."""
        generator = Tally(round(sum(step.prompt for step in self.steps)), round(self.sampled), 0)
        scorer = Tally(0, 0, round(sum(step.whole for step in self.steps)))
        return PilotRow(
            self.size, {"generator": generator, "scorer": scorer}, seconds,
            steps=max(len(self.steps) - 1, 0), skipped="drawn" if self.skipped else None, ended=True,
        )  # fmt: skip


def drawn_rows(costs: Costs, search: SearchSection, count: int, seed: int) -> list[Row]:
    """Rows whose lengths are drawn from the figures' distributions.

    Args:
        costs: figures; those of ``lengths.*`` are used.
        search: the recipe's search settings.
        count: how many.
        seed: other seeds give other rows.
    """
    rng = np.random.default_rng(seed)
    return [_row(number, costs, search, rng) for number in range(count)]


def _row(number: int, costs: Costs, search: SearchSection, rng: np.random.Generator) -> Row:
    def draw(what: str, least: float, most: float) -> float:
        value = rng.lognormal(np.log(costs[f"lengths.{what}"]), costs[f"lengths.{what}_spread"])
        return float(min(max(value, least), most))

    query, answer = draw("query", 5, 4000), draw("answer", 40, 12_000)
    size = round((query + answer) * costs["lengths.bytes_per_token"])
    header, refine = costs["prompts.initial"], costs["prompts.refine"]
    if rng.random() < costs["lengths.skipped_share"]:
        tries = tuple(
            Step(header + query + answer, (draw("thinking", 20, search.max_thinking_tokens),), 0, 0, 0, common=header)
            for _ in range(search.initial_attempts)
        )
        return Row(number, tries, size, skipped=True)
    thinking = draw("thinking", search.min_thinking_tokens, search.max_thinking_tokens)
    base = costs["prompts.inference"] + query
    # The answer under no thinking and under the first one.
    first = Step(
        header + query + answer, (thinking,), 2, base + 2 * answer + thinking, 2 * (base + answer) + thinking,
        common=header,
    )  # fmt: skip
    segments = max(2, round(thinking / costs["lengths.segment"]))
    length, settled, steps = thinking, 0.0, [first]
    for index in range(min(search.max_steps, segments * search.passes)):
        at = index % segments
        before, segment = length * at / segments, length / segments
        outputs = tuple(draw("candidate", 20, search.max_segment_tokens) for _ in range(search.candidates))
        texts = int((rng.random(search.candidates) >= costs["lengths.refused_share"]).sum())
        kept = [output * (1 - costs["lengths.analysis_share"]) for output in outputs[:texts]]
        tails = sum(length - before - segment + new + answer for new in kept)
        # The prompt that came before held the same request and answer, and the thinking up to where it was edited.
        shared = refine + query + answer + length * max(at - 1, 0) / segments if index else refine
        # The scorer keeps the request and the segments before the edit from step to step.
        new, settled = max(before - settled, 0.0) * bool(texts), before if texts else settled
        steps.append(
            Step(
                refine + query + answer + length + segment, outputs, texts,
                new + tails, (base + before) * texts + tails, shared, refine,
            )
        )  # fmt: skip
        if kept and rng.random() < costs["lengths.accepted_share"]:
            length += kept[0] - segment
    return Row(number, tuple(steps), size)


def pilot_rows(pilot: Pilot, count: int, seed: int, *, candidates: int) -> list[Row]:
    """Rows like those of a pilot, drawn with replacement; a row's tokens are spread evenly over its steps.

    Args:
        pilot: what ``deepwriting plan`` measured.
        count: how many.
        seed: other seeds give other rows.
        candidates: candidates a step.
    """
    known = [row for row in pilot.rows.values() if row.ended]
    chosen = np.random.default_rng(seed).integers(len(known), size=count)
    return [even_row(number, known[which], pilot.reused_share, candidates) for number, which in enumerate(chosen)]


def even_row(number: int, measured: PilotRow, reused: float, candidates: int) -> Row:
    """A row that takes what was measured, each of its steps alike."""
    tallies = measured.tallies.values()
    parts = measured.steps + 1
    prompt = sum(tally.prompt_tokens for tally in tallies) / parts
    sampled = sum(tally.sampled_tokens for tally in tallies)
    whole = sum(tally.scored_tokens for tally in tallies) / parts
    first = sampled / (1 + candidates * measured.steps)
    steps = [
        Step(prompt, (first,) * (candidates if index else 1), 2 if whole else 0, whole * (1 - reused), whole,
             shared=prompt * reused)
        for index in range(parts)
    ]  # fmt: skip
    return Row(number, tuple(steps), measured.size, skipped=measured.skipped is not None)


def totals(rows: Sequence[Row]) -> dict[str, float]:
    """Tokens and steps of rows, all together."""
    steps = [step for row in rows for step in row.steps]
    return {
        "steps": sum(len(row.steps) - 1 for row in rows if not row.skipped),
        "prompt_tokens": sum(step.prompt for step in steps),
        "sampled_tokens": sum(sum(step.outputs) for step in steps),
        "scored_tokens": sum(step.whole for step in steps),
    }
