from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.sources.reddit_text import from_markdown, split_tag, without_author


@pytest.mark.parametrize(
    ("title", "tag", "prompt"),
    [
        ("[WP] A lamp wakes up.", "WP", "A lamp wakes up."),
        ("[wp]A lamp wakes up.", "WP", "A lamp wakes up."),
        ("[ WP ] A lamp wakes up.", "WP", "A lamp wakes up."),
        ("(EU): A lamp wakes up.", "EU", "A lamp wakes up."),
        ("[WP] - A lamp wakes up.", "WP", "A lamp wakes up."),
        ("A lamp wakes up. [WP]", "WP", "A lamp wakes up."),
        ("A lamp wakes up.", None, "A lamp wakes up."),
        ("(Lamp) wakes up", None, "(Lamp) wakes up"),
        ("He reads the label: [no]", None, "He reads the label: [no]"),
        ("[WP] [A letter] arrives", "WP", "[A letter] arrives"),
        ("[WP]", "WP", ""),
        ("", None, ""),
    ],
)
def test_tags(title: str, tag: str | None, prompt: str) -> None:
    assert split_tag(title) == (tag, prompt)


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("&gt; Tea &amp; cake &lt;3 &#39;now&#39;", "> Tea & cake <3 'now'"),
        ("one&#x200B;two&nbsp;three", "onetwo three"),
        ("one\n\n&amp;#x200B;\n\ntwo", "one\n\ntwo"),
        (r"\*sigh\* it was 5\. \_fine\_ \\o/", r"*sigh* it was 5. _fine_ \o/"),
        ("*emphasis* stays", "*emphasis* stays"),
        (r"C:\new stays", r"C:\new stays"),
        ("a  \r\nb\r\n\r\n\r\n\r\nc ", "a\nb\n\nc"),
    ],
)
def test_markdown(raw: str, plain: str) -> None:
    assert from_markdown(raw) == plain


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_no_text_makes_these_raise(text: str) -> None:
    assert isinstance(from_markdown(text), str)
    assert isinstance(split_tag(text)[1], str)
    assert isinstance(without_author(text, "Pen_Name"), str)


def test_lines_that_name_the_writer_are_dropped() -> None:
    story = "The end came.\n\nIt was short.\n\n---\n\nMore at r/Pen.Name+1 or /u/pen.name+1!"
    assert without_author(story, "Pen.Name+1") == "The end came.\n\nIt was short.\n\n---"
    assert without_author("Death sat down. (r/writing)", "Death") == "Death sat down. (r/writing)"


@pytest.mark.parametrize("filler", [" ", "\n", "\t", "'' ", '" ', "[ ", "` ", "\\", "&", ". ", "<newline> "])
def test_long_runs_take_no_longer_than_their_length(filler: str) -> None:
    start = time.perf_counter()
    text = "x" + filler * 100_000 + "x"
    from_markdown(text)
    split_tag(text)
    assert time.perf_counter() - start < 5
