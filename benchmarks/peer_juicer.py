"""data-juicer for the work of our source and dedupe stages, for ``sources_scale.py``.

    python benchmarks/peer_juicer.py PART PEER/bin/python PAIRS.jsonl FOLDER

PART is ``clean`` (repair, mask e-mail and IP addresses, repetition and quality filters) or ``minhash`` (near-duplicate
answers). Prints one line of JSON; the time is what data-juicer reports for its executor, from loading to export:
without its start, and without its resource monitor, which waits half a minute at every step.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

#: Steps that do about what ours do; PII beyond addresses has no operator without a model.
PROCESS = {
    "clean": [
        {"fix_unicode_mapper": {}}, {"clean_email_mapper": {"repl": "<EMAIL>"}}, {"clean_ip_mapper": {"repl": "<IP>"}},
        {"character_repetition_filter": {"rep_len": 10, "max_ratio": 0.3}},
        {"word_repetition_filter": {"lang": "en", "tokenization": False, "rep_len": 10, "max_ratio": 0.3}},
        {"special_characters_filter": {"max_ratio": 0.4}}, {"average_line_length_filter": {"min_len": 10}},
        {"words_num_filter": {"lang": "en", "tokenization": False, "min_num": 10}},
    ],
    "minhash": [
        {"document_minhash_deduplicator": {"tokenization": "space", "window_size": 5, "jaccard_threshold": 0.8,
                                           "num_permutations": 120, "num_bands": 20, "num_rows_per_band": 6}}
    ],
}  # fmt: skip
_TOOK = re.compile(r"Running executor took ([\d.]+) seconds")


def process(python: Path, steps: list, pairs: Path, root: Path) -> tuple[float, int]:
    """Run data-juicer; seconds and rows left."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    config = {
        "project_name": "peer", "dataset_path": str(pairs), "export_path": str(root / "out.jsonl"), "np": 1,
        "open_tracer": False, "open_monitor": False,
        "use_cache": False, "ds_cache_dir": str(root / "cache"), "process": steps,
    }  # fmt: skip
    file = root / "config.json"
    file.write_text(json.dumps(config))
    done = subprocess.run(
        [str(python.parent / "dj-process"), "--config", str(file)], capture_output=True, text=True, check=False
    )
    took = _TOOK.search(done.stdout + done.stderr)
    if done.returncode != 0 or took is None:
        sys.exit(done.stdout[-1500:] + done.stderr[-1500:])
    return float(took.group(1)), sum(1 for _ in (root / "out.jsonl").open("rb"))


def main() -> None:
    """Run one part."""
    part, python, pairs, root = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    seconds, left = process(python, PROCESS[part], pairs, root / part)
    rows = sum(1 for _ in pairs.open("rb"))
    what = "repair, addresses, repetition and quality filters" if part == "clean" else "MinHash of answers"
    print(json.dumps({"what": what, "in": rows, "out": left, "seconds": seconds}))


if __name__ == "__main__":
    main()
