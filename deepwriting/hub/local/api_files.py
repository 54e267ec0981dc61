"""Files of a revision: listing them, asking for some, and reading one."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deepwriting.hub.local.api_repos import moment
from deepwriting.hub.local.entries import Entry
from deepwriting.hub.local.messages import Request, Response, StatusError, part_of, read_pieces
from deepwriting.hub.local.objects import Commit
from deepwriting.hub.local.repository import Repository
from deepwriting.hub.local.routes import route
from deepwriting.hub.local.store import KINDS, Store

#: Entries on one page of a listing, with and without their last commits, as on the Hub.
_PAGE, _EXPANDED_PAGE = 1000, 50


@route("GET", "/api/{kind}/{namespace}/{name}/tree/{revision}")
def list_root(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """Files and folders of a revision."""
    return list_folder(store, request, repository, revision, "")


@route("GET", "/api/{kind}/{namespace}/{name}/tree/{revision}/{path*}")
def list_folder(store: Store, request: Request, repository: Repository, revision: str, path: str) -> Response:
    """Files and folders below a folder, a page at a time."""
    commit = repository.resolve(revision)
    prefix = path.strip("/") + "/" if path.strip("/") else ""
    folders = repository.folders(commit)
    if prefix and prefix[:-1] not in folders:
        raise StatusError(404, f"{path} does not exist on {revision}", "EntryNotFound", {"X-Repo-Commit": commit})
    everything: dict[str, Entry | str] = {**folders, **repository.files(commit)}
    recursive, expand = request.flag("recursive"), request.flag("expand")
    listed = sorted(
        name for name in everything if name.startswith(prefix) and (recursive or "/" not in name[len(prefix) :])
    )
    start = int((request.query.get("cursor") or ["0"])[-1])
    end = start + (_EXPANDED_PAGE if expand else _PAGE)
    changed = repository.last_commits(commit) if expand else {}
    headers = {"X-Repo-Commit": commit}
    if end < len(listed):
        query = f"recursive={str(recursive).lower()}&expand={str(expand).lower()}&cursor={end}"
        headers["Link"] = f'<{request.origin}{request.path}?{query}>; rel="next"'
    page = [_described(store, name, everything[name], changed) for name in listed[start:end]]
    return Response.json(page, headers=headers)


@route("POST", "/api/{kind}/{namespace}/{name}/paths-info/{revision}")
def some_paths(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """Those of the paths asked for that exist."""
    commit = repository.resolve(revision)
    wanted = request.fields()
    everything: dict[str, Entry | str] = {**repository.folders(commit), **repository.files(commit)}
    changed = repository.last_commits(commit) if wanted.get("expand", [""])[-1].lower() == "true" else {}
    paths = [path.strip("/") for path in wanted.get("paths", [])]
    return Response.json([_described(store, path, everything[path], changed) for path in paths if path in everything])


def _described(store: Store, path: str, entry: Entry | str, changed: Mapping[str, Commit]) -> dict[str, Any]:
    if isinstance(entry, str):
        found: dict[str, Any] = {"type": "directory", "oid": entry, "size": 0, "path": path}
    else:
        found = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.sha256:
            found["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
            if pieces := store.xet.find(entry.sha256):
                found["xetHash"] = pieces.hash
    if path in changed:
        commit = changed[path]
        found["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": moment(commit.time)}
    return found


@route("GET", "/{kind}/{namespace}/{name}/resolve/{revision}/{path*}")
def read_file(store: Store, request: Request, repository: Repository, revision: str, path: str) -> Response:
    """A file, or the part of it that the client wants; a large one by the address where it is kept."""
    commit = repository.resolve(revision)
    entry = repository.files(commit).get(path)
    headers = {"X-Repo-Commit": commit}
    if entry is None:
        raise StatusError(404, "Entry not found", "EntryNotFound", headers)
    name = quote(path.rpartition("/")[2])
    headers |= {
        "ETag": f'"{entry.etag}"',
        "Content-Type": mimetypes.guess_type(path)[0] or "application/octet-stream",
        "Content-Disposition": f"inline; filename*=UTF-8''{name}",
        "Cache-Control": "no-cache",
    }
    if entry.sha256:
        headers |= {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
        if pieces := store.xet.find(entry.sha256):
            where = f"{request.origin}/api/{KINDS[repository.kind]}/{repository.name}/xet-read-token/{commit}"
            headers |= {"X-Xet-Hash": pieces.hash, "Link": f'<{where}>; rel="xet-auth"'}
        return Response(302, headers | {"Location": store.links.make(request, repository, entry.sha256, "download")})
    start, length, ranges, status = part_of(request, entry.size)
    return Response(status, headers | ranges, repository.objects.read(entry.oid)[start : start + length])


@route("GET", "/large/download/{which}/{owner}/{title}/{sha256}")
def read_large(store: Store, request: Request, which: str, owner: str, title: str, sha256: str) -> Response:
    """The contents of a large file, or the part that the client wants."""
    store.links.check(request)
    file = store.large_file(store.of_owner(which, owner, title), sha256)
    if file is None:
        raise StatusError(404, f"there is no large file {sha256}")
    start, length, headers, status = part_of(request, file.stat().st_size if isinstance(file, Path) else file.size)
    headers |= {"Content-Type": "application/octet-stream", "ETag": f'"{sha256}"'}
    pieces = read_pieces(file, start, length) if isinstance(file, Path) else store.xet.read(file, start, length)
    return Response(status, headers, pieces=pieces, length=length)
