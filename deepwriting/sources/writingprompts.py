"""r/WritingPrompts from Reddit's own records: dumps of submissions and comments.

The title of a submission is the prompt, a top-level comment is a story, upvotes are the quality proxy. Nobody's user
name leaves this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
from deepwriting.sources.reddit_dump import Share, dump_files, submission_of
from deepwriting.sources.reddit_join import Judged, Prompt, PromptStore, best_stories, temporary_disk
from deepwriting.sources.reddit_text import NOT_PROMPTS, STORY_REQUEST, from_markdown, split_tag, without_author

#: Reddit counts the writer's own vote as 1: a story of 2 convinced at least one reader. Stricter recipes ask for more.
DEFAULT_MIN_SCORE = 2
#: Larger numbers are no upvotes but an accident; the most that a database's and JSON's whole numbers hold alike.
MAX_SCORE = 2**53
#: What Reddit leaves in place of a text that is gone.
GONE = frozenset({"[deleted]", "[removed]", "[deleted by user]", "[removed by reddit]", "[ removed by reddit ]"})
_LONGEST_GONE = max(map(len, GONE))
_BOT_NAME = re.compile(r"(?<!ab)(?<!tal)bot$|^automoderator$|-modteam$|[_-]bot[_-]", re.IGNORECASE)
#: Looked for only where one of ``_BOT_HINTS`` stands: ten times faster than the pattern on a text without.
_BOT_HINTS = ("a bot", "off-top")
_BOT_TEXT = re.compile(r"\bI am a bot,? and this action\b|^\W*off-topic discussion\b", re.IGNORECASE)
#: Columns of a submission or comment that may stand in the rejects; user names and what else a dump holds may not.
_PUBLIC = ("id", "link_id", "parent_id", "title", "body", "score", "subreddit", "over_18", "distinguished", "stickied")


class WritingPromptsDump(PairReader):
    """Stories from Reddit dumps: ndjson (.zst, .gz, .bz2 or plain) or Parquet of submissions and of comments.

    ``path`` is a folder with ``RS*``/``RC*`` files or ``*submissions*``/``*comments*`` files. Every comment and every
    unreadable line is a candidate; a readable submission is not. With several tasks each takes the submissions and
    comments whose submission id falls to it, so that no task needs another one's.

    Of submissions that occur twice the later record counts, in the order of the files' names. Prompts, and stories that
    compete for ``max_stories_per_prompt``, wait in temporary files (``TMPDIR``), so memory does not grow with the dump.
    Everything comes in the order of the files: rejected submissions, then comments.

    Args:
        path: see above.
        name: the source's name.
        license: licence of the texts.
        limit: at most this many candidates per task.
        min_score: fewest upvotes of a story.
        max_stories_per_prompt: keep only the stories with most upvotes of each prompt, among equals the earlier;
            the first comes out when all comments are read.
        min_chars: shortest story (characters, Markdown's escapes taken off); ``None`` for any.
        max_chars: longest story (characters); ``None`` for any.
        include_nsfw: whether prompts marked as over 18 are used.
        subreddit: take only this one from dumps that hold several; ``None`` for all.
        skip_tags: tags of threads that hold no stories.
    """

    suffixes = ("",)
    keeps_raw_lines: ClassVar[bool] = False
    columns: ClassVar[frozenset[str] | None] = frozenset({*_PUBLIC, "author", "permalink", "link_flair_text"})

    def __init__(
        self,
        path: str,
        *,
        name: str,
        license: str,  # noqa: A002
        limit: int | None = None,
        min_score: int = DEFAULT_MIN_SCORE,
        max_stories_per_prompt: int | None = None,
        min_chars: int | None = None,
        max_chars: int | None = None,
        include_nsfw: bool = False,
        subreddit: str | None = "WritingPrompts",
        skip_tags: Sequence[str] = NOT_PROMPTS,
    ):
        super().__init__(path, name=name, license=license, limit=limit)
        if max_stories_per_prompt is not None and max_stories_per_prompt < 1:
            raise SourceError(f"max_stories_per_prompt is {max_stories_per_prompt}; it must be at least 1 or null")
        shortest = 1 if min_chars is None else min_chars
        if not 0 < shortest <= (shortest if max_chars is None else max_chars):
            raise SourceError(f"min_chars is {min_chars} and max_chars {max_chars}; needed: 0 < min_chars <= max_chars")
        self.min_score = min_score
        self.min_chars = min_chars
        self.max_chars = max_chars
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
        with temporary_disk(), PromptStore() as prompts:
            for location, record in self._shared(folder, submissions, Share("id", rank, world_size)):
                bad = record if isinstance(record, Document) else self._add_prompt(location, record, prompts)
                if bad is not None:
                    yield bad
            judged = self._stories(folder, comments, Share("link_id", rank, world_size), prompts)
            if self.max_stories_per_prompt is None:
                yield from (doc for doc, _, _ in judged)
            else:
                yield from best_stories(judged, prompts.database, self.max_stories_per_prompt)

    def _shared(self, folder: DataFolder, files: list[str], share: Share) -> Iterator[tuple[str, Record]]:
        """The records of this task's share; each record is in exactly one, a bad one too."""
        for file in files:
            for location, record in self.records(folder, file):
                if share.world_size == 1 or share.holds_record(location, record):
                    yield location, record

    def public(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record without user names and without what the join does not read."""
        plain = str | int | float | bool | None
        return {key: record[key] for key in _PUBLIC if key in record and isinstance(record[key], plain)}

    def _add_prompt(self, location: str, record: dict[str, Any], prompts: PromptStore) -> Document | None:
        """Remember a submission; the reject if it is not one."""
        try:
            require(record, "id", "title")
            submission = _required_id(record)
            tag, text = split_tag(from_markdown(text_field(record, "title", empty="empty_query")))
            subreddit = optional_text(record, "subreddit")
            if self.subreddit and subreddit and subreddit.lower() != self.subreddit.lower():
                return None
            prompt = Prompt(
                text,
                tag,
                _score(record) if record.get("score") is not None else None,
                optional_text(record, "permalink"),
                optional_text(record, "link_flair_text"),
                bool(flag_field(record, "over_18")),
            )
            prompts.add(submission, prompt)
        except RecordError as problem:
            return self.bad_record(location, record, problem.reason, problem.detail)
        return None

    def _stories(self, folder: DataFolder, files: list[str], share: Share, prompts: PromptStore) -> Iterator[Judged]:
        """Every comment of the share as a pair or as a reject."""
        for location, record in self._shared(folder, files, share):
            if isinstance(record, Document):
                yield record, None, 0
                continue
            try:
                submission, prompt, story, score = self._judged(record, prompts)
                yield self._pair(identifier(record, "id") or location, prompt, story, score), submission, score
            except RecordError as problem:
                yield self.bad_record(location, record, problem.reason, problem.detail), None, 0

    def _judged(self, record: dict[str, Any], prompts: PromptStore) -> tuple[str, Prompt, str, int]:
        """Submission id, prompt, story and score of a comment that is a story; otherwise the reason why it is not."""
        require(record, "id", "link_id", "parent_id", "body", "score")
        link = text_field(record, "link_id", empty="missing_prompt")
        parent = text_field(record, "parent_id", empty="not_top_level")
        body = text_field(record, "body", empty="empty_answer")
        if parent != link:
            raise RecordError("not_top_level", f"parent is {parent}, submission is {link}")
        if _is_gone(body):
            raise RecordError("deleted", f"body is {body.strip()}")
        author = optional_text(record, "author") or ""
        official = optional_text(record, "distinguished") in ("moderator", "admin") or record.get("stickied") is True
        if official or _BOT_NAME.search(author) or _is_bot_text(body):
            raise RecordError("moderator_or_bot")
        score = _score(record)
        submission = submission_of(record, "link_id")
        prompt = prompts.get(submission) if submission else None
        if submission is None or prompt is None:
            raise RecordError("missing_prompt", f"submission {link} is not in the dump")
        if prompt.tag in self.skip_tags:
            raise RecordError("not_a_prompt", f"the thread is tagged [{prompt.tag}]")
        if not prompt.text or _is_gone(prompt.text):
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
        if self.min_chars is not None and len(story) < self.min_chars:
            raise RecordError("short_story", f"{len(story)} characters; min_chars is {self.min_chars}")
        if self.max_chars is not None and len(story) > self.max_chars:
            raise RecordError("long_story", f"{len(story)} characters; max_chars is {self.max_chars}")
        return submission, prompt, story, score

    def _pair(self, own: str, prompt: Prompt, story: str, score: int) -> Document:
        return self.pair(
            STORY_REQUEST + prompt.text,
            story,
            own,
            tag=prompt.tag,
            score=score,
            prompt_score=prompt.score,
            permalink=prompt.permalink,
            flair=prompt.flair,
        )


def _is_gone(text: str) -> bool:
    stripped = text.strip()
    return len(stripped) <= _LONGEST_GONE and stripped.lower() in GONE


def _is_bot_text(body: str) -> bool:
    lowered = body.lower()
    return any(hint in lowered for hint in _BOT_HINTS) and _BOT_TEXT.search(body) is not None


def _score(record: Mapping[str, Any]) -> int:
    """The upvotes of a record; a number that no database holds is no score."""
    score = integer_field(record, "score")
    if abs(score) > MAX_SCORE:
        raise RecordError("wrong_type", f"score is a number beyond {MAX_SCORE}")
    return score


def _required_id(record: Mapping[str, Any]) -> str:
    submission = submission_of(record, "id")
    if submission is None:
        raise RecordError("wrong_type", f"id is {type(record['id']).__name__}, not a Reddit id")
    return submission
