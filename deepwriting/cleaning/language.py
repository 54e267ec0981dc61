"""The language of a text: its script, then English against the other languages in Latin letters.

Three ways to tell English apart, chosen by ``cleaning.detector``:

``script``     Latin letters count as English (``sources/check.py``).
``py3langid``  The default; its model comes with the package, so nothing is downloaded. Most texts do not get that far:
               one in which common English words are frequent *is* English.
``fasttext``   datatrove's ``LanguageFilter``, whose model of 126 MB is downloaded at its first use.

On 42 texts of our own in ten languages (``tests/cleaning/languages.jsonl``), long (30 to 45 words) and short (8 to
12): py3langid 21 of 21 and 21 of 21, at 2,900 and 7,100 texts a second; lingua 2.x, the other choice, 20 of 21 (a poem
became Norwegian) and 21 of 21, at 180 and 230, with 96 MB of models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from datatrove.data import Document

from deepwriting.cleaning.step import CleaningStep
from deepwriting.cleaning.words import has_cjk, words_of
from deepwriting.errors import RecipeError
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.sources.check import language_of
from deepwriting.steps import reject

#: Common English words that are no common words of another language in Latin letters (not: in, is, a, me, to, an, for,
#: was, had, den).
ENGLISH_WORDS = frozenset({
    "the", "and", "that", "with", "his", "she", "they", "you", "this", "have", "from", "what", "were", "would", "their",
    "which", "there", "it", "but", "not", "my", "your", "when", "he", "of", "been", "into", "could", "then", "her",
    "them", "who", "out", "if", "about",
})  # fmt: skip
#: Share of a text's words from which it is English without further asking. English prose has 0.2 to 0.35.
ENGLISH_SHARE = 0.12
#: A verdict other than English counts from this probability on: a poem full of names must not become Latin.
MIN_PROBABILITY = 0.8
#: The detector reads this much of a text (characters).
DETECTOR_CHARS = 1_000

#: Gives a text's language as a code and its probability.
Detector = Callable[[str], tuple[str, float]]


@cache
def detector(name: str) -> Detector | None:
    """The model behind the name of a detector; ``None`` for ``script``.

    Raises:
        RecipeError: if its package is not installed.
    """
    if name == "script":
        return None
    package = {"py3langid": "py3langid", "fasttext": "fasttext"}[name]
    if find_spec(package) is None:
        install = {"py3langid": "py3langid", "fasttext": "fasttext-numpy2-wheel fasteners"}[name]
        raise RecipeError(
            f"cleaning.detector = {name!r} needs the package {package}, which is not installed; allowed: script, or "
            f"pip install {install}"
        )
    return _py3langid() if name == "py3langid" else _fasttext()


def _py3langid() -> Detector:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    model: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def detect(text: str) -> tuple[str, float]:
        code, probability = model.classify(text)
        return str(code), float(probability)

    return detect


def _fasttext() -> Detector:
    from datatrove.pipeline.filters import LanguageFilter

    model = LanguageFilter(backend="ft176", label_only=True).model

    def detect(text: str) -> tuple[str, float]:
        (code, probability), _ = model.predict(Document(text=text, id=""))
        return code, probability

    return detect


def reads_english(words: Sequence[str]) -> bool:
    """Whether common English words are so frequent that no other language comes into question."""
    return sum(map(ENGLISH_WORDS.__contains__, words)) >= ENGLISH_SHARE * len(words)


def detected_language(text: str, words: Sequence[str], name: str, min_words: int) -> str | None:
    """The language of a text.

    Args:
        text: any text.
        words: its units.
        name: the detector.
        min_words: texts with fewer units are judged by script alone.

    Returns:
        ``en``, ``zh``, the code of another language, or ``None`` where script and detector know none.
    """
    # The exact shares of scripts cost more than all else here, and are needed only where scripts mix.
    if words and reads_english(words) and not has_cjk(text):
        return "en"
    language = language_of(text)
    if language != "en" or len(words) < min_words or reads_english(words):
        return language
    model = detector(name)
    if model is None:
        return language
    code, probability = model(text[:DETECTOR_CHARS].replace("\n", " "))
    return code if probability >= MIN_PROBABILITY else "en"


class Language(CleaningStep):
    """Rejects pairs in languages that are not allowed, and pairs whose query and answer differ in language.

    Reasons: ``unsupported_language``, ``language_mismatch``. Counters: these, and ``answer_en``, ``answer_zh``.

    Raises:
        RecipeError: when built, if a detector's package is missing.
    """

    name = "🌍 Language"
    switch = "language"

    def __init__(self, settings: Mapping[str, CleaningSection] | None = None):
        super().__init__(settings)
        for section in self.settings.values() or [self.default]:
            if section.language and section.detector != "script":
                _require(section.detector)

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Check one pair."""
        answer = self._language(doc.text, settings)
        query = doc.metadata.get("query")
        asked = self._language(query, settings) if query and query.strip() else answer
        allowed = ", ".join(settings.languages)
        outcome = f"answer_{answer}"
        for part, language in (("answer", answer), ("query", asked)):
            if language not in settings.languages:
                outcome = "unsupported_language"
                found = language or "a script or language that is not known here"
                reject(doc, outcome, f"the {part} is in {found}; allowed: {allowed}")
        if asked != answer and not settings.allow_mixed_languages:
            outcome = outcome if outcome == "unsupported_language" else "language_mismatch"
            reject(doc, outcome, f"the query is in {asked}, the answer in {answer}")
        self.count(outcome)

    @staticmethod
    def _language(text: str, settings: CleaningSection) -> str | None:
        return detected_language(text, words_of(text), settings.detector, settings.detector_min_words)


def _require(name: str) -> None:
    """Fail now rather than in a worker if a detector's package is missing."""
    package = "py3langid" if name == "py3langid" else "fasttext"
    if find_spec(package) is None:
        detector(name)
