"""Packs the readable sources of the binary samples: Reddit dumps as zstd, a Hub table as Parquet.

    python tests/samples_source/pack.py deepwriting/samples

writes into that folder

    writingprompts_dump/RS_sample.zst           submissions, from RS_sample.jsonl
    writingprompts_dump/RC_sample.zst           comments, from RC_sample.jsonl
    writingprompts_table/writingprompts.parquet prompt and story, from writingprompts.jsonl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

#: Window of the frames, as a power of two (bytes). Reddit dumps use 31; anything above 27 is refused by a reader that
#: keeps zstd's default limit, so 28 shows the same fault and asks for 256 MiB of address space instead of 2 GiB.
WINDOW_LOG = 28
#: Columns of the Hub table, in order.
TABLE_COLUMNS = ("prompt", "story")


def pack_dump(source: Path, target: Path) -> None:
    """Compress an ndjson file into a single long-window zstd frame, as the Reddit dumps are.

    The content size is left out of the frame header: with it, zstd would shrink the window to the size of the text.
    """
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=WINDOW_LOG, write_content_size=0, write_checksum=1
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(compressor.compress(source.read_bytes()) + compressor.flush())


def pack_table(source: Path, target: Path) -> None:
    """Write an ndjson file with prompts and stories as a Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    schema = pa.schema([(column, pa.string()) for column in TABLE_COLUMNS])
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), target, compression="zstd")


def pack(folder: Path) -> list[Path]:
    """Write all binary samples.

    Args:
        folder: the samples folder; subfolders are made as needed, files of the same name are replaced.

    Returns:
        The files written; the same sources and library versions give the same bytes.
    """
    here = Path(__file__).parent
    dump = folder / "writingprompts_dump"
    files = [dump / "RS_sample.zst", dump / "RC_sample.zst", folder / "writingprompts_table" / "writingprompts.parquet"]
    pack_dump(here / "RS_sample.jsonl", files[0])
    pack_dump(here / "RC_sample.jsonl", files[1])
    pack_table(here / "writingprompts.jsonl", files[2])
    return files


def main() -> None:
    """Pack into the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Pack the binary samples from their readable sources.")
    parser.add_argument("folder", type=Path, help="samples folder to write into, for example deepwriting/samples")
    pack(parser.parse_args().folder)


if __name__ == "__main__":
    main()
