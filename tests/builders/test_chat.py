"""Thinking through chat templates, rendered by the environment that transformers uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deepwriting.builders.chat import training_text
from deepwriting.builders.tables import rows
from deepwriting.errors import BuildError
from deepwriting.schema import assistant_turn

Maker = Callable[..., dict[str, Any]]

#: Writes the content of every turn as it is (ChatML, as in Qwen2.5 and SmolLM).
PLAIN = """
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

#: Takes the thinking from a field or from the tags, and writes it for turns behind the last query (as in Qwen3).
REASONING_OR_TAGS = """
{%- set ns = namespace(last=0) %}
{%- for message in messages %}{%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}
{%- for message in messages %}
  {%- if message.role == 'assistant' %}
    {%- set content = message.content %}
    {%- set reasoning = '' %}
    {%- if message.reasoning_content is string %}
      {%- set reasoning = message.reasoning_content %}
    {%- elif '</think>' in content %}
      {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
      {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {%- if loop.index0 > ns.last and (loop.last or reasoning) %}
      {{- '<|im_start|>assistant\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
    {%- else %}
      {{- '<|im_start|>assistant\\n' + content }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
  {%- else %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

#: Knows the field alone; tags in the content it cuts off.
REASONING_ONLY = """
{%- for message in messages %}
  {%- if message.role == 'assistant' %}
    {{- '<|assistant|>\\n<think>' + (message.reasoning_content or '') | trim + '</think>\\n' }}
    {{- message.content.split('</think>')[-1] | trim }}
  {%- else %}
    {{- '<|user|>\\n' + message.content }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"""

#: Cuts off what stands before </think>, and opens the tag in the prompt (as in DeepSeek-R1).
CUTTING = """
{{- bos_token }}
{%- for message in messages %}
  {%- if message.role == 'user' %}
    {{- '<｜User｜>' + message.content }}
  {%- else %}
    {{- '<｜Assistant｜>' + message.content.split('</think>')[-1] + '<｜end｜>' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<｜Assistant｜><think>\\n' }}{%- endif %}"""

#: A channel of its own, from the field ``thinking``; refuses tags (in the manner of gpt-oss).
CHANNELS = """
{%- for message in messages %}
  {%- if message.role == 'assistant' %}
    {%- if '<think>' in message.content %}{{ raise_exception('put the thinking into its own field') }}{%- endif %}
    {%- if 'thinking' in message and loop.last %}
      {{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}
    {%- endif %}
    {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|return|>' }}
  {%- else %}
    {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"""


class Template:
    """A chat template behind the method of a tokeniser."""

    def __init__(self, source: str):
        self.source = source

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template

        assert options.pop("tokenize") is False
        texts, _ = render_jinja_template([conversation], chat_template=self.source, bos_token="<s>", **options)
        return texts[0]


@pytest.fixture
def texts(document: Maker) -> tuple[str, str, str]:
    meta = document(1)["metadata"]
    return meta["query"], meta["thinking"], document(1)["text"]


@pytest.mark.parametrize("source", [PLAIN, REASONING_OR_TAGS, REASONING_ONLY, CUTTING, CHANNELS])
def test_thinking_survives_every_kind_of_template(texts: tuple[str, str, str], source: str) -> None:
    query, thinking, answer = texts
    text = training_text(Template(source), query, thinking, answer)
    assert [text.count(part) for part in texts] == [1, 1, 1]
    assert text.index(query) < text.index(thinking) < text.index(answer)
    assert text.count("<think>") == text.count("</think>") == (source is not CHANNELS)


def test_a_template_that_cuts_is_given_its_prompt_and_its_end_of_turn(texts: tuple[str, str, str]) -> None:
    query, thinking, answer = texts
    text = training_text(Template(CUTTING), query, thinking, answer)
    assert text == f"<s><｜User｜>{query}<｜Assistant｜>{assistant_turn(thinking, answer)}<｜end｜>"


@pytest.mark.parametrize(
    ("config", "source", "kept"),
    [
        ("sft", PLAIN, True),
        ("sft", REASONING_OR_TAGS, True),
        ("sft", REASONING_ONLY, False),
        ("sft-reasoning", PLAIN, False),
        ("sft-reasoning", REASONING_OR_TAGS, True),
        ("sft-reasoning", REASONING_ONLY, True),
        ("sft", CUTTING, False),
        ("sft-reasoning", CUTTING, False),
    ],
)
def test_which_template_keeps_the_thinking_of_which_config(
    document: Maker, config: str, source: str, kept: bool
) -> None:
    doc = document(1)
    (row,) = rows(config, doc)
    text = Template(source).apply_chat_template(row["messages"], tokenize=False)
    assert (doc["metadata"]["thinking"] in text) is kept
    assert text.count(doc["text"]) == 1


def test_the_two_forms_are_one_text_to_a_template_that_knows_both(document: Maker) -> None:
    made = [next(rows(config, document(1)))["messages"] for config in ("sft", "sft-reasoning")]
    one, other = (Template(REASONING_OR_TAGS).apply_chat_template(messages, tokenize=False) for messages in made)
    assert one == other


def test_a_template_without_answers_is_refused(texts: tuple[str, str, str]) -> None:
    with pytest.raises(BuildError, match="keeps neither the thinking nor the answer"):
        training_text(Template("{{ messages[0].content }}"), *texts)
