"""The rules that publishing states: versions, licences, and what a secret looks like."""

from __future__ import annotations

import pytest

from deepwriting.errors import HubError
from deepwriting.hub.patience import wait_before
from deepwriting.hub.preflight.licences import may_be_passed_on, refused_licences
from deepwriting.hub.preflight.rights import is_repository
from deepwriting.hub.preflight.secrets import find_paths, find_secrets, is_local_path, redacted
from deepwriting.hub.versions import Version, bump_between, is_enough, parse_version, published
from deepwriting.hub.yanked import Yank, parse_yanked, with_note, without_note


def test_versions_and_their_order() -> None:
    assert parse_version("1.10.0") > parse_version("1.9.9")  # type: ignore[operator]
    assert [parse_version(text) for text in ("v1.0.0", "1.0", "1.0.0-rc1", "01.0.0", "1.0.0 ", "")] == [None] * 6
    assert published(["main", "1.0.0", "v1.1.0", "0.9.0", "v1.0.0", "1.0.0-rc"]) == {
        Version(0, 9, 0): "0.9.0",
        Version(1, 0, 0): "1.0.0",
        Version(1, 1, 0): "v1.1.0",
    }


def test_a_version_grows_by_at_least_what_the_change_asks_for() -> None:
    old = Version(1, 2, 3)
    assert [str(old.grown(bump)) for bump in ("major", "minor", "patch")] == ["2.0.0", "1.3.0", "1.2.4"]
    assert bump_between(old, Version(1, 2, 9)) == "patch"
    assert bump_between(old, Version(1, 3, 0)) == "minor"
    assert bump_between(old, Version(3, 0, 0)) == "major"
    assert is_enough("minor", "patch")
    assert not is_enough("patch", "minor")


@pytest.mark.parametrize(
    "name",
    ["CC0-1.0", "cc-by-4.0", "CC BY-SA 3.0", "CC-BY-NC-4.0", "MIT", "public domain", "Public Domain (US)", "ODC-By",
     "MIT AND CC-BY-4.0", "cc-by-2.5-it", "CC-BY-SA"],
)  # fmt: skip
def test_licences_that_pass(name: str) -> None:
    assert may_be_passed_on(name)


@pytest.mark.parametrize(
    "name",
    ["CC-BY-ND-4.0", "cc-by-nc-nd-3.0", "All rights reserved", "unknown", "see the source's card", "", "other", "cc",
     "MIT AND CC-BY-ND-4.0", "proprietary", "Reddit terms", "not public domain"],
)  # fmt: skip
def test_licences_that_need_a_word(name: str) -> None:
    assert not may_be_passed_on(name)
    assert refused_licences([name]) != {}
    assert refused_licences([name], allowed=[name.upper()]) == {}


@pytest.mark.parametrize(
    "text",
    ["hf_" + "a1" * 17, "sk-proj-" + "a1B2" * 8, "AKIA" + "ABCD1234" * 2, "ghp_" + "a1" * 18, "AIza" + "b" * 35,
     "xoxb-1234567890-abc", "-----BEGIN OPENSSH PRIVATE KEY-----", "aws_secret_access_key = " + "aB3/" * 10,
     "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "postgres://ada:geheim@db.example/x"],
)  # fmt: skip
def test_secrets_are_found_and_taken_out(text: str) -> None:
    sentence = f"It was ({text}), he said."
    assert len(list(find_secrets(sentence))) == 1
    assert text not in redacted(sentence)


@pytest.mark.parametrize(
    "text",
    ["AKIAIOSFODNN7EXAMPLE", "a sk-y blue task-force-of-thirty-people-1", "hf_hub_download", "https://example.com/a:b@c",
     "dw-0123456789abcdef-0", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
)  # fmt: skip
def test_prose_and_checksums_are_no_secrets(text: str) -> None:
    assert list(find_secrets(text)) == []


def test_messages_lose_signed_addresses_and_the_token_in_use() -> None:
    said = redacted("403 for 'https://cdn.example/x/y?X-Amz-Signature=abc&z=1' with Authorization: Bearer odd", "odd")
    assert said == "403 for 'https://cdn.example/x/y' with Authorization: Bearer [redacted]"


def test_local_paths() -> None:
    assert all(map(is_local_path, ("/mnt/x/y", "/opt-data/pairs.jsonl", "~/x", "D:\\x", "file:///x", "at /tmp/x")))
    assert not any(
        map(is_local_path, ("data/pairs.jsonl", "Qwen/Qwen3-8B", "hf://datasets/a/b", "/r/WritingPrompts", "1/2"))
    )
    assert list(find_paths("and/or /think https://example.com/home/ada a//b")) == []


def test_names_of_repositories() -> None:
    assert all(map(is_repository, ("me/deepwriting-20k", "a/b", "My-Org/x_1.y")))
    assert not any(
        map(is_repository, ("deepwriting", "a/b/c", "a/..", "-a/b", "a/b--c", "a/b.git", "a/" + "b" * 96, "a/b "))
    )


def test_waits_grow_and_follow_the_hub() -> None:
    assert [wait_before(ValueError(), attempt) for attempt in (1, 2, 3)] == [1.0, 2.0, 4.0]


def test_a_note_about_withdrawn_versions_comes_and_goes_without_a_trace() -> None:
    card = "---\nlicense: mit\n---\n\n# Essays\n"
    noted = with_note(card, {"1.0.0": Yank("a"), "1.1.0": Yank("b")})
    assert noted.startswith("---\nlicense: mit\n---\n\n<!-- withdrawn versions -->\n> [!WARNING]\n")
    assert without_note(noted) == card
    assert with_note(noted, {"1.0.0": Yank("a")}).count("[!WARNING]") == 1
    assert without_note(with_note("# Without metadata\n", {"1.0.0": Yank("a")})) == "# Without metadata\n"


@pytest.mark.parametrize("text", ["[]", "{", '{"1.0.0": "why"}', '{"1.0.0": {}}'])
def test_a_damaged_list_of_withdrawn_versions(text: str) -> None:
    with pytest.raises(HubError, match=r"yanked.json is damaged; expected"):
        parse_yanked(text)
