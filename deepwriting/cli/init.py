"""``deepwriting init``: a commented recipe to start from, written from the recipe's own definition."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click


@click.command("init", short_help="write a commented recipe", epilog="Example:  deepwriting init mine.yaml")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("recipe.yaml"))
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(file: Path, force: bool) -> None:
    """Write a recipe to FILE [recipe.yaml] in which every key is explained and has its default."""
    if file.exists() and not force:
        raise click.UsageError(f"{file} exists; --force overwrites it")
    file.write_text(starter(file.stem), encoding="utf-8")
    click.echo(f"wrote {file}; edit its sources, then: deepwriting run {file}", err=True)


def starter(name: str) -> str:
    """A recipe with every key, its default and its description."""
    from deepwriting.recipe import EngineSection, Recipe, SourceSection

    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in name).lstrip("._-") or "mine"
    lines = [
        "# A recipe: from writing sources to a dataset. Every key is here with its default;",
        "# keys that you leave out keep theirs. Run it with: deepwriting run FILE",
        f"name: {name}    # {Recipe.model_fields['name'].description}",
        f"seed: 42    # {Recipe.model_fields['seed'].description}",
        "",
        f"# {_about(SourceSection)}",
        "sources:",
        *_item(SourceSection, {"kind": "pairs", "path": "samples://pairs", "license": "CC0-1.0"}),
        "",
        f"# {_about(Recipe.model_fields['engines'].annotation)}",
        "engines:",
        "  generator:",
        *_keys(EngineSection, "    ", {"model": "smollm2-135m"}),
        "  # scorer: the same keys; the generator scores too if this is left out",
    ]
    for key, field in Recipe.model_fields.items():
        if key not in ("name", "seed", "sources", "engines"):
            lines += ["", f"# {_about(field.annotation)}", f"{key}:", *_keys(field.annotation, "  ", {})]
    return "\n".join(lines) + "\n"


def _about(section: Any) -> str:
    return (inspect.getdoc(section) or "").splitlines()[0]


def _item(section: Any, values: dict[str, Any]) -> list[str]:
    lines = _keys(section, "    ", values)
    return ["  - " + lines[0].strip(), *lines[1:]]


def _keys(section: Any, indent: str, values: dict[str, Any]) -> list[str]:
    from deepwriting.sources import SOURCE_KINDS

    lines = []
    for key, field in section.model_fields.items():
        value = values.get(key, None if field.is_required() else field.get_default(call_default_factory=True))
        about = field.description or ""
        if key == "kind":
            about += f": {', '.join(SOURCE_KINDS)}"
        lines.append(f"{indent}{key}: {_yaml(value)}    # {about}")
    return lines


def _yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()
