"""What a genuine client meets when the Hub fails at a chosen request, and what tokens may do."""

from __future__ import annotations

from tests.hub_server.fixtures import HubProcess

FAILING = """
import json, os, sys, time, urllib.request
import httpx2
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

ESSAYS = {"repo_id": "tester/essays", "repo_type": "dataset"}
api = HfApi()

def fault(match, nth, kind, **options):
    body = json.dumps({"match": match, "nth": nth, "kind": kind, **options}).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["HF_ENDPOINT"] + "/-/faults", body)).read()

def titles():
    return [commit.title for commit in api.list_repo_commits(**ESSAYS)]

def commit(title, contents=b"text", path="a.txt", **kwargs):
    operations = [CommitOperationAdd(path, contents + title.encode())]
    return api.create_commit(**ESSAYS, operations=operations, commit_message=title, **kwargs)

def failing(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except HfHubHTTPError as error:
        return error.response.status_code
    except httpx2.HTTPError as error:
        return type(error).__name__
    raise SystemExit(f"{args} {kwargs} did not fail")

api.create_repo(**ESSAYS)
commit("one")

# Cut before: nothing has happened. Cut after: it has, and the client does not know.
fault("POST .*/commit/", 1, "cut")
assert failing(commit, "lost") in ("RemoteProtocolError", "ReadError")
assert titles()[0] == "one"
fault("POST .*/commit/", 1, "cut-after")
assert failing(commit, "two") in ("RemoteProtocolError", "ReadError")
assert titles()[0] == "two"
fault("POST .*/commit/", 1, "cut-half")
assert failing(commit, "three") in ("RemoteProtocolError", "ReadError")
assert titles()[0] == "three"

# An upload that is cut in the middle is sent again by the client.
fault("PUT /large/upload", 1, "cut-body")
commit("large", os.urandom(3_000_000), "a.bin")
assert titles()[0] == "large"

# A download that is cut in the middle goes on where it stopped.
fault("GET /large/download", 1, "cut-half")
assert os.path.getsize(hf_hub_download(**ESSAYS, filename="a.bin")) == 3_000_005

# Refusals.
fault("POST .*/commit/", 2, "412")
commit("four")
assert failing(commit, "five") == 412
for kind, status in (("401", 401), ("expired", 401), ("500", 500)):
    fault("POST .*/commit/", 1, kind)
    assert failing(commit, "five") == status
assert titles()[0] == "four"

# Clients wait as long as they are told, and try again.
fault("GET .*/tree/", 1, "429", retry_after=1)
started = time.time()
assert len(list(api.list_repo_tree(**ESSAYS))) == 3
assert time.time() - started >= 1

fault("GET .*/api/datasets/tester/essays", 1, "slow", seconds=1.5)
try:
    api.dataset_info("tester/essays", timeout=0.3)
    raise SystemExit("the server was not slow")
except httpx2.TimeoutException:
    pass

# Tokens.
from datasets import load_dataset
write, read, expired = (os.environ[name] for name in ("HF_TOKEN", "READ_TOKEN", "EXPIRED_TOKEN"))
assert HfApi(token=read).whoami()["auth"]["accessToken"]["role"] == "read"
assert HfApi(token=read).dataset_info("tester/essays").id == "tester/essays"
for token, status in ((read, 403), (expired, 401), ("hf_" + "x" * 34, 401), (False, 401)):
    assert failing(HfApi(token=token).create_tag, **ESSAYS, tag="v1") == status, (token, status)
for token in (expired, "hf_" + "x" * 34):
    assert failing(HfApi(token=token).whoami) == 401
try:
    HfApi(token=expired).whoami()
except HfHubHTTPError as error:
    assert "is expired" in error.response.headers["X-Error-Message"]
assert not api.list_repo_refs(**ESSAYS).tags
"""


def test_failing(hub: HubProcess) -> None:
    done = hub.python(FAILING, READ_TOKEN=hub.read_token, EXPIRED_TOKEN=hub.expired_token)
    assert done.returncode == 0, done.stderr
    lines = hub.requests()
    cut = [line for line in lines if line["fault"] == "cut-body"]
    assert [0 < line["received"] < 3_000_000 for line in cut] == [True]
    assert sum(line["method"] == "PUT" for line in lines) == 2
    assert {line["fault"] for line in lines} >= {"cut", "cut-after", "cut-half", "412", "429", "slow", "expired"}
    hub.forget()
    assert not hub.requests()
