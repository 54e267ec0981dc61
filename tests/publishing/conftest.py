from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders.conftest import SETTINGS, make_document, write_shards
from tests.hub_server.fixtures import hub, hub_process

__all__ = ["hub", "hub_process"]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a small dataset folder: ``build(rows=3, version="1.0.0", document={...}, settings={...})``."""
    from deepwriting.builders.build import build_dataset

    def made(
        *,
        rows: int = 3,
        version: str = "1.0.0",
        configs: tuple[str, ...] = ("default", "all"),
        document: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> Path:
        folder = tmp_path_factory.mktemp("built")
        shards = write_shards(folder / "shards", [make_document(n, **(document or {})) for n in range(rows)])
        out = folder / "essays"
        build_dataset(
            shards, out, name="essays", version=version, settings=SETTINGS | (settings or {}), configs=configs
        )
        return out

    return made


@pytest.fixture(scope="session")
def first(build: Any) -> Path:
    """Version 1.0.0; not to be changed."""
    return build()


@pytest.fixture(scope="session")
def second(build: Any) -> Path:
    """Version 1.1.0, with one row more; not to be changed."""
    return build(rows=4, version="1.1.0")


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    """A copy of version 1.0.0, to be spoiled."""
    return Path(shutil.copytree(first, tmp_path / "essays"))


def edited(folder: Path, to: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of a dataset folder with another manifest: a release for its rules, without a build."""
    out = Path(shutil.copytree(folder, to / "essays"))
    manifest = json.loads((out / "manifest.json").read_text())
    change(manifest)
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out
