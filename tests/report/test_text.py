from __future__ import annotations

import pytest

from deepwriting.report.markup import Markup, element, escaped, joined
from deepwriting.report.tally import general
from deepwriting.report.text import cut, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07", "␛[2J␇"),
        ("a\r\n\t b", "a b"),
        ("\u202eevil\u2066", "⟨U+202E⟩evil⟨U+2066⟩"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
        ("\x7f\x85\x9b", "␡⟨U+0085⟩⟨U+009B⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("مرحبا 写 👩\u200d🚀 e\u0301", "مرحبا 写 👩\u200d🚀 e\u0301"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_cut_ends_with_an_ellipsis() -> None:
    assert cut("  short  ", 10) == "short"
    assert cut("0123456789", 10) == "0123456789"
    assert cut("0123456789x", 10) == "012345678…"
    assert cut(" " * 1000 + "x", 10).endswith("…"), "what was not looked at is left out, and that is said"


def test_texts_are_escaped_and_made_html_is_not() -> None:
    made = element("p", "<b>&", element("i", "x"), title='"<', class_="a", hidden=True, id=None)
    assert made == '<p title="&quot;&lt;" class="a" hidden>&lt;b&gt;&amp;<i>x</i></p>'
    assert escaped(Markup("<b>")) == "<b>"
    assert joined("<", made) == "&lt;" + made
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert element("rect", x=12.5, y=3.0) == '<rect x="12.5" y="3"></rect>'


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("37 characters, 50 are needed", "# characters, # are needed"),
        ("duplicate of wp/t3_1a2b", "duplicate of wp/…"),
        ("duplicate of deepwriting-20k/x9", "duplicate of deepwriting-20k/…"),
        ("the query is that of longbench_write, row 34", "the query is that of longbench_write, row #"),
        ("a run of 17 words with hellobench, row 2: 'it isn't 3 o'", "a run of # words with hellobench, row #: …"),
        ("similarity 0.93.", "similarity #."),
        ("the query is in de; allowed: en, zh", "the query is in de; allowed: en, zh"),
    ],
)
def test_details_without_what_differs_from_row_to_row(detail: str, shown: str) -> None:
    assert general(detail, frozenset({"deepwriting-20k"})) == shown
