from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.errors import PromptError
from deepwriting.metrics.thinking_patterns import count_patterns_in_tail
from deepwriting.reer.prompts import (
    ASSISTANT_MARK,
    BUNDLED_SETS,
    PHRASES,
    SLOTS,
    Template,
    load_prompts,
    prompt_hashes,
    prompt_texts,
)
from deepwriting.schema import LANGUAGES


class Layout:
    """A chat layout as plain as can be."""

    def render(self, user: str, assistant: str = "") -> str:
        return f"<user>{user}</user><assistant>{assistant}"


CHAT = Layout()
TEMPLATE = "Task: {{query}}\nText: {{answer}}\nGo." + ASSISTANT_MARK + "<think>\n{{opener}}"
#: What a text of a stranger may hold to upset a naive template.
HOSTILE = st.lists(
    st.sampled_from(["{{query}}", "{{answer}}", "{{opener}}", "{", "}", "{{", "}}", "%s", "{0}", "\\1", "</think>",
                     "<refine>", ASSISTANT_MARK, "word", "好", "\n"]),
    max_size=8,
).map("".join)  # fmt: skip


@given(query=HOSTILE, answer=HOSTILE, opener=HOSTILE)
def test_values_stay_what_they_are(query: str, answer: str, opener: str) -> None:
    found = Template.parse("initial", TEMPLATE).render(CHAT, query=query, answer=answer, opener=opener)
    assistant = "<think>\n" + opener
    assert found.text == f"<user>Task: {query}\nText: {answer}\nGo.</user><assistant>{assistant}"
    assert found.assistant == assistant


def test_values_that_no_slot_asks_for_are_ignored() -> None:
    found = Template.parse("inference", "Do {{query}}").render(CHAT, query="this", trigger="Hmm")
    assert found.text == "<user>Do this</user><assistant>"
    assert found.assistant == ""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("inference", "No slot.", r"inference lacks the slots \['query'\]"),
        ("initial", "{{query}}", r"lacks the slots \['answer', 'opener'\]"),
        ("inference", "{{query}} {{answer}}", r"unknown slots \['answer'\]; allowed: \['query'\]"),
        ("inference", "{{query}}" + ASSISTANT_MARK + "{{trigger}}", r"unknown slots \['trigger'\]"),
    ],
)
def test_wrong_slots_are_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Template.parse(name, text)


def test_optional_slots_are_known() -> None:
    text = "{{query}}{{answer}}{{before}}{{segment}}{{after}}" + ASSISTANT_MARK + "{{opening}}{{trigger}}"
    assert Template.parse("refine", text).slots >= {"opening", "trigger"}


@pytest.mark.parametrize("name", BUNDLED_SETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_bundled_sets_are_whole(name: str, language: str) -> None:
    prompts = load_prompts(name)[language]
    assert prompts.language == language
    assert set(prompts.templates) == set(SLOTS)
    assert len(set(prompts.openers)) == len(prompts.openers) >= 2
    everything = {slot: f"[{slot}]" for template in prompts.templates.values() for slot in template.slots}
    for template in prompts.templates.values():
        found = template.render(CHAT, **everything)
        assert all(f"[{slot}]" in found.text for slot in template.slots)
        assert "{{" not in found.text


@pytest.mark.parametrize("name", BUNDLED_SETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_scoring_prompt_knows_nothing_of_the_solution(name: str, language: str) -> None:
    assert load_prompts(name)[language]["inference"].slots == {"query"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_the_default_set_instructions_come_first(language: str) -> None:
    # What two prompts share at their beginning is what an engine with prefix caching reads once.
    for name in ("initial", "refine", "inference"):
        prompt = load_prompts("default")[language][name]
        one, two = (prompt.render(CHAT, **dict.fromkeys(prompt.slots, value)).text for value in ("x", "y"))
        shared = next(i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)
        assert shared > 0.8 * len(one)


def test_unknown_sets_are_refused() -> None:
    with pytest.raises(
        PromptError, match=r"'no-such-set' is neither a bundled set \(default, no-reflection, compact\) nor a folder"
    ):
        load_prompts("no-such-set")


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def test_a_folder_replaces_files_of_the_default_set(tmp_path: Path) -> None:
    put(tmp_path, "en/inference.txt", "My way: {{query}}\n")
    put(tmp_path, "zh/openers.txt", "\n好吧\n\n行\n")
    prompts, default = load_prompts(str(tmp_path)), load_prompts()
    assert prompts["en"]["inference"].user == "My way: {{query}}"
    assert prompts["zh"].openers == ("好吧", "行")
    assert prompts["zh"]["inference"] == default["zh"]["inference"]
    assert prompts["en"].openers == default["en"].openers


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("en/inference.txt", "nothing", "inference lacks the slots"),
        ("en/inferense.txt", "{{query}}", "unknown prompt file .*inferense.txt; allowed: en/initial.txt, "),
        ("fr/inference.txt", "{{query}}", "unknown prompt file .*fr/inference.txt"),
        ("en/openers.txt", "\n \n", "openers.txt has no line"),
        (
            "en/refine.txt",
            "{{query}}{{answer}}{{before}}{{segment}}{{after}}{{trigger}}",
            "refine.txt has the slot trigger; triggers.txt and closers.txt need lines",
        ),
    ],
)
def test_mistakes_in_a_folder_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    put(tmp_path, "zh/inference.txt", "{{query}}")
    put(tmp_path, name, text)
    with pytest.raises(PromptError, match=message):
        load_prompts(str(tmp_path))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"holds none of: en/initial\.txt, "):
        load_prompts(str(tmp_path))


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "en/inference.txt", "")
    (tmp_path / "en/inference.txt").write_bytes("Schön: {{query}}".encode("latin-1"))
    with pytest.raises(PromptError, match=r"inference\.txt is not UTF-8 text"):
        load_prompts(str(tmp_path))


def test_hashes_follow_the_text(tmp_path: Path) -> None:
    before = prompt_hashes()
    assert before.keys() == prompt_texts().keys()
    assert all(len(value) == 16 for value in before.values())
    put(tmp_path, "en/inference.txt", prompt_texts()["en/inference.txt"])
    assert prompt_hashes(str(tmp_path)) == before
    put(tmp_path, "en/inference.txt", prompt_texts()["en/inference.txt"] + " ")
    after = prompt_hashes(str(tmp_path))
    assert {name for name in after if after[name] != before[name]} == {"en/inference.txt"}


def test_every_phrase_file_has_a_hash_where_a_set_has_it() -> None:
    assert {f"en/{name}.txt" for name in PHRASES} <= prompt_hashes("compact").keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_reflection_nothing_asks_for_thinking_patterns(language: str) -> None:
    def reflections(name: str) -> int:
        prompts = load_prompts(name)[language]
        texts = [prompts[t].user + prompts[t].assistant for t in ("initial", "refine", "inference")]
        return sum(count_patterns_in_tail(text, 1.0) for text in (*texts, *prompts.openers))

    assert reflections("default") > 10
    assert reflections("no-reflection") == 0


def test_a_set_holds_only_what_differs() -> None:
    default, other = prompt_hashes("default"), prompt_hashes("no-reflection")
    assert default.keys() == other.keys()
    assert default["en/query.txt"] == other["en/query.txt"]
    assert default["en/refine.txt"] != other["en/refine.txt"]
