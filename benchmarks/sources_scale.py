"""Do the first three stages hold a million rows? Rows a second, memory, what is found, and what others take.

    python benchmarks/sources_scale.py --sizes 10000 100000 1000000 --benchmarks SHARED/data/benchmarks \
        --stock-python STOCK/bin/python --peer-python PEER/bin/python

For each size synthetic sources are written (see ``synthetic/``), then the stages source, dedupe and select run through
the ordinary ``run_recipe``, each in a process of its own. Printed are time, rows a second, and the peak memory of the
whole process tree; then, against the truth about what was planted, how much of it was found (recall) and how much of
what was rejected for it had been planted (precision); then how time and memory grew.

Books are not among the rows of a run, since their queries need a language model: what is measured is how passages are
read, cut and cleaned, up to where their queries would be written.

Side by side on plain pairs, one process each: our source and dedupe stages, datatrove's stock steps for the same work
(``--stock-python``: an interpreter with datatrove, spacy, ftfy), and data-juicer (``--peer-python``).
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import yaml
from common import print_table
from found import found
from process_tree import watched
from synthetic.chats import write_pairs
from synthetic.dirt import Dirt
from synthetic.text import Texts
from synthetic.write import benchmark_texts, write_sources

from deepwriting.cleaning import cleaning_steps
from deepwriting.pipeline import run_recipe
from deepwriting.recipe import Recipe, load_recipe
from deepwriting.rundir import RunFolder
from deepwriting.schema import is_rejected
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.sources import GutenbergBook
from deepwriting.stages.writer import WriteShard

HERE = Path(__file__).resolve().parent
STAGES = ("source", "dedupe", "select")
#: Sources of a run, as the synthetic folder has them.
SOURCES = {
    "reddit": {"kind": "writingprompts_dump"}, "wildchat": {"kind": "wildchat"},
    "longwriter": {"kind": "longwriter"}, "pairs": {"kind": "pairs"},
}  # fmt: skip
#: Pairs to choose, as a share of the rows: 20,000 of a million.
CHOSEN = 0.02


def write_recipe(path: Path, sources: list[dict[str, Any]], rows: int, options: argparse.Namespace) -> Path:
    """Write a recipe for the three stages, with the sections that this version has."""
    recipe: dict[str, Any] = {
        "name": path.stem,
        "sources": [{"license": "CC0-1.0", **source} for source in sources],
        "engines": {"generator": {"model": "smollm2-135m"}},
        "execution": {"tasks": options.tasks, "workers": options.workers},
    }
    if options.benchmarks and "decontaminate" in Recipe.model_fields:
        files = sorted(options.benchmarks.glob("*.jsonl"))
        recipe["decontaminate"] = {"benchmarks": [{"name": file.stem, "path": str(file)} for file in files]}
    if has_fast_classifier():
        recipe["select"] = {"classifier": "fast", "pairs": max(100, int(CHOSEN * rows))}
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def has_fast_classifier() -> bool:
    """Whether this version classifies without a language model."""
    section: Any = Recipe.model_fields["select"].annotation
    return "classifier" in section.model_fields


def child(recipe: Path, folder: Path, stage: str) -> None:
    """Run a recipe up to one stage in this process."""
    parsed, text = load_recipe(str(recipe))
    run_recipe(parsed, text, folder, until=stage)


def run_stages(recipe: Path, folder: Path, stages: list[str]) -> list[dict[str, Any]]:
    """Run the stages one after the other, each in a fresh process."""
    rows = []
    for stage in stages:
        command = [sys.executable, __file__, "--child", str(recipe), str(folder), stage]
        used = watched(command, cwd=HERE)
        record = RunFolder(folder).stage(stage).record()
        if record is None or record.state != "finished":
            raise SystemExit(f"stage {stage} failed: {used.output[-2000:]}")
        counts = record.counts
        rows.append(
            {
                "stage": stage, "in": counts.rows_in, "out": counts.rows_out, "rejected": counts.rejected,
                "seconds": record.seconds, "rows/s": counts.rows_in / record.seconds, "peak MB": used.peak_mb,
                "process peak MB": used.process_peak_mb, "processes": used.processes,
                "reasons": counts.reasons,
            }
        )  # fmt: skip
    return rows


def measure(size: int, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One size: write, run, compare with the truth."""
    folder = root / f"rows{size}"
    queries = benchmark_texts(options.benchmarks) if options.benchmarks else []
    written = watched(
        [sys.executable, __file__, "--write", str(folder), str(size), str(options.benchmarks or ""), str(options.seed)],
        cwd=HERE,
    )
    megabytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
    print(
        f"\n== {size:,} rows, {megabytes:,.0f} MB, written in {written.seconds:.0f} s with {written.peak_mb:.0f} MB; "
        f"{len(queries)} benchmark queries to plant; {options.workers} workers, {options.tasks} tasks"
    )
    sources = [{"name": name, "path": str(folder / name), **source} for name, source in SOURCES.items()]
    recipe = write_recipe(root / f"scale{size}.yaml", sources, size, options)
    stages = [stage for stage in options.only if stage in STAGES]
    if "select" in stages and not has_fast_classifier():
        stages.remove("select")
        print("select: left out, this version classifies with a language model only")
    run = root / f"run{size}"
    rows = run_stages(recipe, run, stages)
    shown = [{key: value for key, value in row.items() if key != "reasons"} for row in rows]
    print_table(shown, {"seconds": ".1f", "rows/s": ",.0f", "peak MB": ",.0f", "process peak MB": ",.0f"})
    for row in rows:
        print(f"  {row['stage']}: " + ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items()))
    if "dedupe" in stages:
        print()
        print_table(found(RunFolder(run), folder / "truth.jsonl"), {"recall, %": ".1f", "precision, %": ".1f"})
    if "books" in options.only:
        print("\nbooks, without their queries")
        told = measure_books(size, root)
        print_table([told], {"MB": ".1f", "seconds": ".1f", "passages/s": ",.0f", "MB/s": ".1f", "peak MB": ",.0f"})
    if not options.keep:
        shutil.rmtree(run, ignore_errors=True)
    return [{"size": size, **row} for row in shown]


