from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.errors import ContextOverflowError, RecipeError, RequestError
from deepwriting.metrics import perplexity_given_thinking
from deepwriting.reer.prompts import load_prompts

QUERY = "Write about ladders behind sheds."
THINKING = "I'm going to write about ladders behind sheds, because it sets my tone."
ANSWER = "Ladders behind sheds.\n\nMaybe I can begin with ladders behind sheds, using plain words."


@pytest.fixture(scope="module")
def engine(pocket_model: Path) -> Iterator[Any]:
    from deepwriting.engines.transformers.engine import TransformersEngine

    engine = TransformersEngine(str(pocket_model), device="cpu", dtype="float32", context_tokens=1500)
    yield engine
    engine.close()


def plain_logprobs(folder: Path, head: str, target: str) -> list[float]:
    """One forward pass of transformers; the target starts at a token of its own."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from deepwriting.engines.quiet import quiet_transformers

    with quiet_transformers():
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    first, ids = len(tokenizer(head)["input_ids"]), tokenizer(head + target)["input_ids"]
    with torch.no_grad():
        logits = network(torch.tensor([ids])).logits[0, first - 1 : -1].log_softmax(-1)
    return [float(row[token]) for row, token in zip(logits, ids[first:], strict=True)]


def test_equals_a_plain_forward_pass_over_the_inference_prompt(engine: Any, pocket_model: Path) -> None:
    [found] = perplexity_given_thinking(engine, [QUERY], [THINKING], [ANSWER])
    prompt = load_prompts()["en"]["inference"].render(engine, query=QUERY).text
    first, rest = ANSWER.split("\n\n")
    logs = plain_logprobs(pocket_model, f"{prompt}<think>\n{THINKING}\n</think>\n<answer>\n{first}\n\n", rest)
    assert found.tokens == len(logs)
    assert found.perplexity == pytest.approx(math.exp(-sum(logs) / len(logs)), rel=1e-4)
    assert found.value == pytest.approx(sum(min(2.0, -one) for one in logs) / len(logs), abs=1e-4)


def test_rows_come_in_order_and_a_thinking_that_helps_lowers_the_perplexity(engine: Any) -> None:
    thinkings = [THINKING, "", "Paint on old gates."] * 20
    found = perplexity_given_thinking(engine, [QUERY] * 60, thinkings, [ANSWER] * 60)
    assert [one.perplexity for one in found[:3]] == pytest.approx([one.perplexity for one in found[-3:]], rel=1e-4)
    assert found[0].perplexity < found[1].perplexity


def test_settings_reach_the_score(engine: Any) -> None:
    row = ([QUERY], [THINKING], [ANSWER])
    [usual] = perplexity_given_thinking(engine, *row)
    [whole] = perplexity_given_thinking(engine, *row, score_first_segment=True)
    [loose] = perplexity_given_thinking(engine, *row, clip_logprob=-100.0)
    assert whole.tokens > usual.tokens
    assert loose.value == pytest.approx(math.log(loose.perplexity), abs=1e-4)
    assert loose.value > usual.value


def test_a_model_by_its_folder_and_by_its_settings(pocket_model: Path, closing_engines: None) -> None:
    row = ([QUERY], [THINKING], [ANSWER])
    settings = {"model": str(pocket_model), "dtype": "float32", "device": "cpu"}
    assert perplexity_given_thinking(settings, *row)[0].perplexity == pytest.approx(
        perplexity_given_thinking(str(pocket_model), *row)[0].perplexity, rel=0.05
    )


def test_inside_a_running_loop_as_in_a_notebook(engine: Any) -> None:
    async def cell() -> list[Any]:
        return perplexity_given_thinking(engine, [QUERY], [THINKING], [ANSWER])

    assert asyncio.run(cell()) == perplexity_given_thinking(engine, [QUERY], [THINKING], [ANSWER])


def test_rows_that_cannot_be_scored_are_named(engine: Any) -> None:
    with pytest.raises(ContextOverflowError, match=r"row 1: .*1500"):
        perplexity_given_thinking(engine, [QUERY] * 2, ["", "lamps under trees. " * 900], [ANSWER] * 2)
    with pytest.raises(RequestError, match=r"row 1: the text holds '<\|end\|>'"):
        perplexity_given_thinking(engine, [QUERY] * 2, [THINKING, "so <|end|> it goes"], [ANSWER] * 2)


def test_no_rows_need_no_model() -> None:
    assert perplexity_given_thinking("there/is-no-such-model", [], [], []) == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("q", ["z"], ["y"]), "queries is one text"),
        ((["q"], [None], ["y"]), r"thinkings\[0\] is None"),
        ((["q"], ["z"], [" "]), r"answers\[0\] is empty"),
        ((["q", "q"], ["z"], ["y"]), "2 queries, 1 thinkings, 1 answers"),
    ],
)
def test_rows_that_are_not_whole(columns: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        perplexity_given_thinking("unused", *columns)


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match="clip_logprob is 0"):
        perplexity_given_thinking("unused", [], [], [], clip_logprob=0)
    with pytest.raises(RecipeError, match=r"engines\.scorer\.dtype = 'int4' is not allowed"):
        perplexity_given_thinking({"model": "unused", "dtype": "int4"}, [], [], [])
    with pytest.raises(RecipeError, match="only samples"):
        perplexity_given_thinking(
            {"engine": "server", "model": "m", "url": "http://localhost:1/v1", "api": "chat"}, [], [], []
        )
