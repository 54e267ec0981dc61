"""Which server has read the beginning of a text before: it need not compute that beginning again.

Servers keep what they have computed of a prompt, and a search asks for the same prompt again and again with a little
more behind it. So a text goes where most of its beginning has gone. What counts as known is a guess, as nobody asks the
server: what was sent there lately.

A text is cut into blocks; each has a digest of itself and everything before it, so equal digests mean equal beginnings.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Size of a block: 128 token ids, or 512 bytes of text. Servers keep blocks of 16 to 64 tokens; a shorter shared
#: beginning is not worth a detour.
BLOCK_BYTES = 512
#: Blocks of one text that are looked at.
MAX_BLOCKS = 128
#: Blocks remembered (about 200 bytes each): some hundred searches. Servers forget too.
REMEMBERED = 20_000
#: A beginning counts if it is at least this share of the text: every prompt begins with the same template, which draws
#: nothing anywhere.
WORTH = 0.5


def blocks(body: Mapping[str, Any]) -> list[bytes]:
    """Digests of the beginnings of a request's text, shortest first; none for a text shorter than a block.

    Args:
        body: the request: token ids or text as ``prompt``, ``input_ids``, or ``messages``.
    """
    text = body.get("prompt", body.get("input_ids"))
    if text is None:
        text = "\0".join(str(message.get("content")) for message in body.get("messages", ()))
    data = text.encode(errors="replace") if isinstance(text, str) else np.asarray(text, dtype=np.int32).tobytes()
    found, digest = [], hashlib.blake2b(digest_size=16)
    for at in range(0, min(len(data) // BLOCK_BYTES, MAX_BLOCKS) * BLOCK_BYTES, BLOCK_BYTES):
        digest.update(data[at : at + BLOCK_BYTES])
        found.append(digest.digest())
    return found


class Affinity:
    """Remembers what was sent where."""

    def __init__(self) -> None:
        self._holders: OrderedDict[bytes, set[str]] = OrderedDict()

    def known(self, blocks: Sequence[bytes]) -> dict[str, int]:
        """How many blocks of a text's beginning each server has read, for those where that is worth a thing."""
        found: dict[str, int] = {}
        for count, block in enumerate(blocks, 1):
            holders = self._holders.get(block)
            if not holders:
                break
            found.update(dict.fromkeys(holders, count))
        return {url: count for url, count in found.items() if count >= WORTH * len(blocks)}

    def sent(self, blocks: Sequence[bytes], url: str) -> None:
        """A text goes to a server."""
        for block in blocks:
            self._holders.setdefault(block, set()).add(url)
            self._holders.move_to_end(block)
        while len(self._holders) > REMEMBERED:
            self._holders.popitem(last=False)

    def forget(self, url: str) -> None:
        """A server has gone, or begins anew: it remembers nothing."""
        for holders in self._holders.values():
            holders.discard(url)
