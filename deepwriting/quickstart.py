"""The end of ``make quickstart``: open the new dataset as any user would, and say what the search changed.

python -m deepwriting.quickstart runs/quickstart
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from deepwriting.cli.console import out
from deepwriting.cli.tables import plain_table

#: Rows that are shown.
SHOWN = 5
#: Columns of the shown texts (characters).
EXCERPT = 70


def main(run: str) -> None:
    """Load ``deepwriting-20k`` from the run's folder and show its most improved rows."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when datasets is imported: the folder is all that is needed
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    os.chdir(Path(run))
    rows: list[dict[str, Any]] = load_dataset("deepwriting-20k", split="train").to_list()
    improved = [row for row in rows if row["score_after"] < row["score_before"]]
    rows.sort(key=lambda row: row["score_after"] - row["score_before"])
    console = out()
    table = plain_table("category", "query", "perplexity", "edits", right=(2, 3))
    for row in rows[:SHOWN]:
        query = " ".join(row["query"].split())
        table.add_row(
            row["category"],
            query if len(query) <= EXCERPT else query[: EXCERPT - 1] + "…",
            f"{row['perplexity_before']:.1f} → {row['perplexity_after']:.1f}",
            f"{row['accepted_edits']} of {row['steps']}",
        )
    console.print(f'load_dataset("deepwriting-20k", split="train"): {len(rows)} rows; the most improved:')
    console.print(table)
    console.print(f"The search lowered the score of {len(improved)} of {len(rows)} rows.")


if __name__ == "__main__":
    main(sys.argv[1])
