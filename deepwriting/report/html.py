"""A report as one HTML file: nothing is loaded from elsewhere, no script runs, and it reads the same from a disk."""

from __future__ import annotations

from deepwriting.report.html_rows import lengths, measures, samples
from deepwriting.report.html_sections import categories, funnel, languages, masked, reasons, search, sources, told
from deepwriting.report.markup import Markup, element, joined
from deepwriting.report.model import Report
from deepwriting.report.style import STYLE
from deepwriting.report.wording import behind, count, headline, percent

#: A browser that honours it loads nothing at all, even if something were smuggled in.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def render(report: Report) -> str:
    """The page.

    Args:
        report: the report.

    Returns:
        A whole HTML document; every text of the rows in it is escaped, with its invisible characters made visible.
    """
    sections = [
        (name, title, content)
        for name, title, content in (
            ("funnel", "From raw records to selected pairs", funnel(report)),
            ("sources", "Sources", sources(report)),
            ("reasons", "Why rows ended", reasons(report)),
            ("samples", "What was rejected: samples", samples(report)),
            ("lengths", "Lengths", lengths(report)),
            ("categories", "Categories", categories(report)),
            ("languages", "Languages", languages(report)),
            ("quality", "Quality", measures(report)),
            ("personal", "Personal details masked", masked(report)),
            ("search", "Search", search(report)),
            ("told", "What the stages told", told(report)),
        )
        if content
    ]
    links = (element("a", title, href=f"#{name}") for name, title, _ in sections)
    body = joined(
        element("header", _head(report), element("nav", *links, aria_label="Sections")),
        element("main", *(_section(*section) for section in sections)),
        element("footer", f"Made by deepwriting {report.version} from ", element("code", report.run), "."),
    )
    page = element("html", _meta(report), element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _meta(report: Report) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{report.name}: report of a deepwriting run"),
        element("link", rel="icon", href="data:,"),
        Markup(f"<style>{STYLE}</style>"),
    )


def _head(report: Report) -> Markup:
    said = headline(report).removeprefix(f"{report.name}: ")
    parts = [element("h1", report.name), element("p", said[:1].upper() + said[1:] + ".", class_="lead"), _tiles(report)]
    if report.notes:
        parts.append(element("div", *(element("p", note) for note in report.notes), class_="note", role="note"))
    return joined(*parts)


def _tiles(report: Report) -> Markup:
    """The funnel in a handful of numbers."""
    candidates = report.stage("source").rows_in
    if not candidates:
        return Markup("")
    tiles = [("candidates", candidates, "read from the sources")]
    for name in ("source", "dedupe", "select"):
        stage = report.stage(name)
        if stage.finished:
            tiles.append((behind(name), stage.rows_out, f"{percent(stage.rows_out, candidates)} of all"))
    if report.search is not None:
        tiles.append(("searched", report.search.rows, "rows with a trajectory"))
        if report.search.kept is not None:
            tiles.append(("published", report.search.kept, "in the default config"))
    drawn = (
        element("div", element("dt", name), element("dd", count(rows), element("small", about)))
        for name, rows, about in tiles
    )
    return element("dl", *drawn, class_="tiles")


def _section(name: str, title: str, content: Markup) -> Markup:
    return element("section", element("h2", title), content, id=name)
