"""Jobs: starting them, looking at them, cancelling them, and what they have printed.

Only a Hub that was started for it runs jobs: whoever has the write token runs commands on this machine.
"""

from __future__ import annotations

import json
from typing import Any

from deepwriting.hub.local.api_repos import moment
from deepwriting.hub.local.jobs import Job, Jobs
from deepwriting.hub.local.messages import Request, Response, StatusError
from deepwriting.hub.local.routes import route
from deepwriting.hub.local.store import Store

#: Jobs on one page of a listing.
_PAGE = 50


@route("GET", "/api/jobs/hardware")
def hardware(store: Store, request: Request) -> Response:
    """The kinds of machines; here all of them are this one."""
    del store, request
    this = {"cpu": "this machine", "ram": "this machine's", "ephemeralStorage": "this machine's", "accelerator": None}
    price = {"unitCostMicroUSD": 0, "unitCostUSD": 0.0, "unitLabel": "minute"}
    return Response.json([{"name": name, "prettyName": name, **this, **price} for name in flavors()])


def flavors() -> list[str]:
    """The names of the Hub's kinds of machines, as the installed client knows them."""
    from huggingface_hub import JobHardware

    return [str(kind.value) for kind in JobHardware]


@route("POST", "/api/jobs/{namespace}")
def start(store: Store, request: Request, namespace: str) -> Response:
    """Start a job."""
    store.require_write(request.token, namespace)
    spec = request.json()
    command, flavor = spec.get("command"), spec.get("flavor")
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        raise StatusError(400, "command: a list of words is required")
    if not (spec.get("dockerImage") or spec.get("spaceId")):
        raise StatusError(400, "dockerImage or spaceId is required")
    if flavor not in flavors():
        raise StatusError(400, f"flavor: {flavor!r} is not one of {', '.join(flavors())}")
    return Response.json(_described(_jobs(store).start(namespace, spec, endpoint=request.origin)))


@route("GET", "/api/jobs/{namespace}")
def listing(store: Store, request: Request, namespace: str) -> Response:
    """The jobs of a namespace that are at the stages and have all the labels asked for, newest first."""
    store.require_write(request.token, namespace)
    stages = set(request.query.get("stage", []))
    labels = dict(label.partition("=")[::2] for label in request.query.get("label", []))
    found = [
        job
        for job in _jobs(store).all(namespace)
        if (not stages or job.stage in stages) and labels.items() <= dict(job.labels).items()
    ]
    start = int((request.query.get("cursor") or ["0"])[-1])
    headers = {}
    if start + _PAGE < len(found):
        kept = "&".join(f"{key}={value}" for key in ("stage", "label") for value in request.query.get(key, []))
        headers["Link"] = f'<{request.origin}{request.path}?{kept}&cursor={start + _PAGE}>; rel="next"'
    return Response.json([_described(job) for job in found[start : start + _PAGE]], headers=headers)


@route("GET", "/api/jobs/{namespace}/{id}")
def look(store: Store, request: Request, namespace: str, id: str) -> Response:  # noqa: A002 - as in the address
    """A job and its stage."""
    return Response.json(_described(_job(store, request, namespace, id)))


@route("POST", "/api/jobs/{namespace}/{id}/cancel")
def cancel(store: Store, request: Request, namespace: str, id: str) -> Response:  # noqa: A002
    """End a job."""
    job = _job(store, request, namespace, id)
    _jobs(store).cancel(job)
    return Response.json(_described(job))


@route("GET", "/api/jobs/{namespace}/{id}/logs")
def logs(store: Store, request: Request, namespace: str, id: str) -> Response:  # noqa: A002
    """What a job has printed so far, as events."""
    job = _job(store, request, namespace, id)
    lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    if tail := request.query.get("tail"):
        lines = lines[-int(tail[-1]) :]
    when = moment(job.started or job.created)
    events = "".join(f"data: {json.dumps({'timestamp': when, 'data': line})}\n\n" for line in lines)
    return Response(200, {"Content-Type": "text/event-stream"}, events.encode())


def _jobs(store: Store) -> Jobs:
    if store.jobs is None:
        raise StatusError(403, "this Hub runs no jobs; start it with: deepwriting hub --local --jobs")
    return store.jobs


def _job(store: Store, request: Request, namespace: str, id_: str) -> Job:
    store.require_write(request.token, namespace)
    job = _jobs(store).find(namespace, id_)
    if job is None:
        raise StatusError(404, f"Job not found: {namespace}/{id_}")
    return job


def _described(job: Job) -> dict[str, Any]:
    spec = job.spec
    return {
        "id": job.id,
        "createdAt": moment(job.created),
        "startedAt": moment(job.started) if job.started else None,
        "finishedAt": moment(job.finished) if job.finished else None,
        "dockerImage": spec.get("dockerImage"),
        "spaceId": spec.get("spaceId"),
        "command": spec["command"],
        "arguments": spec.get("arguments") or [],
        "environment": spec.get("environment") or {},
        "flavor": spec["flavor"],
        "labels": dict(job.labels),
        "status": {"stage": job.stage, "message": job.message},
        "owner": {"id": job.namespace, "name": job.namespace, "type": "user"},
        "initiator": {"type": "user", "id": job.namespace, "name": job.namespace},
    }
