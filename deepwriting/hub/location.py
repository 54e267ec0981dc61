"""Where a dataset lies: a folder here, one in an object store, or a release on the Hub; the last two are fetched whole.

===============================  ==========================================================
runs/mine/deepwriting-20k        a folder
runs/mine/deepwriting-20k@1.2.0  the same, if it holds that version
s3://bucket/mine/deepwriting-20k a folder in an object store
someone/deepwriting-20k          the newest state of a repository
someone/deepwriting-20k@1.2.0    the release with that tag; a commit or a branch does too
===============================  ==========================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deepwriting.builders.manifest import read_manifest
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.errors import BuildError, DatasetNotFoundError, HubError
from deepwriting.hub.hashes import first_line
from deepwriting.hub.plan import YANKED_FILE
from deepwriting.hub.yanked import parse_yanked
from deepwriting.remote.places import is_remote, local_path, protocol_of, view_copy
from deepwriting.remote.working import fetch_dataset

#: ``namespace/name`` of a repository.
REPO_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
#: Versions, with or without the letter that some tags begin with.
_VERSION_PATTERN = re.compile(r"v?(\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class Place:
    """What was asked for, in its parts.

    Attributes:
        folder: the local folder, or the copy of one in an object store; ``None`` for a repository.
        repo: ``namespace/name``; empty for a folder.
        revision: version, tag, branch or commit; ``None`` for the newest state.
    """

    folder: Path | None
    repo: str = ""
    revision: str | None = None


def parse_place(text: str, revision: str | None = None) -> Place:
    """Tell a folder from a repository; nothing is fetched.

    Args:
        text: a folder or ``namespace/name``, either with ``@version`` behind it.
        revision: version, tag, branch or commit, instead of the one in ``text``.

    Raises:
        DatasetNotFoundError: if it is neither.
    """
    if protocol_of(text):
        return _place_in_store(text, revision)
    whole = Path(text).expanduser()
    if text and whole.is_dir():  # no text at all would be the working directory
        return Place(whole, revision=revision)
    name, at, asked = text.rpartition("@")
    if not at:
        name, asked = text, ""
    asked = revision or asked
    if (folder := Path(name).expanduser()).is_dir() and name:
        return Place(folder, revision=asked or None)
    if at and not asked:
        raise DatasetNotFoundError(f"{text!r} names no version behind the @; expected for example {name}@1.0.0")
    if whole.is_file() or folder.is_file():
        raise DatasetNotFoundError(
            f"{text!r} is a file; expected the folder of a dataset, or namespace/name on the Hub"
        )
    if not REPO_PATTERN.fullmatch(name):
        raise DatasetNotFoundError(
            f"no folder {text!r}, and it is no repository either; expected the folder of a dataset, "
            "or namespace/name on the Hub, with @version behind it if it is to be a certain one"
        )
    return Place(None, name, asked or None)


def _place_in_store(text: str, revision: str | None) -> Place:
    url, at, asked = text.rpartition("@")
    if not at or "/" in asked:
        url, asked = text, ""
    if not is_remote(url):
        return Place(local_path(url), revision=revision or asked or None)
    return Place(view_copy(url), revision=revision or asked or None)


def locate(text: str, *, revision: str | None = None) -> Path:
    """The folder of a dataset; a release on the Hub is fetched into the cache of `huggingface_hub` first.

    Args:
        text: a folder, its URL, or ``namespace/name``, with ``@version`` behind it if it is to be a certain one.
        revision: version, tag, branch or commit, instead of the one in ``text``.

    Returns:
        A folder that holds a manifest. For a release it is the snapshot in the cache: only to be read.

    Raises:
        DatasetNotFoundError: if it is neither a folder nor the name of a repository, if the repository is not there or
            holds no manifest, or if the folder holds none, a damaged one, or another version.
        HubError: if the Hub cannot be reached or refuses, or has not that version.
        RemoteError: if the object store cannot be reached or refuses.
    """
    place = parse_place(text, revision)
    if place.folder is None:
        return _fetched(place)
    fetch_dataset(place.folder)
    try:
        found = read_manifest(place.folder).version
    except BuildError as error:
        raise DatasetNotFoundError(str(error)) from error
    if place.revision is not None and place.revision.removeprefix("v") != found:
        raise DatasetNotFoundError(f"{place.folder} holds version {found}, not {place.revision}")
    return place.folder


def _fetched(place: Place) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import RevisionNotFoundError

    for revision in _spellings(place.revision):
        with hub_errors(place):
            try:
                # The small file first: a repository without it is not fetched, whatever its size.
                manifest = hf_hub_download(place.repo, MANIFEST_FILE, repo_type="dataset", revision=revision)
            except RevisionNotFoundError:
                continue
            # The commit that the manifest came from: a branch may move between the two requests.
            commit = Path(manifest).parent.name
            return Path(snapshot_download(place.repo, repo_type="dataset", revision=commit))
    raise HubError(f"{place.repo} on the Hub has no version {place.revision!r}")


def withdrawal(text: str, version: str) -> str | None:
    """Why a version on the Hub was withdrawn.

    Args:
        text: what ``locate`` was given.
        version: version of the dataset that it has found.

    Returns:
        The reason; ``None`` if it was not withdrawn, if ``text`` is a folder, or if the Hub does not answer.
    """
    from huggingface_hub import hf_hub_download

    place = parse_place(text)
    if place.folder is not None:
        return None
    try:
        with hub_errors(place):
            # The list stands on the main branch: a tag never changes.
            file = hf_hub_download(place.repo, YANKED_FILE, repo_type="dataset")
        found = parse_yanked(Path(file).read_bytes()).get(version)
    except HubError:
        return None
    return found.reason if found else None


def _spellings(revision: str | None) -> list[str | None]:
    """The revisions to try for what was asked: tags are ``1.2.0`` here and ``v1.2.0`` elsewhere."""
    found = _VERSION_PATTERN.fullmatch(revision or "")
    return [revision, f"v{found[1]}" if revision == found[1] else found[1]] if found else [revision]


@contextmanager
def hub_errors(place: Place) -> Iterator[None]:
    """Turn the errors of `huggingface_hub` into ones that say what was asked for.

    Raises:
        HubError: for every one of them.
    """
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    # The base class of all that its HTTP client raises; which client that is depends on the version of the library.
    bases = (base for base in HfHubHTTPError.__mro__ if issubclass(base, Exception))
    transport = next(base for base in bases if base.__name__ == "HTTPError")
    shown = f"{place.repo}@{place.revision}" if place.revision else place.repo
    try:
        yield
    except GatedRepoError as error:
        raise HubError(f"{place.repo} is gated: your token has no access to it") from error
    except RepositoryNotFoundError as error:
        reason = f"no dataset {place.repo} on the Hub, or it is private and your token may not see it"
        raise DatasetNotFoundError(reason) from error
    except LocalEntryNotFoundError as error:
        raise HubError(f"{shown} could not be fetched: the Hub cannot be reached, and the cache lacks it") from error
    except EntryNotFoundError as error:
        reason = f"{shown} holds no {MANIFEST_FILE}: it is no dataset that deepwriting has published"
        raise DatasetNotFoundError(reason) from error
    except HfHubHTTPError as error:
        raise HubError(f"{shown} could not be fetched: the Hub answered {error.response.status_code}") from error
    except (transport, OSError) as error:
        raise HubError(f"{shown} could not be fetched: {first_line(error)}") from error
