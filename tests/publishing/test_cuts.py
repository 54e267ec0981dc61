"""A connection that is lost at every single request of a publish: no half release, and the same call goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.publishing.client import PRELUDE

CUTS = (
    PRELUDE
    + """
how, folder = os.environ["CUT"], folders[0]
start = prepare(folder, REPO)
assert not start.refused, start.refused
files = {file.path: file for file in start.files}

def state():
    repository = Repository(REPO)
    if repository.private() is None:
        return "no repository", "no tag"
    refs = repository.refs()
    seen = (refs.branches["main"], *refs.tags.values())
    trees = [set(repository.tree(commit)) - {".gitattributes"} for commit in seen]
    assert all(tree in (set(), set(files)) for tree in trees), trees
    assert set(refs.tags) <= {"1.0.0"}
    assert all(trees[1:]), "a tag without a release"
    return ("release" if trees[0] else "empty"), ("tag" if refs.tags else "no tag")

# Once without a fault, to count the requests of a publish.
send(copy.deepcopy(start))
asked = [line["method"] + " " + line["path"] for line in requests()][2:]  # without those of prepare
places = list(range(1, len(asked) + 2))
if how == "cut-after":  # only where something was written does it matter
    writing = ("POST /api/repos/create", "PUT ", "/lfs/verify", "/commit/", "/tag/")
    places = sorted({1 + next(n for n, line in enumerate(asked) if part in line) for part in writing})
seen = []
for nth in places:
    forget(repositories=True)
    if how == "cut-after":
        fault(".", nth, "cut-after")
        fault(".", nth + 1, "cut", times=None)
    else:
        fault(".", nth, "cut", times=None)
    try:
        send(copy.deepcopy(start))
        ended = "published"
    except HubError as error:
        ended = "lost"
    before = [line for line in requests() if line["method"] == "PUT"]
    forget()
    left = state()
    forget()
    done = send(prepare(folder, REPO))
    again = [line["path"] for line in requests() if line["method"] == "PUT"]
    assert not {line["path"] for line in before if line["status"] == 200} & set(again), "sent twice"
    assert state() == ("release", "tag")
    assert len(commits()) == 2, commits()
    seen.append([ended, *left, done.outcome, len(again)])
print(json.dumps(seen))
"""
)


@pytest.mark.parametrize("how", ["cut", "cut-after"])
def test_a_cut_at_every_request_leaves_no_half_release_and_the_same_call_goes_on(
    hub: Any, first: Path, how: str
) -> None:
    done = hub.python(CUTS, first, CUT=how)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    if how == "cut":
        assert len(seen) > 15
        assert seen.pop() == ["published", "release", "tag", "already published", 0], "the fault came after the end"
    assert all(entry[0] == "lost" for entry in seen)
    # Every state on the way was seen, and each ended right.
    states = {(entry[1], entry[2], entry[3]) for entry in seen}
    assert ("empty", "no tag", "published") in states
    assert ("release", "no tag", "tagged") in states
    assert ("release", "tag", "already published") in states
    # Where large files had arrived before the cut, fewer or none were sent again.
    assert len({entry[4] for entry in seen}) > 1


def test_a_commit_whose_answer_was_lost_is_not_made_twice(hub: Any, first: Path) -> None:
    done = hub.python(
        PRELUDE
        + """
for kind in ("cut-after", "cut-half"):
    forget(repositories=True)
    fault("POST .*/commit/", 1, kind)
    fault("POST .*/tag/", 1, kind)
    fault("POST /api/repos/create", 1, kind)
    print(publish(folders[0], REPO).outcome, len(commits()))
""",
        first,
    )
    assert done.stdout.splitlines() == ["published 2", "published 2"], done.stderr[-3000:]
