"""Withdrawn versions: what is noted about them, and where.

A tag never changes, so a withdrawn version still loads for whoever named it. What can be done is to say so:

    yanked.json on main     {version: {"reason": …}}; stays there through later releases
    README.md on main       a note under the card's metadata, until the next release brings its own card

`publish` and `verify` read the first. The second is for people who look at the repository's page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from deepwriting.errors import ConflictError, HubError, RefusedError
from deepwriting.hub.plan import CARD_FILE, YANKED_FILE
from deepwriting.hub.preflight.secrets import find_paths, find_secrets
from deepwriting.hub.repository import Moved, Repository
from deepwriting.hub.versions import parse_version, published

#: Longest reason (characters): it is a sentence on a page.
MAX_REASON = 500
_MAIN = "main"
_BEGIN, _END = "<!-- withdrawn versions -->", "<!-- end of withdrawn versions -->"
_NOTE = re.compile(rf"\n?{re.escape(_BEGIN)}\n.*?{re.escape(_END)}\n", re.DOTALL)
_METADATA = re.compile(r"\A---\s*\n.*?\n---[^\S\n]*\n", re.DOTALL)
#: Times that the note is written anew when somebody else commits at the same moment.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Yank:
    """Why a version was withdrawn.

    Attributes:
        reason: one sentence.
    """

    reason: str


@dataclass(frozen=True)
class Yanked:
    """What ``yank`` has done.

    Attributes:
        version: the withdrawn version.
        tag: its tag, which stays.
        reason: why.
        commit: the commit with the note; None if it was noted before.
    """

    version: str
    tag: str
    reason: str
    commit: str | None


def read_yanked(repository: Repository, revision: str = _MAIN) -> dict[str, Yank]:
    """The withdrawn versions of a repository.

    Args:
        repository: the repository.
        revision: where the list is read.

    Raises:
        HubError: if the Hub cannot be reached, or the list is damaged.
    """
    text = repository.read(YANKED_FILE, revision)
    return parse_yanked(text, f"{repository.name}: {YANKED_FILE}") if text is not None else {}


def parse_yanked(text: str | bytes, origin: str = YANKED_FILE) -> dict[str, Yank]:
    """The withdrawn versions that a ``yanked.json`` holds.

    Raises:
        HubError: if it is damaged.
    """
    try:
        data = json.loads(text)
        return {str(version): Yank(str(entry["reason"])) for version, entry in data.items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise HubError(f'{origin} is damaged; expected {{"1.0.0": {{"reason": "…"}}}}') from error


def yank(repo: str, version: str, reason: str) -> Yanked:
    """Withdraw a published version: say on the repository's page and in ``yanked.json`` that and why.

    The tag and its files stay as they are.

    Args:
        repo: ``namespace/name``.
        version: a published version.
        reason: why nobody should use it, in a sentence; it is public.

    Returns:
        What was done.

    Raises:
        RefusedError: if the reason is empty, too long, or holds a secret, or the version is not published there.
        HubError: if the Hub refuses or cannot be reached.
    """
    reason = _sentence(reason)
    repository = Repository(repo)
    for _ in range(_ATTEMPTS):
        refs = repository.refs()
        versions = published(refs.tags)
        wanted = parse_version(version)
        if wanted is None or wanted not in versions:
            shown = ", ".join(map(str, versions)) or "none"
            raise RefusedError(f"{repo} has no version {version!r}; published are {shown}")
        tag, head = versions[wanted], refs.branches.get(_MAIN)
        if head is None:
            raise HubError(f"{repo} has no branch {_MAIN} for the note")
        known = read_yanked(repository, head)
        if known.get(str(wanted)) == Yank(reason):
            return Yanked(str(wanted), tag, reason, None)
        try:
            commit = _note(repository, known | {str(wanted): Yank(reason)}, head, f"Withdraw version {wanted}")
        except Moved:
            continue  # by somebody else, or by us without an answer: the next turn sees which
        return Yanked(str(wanted), tag, reason, commit)
    raise ConflictError(f"{repo}: somebody else keeps committing to {_MAIN}; version {version} was not withdrawn")


def _sentence(reason: str) -> str:
    sentence = " ".join(reason.split())
    if not sentence:
        raise RefusedError("the reason is empty; expected a sentence that tells why nobody should use the version")
    if len(sentence) > MAX_REASON:
        raise RefusedError(f"the reason has {len(sentence)} characters; allowed are {MAX_REASON}")
    if found := next((*find_secrets(sentence), *find_paths(sentence)).__iter__(), None):
        raise RefusedError(f"the reason holds a {found.kind}, and it would be public")
    return sentence


def _note(repository: Repository, yanked: Mapping[str, Yank], head: str, title: str) -> str:
    from huggingface_hub import CommitOperationAdd

    ordered = {
        version: yanked[version] for version in sorted(yanked, key=lambda text: parse_version(text) or (0, 0, 0))
    }
    data = {version: asdict(entry) for version, entry in ordered.items()}
    listed = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    operations = [CommitOperationAdd(YANKED_FILE, listed.encode())]
    card = repository.read(CARD_FILE, head)
    if card is not None:
        operations.append(CommitOperationAdd(CARD_FILE, with_note(card.decode("utf-8"), ordered).encode()))
    return repository.commit(operations, message=title, branch=_MAIN, parent=head)


def with_note(card: str, yanked: Mapping[str, Yank]) -> str:
    """A card with a note about withdrawn versions under its metadata, in the place of an earlier note."""
    lines = [f"> - **{version}**: {_escaped(entry.reason)}" for version, entry in yanked.items()]
    note = "\n".join([
        "",
        _BEGIN,
        "> [!WARNING]",
        "> Withdrawn versions. They still load for whoever names them; please take another one.",
        *lines,
        _END,
        "",
    ])  # fmt: skip
    card = without_note(card)
    end = found.end() if (found := _METADATA.match(card)) else 0
    return card[:end] + note + card[end:]


def without_note(card: str) -> str:
    """The card as its release brought it."""
    return _NOTE.sub("", card, count=1)


def _escaped(text: str) -> str:
    """A sentence that shows as it is in Markdown, without markup of its own."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)
