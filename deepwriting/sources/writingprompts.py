"""r/WritingPrompts from Reddit's own records: dumps of submissions and comments.

The title of a submission is the prompt, a top-level comment is a story, upvotes are the quality proxy. Nobody's user
name leaves this file.
"""

from __future__ import annotations

import heapq
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datatrove.data import Document
from datatrove.io import DataFolder

from deepwriting.errors import SourceError
from deepwriting.sources.base import PairReader, Record
from deepwriting.sources.fields import (
    RecordError,
    flag_field,
    identifier,
    integer_field,
    optional_text,
    require,
    text_field,
)
from deepwriting.sources.files import COMPRESSIONS
from deepwriting.sources.reddit_text import NOT_PROMPTS, STORY_REQUEST, from_markdown, split_tag, without_author

#: Reddit counts the writer's own vote as 1: a story of 2 convinced at least one reader. Stricter recipes ask for more.
DEFAULT_MIN_SCORE = 2
#: What Reddit leaves in place of a text that is gone.
GONE = frozenset({"[deleted]", "[removed]", "[deleted by user]", "[removed by reddit]", "[ removed by reddit ]"})
_BOT_NAME = re.compile(r"(?<!ab)(?<!tal)bot$|^automoderator$|-modteam$|[_-]bot[_-]", re.IGNORECASE)
_BOT_TEXT = re.compile(r"\bI am a bot,? and this action\b|^\W*off-topic discussion\b", re.IGNORECASE)
#: Columns of a submission or comment that may stand in the rejects; user names and what else a dump holds may not.
_PUBLIC = ("id", "link_id", "parent_id", "title", "body", "score", "subreddit", "over_18", "distinguished", "stickied")


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What the join keeps of a submission."""

    text: str
    tag: str | None
    score: int | None
    permalink: str | None
    flair: str | None
    nsfw: bool


class WritingPromptsDump(PairReader):
    """Stories from Reddit dumps: ndjson (.zst, .gz, .bz2 or plain) or Parquet of submissions and of comments.

    ``path`` is a folder with ``RS*``/``RC*`` files or ``*submissions*``/``*comments*`` files. Every comment and every
    unreadable line is a candidate; a readable submission is not. With several tasks each takes the submissions and
    comments whose submission id falls to it, so that no task needs another one's.

    The prompts of one task are joined in memory (about 300 bytes each); a later version joins out of core.

    Args:
        path: see above.
        name: the source's name.
        license: licence of the texts.
        limit: at most this many candidates per task.
        min_score: fewest upvotes of a story.
        max_stories_per_prompt: keep only the stories with most upvotes of each prompt; reads the comments twice.
        include_nsfw: whether prompts marked as over 18 are used.
        subreddit: take only this one from dumps that hold several; ``None`` for all.
        skip_tags: tags of threads that hold no stories.
    """

    suffixes = ("",)
    keeps_raw_lines: ClassVar[bool] = False

    def __init__(
        self,
        path: str,
        *,
        name: str,
        license: str,  # noqa: A002
        limit: int | None = None,
        min_score: int = DEFAULT_MIN_SCORE,
        max_stories_per_prompt: int | None = None,
        include_nsfw: bool = False,
        subreddit: str | None = "WritingPrompts",
        skip_tags: Sequence[str] = NOT_PROMPTS,
    ):
        super().__init__(path, name=name, license=license, limit=limit)
        if max_stories_per_prompt is not None and max_stories_per_prompt < 1:
            raise SourceError(f"max_stories_per_prompt is {max_stories_per_prompt}; it must be at least 1 or null")
        self.min_score = min_score
        self.max_stories_per_prompt = max_stories_per_prompt
        self.include_nsfw = include_nsfw
        self.subreddit = subreddit
        self.skip_tags = frozenset(tag.upper() for tag in skip_tags)

    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield one document for each comment that falls to this task, and one for each unreadable line."""
        submissions, comments = dump_files(files)
        if not submissions or not comments:
            lacking = "submissions (RS*, *submissions*)" if not submissions else "comments (RC*, *comments*)"
            raise SourceError(f"source path {self.path!r} holds no file of {lacking}")
        prompts: dict[str, _Prompt] = {}
        for file in submissions:
            for location, record in self.records(folder, file):
                owner = location if isinstance(record, Document) else _submission_id(record) or location
                if _task_of(owner, world_size) != rank:
                    continue
                # The raw record's own id column decides, so that a bad one is counted by exactly one task.
                bad = record if isinstance(record, Document) else self._add_prompt(location, record, prompts)
                if bad is not None:
                    yield bad
        best = self._best_stories(folder, comments, prompts)
        for file in comments:
            for location, record in self.records(folder, file):
                if _task_of(_owner(location, record), world_size) == rank:
                    yield self.checked(location, record, lambda where, raw: self._story(where, raw, prompts, best))

    def public(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record without user names and without what the join does not read."""
        plain = str | int | float | bool | None
        return {key: record[key] for key in _PUBLIC if key in record and isinstance(record[key], plain)}

    def _add_prompt(self, location: str, record: dict[str, Any], prompts: dict[str, _Prompt]) -> Document | None:
        """Remember a submission; the reject if it is not one."""
        try:
            require(record, "id", "title")
            submission = _required_id(record)
            tag, text = split_tag(from_markdown(text_field(record, "title", empty="empty_query")))
            subreddit = optional_text(record, "subreddit")
            if self.subreddit and subreddit and subreddit.lower() != self.subreddit.lower():
                return None
            prompts[submission] = _Prompt(
                text,
                tag,
                integer_field(record, "score") if record.get("score") is not None else None,
                optional_text(record, "permalink"),
                optional_text(record, "link_flair_text"),
                bool(flag_field(record, "over_18")),
            )
        except RecordError as problem:
            return self.bad_record(location, record, problem.reason, problem.detail)
        return None

    def _best_stories(self, folder: DataFolder, files: list[str], prompts: dict[str, _Prompt]) -> set[str] | None:
        """Locations of the stories with most upvotes of each prompt; ``None`` when all are taken."""
        if self.max_stories_per_prompt is None:
            return None
        best: dict[str, list[tuple[int, int, str]]] = {}
        order = 0
        for file in files:
            for location, record in self.records(folder, file):
                if isinstance(record, Document):
                    continue
                try:
                    submission, _, _, score = self._judged(record, prompts)
                except RecordError:
                    continue  # counted with its reason when the comments are read for good
                order -= 1  # among equal scores the earlier comment wins
                stories = best.setdefault(submission, [])
                heapq.heappush(stories, (score, order, location))
                if len(stories) > self.max_stories_per_prompt:
                    heapq.heappop(stories)
        return {location for stories in best.values() for _, _, location in stories}

    def _judged(self, record: dict[str, Any], prompts: dict[str, _Prompt]) -> tuple[str, _Prompt, str, int]:
        """Submission id, prompt, story and score of a comment that is a story; otherwise the reason why it is not."""
        require(record, "id", "link_id", "parent_id", "body", "score")
        link = text_field(record, "link_id", empty="missing_prompt")
        parent = text_field(record, "parent_id", empty="not_top_level")
        body = text_field(record, "body", empty="empty_answer")
        if parent != link:
            raise RecordError("not_top_level", f"parent is {parent}, submission is {link}")
        if body.strip().lower() in GONE:
            raise RecordError("deleted", f"body is {body.strip()}")
        author = optional_text(record, "author") or ""
        official = optional_text(record, "distinguished") in ("moderator", "admin") or record.get("stickied") is True
        if official or _BOT_NAME.search(author) or _BOT_TEXT.search(body):
            raise RecordError("moderator_or_bot")
        score = integer_field(record, "score")
        submission = link.removeprefix("t3_")
        prompt = prompts.get(submission)
        if prompt is None:
            raise RecordError("missing_prompt", f"submission {link} is not in the dump")
        if prompt.tag in self.skip_tags:
            raise RecordError("not_a_prompt", f"the thread is tagged [{prompt.tag}]")
        if not prompt.text or prompt.text.lower() in GONE:
            raise RecordError("empty_query", "the submission's title holds no prompt")
        if prompt.nsfw and not self.include_nsfw:
            raise RecordError("nsfw", "the prompt is marked as over 18")
        if score < self.min_score:
            raise RecordError("low_score", f"score {score} is below {self.min_score}")
        story = from_markdown(body)
        if author and author.lower() not in GONE:
            story = without_author(story, author)
        if not story:
            raise RecordError("empty_answer", "body holds no text of its own")
        return submission, prompt, story, score

    def _story(
        self, location: str, record: dict[str, Any], prompts: dict[str, _Prompt], best: set[str] | None
    ) -> Document:
        _, prompt, story, score = self._judged(record, prompts)
        if best is not None and location not in best:
            raise RecordError("too_many_stories", f"not among the {self.max_stories_per_prompt} best of its prompt")
        return self.pair(
            STORY_REQUEST + prompt.text,
            story,
            identifier(record, "id") or location,
            tag=prompt.tag,
            score=score,
            prompt_score=prompt.score,
            permalink=prompt.permalink,
            flair=prompt.flair,
        )


def dump_files(files: list[str]) -> tuple[list[str], list[str]]:
    """Tell a dump's files of submissions from those of comments by name; others are left out.

    Returns:
        Files of submissions, files of comments.
    """
    submissions, comments = [], []
    for file in files:
        base = file.rpartition("/")[2]
        for compression in COMPRESSIONS:
            base = base.removesuffix(compression)
        _, dot, ending = base.rpartition(".")
        if dot and ending not in ("jsonl", "ndjson", "json", "parquet"):
            continue
        if base.startswith("RS") or "submissions" in base.lower():
            submissions.append(file)
        elif base.startswith("RC") or "comments" in base.lower():
            comments.append(file)
    return submissions, comments


def _owner(location: str, record: Record) -> str:
    """What decides which task a comment falls to: its submission, or its place when it names none."""
    link = None if isinstance(record, Document) else record.get("link_id")
    return link.removeprefix("t3_") if isinstance(link, str) else location


def _submission_id(record: Mapping[str, Any]) -> str | None:
    own = identifier(record, "id")
    return own.removeprefix("t3_") if own else None


def _required_id(record: Mapping[str, Any]) -> str:
    submission = _submission_id(record)
    if submission is None:
        raise RecordError("wrong_type", f"id is {type(record['id']).__name__}, not a Reddit id")
    return submission


def _task_of(owner: str, world_size: int) -> int:
    return zlib.crc32(owner.encode("utf-8", errors="replace")) % world_size
