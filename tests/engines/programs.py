"""Stands in for vLLM and SGLang: what runs as ``python -m vllm...`` is a test server."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICK = f"""
import argparse, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.engines.quick_server import quick_server
parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--served-model-name")
options, _ = parser.parse_known_args()
quick_server(options.served_model_name, options.port)._thread.join()
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, quick: bool = False) -> Path:
    """Put the test server where Python looks for vLLM, and servers' state into ``folder``; returns the script.

    Args:
        folder: the test's own folder.
        monkeypatch: undoes it.
        quick: whether the server has a model that takes no time to load.
    """
    package = folder / "programs" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    script = package / "api_server.py"
    if quick:
        script.write_text(QUICK)
    else:
        shutil.copy(Path(__file__).with_name("openai_server.py"), script)
    launcher = folder / "programs" / "sglang"
    launcher.mkdir()
    (launcher / "launch_server.py").write_text("import sys\nsys.exit('no device of compute capability 9')\n")
    monkeypatch.setenv("PYTHONPATH", str(folder / "programs"))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return script
