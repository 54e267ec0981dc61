"""Harm, by lexicon: query and answer are looked at together, since a harmful request makes a harmless answer one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from datatrove.data import Document

from deepwriting.cleaning.lexicon import Matcher, load_lexicon
from deepwriting.cleaning.step import CleaningStep
from deepwriting.cleaning.words import words_of
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.steps import reject


@cache
def matcher(path: str | None, mode: str, categories: tuple[str, ...]) -> Matcher:
    """The matcher of a recipe's lexicon, restricted to the categories that count."""
    lexicon = load_lexicon(path, "replace" if mode == "replace" else "add")
    # A lexicon in place of the bundled one counts with all its categories, whatever they are called.
    return Matcher([c for c in lexicon.categories if mode == "replace" or c.name in categories or not _bundled(c.name)])


def _bundled(name: str) -> bool:
    return any(category.name == name for category in load_lexicon().categories)


def harm_in(text: str, finder: Matcher) -> tuple[str, str] | None:
    """Category and detail of the harm in a text, or ``None``; the first category in the lexicon's order.

    Args:
        text: any text.
        finder: the matcher of a lexicon.
    """
    for category, (total, terms) in finder.found(text, words_of(text)).items():
        return category, f"the lexicon finds {', '.join(repr(term) for term in terms[:5])} (weight {total:g})"
    return None


class Harm(CleaningStep):
    """Rejects pairs that the lexicon finds harmful.

    Reasons and counters: ``harm_`` and the category; else ``harm_none``. Categories of a lexicon of one's own always
    count, those of the bundled one by ``harm_categories``.
    """

    name = "☣ Harm"
    switch = "harm"

    def __init__(self, settings: Mapping[str, CleaningSection] | None = None):
        super().__init__(settings)
        for section in self.settings.values():  # a broken lexicon stops the run before it starts
            if section.harm:
                load_lexicon(section.harm_lexicon, section.harm_lexicon_mode)

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Check one pair."""
        finder = matcher(settings.harm_lexicon, settings.harm_lexicon_mode, tuple(settings.harm_categories))
        for part, text in (("answer", doc.text), ("query", doc.metadata.get("query"))):
            if text and (problem := harm_in(text, finder)):
                reason = f"harm_{problem[0]}"
                reject(doc, reason, f"{part}: {problem[1]}")
                self.count(reason)
                return
        self.count("harm_none")
