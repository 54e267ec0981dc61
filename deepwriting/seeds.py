"""Seeds that depend on what they are for, not on the order in which work is done."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: object) -> int:
    """A seed from the recipe's seed and whatever names the request: 48 bits of a SHA-256."""
    text = ":".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
