"""Perplexity of an answer given a thinking, from a model: the measurement that the rows publish, made again.

    >>> from deepwriting.metrics import perplexity_given_thinking
    >>> [found] = perplexity_given_thinking("smollm2-135m", [query], [thinking], [answer])     # doctest: +SKIP
    >>> found.value, found.perplexity, found.tokens                                            # doctest: +SKIP

It is the search's own scorer (``reer/scoring.py``) without the search: the same prompt, layout and scored part of the
answer. Whoever has a published row and its scorer gets the row's ``score_after`` and ``perplexity_after`` again, up to
the scorer's noise (``EngineInfo.noise_nats``); with an empty thinking, ``score_no_thinking``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deepwriting.errors import ContextOverflowError, RequestError
from deepwriting.metrics.perplexity import CLIP_FLOOR

if TYPE_CHECKING:
    from deepwriting.engines.base import Engine
    from deepwriting.reer.scoring import Score
    from deepwriting.sections.engines import EngineSection

#: Rows that wait for the engine at the same time: enough for it to fill its batches from.
ROWS_IN_FLIGHT = 32


def perplexity_given_thinking(
    model: str | Mapping[str, Any] | EngineSection | Engine,
    queries: Sequence[str],
    thinkings: Sequence[str],
    answers: Sequence[str],
    *,
    clip_logprob: float = CLIP_FLOOR,
    score_first_segment: bool = False,
    prompts: str = "default",
) -> list[Score]:
    """Measure how surprising each answer is to a model that has read the query and the thinking.

    Args:
        model: embedded name, local directory or Hub id, run by transformers; or an engine's settings as in a recipe
            (``{"engine": "server", "model": …, "url": …}``); or a loaded engine. Models stay loaded for the next call.
        queries: the query x of each row.
        thinkings: its thinking z; empty for the perplexity without thinking.
        answers: its solution y.
        clip_logprob: in the search score, log-probabilities below this count as this (nats, negative).
        score_first_segment: score the first paragraph of the answer too; a row's ``first_segment_scored`` tells.
        prompts: the set of templates that the scorer reads, as in a recipe.

    Returns:
        One score a row: ``value`` (the search score: clipped mean NLL, nats), ``perplexity`` (exp of the unclipped
        mean) and ``tokens`` (scored tokens of the answer).

    Raises:
        ValueError: if the rows are not complete, a value is no text, or ``clip_logprob`` is not negative.
        RecipeError: if the engine's settings are wrong.
        PromptError: if there is no such set of templates.
        ModelNotFoundError: if the model cannot be found.
        EngineError: if the model cannot score.
        RequestError: if a text holds one of the model's control tokens; the message names the row.
        ContextOverflowError: if a row does not fit into the model's context; the message names it.
    """
    rows = _checked_rows(queries, thinkings, answers)
    if not clip_logprob < 0:
        raise ValueError(f"clip_logprob is {clip_logprob}; it must be below 0 (nats)")
    from deepwriting.reer.prompts import load_prompts

    sets = load_prompts(prompts)
    section = _section(model)
    if not rows:
        return []
    engine = _engine(section)

    async def score_all() -> list[Score]:
        from deepwriting.reer.control import ControlTokens
        from deepwriting.reer.scoring import SolutionScorer
        from deepwriting.sources.check import language_of

        control, places = ControlTokens([engine]), asyncio.Semaphore(ROWS_IN_FLIGHT)

        async def score(index: int, query: str, thinking: str, answer: str) -> Score:
            if token := control.found_in(query, thinking, answer):
                raise RequestError(f"row {index}: the text holds {token!r}, which the model's tokeniser acts on")
            async with places:
                scorer = SolutionScorer(
                    engine, sets[language_of(query) or "en"], query, answer, clip_logprob=clip_logprob,
                    score_first_segment=score_first_segment,
                )  # fmt: skip
                try:
                    [found] = await scorer([thinking])
                except ContextOverflowError as error:
                    raise ContextOverflowError(f"row {index}: {error}") from error
            return replace(found, losses=None)

        return await _all_or_first_error([score(index, *row) for index, row in enumerate(rows)])

    return _run(score_all())


def _checked_rows(
    queries: Sequence[str], thinkings: Sequence[str], answers: Sequence[str]
) -> list[tuple[str, str, str]]:
    columns = {"queries": queries, "thinkings": thinkings, "answers": answers}
    for name, column in columns.items():
        if isinstance(column, str):
            raise ValueError(f"{name} is one text; a list of texts is expected, one for each row")  # noqa: TRY004
        for index, value in enumerate(column):
            if not isinstance(value, str):
                raise ValueError(f"{name}[{index}] is {value!r}; a text is expected")  # noqa: TRY004
            if not value.strip() and name != "thinkings":
                raise ValueError(f"{name}[{index}] is empty; only a thinking may be")
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{len(column)} {name}" for name, column in columns.items())
        raise ValueError(f"{lengths}: each row needs one of each")
    return list(zip(queries, thinkings, answers, strict=True))


def _section(model: str | Mapping[str, Any] | EngineSection | Engine) -> EngineSection | Engine:
    if not isinstance(model, (str, Mapping)):
        return model
    from deepwriting.recipe import parse_scorer

    return parse_scorer({"model": model} if isinstance(model, str) else model)


def _engine(section: EngineSection | Engine) -> Engine:
    from deepwriting.engines import get_engine
    from deepwriting.sections.engines import EngineSection

    return get_engine(section) if isinstance(section, EngineSection) else section


async def _all_or_first_error(work: Sequence[Coroutine[Any, Any, Score]]) -> list[Score]:
    """The results in order; after a failure nothing goes on in the background."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _run(work: Coroutine[Any, Any, list[Score]]) -> list[Score]:
    """Run a coroutine to its end, also where a loop is running already, as in a notebook's cells."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
