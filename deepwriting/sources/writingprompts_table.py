"""r/WritingPrompts as tables of prompts and stories, split into tokens as on the Hub, or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from datatrove.data import Document
from datatrove.io import DataFolder

from deepwriting.sources.base import PairReader
from deepwriting.sources.fields import RecordError, identifier, require, text_field
from deepwriting.sources.reddit_text import NOT_PROMPTS, STORY_REQUEST, split_tag
from deepwriting.sources.reddit_tokens import from_tokens


class WritingPromptsTable(PairReader):
    """Stories from tables with ``prompt`` and ``story`` columns (JSON lines or Parquet), tokenised or not.

    Args:
        path: a file, a folder or a glob.
        name: the source's name.
        license: licence of the texts.
        limit: at most this many candidates per task.
        skip_tags: tags of threads that hold no stories.
    """

    def __init__(
        self,
        path: str,
        *,
        name: str,
        license: str,  # noqa: A002
        limit: int | None = None,
        skip_tags: Sequence[str] = NOT_PROMPTS,
    ):
        super().__init__(path, name=name, license=license, limit=limit)
        self.skip_tags = frozenset(tag.upper() for tag in skip_tags)

    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield one document for each row."""
        for file in files[rank::world_size]:
            for location, record in self.records(folder, file):
                yield self.checked(location, record, self._read)

    def _read(self, location: str, record: dict[str, Any]) -> Document:
        require(record, "prompt", "story")
        tag, prompt = split_tag(from_tokens(text_field(record, "prompt", empty="empty_query")))
        story = from_tokens(text_field(record, "story", empty="empty_answer"))
        if tag in self.skip_tags:
            raise RecordError("not_a_prompt", f"the thread is tagged [{tag}]")
        if not prompt:
            raise RecordError("empty_query", "prompt holds nothing but a tag")
        if not story:
            raise RecordError("empty_answer", "story holds nothing but line breaks")
        return self.pair(STORY_REQUEST + prompt, story, identifier(record, "id") or location, tag=tag)
