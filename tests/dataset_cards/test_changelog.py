from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.manifest import read_manifest
from deepwriting.dataset_cards.changelog import entries, history_after
from deepwriting.errors import BuildError


def test_history_grows_by_the_version_before(built: Path) -> None:
    first = history_after(read_manifest(built))
    assert first == [{"version": "1.1.0", "rows": 7, "changes": ["More lanterns."]}]
    settings = {"history": [*first, {"version": "1.0.0", "rows": 5, "changes": []}], "changes": ["A *new* column."]}
    assert entries(settings, "2.0.0", "9 rows.").splitlines() == [
        "- **2.0.0** (this version): 9 rows.",
        "  - A \\*new\\* column.",
        "- **1.1.0**: 7 rows in `default`.",
        "  - More lanterns.",
        "- **1.0.0**: 5 rows in `default`.",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"changes": "one sentence"}, "expected a list of sentences"),
        ({"changes": [1]}, "expected a list of sentences"),
        ({"history": {"1.0.0": 5}}, "expected records with version"),
        ({"history": ["1.0.0"]}, "expected records with version"),
    ],
)
def test_other_shapes_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        entries(settings, "1.0.0", "")
