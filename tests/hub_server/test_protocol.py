"""Details of the protocol that clients rely on, asked for without a client between."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from deepwriting.hub.local.faults import Faults
from deepwriting.hub.local.server import LocalHub
from deepwriting.hub.local.tokens import Tokens

Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture
def local(tmp_path: Path) -> Any:
    with LocalHub(tmp_path / "data", user="tester", testing=True).running() as hub:
        yield hub


@pytest.fixture
def ask(local: LocalHub) -> Ask:
    """Sends one request: ``ask("GET", "/path", {...}, Range="bytes=0-1") -> (status, headers, body)``."""
    address = local.endpoint.removeprefix("http://")

    def send(method: str, path: str, body: Any = None, role: Any = "write", **headers: str) -> Any:
        if role:
            headers["Authorization"] = f"Bearer {local.store.tokens.of_role(role)}"
        connection = http.client.HTTPConnection(address, timeout=20)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path.removeprefix(local.endpoint), data, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    return send


def commit(ask: Ask, *lines: dict[str, Any], branch: str = "main", role: str = "write") -> tuple[int, dict[str, Any]]:
    header = {"key": "header", "value": {"summary": "a change"}}
    body = b"\n".join(json.dumps(line).encode() for line in (header, *lines))
    status, _, answer = ask("POST", f"/api/datasets/tester/essays/commit/{branch}", body, role)
    return status, json.loads(answer)


def text(path: str, contents: str) -> dict[str, Any]:
    return {
        "key": "file",
        "value": {"path": path, "content": base64.b64encode(contents.encode()).decode(), "encoding": "base64"},
    }


@pytest.fixture
def essays(ask: Ask) -> str:
    """A private repository; the address of its API."""
    wanted = {"name": "essays", "type": "dataset", "visibility": "private"}
    assert ask("POST", "/api/repos/create", wanted)[0] == 200
    return "/api/datasets/tester/essays"


def test_parts_of_a_file(ask: Ask, essays: str) -> None:
    status, answer = commit(ask, text("notes.txt", "0123456789"))
    assert status == 200
    path = "/datasets/tester/essays/resolve/main/notes.txt"
    status, headers, body = ask("HEAD", path)
    assert (status, headers["Content-Length"], body) == (200, "10", b"")
    assert headers["X-Repo-Commit"] == answer["commitOid"]
    blob = hashlib.sha1(b"blob 10\x000123456789", usedforsecurity=False).hexdigest()
    assert headers["ETag"] == f'"{blob}"'
    for wanted, found, part in (
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ):
        status, headers, body = ask("GET", path, Range=wanted)
        assert (status, body, headers["Content-Range"]) == (206, found, part)
    status, headers, _ = ask("GET", path, Range="bytes=10-")
    assert (status, headers["Content-Range"]) == (416, "bytes */10")
    # What is no range of bytes is ignored, as the standard has it.
    assert ask("GET", path, Range="lines=1-2")[0] == 200


def test_errors_have_the_codes_that_clients_tell_apart(ask: Ask, essays: str) -> None:
    status, headers, _ = ask("GET", "/datasets/tester/essays/resolve/main/nothing.txt")
    assert (status, headers["X-Error-Code"], len(headers["X-Repo-Commit"])) == (404, "EntryNotFound", 40)
    status, headers, _ = ask("GET", essays + "/revision/nowhere")
    assert (status, headers["X-Error-Code"]) == (404, "RevisionNotFound")
    status, headers, _ = ask("GET", "/api/datasets/tester/none")
    assert (status, headers["X-Error-Code"]) == (404, "RepoNotFound")
    # Nobody can tell a private repository from none.
    assert ask("GET", essays, role=None)[0] == ask("GET", "/api/datasets/tester/none", role=None)[0] == 401
    assert ask("GET", "/api/models/tester/essays")[0] == 404
    assert ask("GET", "/api/nonsense/tester/essays")[0] == 404


@pytest.mark.parametrize(
    "path", ["../escape", "a/../../b", "/root", "a//b", ".git/config", "a/.GIT/x", "a\\b", "", "a\nb"]
)
def test_paths_that_no_file_can_have(ask: Ask, essays: str, path: str) -> None:
    before = json.loads(ask("GET", essays)[2])["sha"]
    status, answer = commit(ask, text("fine.txt", "fine"), text(path, "not"))
    assert status == 400, answer
    assert json.loads(ask("GET", essays)[2])["sha"] == before


def test_a_file_cannot_be_a_folder_too(ask: Ask, essays: str) -> None:
    assert commit(ask, text("a", "file"))[0] == 200
    status, answer = commit(ask, text("a/b", "file"))
    assert (status, "a file and a folder" in answer["error"]) == (400, True)


@pytest.mark.parametrize("name", ["..", "a..b", "-x", "a b", "x.lock", "/x", "x/", "a" * 40])
def test_names_that_no_tag_can_have(ask: Ask, essays: str, name: str) -> None:
    assert ask("POST", essays + "/tag/main", {"tag": name})[0] == 400


def test_a_tag_and_a_folder_of_tags(ask: Ask, essays: str) -> None:
    def tags() -> list[str]:
        return [tag["name"] for tag in json.loads(ask("GET", essays + "/refs")[2])["tags"]]

    assert ask("POST", essays + "/tag/main", {"tag": "yanked/v1/a"})[0] == 200
    assert ask("POST", essays + "/tag/main", {"tag": "yanked"})[0] == 400
    assert ask("POST", essays + "/tag/main", {"tag": "yanked/v1/a/b"})[0] == 400
    assert tags() == ["yanked/v1/a"]
    assert ask("DELETE", essays + "/tag/yanked%2Fv1%2Fa")[0] == 200
    assert ask("DELETE", essays + "/tag/yanked%2Fv1%2Fa")[0] == 404
    assert ask("POST", essays + "/tag/main", {"tag": "yanked"})[0] == 200
    assert tags() == ["yanked"]


@pytest.mark.parametrize("name", ["..", "a--b", ".hidden", "x.git", "a" * 97, "a/b", "ü"])
def test_names_that_no_repository_can_have(ask: Ask, local: LocalHub, name: str) -> None:
    assert ask("POST", "/api/repos/create", {"name": name, "type": "dataset"})[0] == 400
    assert not list(local.store.all("dataset"))


def test_large_files_are_what_they_say(ask: Ask, essays: str, local: LocalHub) -> None:
    contents = bytes(range(256)) * 10
    sha256 = hashlib.sha256(contents).hexdigest()
    named = {"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", "oid": sha256, "size": len(contents)}}
    status, answer = commit(ask, named)
    assert (status, "has not been uploaded" in answer["error"]) == (400, True)

    batch = "/datasets/tester/essays.git/info/lfs/objects/batch"
    wanted = {"operation": "upload", "objects": [{"oid": sha256, "size": len(contents)}]}
    [found] = json.loads(ask("POST", batch, wanted)[2])["objects"]
    href = found["actions"]["upload"]["href"]
    # To a client that is another origin, and no token is sent there.
    assert href.startswith(local.endpoint.replace("127.0.0.1", "localhost"))
    there = href[href.index("/large/") :]
    assert ask("PUT", there, contents[:-1] + b"?", role=None)[0] == 400
    assert ask("PUT", there.replace("signature=", "signature=0"), contents, role=None)[0] == 403
    assert ask("PUT", there.replace(sha256, "0" * 64), contents, role=None)[0] == 403
    assert not local.store.stored().large
    assert ask("PUT", there, contents, role=None)[0] == 200
    [found] = json.loads(ask("POST", batch, wanted)[2])["objects"]
    assert "actions" not in found
    assert local.store.stored().large == len(contents)

    assert commit(ask, named)[0] == 200
    status, headers, _ = ask("HEAD", "/datasets/tester/essays/resolve/main/a.bin")
    assert (status, headers["X-Linked-Size"], headers["X-Linked-Etag"]) == (302, str(len(contents)), f'"{sha256}"')
    where = headers["Location"][headers["Location"].index("/large/") :]
    assert ask("GET", where, role=None)[2] == contents
    status, headers, body = ask("GET", where, role=None, Range="bytes=300-309")
    assert (status, body) == (206, contents[300:310])
    # Another repository has no part in it.
    assert ask("POST", "/api/repos/create", {"name": "other", "type": "dataset"})[0] == 200
    assert ask("GET", where.replace("essays", "other"), role=None)[0] == 403


def test_sizes_of_what_git_holds(ask: Ask, essays: str) -> None:
    # What is compressed with tables of its own, as text of many different letters is, tells its size late.
    contents = [
        "",
        "short",
        *(base64.b64encode(random.Random(seed).randbytes(seed * 997)).decode() for seed in range(1, 9)),
    ]
    assert commit(ask, *(text(f"{index}.txt", each) for index, each in enumerate(contents)))[0] == 200
    found = {item["path"]: item["size"] for item in json.loads(ask("GET", essays + "/tree/main")[2])}
    assert [found[f"{index}.txt"] for index in range(len(contents))] == [len(each) for each in contents]


def test_names_of_files_are_any_text(ask: Ask, essays: str) -> None:
    path = "essais d'été/50 %/第一 #1?.txt"
    assert commit(ask, text(path, "là"))[0] == 200
    status, headers, body = ask("GET", f"/datasets/tester/essays/resolve/main/{quote(path)}")
    assert (status, body.decode()) == (200, "là")
    assert headers["Content-Disposition"] == f"inline; filename*=UTF-8''{quote('第一 #1?.txt')}"
    found = json.loads(ask("GET", f"{essays}/tree/main/{quote(path.rpartition('/')[0], safe='')}")[2])
    assert [item["path"] for item in found] == [path]
    fields = urlencode({"paths": [path, "essais d'été"], "expand": True}, doseq=True).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    found = json.loads(ask("POST", essays + "/paths-info/main", fields, **form)[2])
    assert [(item["type"], item["lastCommit"]["title"]) for item in found] == [
        ("file", "a change"),
        ("directory", "a change"),
    ]


def test_of_commits_on_one_parent_one_wins(ask: Ask, essays: str) -> None:
    parent = json.loads(ask("GET", essays)[2])["sha"]

    def push(index: int, on: str | None) -> int:
        value = {"summary": f"number {index}", **({"parentCommit": on} if on else {})}
        lines = [{"key": "header", "value": value}, text(f"{index}.txt", "x")]
        body = b"\n".join(json.dumps(line).encode() for line in lines)
        return ask("POST", essays + "/commit/main", body)[0]

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(push, range(8), [parent] * 8)) == [200] + [412] * 7
        assert set(pool.map(push, range(10, 18), [None] * 8)) == {200}
    # Nothing that was accepted is lost.
    assert len(json.loads(ask("GET", essays + "/commits/main")[2])) == 10
    assert len(json.loads(ask("GET", essays + "/tree/main")[2])) == 10


def test_long_listings_come_in_pages(ask: Ask, essays: str) -> None:
    assert commit(ask, *(text(f"f/{index:04}.txt", str(index)) for index in range(60)))[0] == 200
    status, headers, body = ask("GET", essays + "/tree/main?recursive=true&expand=true")
    assert (status, len(json.loads(body))) == (200, 50)
    following = headers["Link"].removeprefix("<").partition(">")[0]
    status, headers, rest = ask("GET", following)
    assert (len(json.loads(rest)), "Link" in headers) == (12, False)
    paths = [item["path"] for item in json.loads(body) + json.loads(rest)]
    assert len(set(paths)) == 62
    assert json.loads(ask("GET", essays + "/tree/main/f?recursive=false")[2])[59]["path"] == "f/0059.txt"


def test_history_comes_in_pages(ask: Ask, essays: str) -> None:
    for index in range(50):
        assert commit(ask, text("a.txt", str(index)))[0] == 200
    _, headers, body = ask("GET", essays + "/commits/main")
    assert (len(json.loads(body)), headers["X-Total-Count"]) == (50, "51")
    [last] = json.loads(ask("GET", headers["Link"].removeprefix("<").partition(">")[0])[2])
    assert last["title"] == "initial commit"


def test_what_cannot_be_read_is_refused(ask: Ask, essays: str) -> None:
    address = essays + "/commit/main"
    assert ask("POST", address, b"not json")[0] == 400
    assert ask("POST", address, b"")[0] == 400
    assert ask("POST", address, b'{"key": "header", "value": {"summary": ""}}')[0] == 400
    assert commit(ask, {"key": "file", "value": {"path": "a", "content": "*", "encoding": "base64"}})[0] == 400
    assert commit(ask, {"key": "unheard", "value": {}})[0] == 400
    assert commit(ask, {"key": "deletedFile", "value": {"path": "nothing"}})[0] == 400
    assert commit(ask, text("a", "b"), branch="nowhere")[0] == 404
    assert ask("POST", essays + "/preupload/main", {"files": [{"path": "a"}]})[0] == 400
    assert ask("POST", "/api/repos/create", {"name": "a", "type": "space"})[0] == 400


def test_cards(ask: Ask) -> None:
    def validate(card: str) -> tuple[int, list[str], list[str]]:
        status, _, body = ask("POST", "/api/validate-yaml", {"content": card, "repoType": "dataset"})
        found = json.loads(body)
        return status, [item["message"] for item in found["errors"]], [item["message"] for item in found["warnings"]]

    assert validate("---\nlicense: mit\nlanguage: [en]\nsize_categories: [n<1K]\n---\ntext") == (200, [], [])
    assert validate("# no metadata")[2] == ["empty or missing yaml metadata in repo card"]
    for card, message in (
        ("tags: [", "cannot be read"),
        ("- a", "must be a mapping"),
        ("license: MIT License", "in lower case, not 'MIT License'"),
        ("language: [no, 1]", "not False"),
        ("size_categories: many", "must be one of n<1K"),
        ("configs: [{data_files: a}]", 'with "config_name"'),
    ):
        status, errors, _ = validate(f"---\n{card}\n---\n")
        assert (status, any(message in error for error in errors)) == (400, True), (card, errors)


def test_tokens_are_kept_and_for_their_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "tokens.json"
    first = Tokens(file, "somebody")
    assert file.stat().st_mode & 0o077 == 0
    again = Tokens(file, "somebody else")
    assert again.user == "somebody"
    assert again.of_role("write") == first.of_role("write") != first.of_role("read")
    assert again.find("hf_nonsense") is None


def test_a_fault_happens_when_its_turn_comes() -> None:
    faults = Faults()
    faults.add(match="POST .*/commit/", nth=2, kind="503", times=2)
    faults.add(match="GET", nth=1, kind="cut", times=None)
    happened = [faults.begin("POST", "/api/commit/main", None)[1] for _ in range(5)]
    assert [fault is not None for fault in happened] == [False, True, True, False, False]
    assert all(faults.begin("GET", "/x", None)[1] for _ in range(3))
    assert [line["fault"] for line in faults.log()][:2] == [None, "503"]
    for wrong in ("explode", "200", "5xx"):
        with pytest.raises(ValueError, match="there is no fault"):
            faults.add(match="", nth=1, kind=wrong)


def test_faults_are_for_testing_only(tmp_path: Path) -> None:
    with LocalHub(tmp_path).running() as hub:
        connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"), timeout=20)
        for method, path in (("POST", "/-/faults"), ("GET", "/-/requests"), ("POST", "/-/forget")):
            connection.request(method, path, b"{}")
            response = connection.getresponse()
            assert (response.status, response.read()) != (200, b"")
            assert response.status == 404
        connection.request("GET", "/-/stored")
        assert json.load(connection.getresponse()) == {"git": 0, "large": 0, "xet": 0, "total": 0}
        connection.close()
