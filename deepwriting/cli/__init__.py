"""The command line: one file a command.

    deepwriting init       init.py       a commented recipe to start from
    deepwriting recipes    recipes.py    the bundled recipes
    deepwriting plan       plan.py       tokens, time and cost of a run
    deepwriting run        run.py        a recipe, whole or in part
    deepwriting status     status.py     where a run stands
    deepwriting show       show.py       one row, before and after the search
    deepwriting report     report.py     what became of every row
    deepwriting build      build.py      the dataset folder again
    deepwriting publish    publish.py    a version on the Hub
    deepwriting verify     verify.py     a dataset against its manifest, card and texts
    deepwriting diff       diff.py       what changed between two versions
    deepwriting hub        hub.py        a Hub on this machine

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 an error that is explained, 2 wrong usage,
130 interrupted. Heavy libraries are imported inside the commands, so that ``--help`` is instant.
"""

from __future__ import annotations

from deepwriting.cli.main import main

__all__ = ["main"]
