"""Dumps of r/WritingPrompts as Reddit's archives hold them: zstd ndjson with a long window, two files a month."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import zstandard

from synthetic.dirt import Dirt, Row

#: Stories of a prompt on average; most prompts have few, some have dozens.
_STORIES = 2.5
#: What comments are that are no stories, as shares of all comments.
OTHER_COMMENTS = {"reply": 0.10, "gone": 0.05, "bot": 0.04, "low_score": 0.06, "no_submission": 0.02}
#: Lines that are no JSON, as a share of all lines.
_MALFORMED = 0.0005
_NSFW = 0.03
#: Comments that come after the end of their submission's month.
_LATE = 0.03
#: Above zstandard's own limit of 27, so that a reader has to allow it, as for the real dumps (31).
_WINDOW_LOG = 28
_TAGS = ("[WP] ",) * 14 + ("[EU] ", "[SP] ", "[TT] ", "[CW] ", "[RF] ", "")
_GONE = ("[deleted]", "[removed]")
_BOT = (
    "**Off-Topic Discussion**: All top-level comments must be a story or poem. Reply here for other comments.\n\n"
    "*I am a bot, and this action was performed automatically.*"
)
_SECONDS_A_MONTH = 30 * 86_400
_FIRST_MONTH = 1_767_225_600  # January 2026


class RedditDumps:
    """Writes the dumps.

    Args:
        folder: where to.
        dirt: where rows come from.
        seed: other seeds give other threads.
    """

    def __init__(self, folder: Path, dirt: Dirt, seed: int):
        self.folder = folder
        self.dirt = dirt
        self.rng = random.Random(f"reddit:{seed}")
        self._comment = self._submission = 0
        self._late: list[bytes] = []

    def write(self, comments: int, months: int) -> Iterator[Row]:
        """Write a number of comments; yield the planted rows and those that are no stories (with that as kind)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for month in range(months):
            share = comments // months + (month < comments % months)
            yield from self._month(month, share, last=month == months - 1)

    def _month(self, month: int, count: int, *, last: bool) -> Iterator[Row]:
        name = f"2026-{month + 1:02d}" if month < 12 else f"2027-{month - 11:02d}"
        settings = zstandard.ZstdCompressionParameters.from_level(1, window_log=_WINDOW_LOG)
        pending, self._late = list(self._late), []
        written = 0
        with (
            (self.folder / f"RS_{name}.zst").open("wb") as raw_s,
            (self.folder / f"RC_{name}.zst").open("wb") as raw_c,
            zstandard.ZstdCompressor(compression_params=settings).stream_writer(raw_s) as submissions,
            zstandard.ZstdCompressor(compression_params=settings).stream_writer(raw_c) as comments,
        ):
            while written < count:
                stories = min(count - written, 1 + int(self.rng.expovariate(1 / _STORIES)))
                submission, rows = self._thread(month, stories)
                for line in submission:
                    submissions.write(line + b"\n")
                for line, row in rows:
                    if not last and self.rng.random() < _LATE:
                        self._late.append(line)
                    else:
                        pending.append(line)
                    if row.kind:
                        yield row
                written += stories
                # Threads overlap in time: their comments come mixed.
                while len(pending) > 2_000:
                    at = self.rng.randrange(len(pending))
                    pending[at], pending[-1] = pending[-1], pending[at]
                    self._line(comments, pending.pop())
            self.rng.shuffle(pending)
            for line in pending:
                self._line(comments, line)

    def _line(self, out: Any, line: bytes) -> None:
        if self.rng.random() < _MALFORMED:
            out.write(line[: len(line) // 2] + b"\n")  # a line that was cut off stands beside the whole one
        out.write(line + b"\n")

    def _thread(self, month: int, stories: int) -> tuple[list[bytes], list[tuple[bytes, Row]]]:
        rng = self.rng
        self._submission += 1
        thread = f"s{self._submission:x}"
        title, nsfw = self.dirt.texts.title(), rng.random() < _NSFW
        created = _FIRST_MONTH + month * _SECONDS_A_MONTH + rng.randrange(_SECONDS_A_MONTH)
        lines, rows = [], list[tuple[bytes, Row]]()
        parent = ""
        lines.append(self._prompt(thread, title, created, nsfw=nsfw))
        for _ in range(stories):
            self._comment += 1
            row_id = f"c{self._comment:x}"
            other = rng.choices([*OTHER_COMMENTS, ""], [*OTHER_COMMENTS.values(), 1 - sum(OTHER_COMMENTS.values())])[0]
            row = self.dirt.row(row_id, title, language="English", dirty=not other and not nsfw)
            row.thread = row.thread if row.kind == "exact_duplicate" else thread
            if row.kind in ("near_query", "contamination"):
                self._submission += 1
                row.thread = f"s{self._submission:x}"
                lines.append(self._prompt(row.thread, row.query, created, nsfw=False))
            if other or nsfw:
                row.kind = other or "nsfw"
                if self.dirt.recent and self.dirt.recent[-1] is row:
                    self.dirt.recent.pop()
            rows.append((self._story(row, created, parent), row))
            parent = row_id
        return lines, rows

    def _prompt(self, thread: str, title: str, created: int, *, nsfw: bool) -> bytes:
        return orjson.dumps(
            {
                "id": thread, "title": self.rng.choice(_TAGS) + title, "selftext": "",
                "score": self.rng.randint(1, 3_000),
                "subreddit": "WritingPrompts", "link_flair_text": "Writing Prompt", "over_18": nsfw,
                "created_utc": created, "permalink": f"/r/WritingPrompts/comments/{thread}/", "author": "someone",
                "num_comments": 3, "is_self": True, "domain": "self.WritingPrompts", "url": "", "gilded": 0,
            }
        )  # fmt: skip

    def _story(self, row: Row, created: int, parent: str) -> bytes:
        rng = self.rng
        thread = f"t3_{row.thread}"
        record = {
            "id": row.id, "link_id": thread, "parent_id": thread, "body": _markdown(row.answer),
            "author": f"user{rng.randrange(10**6)}", "score": 2 + int(rng.paretovariate(0.7)) % 5_000,
            "created_utc": created + rng.randrange(86_400),
            "subreddit": "WritingPrompts", "distinguished": None, "stickied": False, "controversiality": 0, "gilded": 0,
            "edited": False, "author_flair_text": None, "retrieved_on": created + 10**6,
        }  # fmt: skip
        if row.kind == "reply":
            record["parent_id"] = f"t1_{parent or 'c0'}"
            record["body"] = record["body"][:300]
        elif row.kind == "gone":
            record["body"], record["author"] = rng.choice(_GONE), "[deleted]"
        elif row.kind == "bot":
            record |= {"body": _BOT, "author": "AutoModerator", "distinguished": "moderator", "stickied": True}
        elif row.kind == "low_score":
            record["score"] = rng.randint(-20, 1)
        elif row.kind == "no_submission":
            record["link_id"] = record["parent_id"] = f"t3_x{row.id}"
        return orjson.dumps(record)


def _markdown(text: str) -> str:
    """A text as Reddit's editor leaves it; the same for equal texts."""
    draw = zlib.crc32(text.encode()) % 10
    if draw == 0:
        text = text.replace("“", "*“").replace("”", "”*")
    elif draw == 1:
        text = text.replace("\n\n", "\n\n&#x200B;\n\n", 1)
    return text.replace("&#x200B;", "\0").replace("&", "&amp;").replace("\0", "&#x200B;")
