"""The page that lists every key of a recipe, generated from the sections; a test keeps ``docs/recipe.md`` equal to it.

python -m deepwriting.sections.page docs/recipe.md
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from deepwriting.recipe import ENGINE_SECTIONS, EnginesSection, Recipe, ServerStartSection, SourceSection
from deepwriting.sections.execution import ExecutionSection, StageExecutionSection, StagesExecutionSection
from deepwriting.sources import SOURCE_KINDS

_INTRODUCTION = """\
# Recipe

Written by `make docs` from `deepwriting/sections/`; do not edit it by hand.

A recipe is one YAML file. Every key is below, with its default; where the paper gives a value, that is the default.
An unknown key, a wrong type or an impossible combination is refused in one line that says what is allowed.
`deepwriting init FILE` writes a recipe with all keys to start from.
"""

_STAGES_EXAMPLE = """\
execution:
  tasks: 8
  stages:
    search: {tasks: 64, workers: 64, gpus: 1, memory_gb: 64, time: "12h"}
"""


def page() -> str:
    """The page as Markdown."""
    top = [key for key, field in Recipe.model_fields.items() if _section(field.annotation) is None]
    lines = [_INTRODUCTION, "## Top level", "", *_table(Recipe, [key for key in top if key != "sources"])]
    for key, field in Recipe.model_fields.items():
        section = SourceSection if key == "sources" else _section(field.annotation)
        if section is None:
            continue
        lines += [f"## {key}", "", _about(section), ""]
        if section is EnginesSection:
            lines += [*_table(EnginesSection), *_engines()]
        else:
            lines += _table(section)
        if section is ExecutionSection:
            lines += _executors()
        if section is SourceSection:
            lines += [f"Kinds: {', '.join(f'`{kind}`' for kind in SOURCE_KINDS)}.", ""]
    return "\n".join(lines)


def _engines() -> list[str]:
    lines = ["Each engine has a section of its own, chosen by the key `engine`.", ""]
    for name, section in ENGINE_SECTIONS.items():
        lines += [f"### engine: {name}", "", _about(section), "", *_table(section)]
    return [*lines, "### start (of a server)", "", _about(ServerStartSection), "", *_table(ServerStartSection)]


def _executors() -> list[str]:
    stages = ", ".join(f"`{name}`" for name in StagesExecutionSection.model_fields)
    lines = ["### stages", "", f"For each of {stages}: {_about(StageExecutionSection).lower()}", ""]
    lines += ["```yaml", *_STAGES_EXAMPLE.splitlines(), "```", "", *_table(StageExecutionSection)]
    for name, field in ExecutionSection.model_fields.items():
        section = _section(field.annotation)
        if section is not None and section is not StagesExecutionSection:
            lines += [f"### {name}", "", _about(section), "", *_table(section)]
    return lines


def _table(section: type[BaseModel], keys: list[str] | None = None) -> list[str]:
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    for key, field in section.model_fields.items():
        if keys is not None and key not in keys:
            continue
        if (below := _section(field.annotation)) is not None:
            lines.append(f"| `{key}` | see below | {_about(below)} |")
        else:
            default = "required" if field.is_required() else f"`{_yaml(field.get_default(call_default_factory=True))}`"
            lines.append(f"| `{key}` | {default} | {field.description or ''} |")
    return [*lines, ""]


def _section(annotation: Any) -> type[BaseModel] | None:
    return annotation if inspect.isclass(annotation) and issubclass(annotation, BaseModel) else None


def _about(section: type[BaseModel]) -> str:
    return (inspect.getdoc(section) or "").splitlines()[0]


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...").strip()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
