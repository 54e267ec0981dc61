"""A lexicon of harm: categories of rules with weights, read from TOML.

A word alone says little: crime fiction has murders in it, medicine has bodies, and people swear. So most rules ask for
two things near each other, and a category rejects a text only from a sum of weights on:

    [sets]
    minor = ["child", "14 year old"]          # named lists of terms, used as "@minor"

    [categories.hate]
    threshold = 2.0                           # the sum of weights that rejects
    rules = [
      {terms = ["a phrase"], weight = 2.0},   # each different term that occurs adds its weight, once
      {near = [["vermin"], ["@people"]], window = 8, weight = 1.0},
    ]

A term is a word or a phrase, compared by units (``metrics/units.py``): case, punctuation and typesetting make no
difference. With ``near`` each different term of the *first* list that has a term of every other list at most ``window``
units away adds the weight. A term that several rules of a category find counts once, with the greatest weight. Most
texts lack what every rule needs, and are not looked at closely.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from deepwriting.cleaning.words import has_cjk
from deepwriting.errors import RecipeError
from deepwriting.metrics.units import units

Term = tuple[str, ...]

#: The bundled lexicons, in ``cleaning/lexicons/``.
BUNDLED = ("en.toml", "zh.toml")
#: Units between the terms of a rule that does not say how many.
DEFAULT_WINDOW = 10


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        groups: lists of terms; one of each has to occur.
        window: greatest distance from a term of the first list to one of every other (units).
        weight: what each different term of the first list adds.
    """

    groups: tuple[frozenset[Term], ...]
    window: int
    weight: float


@dataclass(frozen=True)
class Category:
    """The rules of one kind of harm, and the sum of weights from which a text has it."""

    name: str
    threshold: float
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Lexicon:
    """All categories.

    Attributes:
        categories: in the order of the files.
        digest: SHA-256 of the files' contents (first 16 digits), for the settings of the stage.
    """

    categories: tuple[Category, ...]
    digest: str


def load_lexicon(path: str | None = None, mode: Literal["add", "replace"] = "add") -> Lexicon:
    """The bundled lexicon, with or instead of it one from a file.

    A category that stands in several files has the rules of all and the threshold of the last.

    Args:
        path: a TOML file, or ``None``.
        mode: whether the file is added to the bundled lexicon or replaces it.

    Raises:
        RecipeError: if the file cannot be read or is no lexicon.
    """
    texts: list[tuple[str, str]] = []
    if path is None or mode == "add":
        folder = files("deepwriting.cleaning").joinpath("lexicons")
        texts += [(name, folder.joinpath(name).read_text(encoding="utf-8")) for name in BUNDLED]
    if path is not None:
        try:
            texts.append((path, Path(path).expanduser().read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, RuntimeError) as error:
            raise RecipeError(f"harm lexicon {path!r} cannot be read: {error}") from None
    return _parsed(tuple(texts))


@cache
def _parsed(texts: tuple[tuple[str, str], ...]) -> Lexicon:
    categories: dict[str, Category] = {}
    digest = hashlib.sha256()
    for name, text in texts:
        digest.update(text.encode())
        for category in _categories(name, text):
            if (known := categories.get(category.name)) is not None:
                category = Category(category.name, category.threshold, known.rules + category.rules)
            categories[category.name] = category
    return Lexicon(tuple(categories.values()), digest.hexdigest()[:16])


def _categories(name: str, text: str) -> Iterable[Category]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"harm lexicon {name!r} is not valid TOML: {error}") from None
    _only(data, {"sets", "categories"}, f"harm lexicon {name!r}")
    sets = _table(data.get("sets", {}), f"sets of harm lexicon {name!r}")
    for label, entry in _table(data.get("categories", {}), f"categories of harm lexicon {name!r}").items():
        where = f"category {label!r} of harm lexicon {name!r}"
        _only(_table(entry, where), {"threshold", "rules"}, where)
        rules = entry.get("rules")
        if not isinstance(rules, list) or not rules:
            raise RecipeError(f"{where}: rules is {rules!r}; allowed: a list of rules with terms or near")
        threshold = _number(entry.get("threshold", 1.0), f"threshold of {where}")
        yield Category(label, threshold, tuple(_rule(rule, sets, where) for rule in rules))


def _rule(rule: Any, sets: Mapping[str, Any], where: str) -> Rule:
    _only(_table(rule, f"a rule of {where}"), {"terms", "near", "window", "weight"}, f"a rule of {where}")
    if ("terms" in rule) == ("near" in rule):
        raise RecipeError(f"a rule of {where} has {sorted(rule)}; needed: either terms or near")
    groups = [rule["terms"]] if "terms" in rule else rule["near"]
    if not isinstance(groups, list) or not groups:
        raise RecipeError(f"a rule of {where}: near is {groups!r}; allowed: a list of lists of terms")
    window = rule.get("window", DEFAULT_WINDOW)
    if not isinstance(window, int) or window < 1:
        raise RecipeError(f"a rule of {where}: window is {window!r}; allowed: a whole number from 1")
    weight = _number(rule.get("weight", 1.0), f"weight of a rule of {where}")
    return Rule(tuple(frozenset(_terms(group, sets, where)) for group in groups), window, weight)


