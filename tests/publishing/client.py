"""What the publishing client's scripts begin with: short waits, and the Hub's controls."""

PRELUDE = """
import copy, json, os, sys, time, urllib.request
rest = time.sleep
time.sleep = lambda seconds: rest(min(seconds, 0.01))  # waits between attempts, which are seconds
from pathlib import Path
from deepwriting.errors import ConflictError, DeepWritingError, HubError, RefusedError, TokenError
from deepwriting.hub.patience import patient_client
from deepwriting.hub.preflight.base import Permissions
from deepwriting.hub.prepare import prepare
from deepwriting.hub.publish import publish
from deepwriting.hub.repository import Repository
from deepwriting.hub.send import send
from deepwriting.hub.yanked import yank

REPO = "tester/essays"
folders = [Path(text) for text in sys.argv[1:]]

def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["HF_ENDPOINT"] + path, data, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)

def fault(match, nth, kind, **options):
    call("POST", "/-/faults", {"match": match, "nth": nth, "kind": kind, **options})

def forget(repositories=False):
    call("POST", "/-/forget", {"repositories": repositories})

def requests():
    return call("GET", "/-/requests")

def commits(branch="main"):
    return [entry.title for entry in Repository(REPO).api.list_repo_commits(REPO, repo_type="dataset", revision=branch)]
"""