def books_child(folder: Path, to: Path) -> None:
    """Read, cut and clean books in this process; print what it took as JSON."""
    steps = [
        GutenbergBook(str(folder), name="books", license="CC0-1.0"),
        *cleaning_steps({"books": CleaningSection.model_validate({})}),
        WriteShard(str(to)),
    ]
    began, passages, rejected, stream = time.perf_counter(), 0, 0, None
    for step in steps:
        stream = step.run(stream)
    for doc in stream:
        passages += 1
        rejected += is_rejected(doc.metadata)
    print(json.dumps({"passages": passages, "rejected": rejected, "seconds": time.perf_counter() - began}))


def measure_books(size: int, root: Path) -> dict[str, Any]:
    """The books of one size, one task."""
    books = root / f"rows{size}" / "books"
    megabytes = sum(file.stat().st_size for file in books.iterdir()) / 2**20
    used = watched([sys.executable, __file__, "--books", str(books), str(root / f"books{size}")], cwd=HERE)
    told = json.loads(used.output.splitlines()[-1])
    return {
        "books": len(list(books.iterdir())), "MB": megabytes, **told, "passages/s": told["passages"] / told["seconds"],
        "MB/s": megabytes / told["seconds"], "peak MB": used.peak_mb,
    }  # fmt: skip


