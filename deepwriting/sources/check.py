"""The common check at the end of sourcing: is this text fit to be searched and published?"""

from __future__ import annotations

import re

from datatrove.data import Document

from deepwriting.schema import GIVEN_THINKING, is_rejected, normalise, pair_id
from deepwriting.steps import REJECT_TEXT_LIMIT, Annotator, reject

#: Control characters that no text needs: C0 without tab, newline and carriage return, DEL, and the C1 range.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
#: Tags that structure prompts and rows. Inside a text they would end the thinking or the answer too early.
_TAGS = re.compile(r"</?(?:think|answer|analyze|refine|replace)>", re.IGNORECASE)
#: Control tokens of usual chat layouts (ChatML, Llama, Gemma, Mistral, DeepSeek).
_CHAT_TOKENS = re.compile(
    r"<\|[a-zA-Z0-9_ ]{1,40}\|>|</?s>|<bos>|<eos>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|<｜[^｜\n]{1,40}｜>"
)
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_LETTER = re.compile(r"[^\W\d_]")
#: Share of letters that decides a script. Chinese texts quote Latin names, hence the lower bar.
HAN_SHARE = 0.2
LATIN_SHARE = 0.7
#: Japanese is written in Chinese characters too; this share of kana tells it apart (plain prose has over a half).
KANA_SHARE = 0.1


def language_of(text: str) -> str | None:
    """``en``, ``zh`` or ``None``, by script: prompts exist for these two languages.

    Latin letters count as English; a source that knows its languages sorts out the others itself.
    """
    letters = len(_LETTER.findall(text))
    if not letters:
        return None
    if len(_KANA.findall(text)) / letters >= KANA_SHARE:
        return None
    if len(_HAN.findall(text)) / letters >= HAN_SHARE:
        return "zh"
    return "en" if len(_LATIN.findall(text)) / letters >= LATIN_SHARE else None


class RejectGiants(Annotator):
    """Rejects pairs that are too long to be used before anything reads the whole of them; keeps their beginning.

    Reasons: ``giant_answer``, ``giant_query``.

    Args:
        max_answer_chars: longer solutions are rejected (characters).
        max_query_chars: longer queries are rejected (characters).
    """

    name = "✔ Length"

    def __init__(self, *, max_answer_chars: int, max_query_chars: int):
        super().__init__()
        self.max_answer_chars = max_answer_chars
        self.max_query_chars = max_query_chars

    def annotate(self, doc: Document) -> None:
        """Check one pair, with or without a query."""
        query = doc.metadata.get("query") or ""
        for name, text, limit in (("query", query, self.max_query_chars), ("answer", doc.text, self.max_answer_chars)):
            if len(text) > limit and text.strip():
                reject(doc, f"giant_{name}", f"{len(text)} characters, {limit} are allowed")
        if is_rejected(doc.metadata):
            doc.text = doc.text[:REJECT_TEXT_LIMIT]
            doc.metadata["query"] = query[:REJECT_TEXT_LIMIT]


class CheckPair(Annotator):
    """Normalises newlines, sets language and id, and rejects what cannot be used.

    Reasons: ``empty_query``, ``empty_answer``, ``short_answer``, ``giant_answer``, ``giant_query``,
    ``control_characters``, ``reserved_tag``, ``chat_token``, ``unsupported_language``.

    Args:
        min_answer_chars: shorter solutions are rejected (characters).
        max_answer_chars: longer solutions are rejected (characters).
        max_query_chars: longer queries are rejected (characters).
    """

    name = "✔ Check pair"

    def __init__(self, *, min_answer_chars: int, max_answer_chars: int, max_query_chars: int):
        super().__init__()
        self.min_answer_chars = min_answer_chars
        self.max_answer_chars = max_answer_chars
        self.max_query_chars = max_query_chars

    def annotate(self, doc: Document) -> None:
        """Check one pair and give it its language and its content-derived id."""
        query, answer = str(doc.metadata.get("query") or ""), doc.text
        if problem := self.problem(query, answer) or self.thinking_problem(doc.metadata.get(GIVEN_THINKING)):
            reject(doc, *problem)
            doc.text = answer[:REJECT_TEXT_LIMIT]
            doc.metadata["query"] = query[:REJECT_TEXT_LIMIT]
            return
        query, answer = normalise(query), normalise(answer)
        language = language_of(query)
        if language is None:
            reject(doc, "unsupported_language", "the query is written in neither Latin nor Chinese script")
            return
        doc.text = answer
        doc.id = pair_id(query, answer)
        doc.metadata |= {"query": query, "language": language}

    def problem(self, query: str, answer: str) -> tuple[str, str] | None:
        """Reason and detail why a pair cannot be used, or ``None``."""
        for name, text, limit in (("query", query, self.max_query_chars), ("answer", answer, self.max_answer_chars)):
            if not text.strip():
                return f"empty_{name}", f"the {name} is empty"
            if len(text) > limit:
                return f"giant_{name}", f"{len(text)} characters, {limit} are allowed"
            if problem := _unfit(name, text):
                return problem
        if len(answer.strip()) < self.min_answer_chars:
            return "short_answer", f"{len(answer.strip())} characters, {self.min_answer_chars} are needed"
        return None

    def thinking_problem(self, thinking: str | None) -> tuple[str, str] | None:
        """Reason and detail why a thinking that came with the pair cannot stand in a row, or ``None``."""
        return _unfit("thinking", thinking) if thinking is not None else None


def _unfit(name: str, text: str) -> tuple[str, str] | None:
    for reason, pattern in (("control_characters", _CONTROL), ("reserved_tag", _TAGS), ("chat_token", _CHAT_TOKENS)):
        if found := pattern.search(text):
            return reason, f"{found.group()!r} at character {found.start()} of the {name}"
    return None
