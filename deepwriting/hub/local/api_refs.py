"""Branches, tags and history of a repository."""

from __future__ import annotations

from typing import Any

from deepwriting.hub.local.api_repos import moment, writable
from deepwriting.hub.local.messages import Request, Response
from deepwriting.hub.local.repository import MAIN, RefKind, Repository
from deepwriting.hub.local.routes import route
from deepwriting.hub.local.store import Store

#: Commits on one page of a history.
_PAGE = 50


@route("GET", "/api/{kind}/{namespace}/{name}/refs")
def refs(store: Store, request: Request, repository: Repository) -> Response:
    """Branches and tags."""
    del store

    def listed(kind: RefKind) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}
            for name, commit in repository.refs(kind).items()
        ]

    found: dict[str, Any] = {"branches": listed("heads"), "tags": listed("tags"), "converts": []}
    if request.flag("include_prs"):
        found["pullRequests"] = []
    return Response.json(found)


@route("GET", "/api/{kind}/{namespace}/{name}/commits/{revision}")
def commits(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """History of a revision, newest first, a page at a time."""
    del store
    history = list(repository.history(repository.resolve(revision)))
    page = int((request.query.get("p") or ["0"])[-1])
    found = [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.message.partition("\n")[2].strip(),
            "authors": [{"user": commit.author}],
            "date": moment(commit.time),
        }
        for commit in history[page * _PAGE : (page + 1) * _PAGE]
    ]
    headers = {"X-Total-Count": str(len(history))}
    if len(history) > (page + 1) * _PAGE:
        headers["Link"] = f'<{request.origin}{request.path}?p={page + 1}>; rel="next"'
    return Response.json(found, headers=headers)


@route("POST", "/api/{kind}/{namespace}/{name}/tag/{revision}")
def add_tag(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """Give a revision a name that does not move."""
    user = writable(store, request, repository)
    wanted = request.json()
    commit = repository.resolve(revision)
    repository.add_ref(
        "tags", str(wanted.get("tag", "")), commit, author=user, message=str(wanted.get("message") or "")
    )
    return Response.json({})


@route("DELETE", "/api/{kind}/{namespace}/{name}/tag/{tag}")
def remove_tag(store: Store, request: Request, repository: Repository, tag: str) -> Response:
    """Take a name away."""
    writable(store, request, repository)
    repository.remove_ref("tags", tag)
    return Response.json({})


@route("POST", "/api/{kind}/{namespace}/{name}/branch/{branch}")
def add_branch(store: Store, request: Request, repository: Repository, branch: str) -> Response:
    """Make a branch."""
    writable(store, request, repository)
    start = request.json().get("startingPoint") or MAIN
    repository.add_ref("heads", branch, repository.resolve(start))
    return Response.json({})


@route("DELETE", "/api/{kind}/{namespace}/{name}/branch/{branch}")
def remove_branch(store: Store, request: Request, repository: Repository, branch: str) -> Response:
    """Take a branch away."""
    writable(store, request, repository)
    repository.remove_ref("heads", branch)
    return Response.json({})
