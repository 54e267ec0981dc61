"""Documentation that is generated stays equal to what it documents; links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deepwriting.cli.main import COMMANDS
from deepwriting.cli.reference import reference
from deepwriting.sections.page import page as recipe_page
from deepwriting.select.page import page

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_command_reference_is_current() -> None:
    assert (ROOT / "docs/commands.md").read_text(encoding="utf-8") == reference(), "run: make docs"


def test_taxonomy_page_is_current() -> None:
    assert (ROOT / "docs/taxonomy.md").read_text(encoding="utf-8") == page(), "run: make docs"


def test_recipe_page_is_current() -> None:
    assert (ROOT / "docs/recipe.md").read_text(encoding="utf-8") == recipe_page(), "run: make docs"


def test_every_command_is_documented_with_an_example() -> None:
    text = reference()
    for name in COMMANDS:
        section = text.split(f"## deepwriting {name}\n")[1].split("\n## ")[0]
        assert f"Example:  deepwriting {name}" in section


def anchors(file: Path) -> set[str]:
    """What a link can point at inside a page: its headings, as GitHub names them."""
    headings = [line.lstrip("# ") for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", file.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        page = file.parent / name if name else file
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


def test_readme_names_only_what_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in re.findall(r"^deepwriting (\w+)", text, re.MULTILINE):
        assert name in COMMANDS, name
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert f"\n{target}:" in makefile, target
    assert "@@" not in text, "a place left open"


def test_ci_runs_the_readme_test_command() -> None:
    assert "\nmake test\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\nmake test\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
