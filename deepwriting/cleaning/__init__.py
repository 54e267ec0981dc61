"""Cleaning: what happens to a pair between its reader and the corpus. One file a step, in this order.

    fix_text     broken encodings, entities and control characters repaired           ftfy
    quality      lengths, symbols, shape of lines                                      Gopher's rules for writing
    repetition   lines, paragraphs and phrases that repeat                             Gopher's table A1, datatrove
    refusals     refusals, answers in which an assistant speaks about itself
    language     allowed languages, query and answer in the same one                   script, py3langid or fastText
    harm         by lexicon, and by a model where a recipe names one                   transformers
    pii          personal data replaced by placeholders                                datatrove, phonenumbers

Each is a subclass of ``CleaningStep``: a pure function does the work, a counter tells every outcome, and the settings
are those of the pair's source (``sources[].cleaning`` over ``cleaning`` in the recipe). A pair that fails is marked
with its reason and goes to the rejects. A passage whose query is not written yet is checked without one.

    >>> from deepwriting.cleaning import cleaning_steps
    >>> [step.name for step in cleaning_steps({})]
    ['🩹 Fix text', '📏 Quality', '🔂 Repetition', '🙅 Refusals', '🌍 Language', '☣ Harm', '🔏 Personal data']
"""

from __future__ import annotations

from collections.abc import Mapping

from datatrove.pipeline.base import PipelineStep

from deepwriting.cleaning.fix_text import FixText
from deepwriting.cleaning.harm import Harm
from deepwriting.cleaning.harm_model import HarmModel
from deepwriting.cleaning.language import Language
from deepwriting.cleaning.pii import MaskPersonalData
from deepwriting.cleaning.quality import Quality
from deepwriting.cleaning.refusals import Refusals
from deepwriting.cleaning.repetition import Repetition
from deepwriting.cleaning.step import CleaningStep
from deepwriting.sections.cleaning import CleaningSection

#: The steps in their order; the model stands behind the lexicon, where fewer pairs are left.
STEPS: tuple[type[CleaningStep], ...] = (FixText, Quality, Repetition, Refusals, Language, Harm, MaskPersonalData)

__all__ = [
    "STEPS",
    "CleaningStep",
    "FixText",
    "Harm",
    "HarmModel",
    "Language",
    "MaskPersonalData",
    "Quality",
    "Refusals",
    "Repetition",
    "cleaning_steps",
]


def cleaning_steps(settings: Mapping[str, CleaningSection]) -> list[PipelineStep]:
    """The steps that some source has switched on.

    Args:
        settings: name of a source -> its cleaning settings; the defaults for all, if empty.
    """
    sections = list(settings.values()) or [CleaningSection.model_validate({})]
    steps: list[PipelineStep] = []
    for kind in STEPS:
        if any(getattr(section, kind.switch) for section in sections):
            steps.append(kind(settings))
        if kind is Harm and any(section.harm_model for section in sections):
            steps.append(HarmModel(settings))
    return steps
