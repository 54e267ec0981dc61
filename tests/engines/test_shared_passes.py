"""Scores that several callers ask for at once, equal texts, and targets that are abandoned."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.engines.transformers.batches import grouped, overlaps
from deepwriting.engines.transformers.forward import Row
from deepwriting.engines.transformers.scoring import ABANDON_BLOCK
from tests.engines.device import DEVICE

pytestmark = pytest.mark.model

SENTENCE = "the keeper of the light reads a letter from the sea and puts it on the table "


def cost(groups: list[list[int]], worth: int) -> int:
    """Tokens of passes over rows of these widths, filling included, and what the passes themselves cost."""
    return sum(len(group) * max(group) + worth for group in groups)


def divisions(widths: list[int], tokens: int) -> Iterator[list[list[int]]]:
    """All ways to put rows into passes that keep the limit."""
    if not widths:
        yield []
        return
    first, *others = widths
    for size in range(len(others) + 1):
        for beside in combinations(range(len(others)), size):
            group = [first, *(others[i] for i in beside)]
            if len(group) == 1 or len(group) * max(group) <= tokens:
                left = [width for i, width in enumerate(others) if i not in beside]
                yield from ([group, *rest] for rest in divisions(left, tokens))


@given(st.lists(st.integers(1, 40), max_size=6), st.integers(1, 100), st.integers(0, 50))
def test_no_division_into_passes_costs_less(widths: list[int], tokens: int, worth: int) -> None:
    rows = [Row(np.zeros(width, dtype=np.int64), end=width) for width in widths]
    found = [[row.width for row in group] for group in grouped(rows, tokens, worth)]
    assert cost(found, worth) == min(cost(division, worth) for division in divisions(widths, tokens))


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(1, 100), st.integers(0, 50))
def test_groups_hold_every_row_once_and_keep_the_limit(widths: list[int], tokens: int, worth: int) -> None:
    rows = [Row(np.zeros(width, dtype=np.int64), end=width) for width in widths]
    groups = grouped(rows, tokens, worth)
    assert sorted(map(id, rows)) == sorted(id(row) for group in groups for row in group)
    for group in groups:
        assert len(group) == 1 or len(group) * max(row.width for row in group) <= tokens
    ordered = [row.width for group in groups for row in group]
    assert ordered == sorted(ordered, reverse=True)


def test_only_much_in_common_is_worth_waiting_for() -> None:
    ids = np.arange(100)
    assert overlaps(ids, 0, [ids[:30]], 30)
    assert not overlaps(ids, 1, [ids[:30]], 30)
    assert not overlaps(ids, 0, [ids[1:]], 30)
    assert not overlaps(ids, 0, [], 30)


def counted(engine: Any) -> list[tuple[int, int]]:
    """Rows and tokens of each forward pass from now on."""
    passes: list[tuple[int, int]] = []
    engine._causal._body.register_forward_pre_hook(
        lambda _, args, kwargs: passes.append(tuple((args[0] if args else kwargs["input_ids"]).shape)), with_kwargs=True
    )
    return passes


@pytest.mark.parametrize("tokens", [1, 300, 10_000])
def test_callers_meet_in_one_pass(
    llama_folder: Path, tiny_network: Any, open_engine: Any, plain_logprobs: Any, tokens: int
) -> None:
    """Different prefixes, some kept and some not, of different lengths; any batch size gives the plain scores."""
    engine, network = open_engine(llama_folder, max_batch_tokens=tokens), tiny_network()
    engine._scorer.limit.worth_a_pass = 150  # more than the filling of five beginnings in one pass
    passes = counted(engine)
    heads = [f"Number {i}. " + SENTENCE * (i + 6) for i in range(5)]
    middles = [SENTENCE, "", "a longer middle, " + SENTENCE]

    async def all_at_once() -> list[Any]:
        gate = threading.Event()  # the worker waits for all callers to have asked
        engine._worker._queue.put(lambda: gate.wait(60) and None)
        asked = [asyncio.ensure_future(engine.score(head, middles, " the end of it.")) for head in heads]
        await asyncio.sleep(0)  # each runs up to its wait for the worker
        gate.set()
        return await asyncio.gather(*asked)

    for _ in range(2):
        for head, scores in zip(heads, asyncio.run(all_at_once()), strict=True):
            for middle, score in zip(middles, scores, strict=True):
                expected, total = plain_logprobs(network, head + middle, " the end of it.")
                assert score.total_tokens == total
                assert np.abs(score.logprobs - expected).max() < 1e-3
    if tokens == 10_000:
        assert max(rows for rows, _ in passes) > len(middles)  # rows of several callers
    elif tokens == 1:
        # Alone, or packed into one row.
        assert {rows for rows, _ in passes} == {1}


def test_what_callers_share_is_computed_once(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder, max_batch_tokens=10_000)
    head = SENTENCE * 20

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(engine.score(f"{head}Number {i}. ", ["a ", "b "], "c") for i in range(4)))

    asyncio.run(all_at_once())
    assert engine.usage.reused_tokens >= 3 * (engine.count_tokens(head) - 1)
    assert engine._causal.computed_tokens < 2 * engine.count_tokens(head)


def test_the_same_text_is_computed_once(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder)
    once = asyncio.run(engine.score("The sea. ", ["a", "b"], " and c"))
    computed, scored = engine._causal.computed_tokens, engine.usage.scored_tokens
    engine._causal.store.clear()
    found = asyncio.run(engine.score("The sea. ", ["b", "a", "b", "b"], " and c"))
    assert [score.logprobs.tolist() for score in found] == [
        pytest.approx(once[i].logprobs.tolist(), abs=1e-5) for i in (1, 0, 1, 1)
    ]
    assert (engine._causal.computed_tokens, engine.usage.scored_tokens) == (2 * computed, 2 * scored)
    each = asyncio.run(engine.score_each("The sea", [" is", " is"]))
    assert each[0].logprobs.tolist() == each[1].logprobs.tolist()


LONG_TARGET = " ".join(f"word {i} of the sea," for i in range(90))


def test_abandoned_rows_leave(llama_folder: Path, tiny_network: Any, open_engine: Any, plain_logprobs: Any) -> None:
    engine, network = open_engine(llama_folder, max_batch_tokens=4096), tiny_network()
    head, middles = SENTENCE * 2, ["first ", "the second one ", "third and last "]
    full = asyncio.run(engine.score(head, middles, LONG_TARGET))
    total = len(full[0].logprobs)
    assert total > 3 * ABANDON_BLOCK
    asked: set[int] = set()
    threads = set()

    def abandon(logprobs: Any) -> bool:
        threads.add(threading.current_thread().name)
        asked.add(len(logprobs))
        return bool(len(logprobs) >= 2 * ABANDON_BLOCK and abs(logprobs[0] - full[1].logprobs[0]) < 1e-4)

    found = asyncio.run(engine.score(head, middles, LONG_TARGET, abandon=abandon))
    assert [score.complete for score in found] == [True, False, True]
    assert len(found[1].logprobs) == 2 * ABANDON_BLOCK
    for one, two, middle in zip(found, full, middles, strict=True):
        assert one.total_tokens == two.total_tokens
        assert one.logprobs == pytest.approx(two.logprobs[: len(one.logprobs)], abs=1e-4)
        expected, _ = plain_logprobs(network, head + middle, LONG_TARGET)
        assert np.abs(one.logprobs - expected[: len(one.logprobs)]).max() < 1e-3
    # Asked after every block but the last, which nobody needs to ask about.
    assert asked == set(range(ABANDON_BLOCK, total, ABANDON_BLOCK))
    assert threads == {f"engine-{DEVICE}"}


def test_nobody_is_abandoned(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder)
    full = asyncio.run(engine.score("The sea. ", ["a ", "b "], LONG_TARGET))
    found = asyncio.run(engine.score("The sea. ", ["a ", "b "], LONG_TARGET, abandon=lambda _: False))
    for one, two in zip(found, full, strict=True):
        assert one.complete
        assert one.logprobs == pytest.approx(two.logprobs, abs=1e-4)
    [short] = asyncio.run(engine.score("The sea. ", ["a "], " is wide", abandon=lambda _: True))
    assert short.complete  # one block: there is no rest to save


def test_a_long_target(tiny_folder: Any, tiny_network: Any, open_engine: Any) -> None:
    """A target of over 8,000 tokens: several passes over one row."""
    import torch

    config = {"max_position_embeddings": 16_384, "num_hidden_layers": 1}
    engine, network = open_engine(tiny_folder("llama", **config)), tiny_network("llama", **config)
    [score] = asyncio.run(engine.score(SENTENCE, ["so "], SENTENCE * 500))
    ids = torch.tensor([engine.tokenizer(SENTENCE + "so " + SENTENCE * 500)["input_ids"]])
    start = ids.shape[1] - len(score.logprobs)
    assert len(score.logprobs) > 8000
    with torch.no_grad():
        hidden = network.model(ids, use_cache=False).last_hidden_state[0, start - 1 : -1]
        # In pieces: the logits of all positions would be gigabytes.
        logs = [torch.log_softmax(network.lm_head(piece), dim=-1) for piece in hidden.split(256)]
        expected = [log.gather(1, goal[:, None]) for log, goal in zip(logs, ids[0, start:].split(256), strict=True)]
    assert score.total_tokens == ids.shape[1]
    assert abs(float(score.logprobs.mean()) - float(torch.cat(expected).mean())) < 1e-4
