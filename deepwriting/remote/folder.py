"""A folder in an object store, through fsspec: list, read, write, create, delete; patient where the store is not.

    s3://bucket/runs/mine       needs s3fs; keys and endpoint as every S3 client finds them (AWS_ENDPOINT_URL …)
    gs://bucket/runs/mine       needs gcsfs
    hf://buckets/me/mine/run    needs nothing more; HF_TOKEN

A request that fails in a way that passes (lost connection, busy server) is made again for ``patience`` seconds. What
does not pass (no such bucket, no right to write) is told at once.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

from deepwriting.errors import RemoteError
from deepwriting.hub.patience import PASSING, status_of
from deepwriting.hub.preflight.secrets import redacted
from deepwriting.remote.places import protocol_of

log = logging.getLogger(__name__)
T = TypeVar("T")

#: How long a request is tried again (seconds): an object store that restarts is back by then. The environment variable
#: of this name says otherwise.
PATIENCE_VARIABLE, PATIENCE = "DEEPWRITING_REMOTE_PATIENCE", 300.0
#: Wait before the second attempt, doubled for each further one, and the longest (seconds).
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
#: Files on their way at the same time: what a store answers to one client without slowing down.
PARALLEL = 16
#: Stores that can be asked to create an object only if there is none. Elsewhere we look first, and a second process may
#: come between.
ATOMIC_CREATION = frozenset(("s3", "s3a", "gs", "gcs"))
#: What this machine's own disk says, which no waiting changes.
_OWN_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
#: Packages whose own errors speak of the connection.
_TRANSPORTS = frozenset(("aiohttp", "aiobotocore", "botocore", "httpx", "httpx2", "httpcore2", "requests", "urllib3"))
#: What no waiting cures, although it comes from such a package: keys that are not there.
_NO_KEYS = frozenset(("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"))
#: How `hf_xet` tells that a request was refused, in an error about the network.
_REFUSED = re.compile(r"HTTP status client error \(4(?!08|29)\d\d ")
#: What an fsspec file system says about an object's content, the surest first.
_VERSIONS = ("ETag", "etag", "xet_hash", "md5Hash", "content_md5", "generation", "version_id")
#: And about the time at which it was put there.
_TIMES = ("LastModified", "uploaded_at", "updated", "mtime", "last_modified", "created")


@dataclass(frozen=True)
class Entry:
    """An object below a remote folder.

    Attributes:
        size: bytes.
        version: changes when the content does.
        modified: when it was put there, by the store's clock (seconds since the epoch); ``None`` if it does not tell.
    """

    size: int
    version: str
    modified: float | None = None


class RemoteFolder:
    """A folder behind an fsspec URL. Paths are relative to it, with slashes.

    Args:
        url: where it is.
        patience: how long a request is tried again (seconds); by default what the environment says.

    Raises:
        RemoteError: from all methods, if the store refuses or cannot be reached for that long.
    """

    def __init__(self, url: str, *, patience: float | None = None):
        self.url = url.rstrip("/")
        self.patience = float(os.environ.get(PATIENCE_VARIABLE, PATIENCE)) if patience is None else patience

    def __repr__(self) -> str:
        return f"RemoteFolder({self.url!r})"

    def list(self, below: str = "") -> dict[str, Entry]:
        """All objects below a path, by their path relative to this folder; none if there is no such path."""

        def find() -> dict[str, Any]:
            fs, root = self._opened()
            fs.invalidate_cache()
            try:
                found: dict[str, Any] = fs.find(_join(root, below), detail=True)
            except FileNotFoundError:
                return {}
            return {name[len(root) + 1 :]: info for name, info in found.items() if info["type"] == "file"}

        return {path: _entry(info) for path, info in sorted(self._patiently(find, below, "list").items()) if path}

    def entry(self, path: str) -> Entry | None:
        """One object; ``None`` if there is none."""

        def info() -> Any:
            fs, root = self._opened()
            fs.invalidate_cache()
            return fs.info(_join(root, path))

        try:
            return _entry(self._patiently(info, path, "look at"))
        except FileNotFoundError:
            return None

    def read(self, path: str) -> bytes:
        """The content of an object.

        Raises:
            FileNotFoundError: if there is none.
        """

        def cat() -> bytes:
            fs, root = self._opened()
            content: bytes = fs.cat_file(_join(root, path))
            return content

        return self._patiently(cat, path, "read")

    def write(self, path: str, content: bytes) -> None:
        """Put an object there, instead of the one that may be there."""

        def pipe() -> None:
            fs, root = self._opened()
            fs.pipe_file(_join(root, path), content)

        self._patiently(pipe, path, "write")

    def create(self, path: str, content: bytes) -> bool:
        """Put an object there if there is none.

        Returns:
            Whether this very content is there now: also where it was before, as after an answer that was lost.
        """

        def pipe() -> bool:
            fs, root = self._opened()
            where = _join(root, path)
            if protocol_of(self.url) not in ATOMIC_CREATION:
                fs.invalidate_cache()
                if fs.exists(where):
                    return False
                fs.pipe_file(where, content)
                return True
            try:
                fs.pipe_file(where, content, mode="create")
            except FileExistsError:
                return False
            return True

        return self._patiently(pipe, path, "write") or self.read(path) == content

    def upload(self, file: Path, path: str) -> Entry:
        """Put a file there."""

        def put() -> Entry:
            fs, root = self._opened()
            fs.put_file(str(file), _join(root, path))
            fs.invalidate_cache()
            return _entry(fs.info(_join(root, path)))

        return self._patiently(put, path, "write")

    def download(self, path: str, file: Path) -> None:
        """Fetch an object into a file, which is replaced as a whole.

        Raises:
            FileNotFoundError: if there is none.
        """

        def get() -> None:
            fs, root = self._opened()
            file.parent.mkdir(parents=True, exist_ok=True)
            scratch = file.with_name(f".{file.name}.{os.getpid()}.part")
            try:
                fs.get_file(_join(root, path), str(scratch))
                os.replace(scratch, file)
            finally:
                scratch.unlink(missing_ok=True)

        self._patiently(get, path, "read")

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects; those that are not there are no error."""

        def remove(path: str) -> None:
            def rm() -> None:
                fs, root = self._opened()
                try:
                    fs.rm_file(_join(root, path))
                except FileNotFoundError:
                    return
                except Exception:  # the Hub's buckets say it in a way of their own
                    fs.invalidate_cache()
                    if fs.exists(_join(root, path)):
                        raise

            self._patiently(rm, path, "delete")

        self.each(remove, paths)

    def now(self) -> float:
        """The present by the store's clock, which its files' times are from (seconds since the epoch).

        S3 tells it with every answer. Elsewhere this machine's clock has to do.
        """

        def ask() -> float:
            fs, root = self._opened()
            answer = fs.call_s3("head_bucket", Bucket=root.partition("/")[0])
            return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()

        if protocol_of(self.url) not in ("s3", "s3a"):
            return time.time()
        try:
            return self._patiently(ask, "", "look at")
        except FileNotFoundError:
            raise RemoteError(f"{self.url}: there is no such bucket") from None
        except (KeyError, ValueError):  # a server that is only nearly S3
            return time.time()

    def each(self, work: Callable[[str], T], paths: Iterable[str]) -> Sequence[T]:
        """Do something for several paths at a time; the first error ends it."""
        paths = list(paths)
        if len(paths) <= 1:
            return [work(path) for path in paths]
        with ThreadPoolExecutor(min(PARALLEL, len(paths)), thread_name_prefix="remote") as pool:
            return list(pool.map(work, paths))

    def _opened(self) -> tuple[Any, str]:
        """The file system, and where in it this folder is. fsspec keeps the instances, also across forks."""
        from fsspec.core import url_to_fs

        try:
            fs, root = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            package = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}.get(protocol_of(self.url))
            how = f"pip install {package}" if package else str(error)
            raise RemoteError(f"{self.url} needs a package that is not installed: {how}") from error
        except ValueError as error:  # a protocol that nobody knows
            raise RemoteError(f"{self.url} is no place that fsspec knows: {error}") from error
        if protocol_of(self.url) == "hf":
            from huggingface_hub.utils.tqdm import disable_progress_bars

            disable_progress_bars()  # one for every step of a search
        return fs, root

    def _patiently(self, request: Callable[[], T], path: str, what: str) -> T:
        began, wait = time.monotonic(), FIRST_WAIT
        while True:
            try:
                return request()
            except FileNotFoundError:
                if what != "write":
                    raise
                raise RemoteError(f"{self._shown(path)}: there is no such bucket") from None
            except Exception as error:
                if not _passing(error):
                    from_store = isinstance(error, (OSError, NotImplementedError)) or _without_keys(error)
                    if from_store and not _is_local(error):
                        raise RemoteError(f"cannot {what} {self._shown(path)}: {_message(error)}") from error
                    raise
                spent = time.monotonic() - began
                if spent + wait > self.patience:
                    raise RemoteError(
                        f"cannot {what} {self._shown(path)}, tried for {spent:.0f} s: {_message(error)}"
                    ) from error
                log.warning("cannot %s %s (%s); trying again", what, self._shown(path), _message(error))
                time.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)

    def _shown(self, path: str) -> str:
        return f"{self.url}/{path}" if path else self.url


