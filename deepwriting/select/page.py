"""The page that documents the taxonomy, generated from it; a test keeps ``docs/taxonomy.md`` equal to it.

python -m deepwriting.select.page docs/taxonomy.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from deepwriting.select.taxonomy import CATEGORIES, TAXONOMY

_INTRODUCTION = """\
# Taxonomy

Written by `make docs` from `deepwriting/select/taxonomy.py`; do not edit it by hand.

Every pair gets one of {categories} categories in {domains} domains. The paper speaks of 25 manually nominated
categories and names a few: Artistic (Literature and Arts) with Creative Writing and Essay Writing, Ordinary Life,
academic and functional writing. Six of our domains follow WritingBench; all other names are ours. There is no category
for what is left over: the classifier reports a probability, and a low one says that the query fits nowhere well.

How a query finds its category, and how pairs are chosen from the categories, is in [selection.md](selection.md). The
probabilities of the {categories} add up to 1.
"""


def page() -> str:
    """The page as Markdown."""
    lines = [_INTRODUCTION.format(categories=len(CATEGORIES), domains=len(TAXONOMY))]
    for domain, categories in TAXONOMY.items():
        lines += [f"## {domain}", "", "| category | what belongs here |", "| --- | --- |"]
        lines += [f"| {name} | {about} |" for name, about in categories.items()]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
