"""Buckets: making, listing, changing and reading them, as ``hf://buckets/NAMESPACE/NAME`` does.

Files come in pieces (``hf_xet``) only, as on the Hub; a request then says which of them a bucket is to hold.
"""

from __future__ import annotations

import json
import mimetypes
import time
from typing import Any

from deepwriting.hub.local import api_xet
from deepwriting.hub.local.api_repos import moment
from deepwriting.hub.local.buckets import Bucket, BucketEntry
from deepwriting.hub.local.messages import Request, Response, StatusError, part_of
from deepwriting.hub.local.routes import route
from deepwriting.hub.local.store import Store

#: Entries on one page of a listing.
_PAGE = 1000


@route("POST", "/api/buckets/{namespace}/{name}")
def create(store: Store, request: Request, namespace: str, name: str) -> Response:
    """Make a bucket."""
    wanted = request.json()
    namespace = request.token.user if namespace == "me" and request.token else namespace
    store.require_write(request.token, namespace)
    bucket = store.bucket(namespace, name)
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    about = {"url": f"{request.origin}/buckets/{bucket.name}", "id": bucket.name}
    if not bucket.create(private=private):
        # Clients that don't mind read the address all the same.
        return Response.json(about | {"error": f"You already created this bucket: {bucket.name}"}, 409)
    return Response.json(about)


@route("GET", "/api/buckets/{namespace}/{name}")
def describe(store: Store, request: Request, namespace: str, name: str) -> Response:
    """A bucket as a whole."""
    bucket = _readable(store, request, namespace, name)
    files = bucket.files().values()
    settings = bucket.settings
    return Response.json(
        {
            "id": bucket.name,
            "private": settings["private"],
            "createdAt": moment(settings["created"]),
            "size": sum(entry.size for entry in files),
            "totalFiles": len(files),
        }
    )


@route("GET", "/api/buckets/{namespace}/{name}/tree")
def list_root(store: Store, request: Request, namespace: str, name: str) -> Response:
    """Files and folders."""
    return list_folder(store, request, namespace, name, "")


@route("GET", "/api/buckets/{namespace}/{name}/tree/{path*}")
def list_folder(store: Store, request: Request, namespace: str, name: str, path: str) -> Response:
    """Files and folders whose paths begin with something, a page at a time."""
    bucket = _readable(store, request, namespace, name)
    prefix = path.strip("/") + "/" if path.strip("/") else ""
    listed: dict[str, dict[str, Any]] = {}
    for file, entry in bucket.files().items():
        if not file.startswith(prefix) and file != path:
            continue
        folder, below, _ = file[len(prefix) :].partition("/")
        if below and not request.flag("recursive"):
            listed[prefix + folder] = {"type": "directory", "path": prefix + folder}
        else:
            listed[file] = _described(file, entry)
    items = [listed[key] for key in sorted(listed)]
    start = int((request.query.get("cursor") or ["0"])[-1])
    headers = {}
    if start + _PAGE < len(items):
        query = f"recursive={str(request.flag('recursive')).lower()}&cursor={start + _PAGE}"
        headers["Link"] = f'<{request.origin}{request.path}?{query}>; rel="next"'
    return Response.json(items[start : start + _PAGE], headers=headers)


@route("POST", "/api/buckets/{namespace}/{name}/paths-info")
def some_paths(store: Store, request: Request, namespace: str, name: str) -> Response:
    """Those of the paths asked for that exist."""
    files = _readable(store, request, namespace, name).files()
    return Response.json([_described(path, files[path]) for path in request.fields().get("paths", []) if path in files])


@route("POST", "/api/buckets/{namespace}/{name}/batch")
def change(store: Store, request: Request, namespace: str, name: str) -> Response:
    """Add and delete files; one line of JSON for each."""
    bucket = _writable(store, request, namespace, name)
    added: dict[str, BucketEntry] = {}
    deleted, failed = [], []
    for line in request.read().splitlines():
        item = json.loads(line)
        path, kind = str(item["path"]), item["type"]
        if kind == "deleteFile":
            deleted.append(path)
        elif kind == "addFile" and (pieces := store.xet.by_hash(item["xetHash"])) is not None:
            added[path] = BucketEntry(pieces.hash, pieces.size, int(item["mtime"]), time.time())
        elif kind == "addFile":
            failed.append({"path": path, "error": f"there are no pieces of {item['xetHash']}"})
        else:
            failed.append({"path": path, "error": f"a local Hub does not know {kind}"})
    failed += [{"path": path, "error": "not found"} for path in bucket.change(added, deleted)]
    done = len(added) + len(deleted)
    return Response.json({"success": not failed, "failed": failed}, 200 if done or not failed else 422)


@route("GET", "/api/buckets/{namespace}/{name}/xet-write-token")
def write_token(store: Store, request: Request, namespace: str, name: str) -> Response:
    """Where to store files in pieces."""
    _writable(store, request, namespace, name)
    return api_xet.where(store)


@route("GET", "/api/buckets/{namespace}/{name}/xet-read-token")
def read_token(store: Store, request: Request, namespace: str, name: str) -> Response:
    """Where to read files in pieces."""
    _readable(store, request, namespace, name)
    return api_xet.where(store)


@route("GET", "/buckets/{namespace}/{name}/resolve/{path*}")
def read_file(store: Store, request: Request, namespace: str, name: str, path: str) -> Response:
    """A file, or the part of it that the client wants."""
    bucket = _readable(store, request, namespace, name)
    entry = bucket.files().get(path)
    pieces = store.xet.by_hash(entry.hash) if entry else None
    if entry is None or pieces is None:
        raise StatusError(404, "Entry not found", "EntryNotFound")
    start, length, headers, status = part_of(request, entry.size) if entry.size else (0, 0, {}, 200)
    token = f"{request.origin}/api/buckets/{bucket.name}/xet-read-token"
    headers |= {
        "Content-Type": mimetypes.guess_type(path)[0] or "application/octet-stream",
        "ETag": f'"{entry.hash}"',
        "X-Linked-Size": str(entry.size),
        "X-Xet-Hash": entry.hash,
        "Link": f'<{token}>; rel="xet-auth"',
    }
    return Response(status, headers, pieces=store.xet.read(pieces, start, length), length=length)


def _described(path: str, entry: BucketEntry) -> dict[str, Any]:
    return {
        "type": "file", "path": path, "size": entry.size, "xetHash": entry.hash,
        "mtime": moment(entry.mtime / 1000), "uploadedAt": moment(entry.uploaded),
    }  # fmt: skip


def _readable(store: Store, request: Request, namespace: str, name: str) -> Bucket:
    bucket = store.bucket(namespace, name)
    known = request.token is not None and namespace in (request.token.user, *store.namespaces)
    if not bucket.exists or (bucket.settings["private"] and not known):
        raise StatusError(404 if request.token else 401, "Bucket not found", "RepoNotFound")
    return bucket


def _writable(store: Store, request: Request, namespace: str, name: str) -> Bucket:
    bucket = _readable(store, request, namespace, name)
    store.require_write(request.token, namespace)
    return bucket
