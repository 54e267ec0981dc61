"""Books as Project Gutenberg hands them out: a header, chapters, a licence at the end, in several encodings."""

from __future__ import annotations

import random
from pathlib import Path

from synthetic.text import Texts

_HEADER = (
    "The Project Gutenberg EBook of {title}, by {author}\n\nThis eBook is for the use of anyone at no cost.\n\n"
    "Title: {title}\n\nAuthor: {author}\n\nRelease Date: March 1, 2026 [EBook #{number}]\n\n"
    "Language: English\n\n"
)
_STARTS = (
    "*** START OF THIS PROJECT GUTENBERG EBOOK {title} ***",
    "***START OF THE PROJECT GUTENBERG EBOOK {title}***",
)
_ENDS = ("*** END OF THIS PROJECT GUTENBERG EBOOK {title} ***", "***END OF THE PROJECT GUTENBERG EBOOK {title}***")
_LICENCE = "\n\nUpdated editions will replace the previous one.\nProject Gutenberg-tm License terms follow.\n"
_ENCODINGS = ("utf-8", "utf-8-sig", "latin-1")
_LINE = 70


def write_books(folder: Path, texts: Texts, count: int, seed: int, *, chapters: int = 20, words: int = 3_000) -> None:
    """Write books of ``chapters`` chapters of about ``words`` words."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"books:{seed}")
    for number in range(count):
        title, author = texts.title().rstrip(".").split(".")[0].upper()[:60], f"A. {rng.choice(texts.fill.names)}"
        head = _HEADER.format(title=title, author=author, number=90_000 + number)
        body = []
        for chapter in range(1, chapters + 1):
            body.append(
                f"CHAPTER {chapter}\n\n" + "\n\n".join(map(_wrapped, texts.answer("English", words).split("\n\n")))
            )
        which = rng.randrange(len(_STARTS))
        text = "\n\n".join(
            [head + _STARTS[which].format(title=title), *body, _ENDS[which].format(title=title) + _LICENCE]
        )
        encoding = rng.choice(_ENCODINGS)
        raw = text.translate({0x201C: '"', 0x201D: '"'}).encode(encoding, errors="replace")
        (folder / f"{90_000 + number}.txt").write_bytes(raw)


def _wrapped(paragraph: str) -> str:
    lines, line = [], ""
    for word in paragraph.split():
        if len(line) + len(word) >= _LINE:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])