def growth(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How time a row and memory of each stage grew from one size to the next."""
    table = []
    for before, after in itertools.pairwise(rows):
        if before["stage"] == after["stage"]:
            table.append(
                {
                    "stage": after["stage"], "from": before["size"], "to": after["size"],
                    "time a row, ratio": (after["seconds"] / after["in"]) / (before["seconds"] / before["in"]),
                    "peak memory, ratio": after["peak MB"] / before["peak MB"],
                }
            )  # fmt: skip
    return table


def side_by_side(root: Path, options: argparse.Namespace) -> None:
    """Ours, datatrove's stock steps, and data-juicer on the same plain pairs, one process each."""
    # Contamination changes nothing about the others' work: they have no step for it.
    # English only: the others split Chinese at white space, and take all of it for duplicates.
    dirt = Dirt(Texts(options.seed), f"{options.seed}:side", chinese=0.0)
    for _ in write_pairs(root / "side", dirt, options.side_rows):
        pass
    # One file in the layout that all read: text, id, and the query beside them.
    plain = root / "side" / "all.jsonl"
    with plain.open("wb") as out:
        for file in sorted((root / "side").glob("pairs-*.jsonl")):
            for line in file.read_bytes().splitlines():
                row = orjson.loads(line)
                out.write(orjson.dumps({"id": row["id"], "text": row["answer"], "query": row["query"]}) + b"\n")
    table = []
    alone = argparse.Namespace(**{**vars(options), "workers": 1, "tasks": 1, "benchmarks": None})
    source = {"name": "pairs", "kind": "pairs", "path": str(plain), "options": {"answer_column": "text"}}
    recipe = write_recipe(root / "side.yaml", [source], options.side_rows, alone)
    for row in run_stages(recipe, root / "side-run", ["source", "dedupe"]):
        what = "clean: read, repair, check, mask, write" if row["stage"] == "source" else "duplicates"
        table.append({"who": "deepwriting", "what": f"{row['stage']} stage ({what})", **_used(row)})
    if options.stock_python:
        for part in ("clean", "clean whitespace", "minhash", "minhash queries"):
            used = watched(
                [str(options.stock_python), str(HERE / "stock_datatrove.py"), part, str(plain), str(root / "stock")],
                cwd=HERE, check=False,
            )  # fmt: skip
            table.append(_other("datatrove", part, used))
    if options.peer_python:
        peer = [sys.executable, str(HERE / "peer_juicer.py")]
        for part in ("clean", "minhash"):
            used = watched(
                [*peer, part, str(options.peer_python), str(plain), str(root / "peer")],
                cwd=HERE, check=False,
            )  # fmt: skip
            table.append(_other("data-juicer", part, used))
    print(f"\n== side by side, {options.side_rows:,} plain pairs, one process each")
    print_table(table, {"seconds": ".1f", "rows/s": ",.0f", "peak MB": ",.0f"})


def _used(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "in": row["in"], "out": row["out"], "seconds": row["seconds"], "rows/s": row["rows/s"],
        "peak MB": row["peak MB"],
    }  # fmt: skip


def _other(who: str, part: str, used: Any) -> dict[str, Any]:
    """What another tool reports about its own work as JSON in its last line; its start is not counted."""
    lines = [line for line in used.output.splitlines() if line.startswith("{")]
    if used.code != 0 or not lines:
        print(f"{who}, {part}: failed with code {used.code}:\n{used.output[-1500:]}")
        return {"who": who, "what": f"{part} (failed)", **dict.fromkeys(("in", "out", "seconds", "rows/s"))} | {
            "peak MB": used.peak_mb
        }
    told = json.loads(lines[-1])
    speed = {"seconds": told["seconds"], "rows/s": told["in"] / told["seconds"], "peak MB": used.peak_mb}
    return {"who": who, "what": told["what"], "in": told["in"], "out": told["out"], **speed}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000], help="rows over all sources")
    parts = (*STAGES, "books", "side")
    parser.add_argument("--only", nargs="+", default=list(parts), choices=parts, metavar="PART", help=", ".join(parts))
    parser.add_argument("--benchmarks", type=Path, help="folder with benchmark files (*.jsonl) to plant and to find")
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side-rows", type=int, default=10_000, help="rows of the comparison with others")
    parser.add_argument("--stock-python", type=Path, help="interpreter with datatrove, spacy and ftfy")
    parser.add_argument("--peer-python", type=Path, help="interpreter with py-data-juicer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for everything; it must not exist [a temporary one]")
    parser.add_argument("--child", nargs=3, metavar=("RECIPE", "FOLDER", "STAGE"), help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=4, metavar=("FOLDER", "ROWS", "BENCHMARKS", "SEED"), help=argparse.SUPPRESS)
    parser.add_argument("--books", nargs=2, type=Path, metavar=("BOOKS", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.books:
        books_child(*options.books)
        return
    if options.child:
        child(Path(options.child[0]), Path(options.child[1]), options.child[2])
        return
    if options.write:
        to, rows, benchmarks, seed = options.write
        queries = benchmark_texts(Path(benchmarks)) if benchmarks else []
        write_sources(Path(to), int(rows), seed=int(seed), benchmark=queries)
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch) / "scale"
        root.mkdir(parents=True)
        table = [row for size in sorted(options.sizes) for row in measure(size, root, options)]
        grown = growth(sorted(table, key=lambda row: (STAGES.index(row["stage"]), row["size"])))
        if grown:
            print("\n== growth")
            print_table(grown, {"time a row, ratio": ".2f", "peak memory, ratio": ".2f"})
        if "side" in options.only:
            side_by_side(root, options)


if __name__ == "__main__":
    main()
