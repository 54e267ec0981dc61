"""Repositories as wholes: who asks, making, deleting, describing and listing them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from deepwriting.hub.local.cards import check_card, metadata_of
from deepwriting.hub.local.entries import Entry
from deepwriting.hub.local.messages import Request, Response, StatusError
from deepwriting.hub.local.repository import MAIN, Repository
from deepwriting.hub.local.routes import route
from deepwriting.hub.local.store import KINDS, Store


def moment(seconds: float) -> str:
    """A time as the Hub writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def writable(store: Store, request: Request, repository: Repository) -> str:
    """The user's name, if the request may change the repository.

    Raises:
        StatusError: if it may not.
    """
    return store.require_write(request.token, repository.name.partition("/")[0]).user


@route("GET", "/api/whoami-v2")
def whoami(store: Store, request: Request) -> Response:
    """The user and what the token may do."""
    token = request.token
    if token is None:
        raise StatusError(401, "Invalid username or password.")
    organisations = [
        {"type": "org", "name": name, "fullname": name, "roleInOrg": "write", "isEnterprise": False}
        for name in store.namespaces
    ]
    access = {"displayName": f"local-{token.role}", "role": token.role, "createdAt": moment(0)}
    return Response.json(
        {
            "type": "user",
            "id": token.user,
            "name": token.user,
            "fullname": token.user,
            "isPro": False,
            "orgs": organisations,
            "auth": {"type": "access_token", "accessToken": access},
        }
    )


@route("POST", "/api/validate-yaml")
def validate_yaml(store: Store, request: Request) -> Response:
    """Whether the metadata at the beginning of a card can be used."""
    del store
    errors, warnings = check_card(str(request.json().get("content", "")))
    found = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return Response.json(found, 400 if errors else 200)


@route("POST", "/api/repos/create")
def create(store: Store, request: Request) -> Response:
    """Make a repository."""
    wanted = request.json()
    kind, name = wanted.get("type") or "model", str(wanted.get("name", ""))
    if kind not in KINDS:
        raise StatusError(400, f"a local Hub has {', '.join(KINDS)} repositories, not {kind!r}")
    if request.token is None:
        raise StatusError(401, "Invalid username or password.")
    namespace = wanted.get("organization") or request.token.user
    token = store.require_write(request.token, namespace)
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    url = f"{request.origin}/{'datasets/' if kind == 'dataset' else ''}{namespace}/{name}"
    try:
        made = store.create(kind, namespace, name, private=private, author=token.user)
    except StatusError as refused:
        if refused.status == 409:
            return Response.json({"error": refused.message, "url": url}, 409)
        raise
    return Response.json({"url": url, "name": made.name, "id": made.name})


@route("DELETE", "/api/repos/delete")
def delete(store: Store, request: Request) -> Response:
    """Take a repository away."""
    wanted = request.json()
    user = request.token.user if request.token else ""
    namespace = wanted.get("organization") or user
    kind = str(wanted.get("type") or "model")
    if kind not in KINDS:
        raise StatusError(404, "Repository not found", "RepoNotFound")
    repository = store.find(kind, namespace, str(wanted.get("name")), request.token)
    writable(store, request, repository)
    store.delete(repository)
    return Response.json({})


@route("PUT", "/api/{kind}/{namespace}/{name}/settings")
def change_settings(store: Store, request: Request, repository: Repository) -> Response:
    """Make a repository private, or public."""
    writable(store, request, repository)
    wanted = request.json()
    private = wanted.get("private", repository.settings["private"])
    if "visibility" in wanted:
        private = wanted["visibility"] == "private"
    repository.change_settings(private=bool(private))
    return Response.json({"private": bool(private)})


@route("GET", "/api/{kind}/{namespace}/{name}/auth-check")
def may_read(store: Store, request: Request, repository: Repository) -> Response:
    """Whether the request may read the repository: it has come this far."""
    del store, request, repository
    return Response.json({})


@route("GET", "/api/{kind}/{namespace}/{name}/auth-check/write")
def may_change(store: Store, request: Request, repository: Repository) -> Response:
    """Whether the request may change the repository."""
    writable(store, request, repository)
    return Response.json({})


@route("GET", "/api/{kind}/{namespace}/{name}")
def describe(store: Store, request: Request, repository: Repository) -> Response:
    """A repository at its main branch."""
    return describe_revision(store, request, repository, MAIN)


@route("GET", "/api/{kind}/{namespace}/{name}/revision/{revision}")
def describe_revision(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """A repository at a revision."""
    del store
    found = summary(repository, repository.resolve(revision), blobs=request.flag("blobs"))
    wanted = [name for value in request.query.get("expand", []) for name in value.split(",")]
    if wanted:
        found = {key: value for key, value in found.items() if key in ("id", "_id", *wanted)}
    return Response.json(found, headers={"X-Repo-Commit": repository.resolve(revision)})


def summary(repository: Repository, commit: str, *, blobs: bool = False) -> dict[str, Any]:
    """What the Hub tells about a repository at a commit."""
    files = repository.files(commit)
    card = metadata_of(repository, files)
    settings = repository.settings
    tags = [f"{key}:{value}" for key in ("license", "language", "task_categories") for value in _listed(card.get(key))]
    return {
        "_id": repository.name,
        "id": repository.name,
        "author": repository.name.partition("/")[0],
        "sha": commit,
        "createdAt": moment(settings["created"]),
        "lastModified": moment(repository.objects.read_commit(commit).time),
        "private": settings["private"],
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [*_listed(card.get("tags")), *tags],
        "cardData": card,
        "siblings": [_sibling(entry, blobs) for entry in files.values()],
        "usedStorage": sum(entry.size for entry in files.values()),
    }


def _listed(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)] if value else []


def _sibling(entry: Entry, blobs: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"rfilename": entry.path}
    if blobs:
        found |= {"size": entry.size, "blobId": entry.oid}
        if entry.sha256:
            found["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return found


@route("GET", "/api/{folder}")
def list_repositories(store: Store, request: Request, folder: str) -> Response:
    """Every repository of a kind that the request may see."""
    kind = next((kind for kind, name in KINDS.items() if name == folder), None)
    if kind is None:
        raise StatusError(404, f"a local Hub has no {request.path}")
    author, words = request.query.get("author"), request.query.get("search", [])
    return Response.json(
        [
            summary(repository, repository.resolve(MAIN))
            for repository in store.all(kind)
            if store.may_see(repository, request.token)
            and (not author or repository.name.startswith(f"{author[-1]}/"))
            and all(word.lower() in repository.name.lower() for word in words)
        ]
    )
