"""What is planted in the rows, at which rates, and how each is written down as the truth."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from synthetic import words
from synthetic.text import Texts, similarity

#: Share of rows with each kind of dirt. Reddit's dumps and chats have most of it in about this order of magnitude; what
#: matters here is that every kind is there often enough to be counted.
RATES: dict[str, float] = {
    "exact_duplicate": 0.02,     # the same query and answer again
    "same_answer": 0.01,         # the same answer to another query
    "near_duplicate": 0.03,      # up to 15 % of an answer's words changed, scattered or in one passage
    "near_query": 0.01,          # one query, each time with another word changed, and another answer each time
    "email": 0.004, "phone": 0.004, "ip": 0.004, "card": 0.004, "handle": 0.004,
    "mojibake": 0.01,
    "repetition": 0.01,
    "refusal": 0.01,
    "other_language": 0.02,
    "symbols": 0.005,
    "contamination": 0.005,      # a benchmark's query; only where benchmarks are given
}  # fmt: skip
#: Rows that may be duplicated: those before the last few thousand are forgotten, so that memory stays flat.
RECENT = 5_000
#: Rows in a row that ask for nearly the same: two more than ``dedupe.max_answers_per_query`` keeps.
ASKED = 6
#: Words (Chinese characters) of the shingles by which queries are compared.
QUERY_SHINGLE = 3
#: Longest part of a benchmark's query that is planted (characters).
_MAX_PLANTED = 1_500
_FIRST = ("anna", "jonas", "mira", "tobias", "lena", "oskar", "ines", "pavel", "ruth", "simon")
_LAST = ("miller", "harbour", "keller", "novak", "lind", "marsh", "petrov", "quinn", "stone", "weber")
#: A sentence around each kind of personal data.
_PII = {
    "email": "Write to {} before Friday.",
    "phone": "My number is {} in the evening.",
    "ip": "The old server answered at {} all night.",
    "card": "He paid with {} and never came back.",
    "handle": "You can find me as {} on every site.",
}


@dataclass
class Row:
    """One pair of query and answer with its place.

    Attributes:
        id: its id inside of the source.
        query: the request.
        answer: the text.
        language: its language.
        kind: what is planted in it; empty for a clean row.
        fact: what belongs to it: the original's id, the personal datum, the way of contamination.
        thread: Reddit's submission.
    """

    id: str
    query: str
    answer: str
    language: str = "English"
    kind: str = ""
    fact: dict[str, Any] = field(default_factory=dict)
    thread: str = ""


class Dirt:
    """Makes rows, clean ones and planted ones.

    Args:
        texts: where texts come from.
        seed: other seeds plant elsewhere.
        benchmark: benchmark queries as (benchmark, row, text); none: no contamination.
        chinese: share of Chinese rows.
    """

    def __init__(
        self, texts: Texts, seed: object, benchmark: Sequence[tuple[str, str, str]] = (), chinese: float = 0.15
    ):
        self.texts = texts
        self.rng = random.Random(f"dirt:{seed}")
        self.benchmark = benchmark
        self.chinese = chinese
        self.recent: deque[Row] = deque(maxlen=RECENT)
        #: The query being asked again, by language: its first row, itself, and how many rows are still to come.
        self.asked: dict[str, tuple[str, str, int]] = {}
        rates = {kind: rate for kind, rate in RATES.items() if kind != "contamination" or benchmark}
        self.kinds, self.weights = [*rates, ""], [*rates.values(), 1 - sum(rates.values())]

    def row(self, row_id: str, query: str | None = None, *, language: str | None = None, dirty: bool = True) -> Row:
        """The next row.

        Args:
            row_id: its id inside of the source.
            query: its query, where the source decides (Reddit's prompts); a planted row may have another one.
            language: its language; drawn if not given.
            dirty: whether something may be planted in it.
        """
        language = language or ("Chinese" if self.rng.random() < self.chinese else "English")
        kind = self.rng.choices(self.kinds, self.weights)[0] if dirty else ""
        row = Row(row_id, query or self.texts.request(language), self.texts.answer(language), language, kind)
        if kind:
            self._plant(row)
        # Only what is whole and clean is worth duplicating: the truth then has one reason a row.
        if not row.kind:
            self.recent.append(row)
        return row

    def _plant(self, row: Row) -> None:
        rng = self.rng
        if row.kind in ("exact_duplicate", "same_answer", "near_duplicate"):
            if not self.recent:
                row.kind = ""
                return
            first = self.recent[rng.randrange(len(self.recent))]
            row.language, row.fact = first.language, {"of": first.id}
            if row.kind == "exact_duplicate":
                row.query, row.answer, row.thread = first.query, first.answer, first.thread
            elif row.kind == "same_answer":
                row.answer = first.answer
            else:
                change = self.texts.changed if rng.random() < 0.5 else self.texts.reworked
                row.answer = change(first.answer, rng.uniform(0.005, 0.15))
                row.fact["similarity"] = round(similarity(first.answer, row.answer), 3)
        elif row.kind == "near_query":
            self._ask_again(row)
        elif row.kind in _PII:
            row.fact = {"value": _personal(row.kind, rng)}
            row.answer += "\n\n" + _PII[row.kind].format(row.fact["value"])
        elif row.kind == "mojibake":
            good = f"It was the {rng.choice(words.NOUNS)}’s fault — that’s what the café owner’s friends said."
            row.answer = good.encode().decode("cp1252") + " " + row.answer
        elif row.kind == "repetition":
            paragraph = self.texts.answer(row.language, 50)
            row.answer = "\n\n".join([paragraph] * rng.randint(5, 12))
        elif row.kind == "refusal":
            row.answer = f"{rng.choice(words.REFUSALS)} You might try this instead: {self.texts.title()}"
        elif row.kind == "other_language":
            row.language = rng.choice(sorted(words.OTHERS))
            row.answer = self.texts.answer(row.language)
        elif row.kind == "symbols":
            row.answer = "\n".join("#" * rng.randint(3, 30) + " ... " + "*" * rng.randint(3, 30) for _ in range(30))
        elif row.kind == "contamination":
            benchmark, number, text = rng.choice(self.benchmark)
            way = rng.choice(("as it is", "capitals", "in a longer request", "few words changed"))
            text = text[:_MAX_PLANTED]
            row.fact = {"benchmark": benchmark, "row": number, "way": way}
            row.query = {
                "as it is": lambda: text,
                "capitals": text.upper,
                "in a longer request": lambda: f"I was asked for this and have no time. {text} Make it sound like me.",
                "few words changed": lambda: self.texts.changed(text, 0.05),
            }[way]()

    def _ask_again(self, row: Row) -> None:
        first, query, left = self.asked.get(row.language, ("", "", 0))
        if left:
            row.query = self.texts.changed(query, 1e-9)
        else:
            first, left = row.id, ASKED
            row.query = query = self.texts.detailed(row.language)
        self.asked[row.language] = first, query, left - 1
        row.fact = {"of": first, "similarity": round(similarity(query, row.query, QUERY_SHINGLE), 3)}


def _personal(kind: str, rng: random.Random) -> str:
    """A personal datum; those of addresses and numbers are nobody's."""
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    if kind == "email":
        return f"{first}.{last}{rng.randint(1, 999)}@example-mail.org"
    if kind == "phone":
        return f"+1 {rng.choice((212, 415, 617, 312))}-{rng.randint(620, 899)}-{rng.randint(1000, 9999)}"
    if kind == "ip":
        return f"{rng.choice((81, 85, 93, 178))}." + ".".join(str(rng.randint(1, 250)) for _ in range(3))
    return _card(rng) if kind == "card" else f"@{first}_{last}{rng.randint(10, 9999)}"


def _card(rng: random.Random) -> str:
    """A number that a payment card could have: its check digit is right."""
    digits = [4, *(rng.randint(0, 9) for _ in range(14))]
    doubled = [2 * d - 9 if 2 * d > 9 else 2 * d for d in digits[::2]]
    digits.append(-(sum(doubled) + sum(digits[1::2])) % 10)
    text = "".join(map(str, digits))
    return " ".join(text[at : at + 4] for at in range(0, 16, 4))
