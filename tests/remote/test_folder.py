from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path

import pytest

from deepwriting.errors import RemoteError
from deepwriting.remote.folder import RemoteFolder, _message
from tests.remote.s3_server import S3Server, forget_stores


def test_objects_come_and_go(bucket: str, tmp_path: Path) -> None:
    folder = RemoteFolder(bucket)
    assert folder.list() == {}
    assert folder.entry("a.txt") is None
    folder.write("a.txt", b"one")
    (tmp_path / "b").write_bytes(b"two")
    uploaded = folder.upload(tmp_path / "b", "deep/er/b.txt")
    assert list(folder.list()) == ["a.txt", "deep/er/b.txt"]
    assert folder.list("deep") == {"deep/er/b.txt": uploaded}
    assert folder.read("a.txt") == b"one"
    folder.download("deep/er/b.txt", tmp_path / "new" / "b")
    assert (tmp_path / "new" / "b").read_bytes() == b"two"
    folder.delete(["a.txt", "deep/er/b.txt", "never.txt"])
    assert folder.list() == {}
    with pytest.raises(FileNotFoundError):
        folder.read("a.txt")


def test_a_name_that_begins_alike_is_another_folder(bucket: str) -> None:
    folder = RemoteFolder(bucket)
    folder.write("part/x", b"1")
    folder.write("parts/y", b"2")
    assert list(folder.list("part")) == ["part/x"]


def test_the_version_follows_the_content(bucket: str) -> None:
    folder = RemoteFolder(bucket)
    folder.write("a", b"one")
    first = folder.entry("a")
    folder.write("a", b"two")
    second = folder.entry("a")
    assert first is not None
    assert second is not None
    assert first.version != second.version
    assert second == folder.list()["a"]
    assert second.modified is not None
    assert abs(second.modified - folder.now()) < 10


def test_only_one_creates(bucket: str) -> None:
    made: list[bytes] = []

    def create(content: bytes) -> None:
        if RemoteFolder(bucket).create("claim", content):
            made.append(content)

    threads = [threading.Thread(target=create, args=(b"%d" % number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [RemoteFolder(bucket).read("claim")]
    # An answer that was lost, and the same request again.
    assert RemoteFolder(bucket).create("claim", made[0])
    assert not RemoteFolder(bucket).create("claim", b"other")


def test_no_such_bucket(bucket: str) -> None:
    with pytest.raises(RemoteError, match="s3://never-made/run/a: there is no such bucket"):
        RemoteFolder("s3://never-made/run").write("a", b"one")
    with pytest.raises(RemoteError, match="s3://never-made/run: there is no such bucket"):
        RemoteFolder("s3://never-made/run").now()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere://x/y", "no place that fsspec knows"),
        pytest.param(
            "gs://bucket/run",
            "pip install gcsfs",
            marks=pytest.mark.skipif(importlib.util.find_spec("gcsfs") is not None, reason="gcsfs is installed"),
        ),
    ],
)
def test_places_that_cannot_be_used(url: str, said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        RemoteFolder(url).list()


def test_waits_for_a_store_that_comes_back(bucket: str) -> None:
    server = S3Server()
    port = int(server.endpoint.rpartition(":")[2])
    server.stop()
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        import s3fs

        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setattr(s3fs.S3FileSystem, "retries", 1)
        s3fs.S3FileSystem.clear_instance_cache()
        back: list[S3Server] = []
        thread = threading.Thread(target=lambda: (time.sleep(0.5), back.append(S3Server(port))))
        thread.start()
        try:
            assert RemoteFolder(bucket, patience=60).list() == {}
        finally:
            thread.join()
            back[0].stop()
        s3fs.S3FileSystem.clear_instance_cache()
    assert time.monotonic() - began > 0.5


def test_gives_up_and_says_where(bucket: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        import s3fs

        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setattr(s3fs.S3FileSystem, "retries", 1)
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(RemoteError, match=rf"cannot read {bucket}/a, tried for"):
            RemoteFolder(bucket, patience=0.1).read("a")
        s3fs.S3FileSystem.clear_instance_cache()


def test_keys_that_are_not_there_are_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget_stores()
    try:
        folder = RemoteFolder("s3://nobody-has-this/run", patience=60)
        with pytest.raises(RemoteError, match="cannot list s3://nobody-has-this/run: NoCredentialsError"):
            folder.list()
    finally:
        forget_stores()


def test_no_signed_address_is_told() -> None:
    said = _message(OSError("403 for https://store.example/a/b?X-Amz-Signature=abc123&X-Amz-Date=1\nand more"))
    assert said == "OSError: 403 for https://store.example/a/b"
