"""``deepwriting recipes``: the bundled recipes."""

from __future__ import annotations

import json

import click


@click.command(
    "recipes", short_help="list the bundled recipes", epilog="Example:  deepwriting recipes --show quickstart"
)
@click.option("--show", "name", metavar="NAME", help="Print a recipe.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(name: str | None, as_json: bool) -> None:
    """List the bundled recipes, or print one of them."""
    from deepwriting.errors import NotFoundError
    from deepwriting.recipe import bundled_recipes, parse_recipe

    recipes = bundled_recipes()
    if name is not None:
        if name not in recipes:
            raise NotFoundError(f"no bundled recipe {name!r}; there are {', '.join(recipes)}")
        click.echo(recipes[name], nl=False)
        return
    listed = [(key, parse_recipe(text, key), _headline(text)) for key, text in recipes.items()]
    if as_json:
        click.echo(json.dumps([{"name": key, "about": about} for key, _, about in listed], ensure_ascii=False))
        return
    from deepwriting.cli.console import out
    from deepwriting.cli.tables import plain_table

    table = plain_table("recipe", "generator", "scorer", "about")
    for key, recipe, about in listed:
        table.add_row(key, recipe.engines.generator.model, recipe.engines.scoring.model, about)
    out().print(table)


def _headline(text: str) -> str:
    """The recipe's first comment lines."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)
