"""Readers of writing sources: each turns one native layout into candidate pairs, and knows nothing else.

A reader is a datatrove step at the head of a pipeline. It yields a ``Document`` for every candidate: a pair (the answer
as ``text``, the query in its metadata), or a reject with its reason. No record makes it raise, and none disappears.

    from deepwriting.sources import SOURCE_KINDS

    reader = SOURCE_KINDS["pairs"]("samples://pairs", name="mine", license="CC0-1.0", limit=100)
    for doc in reader.run():
        print(doc.metadata.get("reject", "pair"), doc.id)

====================  ==================================================================================
kind                  native layout
====================  ==================================================================================
writingprompts_dump   Reddit dumps of r/WritingPrompts: submissions and comments
writingprompts_table  tables with tokenised prompt and story
gutenberg             Project Gutenberg books as text files or tables; a model writes the query later
wildchat              WildChat conversations
longwriter            LongWriter messages
deepwriting_release   an existing DeepWriting-20K release, thinking included
pairs                 plain query and answer columns
====================  ==================================================================================
"""

from __future__ import annotations

from deepwriting.sources.base import PairReader
from deepwriting.sources.gutenberg import GutenbergBook
from deepwriting.sources.longwriter import LongWriter
from deepwriting.sources.pairs import Pairs
from deepwriting.sources.release import DeepWritingRelease
from deepwriting.sources.wildchat import WildChat
from deepwriting.sources.writingprompts import WritingPromptsDump
from deepwriting.sources.writingprompts_table import WritingPromptsTable

#: A recipe's ``kind`` -> its reader. Readers take ``path``, then keywords: name, license, limit and their own settings.
SOURCE_KINDS: dict[str, type[PairReader]] = {
    "writingprompts_dump": WritingPromptsDump,
    "writingprompts_table": WritingPromptsTable,
    "gutenberg": GutenbergBook,
    "wildchat": WildChat,
    "longwriter": LongWriter,
    "deepwriting_release": DeepWritingRelease,
    "pairs": Pairs,
}

__all__ = [
    "SOURCE_KINDS",
    "DeepWritingRelease",
    "GutenbergBook",
    "LongWriter",
    "PairReader",
    "Pairs",
    "WildChat",
    "WritingPromptsDump",
    "WritingPromptsTable",
]
