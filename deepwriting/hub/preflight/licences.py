"""Which licences let a text be passed on as a row of a dataset.

The rule, which is no legal advice:

* A licence that is known to allow copies and changed copies passes: the free licences that the Hub has identifiers
  for, those of Creative Commons without ND, and the public domain. NC passes: it forbids selling, not sharing.
* Everything else is refused: ND (a row is an adaptation: cut, masked, put beside a thinking), "all rights reserved",
  "unknown", "see the source's card", and any name that is not known.
* Whoever has the right nevertheless says so by name, licence by licence: ``--allow-licence "NAME"``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from deepwriting.dataset_cards.licences import HUB_LICENCES, slug

#: Creative Commons with any version and port, and without ND.
_CREATIVE_COMMONS = re.compile(r"cc-by(?:-nc)?(?:-sa)?(?:-\d\.\d)?(?:-[a-z]{2,4})?|cc0(?:-1\.0)?(?:-universal)?")
_PUBLIC_DOMAIN = re.compile(r"(?:us-|pd-)?public-domain(?:-.*)?|us-pd|pddl.*|cc-pdm(?:-1\.0)?")
_FORBIDS = re.compile(r"(?:^|-)(?:nd|noderivs?|noderivatives|all-rights-reserved|proprietary|confidential)(?:-|$)")
#: SPDX spellings of licences that the Hub names by family, and others that are common for texts.
_MORE = frozenset((
    "gpl-3.0-only", "gpl-3.0-or-later", "lgpl-3.0-only", "lgpl-3.0-or-later", "gfdl-1.2", "gfdl-1.3", "odbl-1.0",
    "odc-by-1.0", "isc", "0bsd", "mit-0", "bsl-1.0", "zlib", "ogl-uk-3.0", "etalab-2.0", "fal-1.3",
))  # fmt: skip
#: Identifiers of the Hub that say less than a licence has to say.
_VAGUE = frozenset(("cc",))


def may_be_passed_on(name: str) -> bool:
    """Whether a licence is known to allow redistribution of changed copies; each part of "A AND B" has to."""
    parts = [slug(part) for part in re.split(r"\s+(?:and|or|with)\s+|\s*[,;/+]\s*", name.strip(), flags=re.IGNORECASE)]
    return all(_known(part) for part in parts)


def _known(identifier: str) -> bool:
    if not identifier or _FORBIDS.search(identifier) or identifier in _VAGUE:
        return False
    return (
        identifier in HUB_LICENCES
        or identifier in _MORE
        or _CREATIVE_COMMONS.fullmatch(identifier) is not None
        or _PUBLIC_DOMAIN.fullmatch(identifier) is not None
    )


def refused_licences(names: Iterable[str], allowed: Collection[str] = ()) -> dict[str, str]:
    """The licences that stand in the way of publishing.

    Args:
        names: licences of the rows, as the sources name them.
        allowed: names that somebody has answered for.

    Returns:
        Name -> why it is refused.
    """
    fine = {name.strip().casefold() for name in allowed}
    refused = {}
    for name in sorted(set(names)):
        if name.strip().casefold() not in fine and not may_be_passed_on(name):
            refused[name] = (
                "forbids passing on changed copies" if _FORBIDS.search(slug(name)) else "is not known to allow copies"
            )
    return refused
