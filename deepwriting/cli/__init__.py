"""The command line: one file a command.

    deepwriting run        run.py        a recipe, whole or in part
    deepwriting status     status.py     where a run stands
    deepwriting show       show.py       one row, before and after the search
    deepwriting recipes    recipes.py    the bundled recipes
    deepwriting init       init.py       a commented recipe to start from

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 an error that is explained, 2 wrong usage,
130 interrupted. Heavy libraries are imported inside the commands, so that ``--help`` is instant.
"""

from __future__ import annotations

from deepwriting.cli.main import main

__all__ = ["main"]
