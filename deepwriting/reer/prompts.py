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
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Protocol

from deepwriting.errors import PromptError
from deepwriting.schema import LANGUAGES

#: Slots that each template must use.
SLOTS: Mapping[str, frozenset[str]] = {
    "initial": frozenset({"query", "answer", "opener"}),
    "refine": frozenset({"query", "answer", "before", "segment", "after"}),
    "inference": frozenset({"query"}),
    "query": frozenset({"answer", "kind"}),
    "category": frozenset({"query", "categories"}),
    "request": frozenset({"query"}),
}
#: Slots that a template may use: the first words of the segment, and the beginning of a new thought.
OPTIONAL_SLOTS: Mapping[str, frozenset[str]] = {"refine": frozenset({"opening", "trigger"})}
#: Files with one phrase a line.
PHRASES = ("openers", "triggers", "closers")
#: Line that separates the user's turn from the beginning of the model's own.
ASSISTANT_MARK = "\n<<<assistant>>>\n"
#: Sets that come with the package, see ``deepwriting/prompts/__init__.py``.
BUNDLED_SETS = ("default", "no-reflection", "compact")
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
        assistant: what of it is the model's own turn already.
    """

    text: str
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
        allowed = SLOTS[name] | OPTIONAL_SLOTS.get(name, frozenset())
        if unknown := found - allowed:
            raise PromptError(f"template {name} has unknown slots {sorted(unknown)}; allowed: {sorted(allowed)}")
        if missing := SLOTS[name] - found:
            raise PromptError(f"template {name} lacks the slots {sorted(missing)}")
        return cls(name, user.strip("\n"), assistant.strip("\n"))

    @property
    def slots(self) -> frozenset[str]:
        """The slots that occur in the template."""
        return frozenset(_SLOT.findall(self.user + self.assistant))

    def render(self, engine: Renderer, **values: str) -> Rendered:
        """Fill the slots and put the result into the model's chat layout."""
        user = _fill(self.user, values)
        assistant = _fill(self.assistant, values)
        return Rendered(engine.render(user, assistant), assistant)


def _fill(text: str, values: Mapping[str, str]) -> str:
    pieces = _SLOT.split(text)  # text, slot, text, slot, ..., text
    return "".join(values[piece] if index % 2 else piece for index, piece in enumerate(pieces))


@dataclass(frozen=True)
class PromptSet:
    """All templates and phrases of one language.

    Attributes:
        language: ``en`` or ``zh``.
        templates: name -> template.
        openers: beginnings of the first thinking.
        triggers: beginnings of a new thought inside a segment; empty if no template uses them.
        closers: the same for the last segment.
    """

    language: str
    templates: Mapping[str, Template]
    openers: tuple[str, ...]
    triggers: tuple[str, ...] = ()
    closers: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Template:
        return self.templates[name]


def load_prompts(name: str = "default") -> dict[str, PromptSet]:
    """Read the templates of every language.

    Args:
        name: a bundled set, or a folder with ``en/`` and ``zh/`` whose files replace those of the default set.

    Raises:
        PromptError: if there is no such set, the folder holds an unknown file, or a template is wrong.
    """
    texts = prompt_texts(name)
    return {language: _prompt_set(language, texts) for language in LANGUAGES}


def _prompt_set(language: str, texts: Mapping[str, str]) -> PromptSet:
    templates = {name: Template.parse(name, texts[f"{language}/{name}.txt"]) for name in SLOTS}
    phrases = {
        name: tuple(line for line in texts.get(f"{language}/{name}.txt", "").splitlines() if line.strip())
        for name in PHRASES
    }
    if not phrases["openers"]:
        raise PromptError(f"{language}/openers.txt has no line; the first thinking needs a beginning")
    if "trigger" in templates["refine"].slots and not (phrases["triggers"] and phrases["closers"]):
        raise PromptError(f"{language}/refine.txt has the slot trigger; triggers.txt and closers.txt need lines for it")
    return PromptSet(language, templates, **phrases)


def prompt_texts(name: str = "default") -> dict[str, str]:
    """The text of every file of a prompt set, by its path below the set's folder."""
    bundled = files("deepwriting.prompts")
    texts = _read(bundled.joinpath("default"))
    if name in BUNDLED_SETS:
        return texts | _read(bundled.joinpath(name))
    folder = Path(name)
    if not folder.is_dir():
        raise PromptError(f"prompts {name!r} is neither a bundled set ({', '.join(BUNDLED_SETS)}) nor a folder")
    own = _read(folder)
    if not own:
        raise PromptError(f"prompts folder {name!r} holds none of: {', '.join(_file_names())}")
    for file in folder.glob("*/*.txt"):
        if file.relative_to(folder).as_posix() not in own:
            raise PromptError(f"unknown prompt file {file}; allowed: {', '.join(_file_names())}")
    return texts | own


def _file_names() -> list[str]:
    return [f"{language}/{name}.txt" for language in LANGUAGES for name in (*SLOTS, *PHRASES)]


def _read(folder: Traversable) -> dict[str, str]:
    found = {name: folder.joinpath(*name.split("/")) for name in _file_names()}
    return {name: _text(file) for name, file in found.items() if file.is_file()}


def _text(file: Traversable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PromptError(f"prompt file {file} is not UTF-8 text: {error}") from error


def prompt_hashes(name: str = "default") -> dict[str, str]:
    """SHA-256 (first 16 digits) of every file of a prompt set, for stage settings and the manifest."""
    texts = prompt_texts(name)
    return {file: hashlib.sha256(text.encode()).hexdigest()[:16] for file, text in sorted(texts.items())}
