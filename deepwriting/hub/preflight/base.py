"""A check's result."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

#: ``ok``, worth a look (``warning``), not to be published (``refused``), or not looked at because an earlier check
#: refused (``skipped``).
Verdict = Literal["ok", "warning", "refused", "skipped"]
#: A list in a message is cut after this many items.
SHOWN_ITEMS = 4


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: what was checked.
        verdict: whether it stands in the way of publishing.
        detail: what was found, with the value; never a secret.
        repair: the command that repairs it; empty where there is nothing to do.
    """

    name: str
    verdict: Verdict
    detail: str
    repair: str = ""


@dataclass(frozen=True)
class Permissions:
    """What somebody answers for, although a check would refuse it.

    Attributes:
        licences: names of licences whose texts may be passed on.
        personal_data: kinds of personal data (``cleaning.pii.KINDS``) that name nobody in these texts.
    """

    licences: Collection[str] = ()
    personal_data: Collection[str] = ()


def some(items: Iterable[str]) -> str:
    """The first few of many items, and how many more there are."""
    items = list(items)
    more = len(items) - SHOWN_ITEMS
    return ", ".join(items[:SHOWN_ITEMS]) + (f" and {more} more" if more > 0 else "")
