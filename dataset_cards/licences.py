"""Licences of the sources: the Hub's identifiers, where their text stands, and what they ask of a reader."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Licence identifiers that the Hub accepts and that sources of writing use
#: (https://huggingface.co/docs/hub/repositories-licenses), each with its SPDX identifier where there is exactly one.
HUB_LICENCES: dict[str, str | None] = {
    "apache-2.0": "Apache-2.0",
    "artistic-2.0": "Artistic-2.0",
    "bsd": None,
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "cc": None,
    "cc-by-2.0": "CC-BY-2.0",
    "cc-by-2.5": "CC-BY-2.5",
    "cc-by-3.0": "CC-BY-3.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-2.0": "CC-BY-NC-2.0",
    "cc-by-nc-3.0": "CC-BY-NC-3.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-nd-3.0": "CC-BY-NC-ND-3.0",
    "cc-by-nc-nd-4.0": "CC-BY-NC-ND-4.0",
    "cc-by-nc-sa-2.0": "CC-BY-NC-SA-2.0",
    "cc-by-nc-sa-3.0": "CC-BY-NC-SA-3.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
    "cc-by-nd-4.0": "CC-BY-ND-4.0",
    "cc-by-sa-3.0": "CC-BY-SA-3.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc0-1.0": "CC0-1.0",
    "cdla-permissive-1.0": "CDLA-Permissive-1.0",
    "cdla-permissive-2.0": "CDLA-Permissive-2.0",
    "cdla-sharing-1.0": "CDLA-Sharing-1.0",
    "gfdl": None,
    "gpl-3.0": "GPL-3.0-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "mit": "MIT",
    "mpl-2.0": "MPL-2.0",
    "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0",
    "pddl": "PDDL-1.0",
    "unlicense": "Unlicense",
    "wtfpl": "WTFPL",
}
#: Licences that ask for nothing.
_FREE = frozenset(("cc0-1.0", "pddl", "unlicense", "wtfpl"))
#: Parts of a Creative Commons identifier and what they ask for.
_CONDITIONS = {
    "by": "name the author",
    "nc": "no commercial use",
    "sa": "share under the same licence",
    "nd": "no changed versions",
}
#: What the other licences ask for, beside those of Creative Commons.
_ASKS = {
    "odc-by": "name the source",
    "odbl": "name the source; share databases under the same licence",
    "gfdl": "keep the notices; share under the same licence",
    "gpl-3.0": "keep the notices; share under the same licence",
    "lgpl-3.0": "keep the notices; share under the same licence",
    "mpl-2.0": "keep the notices; share under the same licence",
    "cdla-sharing-1.0": "keep the notices; share under the same licence",
    "cc": "see the source",
}


def slug(name: str) -> str:
    """A licence's name in the form of the Hub's identifiers: ``CC BY 4.0`` becomes ``cc-by-4.0``."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def licence_fields(licences: Iterable[str]) -> dict[str, str | list[str]]:
    """``license`` of the card's metadata and, where the Hub lacks an identifier for one of them, ``license_name``.

    Args:
        licences: licences of the published rows, as the sources name them.

    Returns:
        The identifier of the only licence, or a list of several; what the Hub has no identifier for is ``other``, with
        the names.
    """
    names = sorted({slug(name) or "unnamed" for name in licences})
    if names == ["unknown"]:
        return {"license": "unknown"}
    others = [name for name in names if name not in HUB_LICENCES]
    identifiers = [name for name in names if name in HUB_LICENCES] + ["other"] * bool(others)
    fields: dict[str, str | list[str]] = {"license": identifiers if len(identifiers) > 1 else identifiers[0]}
    return fields | {"license_name": "-and-".join(others)} if others else fields


def licence_url(name: str) -> str | None:
    """Where a licence's text stands; None when the name is no identifier of a single licence."""
    spdx = HUB_LICENCES.get(slug(name))
    return f"https://spdx.org/licenses/{spdx}.html" if spdx else None


def licence_asks(name: str) -> str:
    """What a licence asks of whoever uses a text, in a few words; no legal advice."""
    identifier = slug(name)
    if identifier in _FREE:
        return "nothing"
    if identifier not in HUB_LICENCES:
        return "nothing, where it is in the public domain" if "public-domain" in identifier else "see the source"
    if identifier in _ASKS:
        return _ASKS[identifier]
    if identifier.startswith("cc-"):
        return "; ".join(_CONDITIONS[part] for part in identifier.split("-") if part in _CONDITIONS)
    return "keep the notices"
