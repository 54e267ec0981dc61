"""A Hub that is killed while it works has lost nothing that it said was done."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import subprocess
import threading

from tests.hub_server.fixtures import HubProcess


def ask(hub: HubProcess, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {hub.token}"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_killed_at_any_moment(hub: HubProcess) -> None:
    api = "/api/datasets/tester/essays"
    assert ask(hub, "POST", "/api/repos/create", b'{"name": "essays", "type": "dataset"}')[0] == 200
    numbers, done = itertools.count(), []

    def work() -> None:
        """Commits and tags, one after the other, until the server is gone."""
        for number in numbers:
            lines = [
                {"key": "header", "value": {"summary": f"number {number}"}},
                {"key": "file", "value": {"path": f"{number % 7}/a.txt", "content": str(number)}},
            ]
            try:
                status, answer = ask(
                    hub, "POST", f"{api}/commit/main", b"\n".join(json.dumps(x).encode() for x in lines)
                )
                assert status == 200
                oid = json.loads(answer)["commitOid"]
                tag = json.dumps({"tag": f"v{number}", "message": "kept"}).encode()
                assert ask(hub, "POST", f"{api}/tag/{oid}", tag)[0] == 200
            except (OSError, http.client.HTTPException):
                return
            done.append((f"v{number}", oid))

    rng = random.Random(0)
    for _ in range(3):
        worker = threading.Thread(target=work)
        worker.start()
        worker.join(rng.uniform(0.1, 0.4))
        hub.process.kill()
        worker.join()
        hub.restart()
    assert len(done) > 3
    refs = json.loads(ask(hub, "GET", f"{api}/refs")[1])
    tags = {tag["name"]: tag["targetCommit"] for tag in refs["tags"]}
    assert tags.items() >= dict(done).items()
    git = ["git", f"--git-dir={hub.data / 'datasets' / 'tester' / 'essays.git'}"]
    checked = subprocess.run([*git, "fsck", "--full", "--strict"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    log = subprocess.run([*git, "log", "--format=%H", "main"], capture_output=True, text=True, check=True)
    assert set(log.stdout.split()) >= {oid for _, oid in done}
