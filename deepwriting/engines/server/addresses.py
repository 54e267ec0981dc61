"""Where the addresses of an engine's servers come from.

    Fixed      url, urls, or servers that the run has started: they never change
    Announced  endpoints: a file with an address a line, or a folder in which servers announce themselves
               (``announcement.py``); both may grow and shrink while the run goes

Whether a server works is never read here: that is asked of the server.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

#: A server whose announcement has missed this many beats is taken for gone.
MISSED_BEATS = 4


class Addresses(Protocol):
    """Says which servers there are."""

    #: Whether they never change.
    fixed: bool

    def read(self) -> list[str]:
        """The addresses as they are now; may block for as long as a file system does."""
        ...


class Fixed:
    """Addresses that never change.

    Args:
        urls: the addresses, up to and with ``/v1``.

    Raises:
        EngineError: if one is no address, or holds credentials, or occurs twice.
    """

    fixed = True

    def __init__(self, urls: Sequence[str]):
        self.urls = [checked_url(url) for url in urls]
        if twice := sorted({url for url in self.urls if self.urls.count(url) > 1}):
            raise EngineError(f"the address {twice[0]} occurs twice; each server once is allowed")

    def __str__(self) -> str:
        return self.urls[0] if len(self.urls) == 1 else f"{len(self.urls)} servers ({', '.join(self.urls)})"

    def read(self) -> list[str]:
        """All of them."""
        return self.urls


class Announced:
    """Addresses in a file or folder that others write.

    A folder holds the announcements of servers of all kinds; those of another model, or of another revision of it, are
    passed over. The beat of an announcement is compared with nothing but itself: machines' clocks differ.

    Args:
        place: the file or folder; may appear later, but the folder that it lies in has to be there.
        model: the model as its server calls it.
        revision: its revision, if known.

    Raises:
        EngineError: if it can never appear.
    """

    fixed = False

    def __init__(self, place: str, *, model: str, revision: str | None):
        self.place = Path(place).expanduser().absolute()
        self.model, self.revision = model, revision
        if not self.place.exists() and not self.place.parent.is_dir():
            raise EngineError(f"endpoints {place!r} cannot be there: {self.place.parent} is no folder")
        self._beats: dict[str, tuple[int, float]] = {}
        self._complained: set[str] = set()

    def __str__(self) -> str:
        return f"the servers in {self.place}"

    def read(self) -> list[str]:
        """Those that are there now and not silent; in the order of their names."""
        found = self._folder() if self.place.is_dir() else self._file()
        return list(dict.fromkeys(url for url in map(self._address, found) if url is not None))

    def _file(self) -> list[str]:
        try:
            lines = [line.partition("#")[0].strip() for line in self.place.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            return []
        return [line for line in lines if line]

    def _folder(self) -> list[str]:
        urls = []
        for path in sorted(self.place.glob("*.json")):
            try:
                note = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:  # withdrawn just now
                continue
            except PermissionError:  # another user's; the others are still of use
                self._complain(path.name, f"{path} may not be read")
                continue
            except ValueError:
                self._complain(path.name, f"{path} is no announcement of a server")
                continue
            if isinstance(note, dict) and self._is_ours(note) and not self._is_silent(path.name, note):
                urls.append(str(note.get("url")))
        return urls

    def _is_ours(self, note: dict[str, Any]) -> bool:
        if note.get("model", self.model) != self.model:
            return False
        revision = note.get("revision")
        if self.revision is None or revision is None or revision == self.revision:
            return True
        self._complain(f"{note.get('url')} {revision}", f"{note.get('url')} serves revision {revision}")
        return False

    def _is_silent(self, name: str, note: dict[str, Any]) -> bool:
        """Whether the beat has not moved for several beats, on this process's own clock."""
        beat, seconds = note.get("beat"), note.get("beat_seconds")
        if not isinstance(beat, int) or not isinstance(seconds, int | float):
            return False  # written by hand: it has no beat
        now = time.monotonic()
        last, since = self._beats.get(name, (None, now))
        if beat != last:
            since = now
        self._beats[name] = (beat, since)
        return now - since > MISSED_BEATS * seconds

    def _address(self, url: str) -> str | None:
        try:
            return checked_url(url)
        except EngineError as error:
            self._complain(url, str(error))
            return None

    def _complain(self, about: str, what: str) -> None:
        if about not in self._complained:
            self._complained.add(about)
            log.warning("in %s: %s; it is passed over", self.place, what)


def checked_url(url: str) -> str:
    """An address that may be shown to everybody.

    Raises:
        EngineError: if it is no address, or holds credentials; these are not shown.
    """
    allowed = "allowed: http://… or https://…, up to and with /v1"
    try:
        parts = urlsplit(url)
    except ValueError as error:  # half of a pair of brackets; not shown, as nobody knows what it holds
        raise EngineError(f"a url is no address ({error}); {allowed}") from None
    if parts.username or parts.password or parts.query:
        raise EngineError("the url holds a user, a password or a query; name api_key_env for a key instead")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EngineError(f"url {url!r} is no address; {allowed}")
    return url.rstrip("/")
