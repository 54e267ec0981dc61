from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.errors import SourceError
from deepwriting.sources.reddit_join import Prompt, PromptStore, best_stories, temporary_disk


def prompt(text: str = "A lamp.", **more: Any) -> Prompt:
    fields: dict[str, Any] = {"tag": "WP", "score": 3, "permalink": "/r/x", "flair": None, "nsfw": False, **more}
    return Prompt(text, **fields)


def story(own: str, text: str = "Once.") -> Document:
    return Document(text=text, id=f"wp/{own}", metadata={"query": "q", "score": 1, "none": None})


def best(stories: list[tuple[str, str | None, int]], keep: int) -> list[tuple[str, str | None]]:
    with PromptStore() as store:
        judged = [(story(own), submission, score) for own, submission, score in stories]
        return [(doc.id[3:], doc.metadata.get("reject")) for doc in best_stories(judged, store.database, keep)]


def test_prompts_come_back_as_they_went_in_and_the_later_one_counts() -> None:
    with PromptStore() as store:
        strange = prompt("nul \0, line\n, ü, 𝄞", tag=None, score=-(2**53), permalink=None, nsfw=True)
        store.add("a", prompt())
        store.add("b", strange)
        store.add("a", prompt("Another."))
        assert store.get("a") == prompt("Another.")
        assert store.get("b") == strange
        assert store.get("c") is None


_MANY_PROMPTS = """
import random
from pathlib import Path
from deepwriting.sources.reddit_join import Prompt, PromptStore

def memory(field):
    return next(int(l.split()[1]) for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(field))

before = memory("VmRSS")
with PromptStore(cache_bytes=2**20) as store:
    order = list(range(40_000))
    random.Random(1).shuffle(order)
    for number in order:
        store.add(f"s{number}", Prompt(f"{number} " + "x" * 500, None, number, None, None, False))
    for number in order[::20]:
        assert store.get(f"s{number}").text.startswith(f"{number} x"), number
    print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_more_prompts_than_fit_into_memory_are_joined() -> None:
    done = subprocess.run([sys.executable, "-c", _MANY_PROMPTS], capture_output=True, text=True, check=True)
    grown_kib = int(done.stdout)
    assert grown_kib < 10_000, "40,000 prompts of 500 characters are 20,000 KiB"


def test_the_best_stay_among_equals_the_earlier_and_rejects_pass() -> None:
    stories = [("a", "p", 5), ("b", "p", 9), ("bad", None, 0), ("c", "p", 9), ("d", "q", -1), ("e", "p", 9)]
    worse = "too_many_stories"
    expected = [("a", worse), ("b", None), ("bad", None), ("c", None), ("d", None), ("e", worse)]
    assert best(stories, keep=2) == expected
    assert best([], keep=1) == []


def test_places_agree_with_sorting_in_memory() -> None:
    rng = random.Random(3)
    stories = [(str(number), str(rng.randrange(400)), rng.randrange(4)) for number in range(5000)]
    kept = set()
    for name in {submission for _, submission, _ in stories}:
        own = sorted((-score, int(number)) for number, submission, score in stories if submission == name)
        kept |= {str(number) for _, number in own[:3]}
    assert {own for own, reason in best(stories, keep=3) if reason is None} == kept


def test_documents_that_waited_are_what_they_were() -> None:
    texts = ["", "line\nline\r\n\u2028 ü 𝄞 \0", "x" * 3_000_000]
    with PromptStore() as store:
        judged = [(story(str(n), text), str(n), 1) for n, text in enumerate(texts)]
        docs = list(best_stories(judged, store.database, 1))
    assert [doc.text for doc in docs] == texts
    assert docs[0].metadata == {"query": "q", "score": 1, "none": None}


def test_nothing_stands_in_the_temporary_folder_even_while_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with PromptStore(cache_bytes=2**16) as store:
        for number in range(3000):
            store.add(str(number), prompt("x" * 300))
        docs = best_stories(((story(str(n), "y" * 1000), str(n), 1) for n in range(3000)), store.database, 1)
        assert next(docs).id == "wp/0"
        used = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        assert sum(str(tmp_path) in name for name in used) >= 2
        assert list(tmp_path.iterdir()) == []
        docs.close()  # type: ignore[attr-defined]


def test_a_full_disk_is_an_error_that_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def add_many() -> None:
        with temporary_disk(), PromptStore() as store:
            store.database.execute("PRAGMA max_page_count = 20")
            for number in range(3000):
                store.add(str(number), prompt("x" * 300))

    with pytest.raises(SourceError, match=r"cannot be written in .*full.* TMPDIR"):
        add_many()

    def full(**_: Any) -> Any:
        return open("/dev/full", "r+b", buffering=0)

    def judged() -> Iterator[tuple[Document, str, int]]:
        for number in range(3000):
            yield story(str(number), f"{number**50}" * 50), "p", 1

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(SourceError, match="No space left"), temporary_disk(), PromptStore() as store:
        list(best_stories(judged(), store.database, 1))
