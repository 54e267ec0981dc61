"""Wheel, sdist and editable install: whole, and with the mapped folders below ``deepwriting``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAPPED = ("builders", "dataset_cards", "filters")
#: What an installed copy must be able to do, wherever it is.
PROBE = """
import deepwriting.filters, deepwriting.builders, deepwriting.dataset_cards, deepwriting.samples
from importlib.resources import files
from deepwriting.metrics import MODULES, module_path
from deepwriting.recipe import bundled_recipes, load_recipe
from deepwriting.reer.prompts import BUNDLED_SETS, load_prompts
assert len(load_recipe("quickstart")[0].sources) == 6, bundled_recipes()
for name in BUNDLED_SETS:
    assert load_prompts(name)["zh"].openers
assert files("deepwriting.dataset_cards").joinpath("template.md").is_file()
assert deepwriting.samples.samples_folder().joinpath("wildchat", "wildchat.jsonl").is_file()
for name in MODULES:
    assert (module_path(name) / f"{name}.py").is_file() and (module_path(name) / "README.md").is_file()
for module in (deepwriting, deepwriting.filters, deepwriting.builders, deepwriting.dataset_cards):
    print(module.__file__)
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a clone would hold, so that building leaves nothing in the working tree."""
    target = tmp_path_factory.mktemp("checkout")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def built(checkout: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", checkout / "dist", cwd=checkout)
    [sdist], [wheel] = (checkout / "dist").glob("*.tar.gz"), (checkout / "dist").glob("*.whl")
    return sdist, wheel


def test_every_package_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for file in (ROOT / "deepwriting").rglob("__init__.py")
        if "_" not in file.parent.name[:1]
    }
    assert set(listed) == found | {f"deepwriting.{name}" for name in MAPPED}


def test_wheel_holds_everything_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(built[1]).namelist()
    code = {name for name in names if ".dist-info/" not in name}
    assert all(name.startswith("deepwriting/") for name in code), "a top-level name that is not ours"
    sources = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "deepwriting").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    mapped = {
        f"deepwriting/{file.relative_to(ROOT)}"
        for folder in MAPPED
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert code == sources | mapped


def test_sdist_holds_tests_and_pins(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "LICENSE",
        "README.md",
        "constraints.txt",
        "Makefile",
        "tests/test_packaging.py",
        "filters/__init__.py",
    } <= names


def test_installed_wheel_works(built: tuple[Path, Path], tmp_path: Path) -> None:
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, built[1], cwd=tmp_path)
    printed = run(sys.executable, "-c", PROBE, cwd=tmp_path, PYTHONPATH=str(target))
    assert all(line.startswith(str(target)) for line in printed.split())


def test_editable_install_works(checkout: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    # The dependencies come from this environment; its own editable copy of deepwriting does not.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", checkout)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=tmp_path)
    printed = run(python, "-c", PROBE, cwd=tmp_path)
    assert all(line.startswith(str(checkout)) for line in printed.split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom deepwriting.cli.main import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'datatrove', 'pydantic', 'numpy', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    run(sys.executable, "-c", code, cwd=ROOT)
