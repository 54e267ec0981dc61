from __future__ import annotations

import bz2
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import zstandard
from datatrove.io import get_datafolder

from deepwriting.errors import SourceError
from deepwriting.sources import files
from deepwriting.sources.files import MAX_LINE_BYTES, DamagedFileError, find_files, read_lines

LINES = [f'{{"n": {number}, "t": "{number**7}"}}'.encode() for number in range(5000)]
PLAIN = b"\n".join(LINES) + b"\n"
PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.compress}


def test_a_folder_gives_its_files_sorted_and_only_those_of_the_layout(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl.gz", "sub/c.jsonl.zst", "readme.md", ".cache/x.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    _, found = find_files(str(tmp_path), (".jsonl",))
    assert found == ["a.jsonl.gz", "b.jsonl", "sub/c.jsonl.zst"]


def test_a_glob_may_stand_in_any_part_of_the_path(tmp_path: Path) -> None:
    for name in ("en/1.jsonl", "en/2.jsonl", "zh/1.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    folder, found = find_files(f"{tmp_path}/*/1.jsonl", (".jsonl",))
    assert found == ["en/1.jsonl", "zh/1.jsonl"]
    assert list(read_lines(folder, found[0])) == [b"x"]
    assert find_files(f"{tmp_path}/en/*.jsonl", (".jsonl",))[1] == ["1.jsonl", "2.jsonl"]


def test_one_file_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    (tmp_path / "odd.data").write_bytes(b"x\n")
    folder, found = find_files(str(tmp_path / "odd.data"), (".jsonl",))
    assert found == ["odd.data"]
    assert list(read_lines(folder, found[0])) == [b"x"]


def test_a_file_name_with_brackets_is_no_glob(tmp_path: Path) -> None:
    (tmp_path / "a[1].jsonl").write_bytes(b"x\n")
    assert find_files(str(tmp_path / "a[1].jsonl"), (".jsonl",))[1] == ["a[1].jsonl"]


@pytest.mark.parametrize("path", ["memory://dw-test/in", "memory://dw-test/in/*.gz", "memory://dw-test/in/a.jsonl.gz"])
def test_other_file_systems_work_as_the_local_one(path: str) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/dw-test/in/a.jsonl.gz", gzip.compress(b"one\ntwo\n"))
    try:
        folder, found = find_files(path, (".jsonl",))
        assert found == ["a.jsonl.gz"]
        assert list(read_lines(folder, found[0])) == [b"one", b"two"]
    finally:
        memory.rm("/dw-test", recursive=True)


def test_nothing_there_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(SourceError, match=r"nowhere' does not exist"):
        find_files(str(tmp_path / "nowhere"), (".jsonl",))
    with pytest.raises(SourceError, match=r"holds no file ending in \.jsonl"):
        find_files(str(tmp_path), (".jsonl",))
    with pytest.raises(SourceError, match="no file matches"):
        find_files(f"{tmp_path}/*.jsonl", (".jsonl",))
    with pytest.raises(SourceError, match="no file matches"):
        find_files(f"{tmp_path}/none/*.jsonl", (".jsonl",))
    with pytest.raises(SourceError, match="no bundled sample 'nothing'"):
        find_files("samples://nothing", (".jsonl",))


@pytest.mark.parametrize("ending", PACK)
def test_compressed_files_of_several_frames_are_read_whole(tmp_path: Path, ending: str) -> None:
    half = len(PLAIN) // 2
    (tmp_path / f"a{ending}").write_bytes(PACK[ending](PLAIN[:half]) + PACK[ending](PLAIN[half:]))
    assert list(read_lines(get_datafolder(str(tmp_path)), f"a{ending}")) == LINES


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("kept", [0, 1, 0.5, -1])
def test_a_truncated_archive_gives_what_is_whole_and_then_raises(tmp_path: Path, ending: str, kept: float) -> None:
    packed = PACK[ending](PLAIN)
    cut = int(len(packed) * kept) if kept == 0.5 else int(kept)
    (tmp_path / f"a{ending}").write_bytes(packed[:cut])
    read: list[bytes] = []
    with pytest.raises(DamagedFileError, match=f"a{ending} ends in the middle"):
        read.extend(read_lines(get_datafolder(str(tmp_path)), f"a{ending}"))
    assert read == LINES[: len(read)]


@pytest.mark.parametrize("ending", PACK)
def test_a_corrupt_archive_raises(tmp_path: Path, ending: str) -> None:
    packed = bytearray(PACK[ending](PLAIN))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\xff" * 40
    (tmp_path / f"a{ending}").write_bytes(bytes(packed))
    with pytest.raises(DamagedFileError):
        list(read_lines(get_datafolder(str(tmp_path)), f"a{ending}"))


def test_the_long_window_of_reddit_dumps_is_accepted(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=31, enable_ldm=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "RC.zst").write_bytes(packer.compress(b"one\ntwo\n") + packer.flush())
    assert list(read_lines(get_datafolder(str(tmp_path)), "RC.zst")) == [b"one", b"two"]


def test_byte_order_mark_and_line_ends_are_taken_off(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\n\r\ntwo")
    assert list(read_lines(get_datafolder(str(tmp_path)), "a")) == [b"one", b"", b"two"]


def test_a_giant_line_is_cut_and_the_next_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 10)
    (tmp_path / "a").write_bytes(b"x" * 35 + b"\nnext\n" + b"y" * 10 + b"\nend")
    assert list(read_lines(get_datafolder(str(tmp_path)), "a")) == [b"x" * 11, b"next", b"y" * 10, b"end"]


def test_a_line_of_500_megabytes_takes_no_more_memory_than_the_longest_allowed(tmp_path: Path) -> None:
    chunk, size = b"x" * 2**20, 500
    with zstandard.open(tmp_path / "a.zst", "wb") as out:
        out.write(b"first\n")
        for _ in range(size):
            out.write(chunk)
        out.write(b"\nlast\n")
    told = subprocess.run(
        [sys.executable, "-c", _PEAK, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
    lengths, grown_mb = json.loads(told)
    assert lengths == [5, MAX_LINE_BYTES + 1, 4]
    assert grown_mb < 4 * MAX_LINE_BYTES / 2**20


#: Reads a file's lines in a process of its own and tells their lengths and the peak of its memory (MB above the start).
_PEAK = """
import json, resource, sys
from datatrove.io import get_datafolder
from deepwriting.sources.files import read_lines
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lengths = [len(line) for line in read_lines(get_datafolder(sys.argv[1]), "a.zst")]
print(json.dumps([lengths, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))
"""
