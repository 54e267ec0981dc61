"""``deepwriting init``: a commented recipe to start from, written from the recipe's own definition."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click

#: What stands beside the key for single stages.
_STAGES_EXAMPLE = "what one stage needs else, for example search: {tasks: 64, gpus: 1, time: 12h}"


@click.command("init", short_help="write a commented recipe", epilog="Example:  deepwriting init mine.yaml")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("recipe.yaml"))
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(file: Path, force: bool) -> None:
    """Write a recipe to FILE [recipe.yaml] that runs as it is and in which every key is explained."""
    if file.exists() and not force:
        raise click.UsageError(f"{file} exists; --force overwrites it")
    file.write_text(starter(file.stem), encoding="utf-8")
    click.echo(f"wrote {file}; edit its sources, then: deepwriting run {file}", err=True)


def starter(name: str) -> str:
    """A recipe with every key and its description.

    It runs as it is: source, engines and search are the quickstart's, since the embedded model would get nowhere with
    the paper's values. Those stand beside them.
    """
    from deepwriting.recipe import Recipe, SourceSection, TransformersSection, load_recipe

    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in name).lstrip("._-") or "mine"
    quickstart = load_recipe("quickstart")[0]
    source = {"kind": "pairs", "path": "samples://pairs", "license": "CC0-1.0"}
    lines = [
        "# A recipe: from writing sources to a dataset. Every key is here; keys that you leave out have their default.",
        "# Engines and search suit the embedded model; with a larger one, go back to the defaults named beside them.",
        "# Run it with: deepwriting run FILE",
        f"name: {name}    # {Recipe.model_fields['name'].description}",
        f"seed: 42    # {Recipe.model_fields['seed'].description}",
        "",
        f"# {_about(SourceSection)}",
        "sources:",
        *_item(SourceSection, source),
        "",
        f"# {_about(Recipe.model_fields['engines'].annotation)} Without a scorer the generator scores too.",
        "engines:",
        "  generator:",
        *_keys(TransformersSection, "    ", quickstart.engines.generator.model_dump()),
        "  scorer:",
        *_keys(TransformersSection, "    ", quickstart.engines.scoring.model_dump()),
    ]
    for key, field in Recipe.model_fields.items():
        if key not in ("name", "seed", "sources", "engines"):
            values = quickstart.search.model_dump() if key == "search" else {}
            lines += ["", f"# {_about(field.annotation)}", f"{key}:", *_keys(field.annotation, "  ", values)]
    return "\n".join(lines) + "\n"


def _about(section: Any) -> str:
    return (inspect.getdoc(section) or "").splitlines()[0]


def _item(section: Any, values: dict[str, Any]) -> list[str]:
    lines = _keys(section, "    ", values)
    return ["  - " + lines[0].strip(), *lines[1:]]


def _keys(section: Any, indent: str, values: dict[str, Any]) -> list[str]:
    from deepwriting.sections.base import Section
    from deepwriting.sections.execution import StagesExecutionSection
    from deepwriting.sources import SOURCE_KINDS

    lines = []
    for key, field in section.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        value = values.get(key, default)
        about = field.description or ""
        if isinstance(default, StagesExecutionSection):
            lines.append(f"{indent}{key}: {{}}    # {_STAGES_EXAMPLE}")
            continue
        if isinstance(default, Section):
            lines += [f"{indent}{key}:    # {_about(type(default))}", *_keys(type(default), indent + "  ", {})]
            continue
        if not field.is_required() and value != default:
            about += f" (default {_yaml(default)})"
        if key == "kind":
            about += f": {', '.join(SOURCE_KINDS)}"
        lines.append(f"{indent}{key}: {_yaml(value)}    # {about}")
    return lines


def _yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()
