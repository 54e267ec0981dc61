from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepwriting.hub.changes import markdown, sentences
from deepwriting.hub.diff import compare


def test_sentences_and_page_for_a_change_log(
    tmp_path: Path, unsplit: Path, make_dataset: Callable[..., Path], documents: list[dict[str, Any]]
) -> None:
    later = copy.deepcopy(documents[1:])
    for document in later:
        document["metadata"]["license"] = "MIT"
    diff = compare(unsplit, make_dataset(tmp_path / "new", later, version="1.1.0", recipe="another"))
    said = sentences(diff)
    assert said[0] == "Config all: 1 removed, 7 changed (in license); 7 rows now, 8 before."
    assert "Setting recipe: another, was short." in said
    page = markdown(diff)
    assert page.startswith("## small 1.1.0 (after 1.0.0)\n\n- Config all: 1 removed")
    assert "| `all` | 8 | 7 | 0 | 1 | 7 | `license` |" in page
    assert "by at least: **minor**" in page
    assert "| license | MIT |" in page


def test_a_patch_and_nothing_at_all(built: Path, unsplit: Path) -> None:
    assert sentences(compare(built, built)) == ["Nothing changed."]
    first = sentences(compare(unsplit, built))[0]
    assert first == "Config default has a new split validation (1 rows)."
    assert sentences(compare(built, unsplit))[0] == "Config default no longer has the split validation."
