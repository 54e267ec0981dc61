"""Texts, fast: sentences are made once, texts draw from them.

A pool of two hundred thousand sentences makes texts of fifteen that share one with each other at most: their shingles'
similarity is far below what any near-duplicate search looks for.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from deepwriting.metrics.units import units
from synthetic import words

#: Sentences in the English pool; the other pools are smaller, as fewer texts draw from them.
POOL = 200_000
#: Words of an answer: median and spread of a log-normal distribution, and its limits.
MEDIAN_WORDS, SPREAD, LEAST_WORDS, MOST_WORDS = 220, 0.75, 50, 1_500
#: Characters of a Chinese answer for each English word.
CHINESE_CHARACTERS_A_WORD = 1.6
_SYLLABLES = ("ka", "lo", "mi", "ran", "tes", "ba", "dor", "vi", "sel", "nu", "har", "pen", "ol", "fi", "gra", "we")


@dataclass
class Filled:
    """Fills sentence forms with words.

    Attributes:
        rng: source of randomness.
        names: first names, made up.
    """

    rng: random.Random
    names: list[str]

    @classmethod
    def seeded(cls, seed: object) -> Filled:
        """With names of its own."""
        rng = random.Random(str(seed))
        names = sorted({"".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3)))).capitalize() for _ in range(3_000)})
        return cls(rng, names)

    def english(self, form: str) -> str:
        """An English form; the first letter becomes a capital."""
        choose = self.rng.choice
        lists = {"n": words.NOUNS, "a": words.ADJECTIVES, "v": words.VERBS, "d": words.ADVERBS, "p": words.PLACES,
                 "t": words.TIMES, "N": self.names}  # fmt: skip
        parts = form.split("{")
        text = parts[0] + "".join(choose(lists[part[0]]) + part[2:] for part in parts[1:])
        return text[0].upper() + text[1:]

    def chinese(self, form: str) -> str:
        """A Chinese form."""
        choose = self.rng.choice
        parts = form.split("{")
        return parts[0] + "".join(
            (
                choose(words.SURNAMES_ZH) + choose(words.NAMES_ZH)
                if part[0] == "N"
                else choose(
                    {"n": words.NOUNS_ZH, "a": words.ADJECTIVES_ZH, "v": words.VERBS_ZH, "p": words.PLACES_ZH}[part[0]]
                )
            )
            + part[2:]
            for part in parts[1:]
        )

    def other(self, language: str) -> str:
        """A sentence of another language."""
        forms, nouns, verbs = words.OTHERS[language]
        parts = self.rng.choice(forms).split("{")
        return parts[0] + "".join(self.rng.choice(nouns if p[0] == "n" else verbs) + p[2:] for p in parts[1:])


def similarity(first: str, second: str, size: int = 5) -> float:
    """Jaccard similarity of two texts' shingles of ``size`` words (or Chinese characters)."""
    one, other = (
        set(zip(*(found[start:] for start in range(size)), strict=False)) for found in (units(first), units(second))
    )
    return len(one & other) / max(1, len(one | other))


class Texts:
    """Draws queries and answers.

    Args:
        seed: other seeds give other texts.
        pool: English sentences to draw from.
    """

    def __init__(self, seed: int, pool: int = POOL):
        fill = self.fill = Filled.seeded(f"pool:{seed}")
        rng = fill.rng
        self.english = [fill.english(rng.choice(words.FORMS)) for _ in range(pool)]
        self.chinese = [fill.chinese(rng.choice(words.FORMS_ZH)) for _ in range(pool // 5)]
        self.others = {
            language: sorted({fill.other(language) for _ in range(pool // 20)}) for language in sorted(words.OTHERS)
        }
        self.rng = random.Random(f"draw:{seed}")

    def length(self) -> int:
        """Length of an answer (words)."""
        return int(min(MOST_WORDS, max(LEAST_WORDS, self.rng.lognormvariate(math.log(MEDIAN_WORDS), SPREAD))))

    def answer(self, language: str = "English", length: int | None = None) -> str:
        """An answer in paragraphs.

        Args:
            language: English, Chinese, or one of ``words.OTHERS``.
            length: words; drawn if not given.
        """
        length, rng = length or self.length(), self.rng
        if language == "Chinese":
            sentences, joiner, count = self.chinese, "", max(3, int(length * CHINESE_CHARACTERS_A_WORD / 22))
        elif language == "English":
            sentences, joiner, count = self.english, " ", max(4, length // 15)
        else:
            sentences, joiner, count = self.others[language], " ", max(4, length // 13)
        drawn = rng.choices(sentences, k=count)
        paragraphs, at = [], 0
        while at < count:
            size = rng.randint(2, 5)
            paragraphs.append(joiner.join(drawn[at : at + size]))
            at += size
        return "\n\n".join(paragraphs)

    def title(self) -> str:
        """A writing prompt."""
        return self.fill.english(self.rng.choice(words.TITLES))

    def request(self, language: str = "English") -> str:
        """A request for a text."""
        rng = self.rng
        if language == "Chinese":
            return rng.choice(words.REQUESTS_ZH).replace("{topic}", self.fill.chinese(rng.choice(words.TOPICS_ZH)))
        if language != "English":
            return self.fill.other(language)
        topic = self.fill.english(rng.choice(words.TOPICS))
        form = rng.choice(words.REQUESTS).replace("{length}", rng.choice(words.LENGTHS))
        return form.replace("{topic}", topic[0].lower() + topic[1:])

    def detailed(self, language: str = "English") -> str:
        """A request that goes into details, so that another word in it leaves it nearly the same."""
        sentences, joiner = (self.chinese, "") if language == "Chinese" else (self.english, " ")
        return joiner.join([self.request(language), *self.rng.choices(sentences, k=3)])

    def other_request(self) -> str:
        """What people ask that asks for no text."""
        form = self.rng.choice(words.OTHER_REQUESTS).replace("{k}", str(self.rng.randint(2, 900)))
        return self.fill.english(form)

    def reworked(self, text: str, share: float) -> str:
        """A text with a passage of a share of its words (or Chinese characters) replaced by another one."""
        rng, chinese = self.rng, " " not in text[:200]
        parts, joiner = (list(text), "") if chinese else (text.split(" "), " ")
        count = max(1, round(share * len(parts)))
        begin = rng.randrange(len(parts) - count + 1)
        other = rng.choice(self.chinese if chinese else self.english)
        return joiner.join([*parts[:begin], other, *parts[begin + count :]])

    def changed(self, text: str, share: float) -> str:
        """A text with a share of its words (or Chinese characters) replaced."""
        rng = self.rng
        if " " not in text[:200]:
            parts, pool = list(text), "".join(words.NOUNS_ZH)
            for place in rng.sample(range(len(parts)), max(1, round(share * len(parts)))):
                parts[place] = rng.choice(pool)
            return "".join(parts)
        parts = text.split(" ")
        for place in rng.sample(range(len(parts)), max(1, round(share * len(parts)))):
            ending = "\n\n" + parts[place].rpartition("\n\n")[2] if "\n\n" in parts[place] else ""
            parts[place] = rng.choice(words.NOUNS) + ending
        return " ".join(parts)
