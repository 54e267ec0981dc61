"""A dataset repository on the Hub, through `huggingface_hub`, with its gaps filled.

What `huggingface_hub` 2.4 does by itself: it tries large uploads, listings and downloads again after 408, 429, 5xx and
lost connections. What it does not, and this module does:

* Every other request (who am I, refs, create, commit, tag) is sent once. Here it is tried again, waiting as long as the
  Hub asks for.
* Its client waits for an answer for ever. ``patient_client`` sets a limit.
* A commit whose answer is lost may have been made. It is never sent again blindly: the branch is looked at first.
* Its messages may hold signed addresses. Here no message holds a secret.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from deepwriting import __version__
from deepwriting.errors import ConflictError, HubError, TokenError
from deepwriting.hub.preflight.secrets import redacted

Result = TypeVar("Result")

#: Times that a request is sent at most.
ATTEMPTS = 5
#: Wait before the second attempt, doubled for every further one; and the longest wait that the Hub may ask for (s).
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
#: Longest silence of the Hub before a request counts as lost (seconds).
PATIENCE = 120.0
#: Answers after which the same request may work later; those that `huggingface_hub` takes for it too.
_PASSING = frozenset((408, 429, 500, 502, 503, 504))
#: The answer to a commit whose parent is no longer the branch's head.
_PARENT_MOVED = 412


@dataclass(frozen=True)
class RemoteFile:
    """A file as a commit on the Hub has it.

    Attributes:
        path: its path.
        bytes: its size.
        blob: git's hash of it, or of the pointer to it.
        sha256: its checksum, for large files.
    """

    path: str
    bytes: int
    blob: str
    sha256: str | None


@dataclass(frozen=True)
class Identity:
    """Whose the token is and what it may do.

    Attributes:
        name: the user's name.
        namespaces: the user and the organisations.
        role: ``write``, ``read``, ``fineGrained``, or what the Hub calls it.
    """

    name: str
    namespaces: tuple[str, ...]
    role: str


@dataclass(frozen=True)
class Refs:
    """Where the branches and tags of a repository point."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]


class Moved(Exception):  # noqa: N818  (not an error: the caller decides what it means)
    """A branch is no longer where the commit was to go, or a commit may have been made without an answer."""