def _join(root: str, path: str) -> str:
    return f"{root}/{path}" if path else root


def _entry(info: dict[str, Any]) -> Entry:
    size = int(info.get("size") or 0)
    moment = next((info[key] for key in _TIMES if info.get(key) is not None), None)
    modified = _seconds(moment)
    content = next((str(info[key]) for key in _VERSIONS if info.get(key)), str(modified))
    return Entry(size, f"{content.strip(chr(34))}/{size}", modified)


def _seconds(moment: Any) -> float | None:
    """A time as file systems tell it: a date, ISO 8601, or seconds."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment) if isinstance(moment, (int, float)) else None


def _passing(error: BaseException) -> bool:
    """Whether the same request may work a little later."""
    if isinstance(error, (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError, RemoteError)):
        return False
    if (status := status_of(error)) is not None:
        return status in PASSING
    if _REFUSED.search(str(error)) or _without_keys(error):
        return False
    if isinstance(error, OSError):
        return not _is_local(error)
    return type(error).__module__.partition(".")[0] in _TRANSPORTS


def _without_keys(error: BaseException) -> bool:
    return type(error).__name__ in _NO_KEYS


def _is_local(error: BaseException) -> bool:
    """Whether it is a file of this machine that cannot be read or written."""
    return isinstance(error, OSError) and (error.filename is not None or error.errno in _OWN_DISK)


def _message(error: BaseException) -> str:
    """The error in one line, without keys and signed addresses: it is logged, and kept in notes that others read."""
    lines = [line.strip() for line in redacted(str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
