"""Prompt templates: read, check, fill, hash.

A template's slots are found once, when it is read, and the values are put between the pieces. So braces, tags or slot
names inside a query or solution stay what they are: text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from deepwriting.errors import PromptError
from deepwriting.schema import LANGUAGES

#: Slots that each template must use, and may use.
SLOTS: Mapping[str, frozenset[str]] = {
    "initial": frozenset({"query", "answer", "opener"}),
    "refine": frozenset({"query", "answer", "before", "segment", "after"}),
    "refine_direct": frozenset({"query", "answer", "before", "segment", "after", "opening"}),
    "inference": frozenset({"query"}),
    "query": frozenset({"answer", "kind"}),
    "category": frozenset({"query", "categories"}),
}
#: Line that separates the user's turn from the beginning of the model's own.
ASSISTANT_MARK = "\n<<<assistant>>>\n"
_SLOT = re.compile(r"\{\{(\w+)\}\}")


class Renderer(Protocol):
    """The part of an engine that knows the model's chat layout."""

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt for a user turn, ending inside an assistant turn."""
        ...


@dataclass(frozen=True)
class Rendered:
    """A prompt ready for an engine.

    Attributes:
        text: the whole prompt.
        shared_prefix: its beginning that all prompts of the same template share.
        assistant: what of it is the model's own turn already.
    """

    text: str
    shared_prefix: str
    assistant: str


@dataclass(frozen=True)
class Template:
    """One prompt template.

    Attributes:
        name: its file name without ending.
        user: the user's turn, slots unfilled.
        assistant: the beginning of the model's turn, slots unfilled.
    """

    name: str
    user: str
    assistant: str

    @classmethod
    def parse(cls, name: str, text: str) -> Template:
        """Read a template and check its slots.

        Raises:
            PromptError: if a slot is missing or unknown.
        """
        user, _, assistant = text.partition(ASSISTANT_MARK)
        found = set(_SLOT.findall(text))
        if unknown := found - SLOTS[name]:
            raise PromptError(f"template {name} has unknown slots {sorted(unknown)}; allowed: {sorted(SLOTS[name])}")
        if missing := SLOTS[name] - found:
            raise PromptError(f"template {name} lacks the slots {sorted(missing)}")
        return cls(name, user.strip("\n"), assistant.strip("\n"))

    def render(self, engine: Renderer, **values: str) -> Rendered:
        """Fill the slots and put the result into the model's chat layout."""
        user = _fill(self.user, values)
        assistant = _fill(self.assistant, values)
        text = engine.render(user, assistant)
        head = _SLOT.split(self.user, maxsplit=1)[0]
        at = text.find(head)
        return Rendered(text, text[: at + len(head)] if at >= 0 else "", assistant)


def _fill(text: str, values: Mapping[str, str]) -> str:
    pieces = _SLOT.split(text)  # text, slot, text, slot, ..., text
    return "".join(values[piece] if index % 2 else piece for index, piece in enumerate(pieces))


@dataclass(frozen=True)
class PromptSet:
    """All templates and openers of one language.

    Attributes:
        language: ``en`` or ``zh``.
        templates: name -> template.
        openers: beginnings of the first thinking.
    """

    language: str
    templates: Mapping[str, Template]
    openers: tuple[str, ...]

    def __getitem__(self, name: str) -> Template:
        return self.templates[name]


def load_prompts(folder: str | None = None) -> dict[str, PromptSet]:
    """Read the templates of every language.

    Args:
        folder: folder with ``en/`` and ``zh/``, whose files replace the bundled ones of the same name; ``None`` for the
            bundled ones.

    Raises:
        PromptError: if the folder does not exist, holds an unknown file, or a template is wrong.
    """
    texts = prompt_texts(folder)
    sets = {}
    for language in LANGUAGES:
        templates = {name: Template.parse(name, texts[f"{language}/{name}.txt"]) for name in SLOTS}
        openers = tuple(line for line in texts[f"{language}/openers.txt"].splitlines() if line.strip())
        if not openers:
            raise PromptError(f"{language}/openers.txt has no line; the first thinking needs a beginning")
        sets[language] = PromptSet(language, templates, openers)
    return sets


def prompt_texts(folder: str | None = None) -> dict[str, str]:
    """The text of every template file, by its path below the prompts folder."""
    bundled = files("deepwriting.prompts")
    names = [f"{language}/{name}.txt" for language in LANGUAGES for name in (*SLOTS, "openers")]
    texts = {name: bundled.joinpath(name).read_text(encoding="utf-8") for name in names}
    if folder is None:
        return texts
    root = Path(folder)
    if not root.is_dir():
        raise PromptError(f"prompts folder {folder!r} does not exist")
    for file in sorted(root.glob("*/*.txt")):
        name = file.relative_to(root).as_posix()
        if name not in texts:
            raise PromptError(f"unknown prompt file {name} in {folder!r}; allowed: {', '.join(names)}")
        texts[name] = file.read_text(encoding="utf-8")
    return texts


def prompt_hashes(folder: str | None = None) -> dict[str, str]:
    """SHA-256 (first 16 digits) of every template file, for stage settings and the manifest."""
    return {
        name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in sorted(prompt_texts(folder).items())
    }
