"""The audit of a dataset: everything that can be checked by whoever has the published files, and nothing else.

===========  =================================================================  ================
files        every file is there, with its checksum, and no other               ``files.py``
schema       columns and types                                                  ``tables.py``
counts       rows of files, splits and configs; kept and dropped                ``tables.py``
loading      ``load_dataset`` opens every config                                ``tables.py``
card         card, plots and Croissant metadata made again from the tables      ``documents.py``
rows         ids are those of the texts; values fit together                    ``rows.py``
flags        filters measure the texts again                                    ``rows.py``
decision     keep or drop decided again                                         ``rows.py``
configs      every other config made again from ``all``                         ``expected.py``
splits       validation shares no query with train                              ``rows.py``
scores       sampled rows scored again by the named scorer                      ``rescoring.py``
===========  =================================================================  ================

    >>> from deepwriting.hub.verify import verify
    >>> verify(Path("runs/mine/deepwriting-20k")).state
    'passed'
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepwriting.builders.manifest import read_manifest
from deepwriting.hub.verify.report import Check, Problem, Verification
from deepwriting.hub.verify.rescoring import Rescoring

__all__ = ["Check", "Problem", "Rescoring", "Verification", "verify"]

#: Told what is being looked at, and how many rows of it are done so far.
Watch = Callable[[str, int], None]


def verify(folder: Path, rescore: Rescoring | None = None, watch: Watch | None = None) -> Verification:
    """Check a dataset.

    Args:
        folder: folder of the dataset; see ``deepwriting.hub.location.locate`` for one on the Hub.
        rescore: how many rows to score again, and how; ``None`` for none.
        watch: told what is being looked at.

    Returns:
        What every check found. Damage of any kind is a finding, never an exception.

    Raises:
        BuildError: if the folder holds no manifest, or one that cannot be read: then nothing can be said.
    """
    from deepwriting.hub.verify.documents import check_documents
    from deepwriting.hub.verify.files import check_files
    from deepwriting.hub.verify.rescoring import check_scores
    from deepwriting.hub.verify.rows import check_rows
    from deepwriting.hub.verify.tables import check_counts, check_loading, check_schema

    def about(name: str, done: int = 0) -> None:
        if watch:
            watch(name, done)

    manifest = read_manifest(folder)
    checks: list[Check] = []
    for name, look in (
        ("files", check_files),
        ("schema", check_schema),
        ("counts", check_counts),
        ("loading", check_loading),
        ("card", check_documents),
    ):
        about(name)
        checks.append(look(folder, manifest))
    about("rows")
    checks += check_rows(folder, manifest, lambda done: about("rows", done))
    if rescore is not None:
        about("scores")
        checks.append(check_scores(folder, manifest, rescore, lambda done: about("scores", done)))
    return Verification(manifest.name, manifest.version, folder, tuple(checks))