class Repository:
    """One dataset repository.

    Args:
        name: ``namespace/name``.
    """

    def __init__(self, name: str):
        from huggingface_hub import HfApi, get_token

        self.name = name
        self._token = get_token()
        self.api = HfApi(token=self._token or False, library_name="deepwriting", library_version=__version__)

    @property
    def has_token(self) -> bool:
        """Whether there is a token to send."""
        return bool(self._token)

    def whoami(self) -> Identity:
        """Whose the token is."""
        found = self._call("asking whose the token is", lambda: self.api.whoami())
        names = (found["name"], *(org["name"] for org in found.get("orgs") or ()))
        role = ((found.get("auth") or {}).get("accessToken") or {}).get("role") or "unknown"
        return Identity(found["name"], names, role)

    def private(self) -> bool | None:
        """Whether the repository is private; None if there is none that the token may see."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            info = self._call(
                "looking for the repository", lambda: self.api.dataset_info(self.name), RepositoryNotFoundError
            )
        except RepositoryNotFoundError as error:
            if _status(error) == 401 and self.has_token and "expired" in _message(error):
                raise self._error("looking for the repository", error) from error
            return None
        return bool(info.private)

    def may_write(self) -> bool:
        """Whether the token may change the repository, which exists."""
        from huggingface_hub.errors import HfHubHTTPError

        try:
            self._call(
                "asking for the right to write",
                lambda: self.api.auth_check(self.name, repo_type="dataset", write=True),
                HfHubHTTPError,
            )
        except HfHubHTTPError as error:
            if _status(error) == 403:
                return False
            raise self._error("asking for the right to write", error) from error
        return True

    def refs(self) -> Refs:
        """Branches and tags."""
        found = self._call("listing versions", lambda: self.api.list_repo_refs(self.name, repo_type="dataset"))
        return Refs(
            {ref.name: ref.target_commit for ref in found.branches}, {ref.name: ref.target_commit for ref in found.tags}
        )

    def tree(self, revision: str) -> dict[str, RemoteFile]:
        """Every file of a revision, by path."""
        from huggingface_hub.hf_api import RepoFile

        def listed() -> list[Any]:
            return list(self.api.list_repo_tree(self.name, revision=revision, recursive=True, repo_type="dataset"))

        entries = self._call(f"listing the files of {revision}", listed, tries=1)
        return {
            entry.path: RemoteFile(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
            for entry in entries
            if isinstance(entry, RepoFile)
        }

    def read(self, path: str, revision: str) -> bytes | None:
        """The contents of a small file; None if the revision lacks it."""
        from pathlib import Path

        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        def fetched() -> bytes:
            return Path(self.api.hf_hub_download(self.name, path, repo_type="dataset", revision=revision)).read_bytes()

        try:
            return self._call(f"reading {path}", fetched, EntryNotFoundError)
        except LocalEntryNotFoundError as error:
            raise self._error(f"reading {path}", error) from error
        except EntryNotFoundError:
            return None

    def create(self, *, private: bool) -> None:
        """Create the repository; one that exists is left as it is."""
        self._call(
            "creating the repository",
            lambda: self.api.create_repo(self.name, repo_type="dataset", private=private, exist_ok=True),
        )

    def add_branch(self, branch: str, commit: str) -> None:
        """Create a branch at a commit; one that exists is left as it is."""
        self._call(
            f"creating the branch {branch}",
            lambda: self.api.create_branch(
                self.name, branch=branch, revision=commit, repo_type="dataset", exist_ok=True
            ),
        )

    def commit(self, operations: Sequence[Any], *, message: str, branch: str, parent: str, num_threads: int = 4) -> str:
        """Make one commit of everything, or nothing.

        Args:
            operations: `huggingface_hub` operations.
            message: title of the commit.
            branch: where it goes.
            parent: the commit that the branch has to be at.
            num_threads: files uploaded at a time.

        Returns:
            The commit.

        Raises:
            Moved: if the branch is elsewhere, be it through this commit, whose answer was lost, or through another.
            HubError: if the Hub refuses or cannot be reached.
        """
        doing = f"committing to {branch}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return str(
                    self.api.create_commit(
                        self.name,
                        operations,
                        commit_message=message,
                        repo_type="dataset",
                        revision=branch,
                        parent_commit=parent,
                        num_threads=num_threads,
                    ).oid
                )
            except Exception as error:
                problem = _root(error)
                if _status(problem) == _PARENT_MOVED:
                    raise Moved from error
                if attempt == ATTEMPTS or not _passing(error):
                    raise self._error(doing, error) from error
                time.sleep(_wait(problem, attempt))
            # The commit may have been made although nobody was told.
            if self.refs().branches.get(branch) != parent:
                raise Moved
        raise AssertionError("unreachable")

    def add_tag(self, tag: str, commit: str) -> None:
        """Give a commit its tag.

        Raises:
            ConflictError: if another commit has it.
        """
        from huggingface_hub.errors import HfHubHTTPError

        try:
            self._call(
                f"adding the tag {tag}",
                lambda: self.api.create_tag(self.name, tag=tag, revision=commit, repo_type="dataset"),
                HfHubHTTPError,
            )
        except HfHubHTTPError as error:
            # 409 also answers the second attempt when the answer to the first was lost.
            if _status(error) != 409:
                raise self._error(f"adding the tag {tag}", error) from error
            if (found := self.refs().tags.get(tag)) != commit:
                raise ConflictError(
                    f"{self.name} has got the tag {tag} at another commit ({found}) in the meantime: somebody else has "
                    "published this version"
                ) from error

    def _call(
        self,
        doing: str,
        request: Callable[[], Result],
        *passed: type[Exception],
        tries: int = ATTEMPTS,
    ) -> Result:
        """Send a request until it is answered; errors of the classes ``passed`` reach the caller as they are."""
        for attempt in range(1, tries + 1):
            try:
                return request()
            except Exception as error:
                problem = _root(error)
                if attempt < tries and _passing(error):
                    time.sleep(_wait(problem, attempt))
                elif isinstance(error, passed):
                    raise
                else:
                    raise self._error(doing, error) from error
        raise AssertionError("unreachable")

    def _error(self, doing: str, error: Exception) -> HubError:
        """What went wrong, in words without secrets."""
        problem = _root(error)
        status, said = _status(problem), redacted(_message(problem), self._token)
        where = f"{self.name}: {doing}"
        if status == 401 or type(problem).__name__ == "LocalTokenNotFoundError":
            return TokenError(f"{where}: the Hub does not accept the token, or it has expired ({said})")
        if status == 403:
            return TokenError(f"{where}: the token has no right to do this ({said})")
        if status is not None:
            return HubError(f"{where}: the Hub answered {status} ({said})")
        return HubError(f"{where}: {said}")


def _root(error: BaseException) -> BaseException:
    """The error of the request below `huggingface_hub`'s "Error while uploading"."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _status(error: BaseException) -> int | None:
    found = getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def _message(error: BaseException) -> str:
    said = getattr(error, "server_message", None) or str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _passing(error: BaseException) -> bool:
    """Whether the same request may work a little later."""
    import httpx2
    from huggingface_hub.errors import LocalEntryNotFoundError

    problem = _root(error)
    if (status := _status(problem)) is not None:
        # Uploads that `huggingface_hub` has tried often enough come in a RuntimeError.
        return status in _PASSING and problem is error
    if isinstance(problem, (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return problem is error
    # An answer of 5xx whose body is no JSON, where `huggingface_hub` reads the body first; a download or an upload
    # through Xet that was interrupted.
    return isinstance(problem, (json.JSONDecodeError, ConnectionError, TimeoutError, LocalEntryNotFoundError))


def _wait(error: BaseException, attempt: int) -> float:
    """How long to wait before the next attempt (seconds): what the Hub asks for, or longer each time."""
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is not None:
        asked: float | None = None
        if (limit := parse_ratelimit_headers(headers)) is not None and limit.remaining == 0:
            asked = float(limit.reset_in_seconds)
        elif str(headers.get("retry-after", "")).isdigit():
            asked = float(headers["retry-after"])
        if asked is not None:
            return min(asked, LONGEST_WAIT)
    return FIRST_WAIT * 2.0 ** (attempt - 1)


class _Redacting(logging.Filter):
    """Takes signed addresses and tokens out of `huggingface_hub`'s warnings."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), None
        return True


@contextmanager
def patient_client(patience: float = PATIENCE) -> Iterator[None]:
    """Have `huggingface_hub` wait for an answer no longer than this, and keep secrets out of its warnings.

    For a process of ours: the client is the whole process's, and is put back to the default afterwards.

    Args:
        patience: longest silence of the Hub (seconds).
    """
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def made() -> httpx2.Client:
        client = default_client_factory()
        client.timeout = httpx2.Timeout(patience)
        return client

    logger, only = logging.getLogger("huggingface_hub.utils._http"), _Redacting()
    set_client_factory(made)
    logger.addFilter(only)
    try:
        yield
    finally:
        logger.removeFilter(only)
        set_client_factory(default_client_factory)
