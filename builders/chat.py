"""Training text in which the thinking survives, whatever a model's chat template does with it.

    rows.map(lambda row: {"text": training_text(tokenizer, row["query"], row["thinking"], row["answer"])})

Chat templates treat the thinking of an assistant's turn in one of these ways:

=============================================  =======================================  ====================
the template                                   known for it                             what keeps it
=============================================  =======================================  ====================
writes the content as it is                    ChatML, Qwen2.5, Llama 3, SmolLM         config sft
takes it out of the tags or a field of its     Qwen3                                    sft, sft-reasoning
own, and puts it back for the last turn
takes a field of its own only                  GLM-4.5 and others; ``thinking`` is      sft-reasoning
                                               the field of gpt-oss
cuts everything before ``</think>``            DeepSeek-R1 and its distillations        the prompt, and config
                                                                                        verl behind it
=============================================  =======================================  ====================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from deepwriting.errors import BuildError
from deepwriting.schema import assistant_turn

_OPENING = "<think>"
#: Fields from which templates take the thinking of a turn.
_FIELDS = ("reasoning_content", "thinking")


class ChatTokenizer(Protocol):
    """The part of a transformers tokeniser that knows the chat template."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """The conversation as text, with ``tokenize=False``."""
        ...


def training_text(tokenizer: ChatTokenizer, query: str, thinking: str, answer: str) -> str:
    """One conversation in the layout of a model, with its thinking.

    Args:
        tokenizer: a transformers tokeniser with a chat template.
        query: the request x.
        thinking: the trajectory z.
        answer: the solution y.

    Returns:
        The text that the template gives, if thinking and answer stand in it once each and in this order; else the
        template's prompt with thinking and answer behind it, and what the template puts behind an answer.

    Raises:
        BuildError: if the template does not even keep the answer.
    """
    for messages in _forms(query, thinking, answer):
        text = _applied(tokenizer, messages)
        if text is not None and _survived(text, query, thinking, answer):
            return text
    return _behind_prompt(tokenizer, query, thinking, answer)


def _forms(query: str, thinking: str, answer: str) -> Iterator[list[dict[str, str]]]:
    asked = {"role": "user", "content": query}
    yield [asked, {"role": "assistant", "content": assistant_turn(thinking, answer)}]
    for field in _FIELDS:
        yield [asked, {"role": "assistant", "content": answer, field: thinking}]


def _applied(tokenizer: ChatTokenizer, messages: list[dict[str, str]], *, prompt: bool = False) -> str | None:
    """What the template makes of the messages; ``None`` if it refuses them."""
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    except TemplateError:
        return None
    return text


def _survived(text: str, query: str, thinking: str, answer: str) -> bool:
    """Whether a template kept thinking and answer behind the query, and wrote neither of them twice."""
    behind = text.partition(query.strip())[2]
    thinking, answer = thinking.strip(), answer.strip()
    return (
        behind.count(thinking) == 1
        and behind.partition(thinking)[2].count(answer) == 1
        and behind.count(_OPENING) == behind.count("</think>") <= 1
    )


def _behind_prompt(tokenizer: ChatTokenizer, query: str, thinking: str, answer: str) -> str:
    asked = {"role": "user", "content": query}
    prompt = _applied(tokenizer, [asked], prompt=True)
    whole = _applied(tokenizer, [asked, {"role": "assistant", "content": answer}])
    if prompt is None or whole is None or answer.strip() not in whole:
        raise BuildError("the chat template keeps neither the thinking nor the answer of an assistant's turn")
    end = whole.rpartition(answer.strip())[2]
    turn = assistant_turn(thinking, answer.strip())
    if prompt.rstrip().endswith(_OPENING):  # the model is meant to go on behind the tag
        prompt = prompt.rstrip().removesuffix(_OPENING)
    return prompt + turn + end
