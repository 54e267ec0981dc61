"""A dataset repository on the Hub, through `huggingface_hub`, with its gaps filled.

* Requests that `huggingface_hub` sends once are sent again where the failure passes; see ``patience.py``.
* A commit whose answer is lost may have been made. It is never sent again blindly: the branch is looked at first.
* What the Hub says about an error may hold signed addresses. Here no message holds a secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from deepwriting import __version__
from deepwriting.errors import ConflictError, HubError, TokenError
from deepwriting.hub.patience import is_passing, message_of, root_of, status_of, wait_before
from deepwriting.hub.preflight.secrets import redacted

Result = TypeVar("Result")

#: Times that a request is sent at most.
ATTEMPTS = 5
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
        namespaces: the user, and the organisations in which they may do more than read.
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
        names = (found["name"], *(org["name"] for org in found.get("orgs") or () if org.get("roleInOrg") != "read"))
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
            if status_of(error) == 401 and self.has_token and "expired" in message_of(error):
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
            if status_of(error) == 403:
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
                problem = root_of(error)
                if status_of(problem) == _PARENT_MOVED:
                    raise Moved from error
                if attempt == ATTEMPTS or not is_passing(error):
                    raise self._error(doing, error) from error
                time.sleep(wait_before(problem, attempt))
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
            if status_of(error) != 409:
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
                problem = root_of(error)
                if attempt < tries and is_passing(error):
                    time.sleep(wait_before(problem, attempt))
                elif isinstance(error, passed):
                    raise
                else:
                    raise self._error(doing, error) from error
        raise AssertionError("unreachable")

    def _error(self, doing: str, error: Exception) -> HubError:
        """What went wrong, in words without secrets."""
        problem = root_of(error)
        status, said = status_of(problem), redacted(message_of(problem), self._token)
        where = f"{self.name}: {doing}"
        if status == 401 or type(problem).__name__ == "LocalTokenNotFoundError":
            return TokenError(f"{where}: the Hub does not accept the token, or it has expired ({said})")
        if status == 403:
            return TokenError(f"{where}: the token has no right to do this ({said})")
        if status is not None:
            return HubError(f"{where}: the Hub answered {status} ({said})")
        return HubError(f"{where}: {said}")
