"""Changing files: which way each shall come, large ones first, then one commit that names them all."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepwriting.hub.local.api_repos import writable
from deepwriting.hub.local.cards import check_card
from deepwriting.hub.local.entries import is_large, pointer
from deepwriting.hub.local.messages import Request, Response, StatusError
from deepwriting.hub.local.objects import UNFINISHED
from deepwriting.hub.local.repository import Repository
from deepwriting.hub.local.routes import route
from deepwriting.hub.local.store import Store

_SHA256 = re.compile(r"[0-9a-f]{64}")
#: A body is written to disk in pieces of this size (bytes).
_PIECE = 1 << 20


@route("POST", "/api/{kind}/{namespace}/{name}/preupload/{revision}")
def which_way(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """For each file whether it belongs into git or beside it, and what the branch has in its place."""
    writable(store, request, repository)
    there = repository.files(repository.resolve(revision))
    answers = []
    for file in request.json().get("files", []):
        path, size = str(file["path"]), int(file["size"])
        sample = base64.b64decode(file.get("sample", ""))
        answer = {
            "path": path,
            "uploadMode": "lfs" if is_large(path, size, sample) else "regular",
            "shouldIgnore": False,
        }
        if path in there:
            answer["oid"] = there[path].etag
        answers.append(answer)
    return Response.json({"files": answers})


@route("POST", "/{kind}/{namespace}/{name}.git/info/lfs/objects/batch")
def where_to(store: Store, request: Request, repository: Repository) -> Response:
    """Where to send large files; nowhere for those that are here already."""
    writable(store, request, repository)
    answers = []
    for wanted in request.json().get("objects", []):
        answer: dict[str, Any] = {"oid": str(wanted["oid"]), "size": int(wanted["size"])}
        if not _SHA256.fullmatch(answer["oid"]):
            answer["error"] = {"code": 422, "message": "the oid is not a SHA-256"}
        elif store.large_size(repository, answer["oid"]) is None:
            href = store.links.make(request, repository, answer["oid"], "upload")
            verify = f"{request.origin}{request.path.removesuffix('/objects/batch')}/verify"
            answer["actions"] = {"upload": {"href": href}, "verify": {"href": verify}}
        answers.append(answer)
    media = {"Content-Type": "application/vnd.git-lfs+json"}
    return Response.json({"transfer": "basic", "objects": answers, "hash_algo": "sha256"}, headers=media)


@route("PUT", "/large/upload/{which}/{owner}/{title}/{sha256}")
def receive(store: Store, request: Request, which: str, owner: str, title: str, sha256: str) -> Response:
    """A large file; kept only if its contents are what its name says."""
    store.links.check(request)
    target = store.of_owner(which, owner, title).large_file(sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=UNFINISHED)
    digest = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as file:
            while piece := request.body.read(_PIECE):
                digest.update(piece)
                file.write(piece)
        if complete := digest.hexdigest() == sha256:
            os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
    if not complete:
        raise StatusError(400, f"what came has the SHA-256 {digest.hexdigest()}, not {sha256}")
    return Response(headers={"ETag": f'"{sha256}"'})


@route("POST", "/{kind}/{namespace}/{name}.git/info/lfs/verify")
def verify(store: Store, request: Request, repository: Repository) -> Response:
    """Whether a large file has arrived."""
    writable(store, request, repository)
    wanted = request.json()
    size = store.large_size(repository, str(wanted.get("oid")))
    if size is None or size != wanted.get("size"):
        raise StatusError(404, f"there is no large file {wanted.get('oid')} of {wanted.get('size')} bytes")
    return Response.json({})


@route("POST", "/api/{kind}/{namespace}/{name}/commit/{revision}")
def commit(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """Put everything that came into one commit."""
    user = writable(store, request, repository)
    header: dict[str, Any] = {}
    changes: list[tuple[str, str, str]] = []
    for key, value in _lines(request.read()):
        if key == "header":
            header = value
        elif key == "file":
            changes.append(("set", value["path"], repository.objects.write("blob", _contents(value))))
        elif key == "lfsFile":
            changes.append(("set", value["path"], _pointer_to(store, repository, value)))
        elif key in ("deletedFile", "deletedFolder"):
            changes.append((key, value["path"], ""))
        else:
            raise StatusError(400, f"a local Hub does not know {key!r} in a commit")
    if not header.get("summary"):
        raise StatusError(400, "the commit has no summary")

    def change(files: dict[str, str]) -> None:
        for what, path, blob in changes:
            if what == "set":
                files[path] = blob
                continue
            below = path.rstrip("/") + "/"
            gone = [name for name in files if (name.startswith(below) if what == "deletedFolder" else name == path)]
            if not gone:
                raise StatusError(400, f"{path} does not exist and cannot be deleted")
            for name in gone:
                del files[name]

    message = f"{header['summary']}\n\n{header.get('description') or ''}".strip()
    oid = repository.commit(revision, change, author=user, message=message, parent=header.get("parentCommit"))
    where = f"{'datasets/' if repository.kind == 'dataset' else ''}{repository.name}"
    url = f"{request.origin}/{where}/commit/{oid}"
    return Response.json({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


def _lines(body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in body.splitlines():
        if line.strip():
            try:
                item = json.loads(line)
                yield item["key"], item["value"]
            except (ValueError, KeyError, TypeError):
                raise StatusError(400, f"a line of the commit cannot be read: {line[:80]!r}") from None


def _contents(value: dict[str, Any]) -> bytes:
    text = str(value.get("content", ""))
    try:
        contents = base64.b64decode(text, validate=True) if value.get("encoding") == "base64" else text.encode()
    except binascii.Error:
        raise StatusError(400, f"the contents of {value.get('path')} are not base64") from None
    if value.get("path") == "README.md":
        errors, _ = check_card(contents.decode(errors="replace"))
        if errors:
            raise StatusError(400, "Invalid metadata in README.md: " + "; ".join(errors))
    return contents


def _pointer_to(store: Store, repository: Repository, value: dict[str, Any]) -> str:
    sha256 = str(value.get("oid"))
    size = store.large_size(repository, sha256) if _SHA256.fullmatch(sha256) else None
    if size is None:
        raise StatusError(400, f"the large file {sha256} of {value.get('path')} has not been uploaded")
    return repository.objects.write("blob", pointer(sha256, size))
