"""The page: whole, self-contained, and unharmed by what rows hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from deepwriting.report.charts import COLOURS, colour_of, histogram, stacked
from deepwriting.report.gather import gather
from deepwriting.report.html import render
from deepwriting.report.model import Report, Spread
from deepwriting.rundir import RunFolder
from tests.report.conftest import document

HOSTILE = "<script>alert(1)</script>\" onload='x' \u202e\x1b[2J </style></title><img src=http://evil.example/a.png>"
EMPTY = {"meta", "link", "br"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects them."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.cells: list[int] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def hostile_run(run: RunFolder, write_stage: Callable[..., None]) -> RunFolder:
    rows = [document("good", text="x" * 100, query=HOSTILE, category=HOSTILE, language="<b>")]
    bad = [document(HOSTILE, HOSTILE, text=HOSTILE, query=HOSTILE, reject="<i>why</i>", reject_detail=HOSTILE)]
    bad.append(document("long", text="Wort" * 5_000, reject="giant_answer", reject_detail="W" * 3_000))
    facts = {"<u>": {"nested": [HOSTILE, {"deep": 0.25}]}}
    write_stage(run, "source", [[*rows, *bad]], facts=facts)
    return run


def test_whole_page(whole_run: RunFolder) -> None:
    text = render(gather(whole_run))
    page = Page(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    sections = [attributes["id"] for attributes in page.all("section")]
    expected = "funnel sources reasons samples lengths categories languages quality personal search told"
    assert sections == expected.split()
    assert [attributes["href"] for attributes in page.all("a")] == [f"#{name}" for name in sections]
    assert "4 of 10 candidates selected (40%), 4 rows searched, 3 published." in page.text
    for figure in ("malformed_json", "duplicate of pairs/…", "Essay Writing", "asked for", "email", "category_full"):
        assert figure in page.text
    assert "Asked for 8 pairs, 5 could be had, 4 were chosen. That is 4 short" in page.text
    assert "there are only 0" in page.text
    assert "classified_by, fast" in page.text
    assert "/secret/place" not in text, "paths of sources are nobody's business"


def test_tables_and_charts_are_accessible(whole_run: RunFolder) -> None:
    text = render(gather(whole_run))
    page = Page(text)
    assert len(page.all("table")) == len(page.all("caption")) > 10
    assert all(attributes.get("scope") in ("col", "row", "rowgroup") for attributes in page.all("th"))
    for attributes in page.all("svg"):
        spoken = attributes.get("role") == "img" and attributes.get("aria-label")
        assert spoken or attributes.get("aria-hidden") == "true"
    for table in re.findall(r"<table.*?</table>", text):
        head, body = table.split("<tbody>")
        columns = head.count("<th ")
        for row in re.findall(r"<tr.*?</tr>", body):
            assert "colspan" in row or row.count("<th ") + row.count("<td") == columns


@pytest.mark.parametrize("name", ["whole_run", "hostile_run"])
def test_nothing_is_loaded_and_nothing_runs(name: str, request: pytest.FixtureRequest) -> None:
    text = render(gather(request.getfixturevalue(name)))
    page = Page(text)
    loading = {"script", "img", "iframe", "object", "embed", "base", "form", "video", "audio", "source"}
    assert not {tag for tag, _ in page.found} & loading
    for _, attributes in page.found:
        assert not {name for name in attributes if name.startswith("on")}
        assert "src" not in attributes
        assert re.match(r"#|data:,$", attributes.get("href") or "#")
    style = text.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    [policy] = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_hostile_text_is_shown_as_text(hostile_run: RunFolder) -> None:
    text = render(gather(hostile_run))
    page = Page(text)
    assert "<script>alert(1)</script>" in page.text
    assert "⟨U+202E⟩␛[2J" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert len(text) < 60_000, "giant texts are cut"
    assert "nested, 2, deep" in page.text


def test_page_of_a_run_that_has_not_begun(run: RunFolder) -> None:
    page = Page(render(gather(run)))
    assert page.all("section") == []
    assert "Not begun yet: source, dedupe, select, search, annotate, build." in page.text


def test_page_of_an_unfinished_run(run: RunFolder, write_stage: Callable[..., None]) -> None:
    write_stage(run, "source", [[document("a", text="x" * 70), document("b", reject="deleted")]], state="running")
    page = Page(render(gather(run)))
    assert "read pairs from the sources (interrupted: so far)" in page.text
    assert "1 row rejected by its finished tasks so far" in page.text


def test_bars_have_the_widths_of_their_figures() -> None:
    bar = stacked([("c0", 25, "a"), ("c1", 0, "none"), ("lost", 50, "b")], 100, says="said", mark=40)
    widths = re.findall(r'class="(\w+)" x="([\d.]+)%" y="0" width="([\d.]+)%"', bar)
    assert [(name, float(x), float(width)) for name, x, width in widths] == [("c0", 0, 25), ("lost", 25, 50)]
    assert 'x1="40.000%"' in bar
    assert 'aria-label="said"' in bar
    assert 'width="0.250%"' in stacked([("c0", 1, "")], 1_000_000, says=None), "little is seen all the same"
    assert "<rect" not in stacked([("c0", 1, "")], 0, says=None)


def test_sources_beyond_the_colours_share_one() -> None:
    names = [f"s{index}" for index in range(COLOURS + 2)]
    assert [colour_of(name, names) for name in names] == [*(f"c{index}" for index in range(COLOURS)), "cx", "cx"]


def test_histograms_compare_shares() -> None:
    few = Spread(2, 1, 1, 1, 1, 1, 1, [(100, 1000, 2)])
    many = Spread(2000, 1, 1, 1, 1, 1, 1, [(10, 100, 1000), (100, 1000, 1000)])
    drawn = histogram([("was", "all", many), ("now", "left", few)], "said")
    heights = {
        (c, float(h))
        for c, h in re.findall(r'class="(\w+)" x="[\d.]+%" y="[\d.]+" width="[\d.]+%" height="([\d.]+)"', drawn)
    }
    [tall] = [height for name, height in heights if name == "now"]
    assert {height for name, height in heights if name == "was"} == {tall / 2}
    assert "all: 50.0% with 10 to 100" in drawn


def test_many_sources_and_categories_stay_small(run: RunFolder, write_stage: Callable[..., None]) -> None:
    rows = [document(f"n{i}", f"source{i % 40}", "x" * (60 + i), category=f"c{i % 30}") for i in range(400)]
    for name in ("source", "dedupe", "select"):
        write_stage(run, name, [rows])
    report: Report = gather(run)
    text = render(report)
    Page(text)
    assert "other sources" in text
    assert len(text) < 400_000
