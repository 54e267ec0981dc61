"""Answers in which an assistant refuses, apologises for itself, or speaks about being a model.

Only the beginning and the end of an answer are looked at, and nothing that somebody says in quotation marks counts, so
that a story in which a robot says "As an AI, I cannot lie" passes. What only an assistant writes ("as an AI language
model") counts at either end; what a letter or a robot's own tale could say as well ("I'm sorry, but I can't help with
that", "As an AI, I have no hands") counts only where the text opens with it, the latter with the turn that follows in
an assistant's mouth ("…, but here is").
"""

from __future__ import annotations

import re

from datatrove.data import Document

from deepwriting.cleaning.step import CleaningStep
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.steps import reject

#: Characters at either end of an answer that are looked at.
EDGE_CHARS = 400

_AI = r"(?:(?:an? )?(?:AI|A\.I\.|artificial intelligence|large)(?:[- ]powered)?)"
_MODEL = r"(?:language model|chat ?bot|text[- ]based model|virtual assistant|AI assistant)"
_UNABLE = r"(?:can(?:not|'t|not)|(?:am|'m) (?:not able|unable)(?: to)?|won't|will not|must decline to|do not|don't)"
_DEED = (
    r"(?:assist|help you|help with|fulfil{1,2}|comply|provide|create|write|generate|produce|engage|continue with|"
    r"complete|answer|discuss|support)"
)
_WHAT = r"(?:with )?(?:that|this|your|the|any|such|content|explicit|material|instructions|information)\b"

#: What nobody but an assistant says; at the beginning or at the end.
ASSISTANT = re.compile(
    rf"\bas {_AI} {_MODEL}|\bI(?: am|'m) (?:just |only )?{_AI} {_MODEL}"
    r"|\bas an? (?:AI|language model)(?: model| assistant)?(?: developed| trained| created) by\b"
    r"|\b(?:violates?|against) (?:my|OpenAI's|the) (?:guidelines|programming|content polic\w+|use[- ]case polic\w+)"
    r"|\bmy knowledge cut-?off\b"
    r"|作为(?:一个|一名|一款|一种)?(?:人工智能|ＡＩ|AI)(?:语言)?(?:模型|助手|程序|聊天机器人)"
    r"|我(?:只)?是(?:一个|一名|一款|一种)?(?:人工智能|AI)(?:语言)?(?:模型|助手|程序|聊天机器人)"
    r"|作为(?:一个|一名|一款)?(?:大型)?语言模型",
    re.IGNORECASE,
)
#: A refusal or an apology; only where the answer opens with it.
OPENING = re.compile(
    r"(?:(?:I(?:'m| am)(?: (?:so|very|really|truly|deeply))? sorry|(?:my )?apologies|sorry|unfortunately|"
    r"I apologi[sz]e)(?:[,.;]| for (?:any|the) \w+[,.;])?(?: but)?,?\s+)?"
    rf"I {_UNABLE}(?: \w+ly)? {_DEED} {_WHAT}"
    r"|(?:I apologi[sz]e|(?:my )?apologies|sorry) for (?:the|any) "
    r"(?:confusion|misunderstanding|mistake|oversight|error)(?: earlier| in my \w+(?: \w+)?)?[,.!]"
    r"|I (?:must|have to|need to) (?:respectfully )?(?:decline|refuse) (?:this|your|to \w+ (?:this|that|your))"
    r"|(?:非常|很|十分)?(?:抱歉|对不起|遗憾)[，,。！!]?\s*(?:但是?)?(?:由于[^。]{0,30}，)?我(?:无法|不能|没办法"
    r"|没有办法)"
    r"(?:为您|为你|向您|向你)?(?:提供|完成|满足|协助|帮助|回答|生成|创作|撰写|写|继续|处理|参与|执行)"
    r"|我(?:无法|不能)(?:满足|完成|协助|执行|处理)(?:您|你|这个|这一|该|此)"
    r"|(?:抱歉|对不起)，?我(?:之前|刚才|上一个|上次)的?(?:回答|回复)",
    re.IGNORECASE,
)
#: "As an AI, I …", which may open a robot's own tale: it needs a turn towards the reader behind it.
SELF = re.compile(
    r"as an? (?:AI|artificial intelligence)\b[^.!?\n]{0,200}?\b(?:I|me)\b[^.!?\n]{0,200}"
    r"(?:\bbut\b|however|nevertheless|[.!?][^.!?\n]{0,10}(?:\bbut\b|however|nevertheless))[^\n]{0,60}?"
    r"(?:\bhere\b|\bI can\b|\bI could\b|\bI'll\b|\bI will\b|\bI'd\b|\bhappy to\b|\btry\b)"
    rf"|as an? (?:AI|artificial intelligence)\b[^.!?\n]{{0,200}}?\bI {_UNABLE} {_DEED}\b[^.!?\n]{{0,60}}?"
    r"\b(?:for you|(?:your|this|that) request)\b"
    r"|作为(?:一个|一名)?(?:人工智能|AI)[，,]?\s*我[^。\n]{0,40}(?:但|不过|然而)[^。\n]{0,30}(?:可以|会|能|为您"
    r"|为你|以下)",
    re.IGNORECASE,
)
#: Without one of these ``ASSISTANT`` cannot match; looked for in a lower-cased end of the text.
_HINTS = (
    " ai ", "language model", "artificial", "a.i.", "chatbot", "assistant", "guidelines", "polic", "programming",
    "cutoff", "cut-off", "人工智能", "语言模型", "作为", "我是", "我只是",
)  # fmt: skip
_OPENERS, _CLOSERS = "“「『«", "”」』»"
_APOSTROPHES = {0x2019: "'", 0x02BC: "'"}


def refusal_in(text: str) -> str | None:
    """The words by which an answer gives itself away as an assistant's, or ``None``.

        >>> refusal_in("I'm sorry, but I can't assist with that request.")
        "I'm sorry, but I can't assist with that"

    Args:
        text: the answer.
    """
    text = text.strip().lstrip("*_#> ")
    head = text[:EDGE_CHARS].translate(_APOSTROPHES)
    for pattern in (OPENING, SELF):
        if found := pattern.match(head):
            return found.group()
    for edge in (head, text[max(EDGE_CHARS, len(text) - EDGE_CHARS) :].translate(_APOSTROPHES)):
        lowered = edge.lower()
        if any(hint in lowered for hint in _HINTS):
            for found in ASSISTANT.finditer(edge):
                if not _quoted(edge, found.start()):
                    return found.group()
    return None


def _quoted(text: str, place: int) -> bool:
    """Whether a place stands inside quotation marks that were opened in its paragraph."""
    before = text[text.rfind("\n", 0, place) + 1 : place]
    for opener, closer in zip(_OPENERS, _CLOSERS, strict=True):
        if before.count(opener) > before.count(closer):
            return True
    return before.count('"') % 2 == 1


class Refusals(CleaningStep):
    """Rejects answers that refuse, or in which an assistant speaks about itself.

    Reason and counter: ``refusal``; else ``refusal_none``.
    """

    name = "🙅 Refusals"
    switch = "refusals"

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Check one answer."""
        found = refusal_in(doc.text)
        if found:
            reject(doc, "refusal", f"the answer says {found[:120]!r}")
        self.count("refusal" if found else "refusal_none")
