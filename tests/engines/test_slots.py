from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from deepwriting.engines.slots import DeviceSlot

DEVICES = ["cuda:0", "cuda:1"]
HOLD = """
import sys
from deepwriting.engines.slots import DeviceSlot
slot = DeviceSlot(["cuda:0", "cuda:1"], "m")
print(slot.device, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_devices_are_dealt_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = [DeviceSlot(DEVICES, "m") for _ in range(5)]
    assert Counter(slot.device for slot in slots) == {"cuda:0": 3, "cuda:1": 2}
    slots[1].close()
    slots[1].close()
    with DeviceSlot(DEVICES, "m") as again:
        assert again.device == "cuda:1"
    with DeviceSlot(DEVICES, "another model") as other:
        assert other.device == "cuda:0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")  # other devices of the same names
    with DeviceSlot(DEVICES, "m") as elsewhere:
        assert elsewhere.device == "cuda:0"
    for slot in slots:
        slot.close()


def test_a_killed_process_gives_its_place_back() -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        found = {process.stdout.readline().strip(): process for process in processes if process.stdout}
        assert set(found) == set(DEVICES)
        found["cuda:1"].kill()
        found["cuda:1"].wait()
        with DeviceSlot(DEVICES, "m") as mine:
            assert mine.device == "cuda:1"
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_an_engine_takes_a_place_and_gives_it_back(pocket_model: Path) -> None:
    from deepwriting.engines.registry import close_engines, get_engine
    from deepwriting.recipe import TransformersSection

    section = TransformersSection.model_validate(
        {"model": str(pocket_model), "dtype": "float32", "devices": ["cpu", "cpu"]}
    )
    what = f"{pocket_model} None float32"
    assert get_engine(section).info.device == "cpu"
    with DeviceSlot(["cpu", "cpu"], what) as second, DeviceSlot(["cpu", "cpu"], what) as third:
        assert [slot.number for slot in (second, third)] == [1, 2]
    close_engines()
    with DeviceSlot(["cpu", "cpu"], what) as first:
        assert first.number == 0
