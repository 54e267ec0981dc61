"""A Hub that refuses, is busy, is slow, or is used by somebody else at the same moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.publishing.client import PRELUDE
from tests.publishing.conftest import edited

#: Requests that `huggingface_hub` sends once.
ONCE = (
    "whoami", "repos/create", "/refs", "validate-yaml", "preupload", "POST .*/commit/", "POST .*/tag/",
)  # fmt: skip


def test_busy_answers_are_waited_for_at_every_request(hub: Any, first: Path) -> None:
    done = hub.python(
        PRELUDE
        + f"""
for status, options in (("429", {{"retry_after": 1}}), ("503", {{}}), ("500", {{}}), ("408", {{}}), ("504", {{}})):
    forget(repositories=True)
    for match in {ONCE!r} + ("objects/batch", "PUT ", "/tree/"):
        fault(match, 1, status, **options)
    print(status, publish(folders[0], REPO).outcome, len(commits()), sum(l["fault"] is not None for l in requests()))
""",
        first,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [f"{status} published 2 10" for status in (429, 503, 500, 408, 504)]
    assert hub.token not in done.stderr


def test_a_hub_that_stays_down_is_told_in_one_line(hub: Any, first: Path) -> None:
    done = hub.python(
        PRELUDE
        + """
for match, status in (("POST .*/commit/", "503"), ("POST .*/tag/", "500"), ("PUT ", "502")):
    forget(repositories=True)
    start = prepare(folders[0], REPO)
    fault(match, 1, status, times=None)
    try:
        send(start)
    except HubError as error:
        print(error)
    forget()
    assert publish(folders[0], REPO).tag == "1.0.0"
""",
        first,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    commit, tag, upload = done.stdout.splitlines()
    assert commit.startswith("tester/essays: committing to main: the Hub answered 503")
    assert tag.startswith("tester/essays: adding the tag 1.0.0: the Hub answered 500")
    assert upload.startswith("tester/essays: committing to main: the Hub answered 502")


def test_a_slow_hub_is_waited_for_and_a_silent_one_is_not(hub: Any, first: Path) -> None:
    done = hub.python(
        PRELUDE
        + """
fault("whoami", 1, "slow", seconds=0.3)
fault("PUT ", 1, "slow", seconds=0.3)
with patient_client(0.8):
    print(publish(folders[0], REPO).outcome)
    fault("/refs", 1, "slow", seconds=1.2)  # longer than we wait: asked again
    print(publish(folders[0], REPO).outcome)
    print(sum("/refs" in line["path"] and line["fault"] == "slow" for line in requests()))
""",
        first,
    )
    assert done.stdout.splitlines() == ["published", "already published", "1"], done.stderr[-3000:]


def test_a_token_that_may_not_write_is_refused_before_anything_is_sent(hub: Any, first: Path) -> None:
    done = hub.cli("publish", first, "--repo", "tester/essays", HF_TOKEN=hub.read_token)
    assert done.returncode == 1
    assert "role is read" in " ".join(done.stdout.split())
    assert "→ hf auth login" in done.stderr
    assert "refused (token): nothing was sent" in done.stderr
    assert hub.read_token not in done.stdout + done.stderr

    done = hub.python(
        PRELUDE
        + """
for token in os.environ["TOKENS"].split(","):
    os.environ["HF_TOKEN"] = token
    prepared = prepare(folders[0], REPO)
    print([check.name for check in prepared.refused], prepared.refused[0].detail)
    assert not token or token not in str(prepared.checks)
""",
        first,
        TOKENS=f"hf_{'x' * 34},{hub.expired_token},",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    wrong, expired, none = done.stdout.splitlines()
    assert wrong.startswith("['token'] tester/essays: asking whose the token is: the Hub does not accept the token")
    assert expired.startswith("['token'] tester/essays: asking whose the token is: the Hub does not accept the token")
    assert none == "['token'] there is none, neither in HF_TOKEN nor from a login"
    assert not [line for line in hub.requests() if line["method"] != "GET"]


def test_a_token_that_expires_on_the_way(hub: Any, first: Path) -> None:
    done = hub.python(
        PRELUDE
        + """
for match in ("POST .*/commit/", "objects/batch", "POST .*/tag/"):
    forget(repositories=True)
    start = prepare(folders[0], REPO)
    fault(match, 1, "expired", times=None)
    try:
        send(start)
    except TokenError as error:
        print(error)
    forget()
    publish(folders[0], REPO)
""",
        first,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 3
    assert all("the Hub does not accept the token, or it has expired" in line for line in done.stdout.splitlines())


def test_somebody_else_pushes_at_the_same_moment(hub: Any, first: Path, second: Path, tmp_path: Path) -> None:
    rival = edited(second, tmp_path, lambda data: data["settings"].update(seed=8))
    done = hub.python(
        PRELUDE
        + """
first, second, rival = folders
publish(first, REPO)

def push(path):
    Repository(REPO).api.upload_file(path_or_fileobj=b"x", path_in_repo=path, repo_id=REPO, repo_type="dataset")

# A commit beside the release, between plan and commit: planned again, and both are there.
start = prepare(second, REPO)
push("notes.txt")
print(send(start).outcome, "notes.txt" in Repository(REPO).tree("1.1.0"))

print([check.verdict for check in prepare(rival, REPO).checks if check.name == "version"])

# A file of the release's: refused, and nothing of ours is there.
forget(repositories=True)
publish(first, REPO)
start = prepare(second, REPO)
push("data/default/train-00009-of-00010.parquet")
try:
    send(start)
except ConflictError as error:
    print(error)
assert "1.1.0" not in Repository(REPO).refs().tags

# 412 although nothing was seen to move.
forget(repositories=True)
publish(first, REPO)
fault("POST .*/commit/", 1, "412")
print(publish(second, REPO).outcome)
forget(repositories=True)
publish(first, REPO)
fault("POST .*/commit/", 1, "412", times=None)
try:
    publish(second, REPO)
except ConflictError as error:
    print(error)

# Another release of the same version, complete, between our check and our commit.
forget(repositories=True)
publish(first, REPO)
start = prepare(second, REPO)
publish(rival, REPO)
try:
    send(start)
except ConflictError as error:
    print(error)
assert len(commits()) == 3
""",
        first,
        second,
        rival,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    beside, published, own, once, for_ever, other = done.stdout.splitlines()
    assert beside == "published True"
    assert published == "['refused']"
    assert "somebody else has changed data/default/train-00009-of-00010.parquet; nothing was published" in own
    assert once == "published"
    assert for_ever.endswith("somebody else keeps committing to main; nothing was published")
    assert other == "tester/essays: somebody else has just published another 1.1.0"