def _terms(group: Any, sets: Mapping[str, Any], where: str) -> Iterable[Term]:
    if not isinstance(group, list) or not group or not all(isinstance(term, str) for term in group):
        raise RecipeError(f"a rule of {where}: terms are {group!r}; allowed: a list of words and phrases")
    for term in group:
        if term.startswith("@"):
            if term[1:] not in sets:
                raise RecipeError(
                    f"a rule of {where}: the set {term} is unknown; there are {', '.join(sets) or 'none'}"
                )
            yield from _terms(sets[term[1:]], sets, where)
        elif split := tuple(units(term)):
            yield split
        else:
            raise RecipeError(f"a rule of {where}: the term {term!r} has no letter")


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RecipeError(f"{where}: found {type(value).__name__}; allowed: a table")
    return value


def _only(value: Mapping[str, Any], allowed: set[str], where: str) -> None:
    if unknown := sorted(set(value) - allowed):
        raise RecipeError(f"{where}: unknown keys {unknown}; allowed: {', '.join(sorted(allowed))}")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise RecipeError(f"{where} is {value!r}; allowed: a number above 0")
    return float(value)


#: Where a term stands in a lexicon: numbers of its category, of the rule in it, and of the list in that.
_Where = tuple[int, int, int]


class Matcher:
    """Finds the categories of a lexicon in texts.

    Most texts are let through by their set of words alone: it is enough to look up which terms could be in the text
    (Latin ones by their longest word, Chinese ones, whose characters are everywhere, as a whole), and whether those
    could reach a threshold.

    Args:
        categories: the categories to look for.
    """

    def __init__(self, categories: Sequence[Category]):
        self.categories = tuple(categories)
        self._by_word: dict[str, list[tuple[Term, frozenset[str], _Where]]] = {}
        self._by_string: dict[str, list[tuple[Term, _Where]]] = {}
        for number, category in enumerate(self.categories):
            for index, rule in enumerate(category.rules):
                for place, group in enumerate(rule.groups):
                    for term in sorted(group):
                        where = (number, index, place)
                        if _without_spaces(term):
                            self._by_string.setdefault("".join(term), []).append((term, where))
                        else:
                            word = max(term, key=len)
                            self._by_word.setdefault(word, []).append((term, frozenset(term), where))
        self._words = frozenset(self._by_word)

    def found(self, text: str, words: Sequence[str]) -> dict[str, tuple[float, tuple[str, ...]]]:
        """The categories that a text reaches.

        Args:
            text: the text.
            words: its units.

        Returns:
            Category -> sum of weights and the terms that gave it.
        """
        possible = self._possible(words, with_strings=has_cjk(text))
        found = {}
        for number in sorted({where[0] for where in possible}):
            category = self.categories[number]
            groups = [
                [possible.get((number, index, place), []) for place in range(len(rule.groups))]
                for index, rule in enumerate(category.rules)
            ]
            pairs = [(rule, lists) for rule, lists in zip(category.rules, groups, strict=True) if all(lists)]
            if sum(rule.weight * len(lists[0]) for rule, lists in pairs) < category.threshold:
                continue
            places = _places(words, {term for _, lists in pairs for terms in lists for term in terms})
            weights: dict[Term, float] = {}
            for rule, (anchors, *others) in pairs:
                for term in anchors:
                    if term in places and all(_near(places[term], places, terms, rule.window) for terms in others):
                        weights[term] = max(rule.weight, weights.get(term, 0.0))
            if weights and sum(weights.values()) >= category.threshold:
                found[category.name] = (sum(weights.values()), tuple(sorted(map(_spelled, weights))))
        return found

    def _possible(self, words: Sequence[str], *, with_strings: bool) -> dict[_Where, list[Term]]:
        """The terms that could be in a text, by where they stand in the lexicon."""
        possible: dict[_Where, list[Term]] = {}
        different = set(words)
        for word in sorted(self._words & different):
            for term, needed, where in self._by_word[word]:
                if needed <= different:
                    possible.setdefault(where, []).append(term)
        if with_strings:
            joined = "".join(words)
            for string, terms in self._by_string.items():
                if string in joined:
                    for term, where in terms:
                        possible.setdefault(where, []).append(term)
        return possible


def _without_spaces(term: Term) -> bool:
    return all(len(unit) == 1 and not unit.isascii() for unit in term)


def _places(words: Sequence[str], terms: Iterable[Term]) -> dict[Term, list[int]]:
    """Where terms begin among the words; those that do not occur are left out."""
    by_first: dict[str, list[Term]] = {}
    for term in terms:
        by_first.setdefault(term[0], []).append(term)
    places: dict[Term, list[int]] = {}
    for index, word in enumerate(words):
        for term in by_first.get(word, ()):
            if tuple(words[index : index + len(term)]) == term:
                places.setdefault(term, []).append(index)
    return places


def _near(anchors: list[int], places: Mapping[Term, list[int]], group: Iterable[Term], window: int) -> bool:
    others = [index for term in group for index in places.get(term, ())]
    return any(abs(one - other) <= window for one in anchors for other in others)


def _spelled(term: Term) -> str:
    return "".join(term) if _without_spaces(term) else " ".join(term)
