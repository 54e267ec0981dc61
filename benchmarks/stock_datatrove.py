"""datatrove's stock steps for the work of our source and dedupe stages, for ``sources_scale.py``.

    STOCK/bin/python benchmarks/stock_datatrove.py PART PAIRS.jsonl FOLDER

Runs in an environment of its own (datatrove, spacy, ftfy, zstandard, xxhash) and needs nothing of ours. PART is one of

    clean              reader, ftfy, PII, Gopher repetition and quality with datatrove's word tokenizer, writer
    clean whitespace   the same with words split at white space: the most that its tokenizer could be sped up
    minhash            the four stages on the answers
    minhash queries    the same on the queries

Prints one line of JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils import word_tokenizers
from datatrove.utils.hashing import HashConfig


class AtWhiteSpace:
    """Stands in for a word tokenizer."""

    def word_tokenize(self, text: str) -> list[str]:
        """Split."""
        return text.split()


def without_tokenizer() -> None:
    """Have every step of datatrove split at white space."""
    for name, module in list(sys.modules.items()):
        if name.startswith("datatrove.") and hasattr(module, "load_word_tokenizer"):
            module.load_word_tokenizer = lambda language: AtWhiteSpace()
    word_tokenizers.load_word_tokenizer = lambda language: AtWhiteSpace()


def run(pipeline: list, folder: Path, tasks: int = 1) -> None:
    """One executor, one worker."""
    LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(folder)).run()


def reader(pairs: Path, column: str) -> JsonlReader:
    """The pairs with one of their texts."""
    return JsonlReader(str(pairs.parent), glob_pattern=pairs.name, text_key=column)


def count(folder: Path) -> int:
    """Lines of what was written."""
    import gzip

    return sum(1 for file in folder.glob("*.jsonl.gz") for _ in gzip.open(file))


def main() -> None:
    """Run one part."""
    part, pairs, root = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]) / sys.argv[1].replace(" ", "-")
    shutil.rmtree(root, ignore_errors=True)
    out, rows = root / "out", sum(1 for _ in pairs.open("rb"))
    column = "query" if part.endswith("queries") else "text"
    if part == "clean whitespace":
        without_tokenizer()
    if part.startswith("clean"):
        steps = [FTFYFormatter(), PIIFormatter(), GopherRepetitionFilter(), GopherQualityFilter()]
        warm_up()
        began = time.perf_counter()
        run([reader(pairs, column), *steps, JsonlWriter(str(out))], root / "logs")
        what = "ftfy, PII, Gopher repetition and quality" + (", words at white space" if "white" in part else "")
    else:
        config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=20, hashes_per_bucket=6,
                               n_grams=3 if column == "query" else 5)  # fmt: skip
        warm_up()
        began = time.perf_counter()
        run([reader(pairs, column), MinhashDedupSignature(str(root / "sig"), config)], root / "logs1")
        run([MinhashDedupBuckets(str(root / "sig"), str(root / "buckets"), config=config)], root / "logs2", tasks=20)
        run([MinhashDedupCluster(str(root / "buckets"), str(root / "remove"), config=config)], root / "logs3")
        run([reader(pairs, column), MinhashDedupFilter(str(root / "remove")), JsonlWriter(str(out))], root / "logs4")
        what = f"MinHash, four stages, {'queries' if column == 'query' else 'answers'}"
    seconds = time.perf_counter() - began
    print(json.dumps({"what": what, "in": rows, "out": count(out), "seconds": seconds}))


def warm_up() -> None:
    """Have the word tokenizer loaded: that is start, not work."""
    word_tokenizers.load_word_tokenizer("eng_Latn").word_tokenize("A short text.")


if __name__ == "__main__":
    main()
