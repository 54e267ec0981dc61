"""Whether a written query can stand before its passage: it asks, it does not quote, and it does not name the book."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from deepwriting.metrics.copying import longest_copied_run
from deepwriting.sources.check import language_of

#: Longest run of the passage that a query may hold (words): names and set phrases pass, a quotation does not.
MAX_QUOTED_WORDS = 7
#: A query is at least this long (characters); shorter ones ask for nothing in particular.
MIN_QUERY_CHARS = {"en": 30, "zh": 10}
#: A query has at most this many sentences, as its prompt asks.
MAX_SENTENCES = 2
#: Shortest surname that is looked for (characters); shorter ones are words as well.
_MIN_NAME_CHARS = 3

_SENTENCE = re.compile(r".*?[.!?。！？](?=\s|$|[^\x00-\x7f])", re.DOTALL)
#: How a sentence that asks begins, behind courtesies: an order, a wish, a question.
_COURTESY = re.compile(r"^(?:[^\w]|please\b|kindly\b|now\b|first\b|then\b|also\b|for me\b)+", re.I)
_REQUEST = re.compile(
    r"^(?:write|tell|describe|compose|draft|create|craft|give|narrate|relate|recount|show|imagine|explain|depict|portray"
    r"|produce|prepare|pen|continue|open|begin|start|sketch|set|present|discuss|argue|retell|report|outline|make|let|use"
    r"|develop|explore|capture|render|put|invent|summari[sz]e|take|lead|follow|convey|keep|end|include|focus|have"
    r"|i(?:['’]d| would| want| need| am looking| wish)\b|we (?:want|need|would)\b|can|could|would|will|how|what|why|who"
    r"|where|when|which|in the (?:style|manner|voice))\b",
    re.I,
)
_REQUEST_CHINESE = re.compile(
    r"请|請|写|寫|讲|講|描[写寫述绘繪]|叙述|敘述|创作|創作|编|編|帮我|幫我|给我|給我|说说|說說|想要|想看|[?？]|吗|嗎"
)
#: Words that give away that the writing exists already.
_MENTION = re.compile(
    r"\b(?:above|following|given|provided|preceding)\s+(?:passage|text|excerpt|extract)\b"
    r"|\b(?:passage|text|excerpt|extract)\s+(?:above|below|provided|given)\b"
    r"|(?:上述|以上|上面|下面|下列|以下)(?:的)?(?:文字|段落|文章|原文|片段)|[这這该該]段(?:文字|文章|原文)",
    re.I,
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_HAN = re.compile(r"[\u3400-\u9fff]")
#: A title's second half, and what stands for an author where there is none.
_SUBTITLE = re.compile(r"\s*(?:[:;—–(\n]|,?\s+or,?\s+|\s-\s|--|, (?:vol(?:ume|\.)|part|book)\b)", re.I)
_NO_NAME = frozenset({"various", "anonymous", "unknown", "anon", "author", "authors", "editor", "jr", "sr", "佚名"})
_ARTICLES = frozenset({"the", "a", "an"})


def first_sentences(text: str, count: int = MAX_SENTENCES) -> str:
    """The first finished sentences of a text, on one line; empty if none is finished."""
    found = [match.group().strip() for match in _SENTENCE.finditer(text.strip().split("\n\n")[0])]
    return " ".join(found[:count]).replace("\n", " ")


def valid_query(query: str, passage: str, language: str, book: Mapping[str, str] | None = None) -> str | None:
    """Why a written query cannot be used, or ``None``.

    Args:
        query: the query.
        passage: the passage that it asks for.
        language: the passage's language, ``en`` or ``zh``.
        book: title and author that the query must not name; empty if it may.
    """
    if len(query) < MIN_QUERY_CHARS[language]:
        return "query_too_short"
    if longest_copied_run(passage, query) > MAX_QUOTED_WORDS:
        return "query_quotes_passage"
    if language_of(query) != language:
        return "query_in_wrong_language"
    if not is_request(query, language):
        return "query_is_no_request"
    if _MENTION.search(query):
        return "query_mentions_passage"
    if book and names_book(query, passage, book):
        return "query_names_book"
    return None


def is_request(query: str, language: str) -> bool:
    """Whether one of a query's sentences is an order, a wish or a question, as far as its first words tell."""
    if language == "zh":
        return _REQUEST_CHINESE.search(query) is not None
    sentences = [match.group() for match in _SENTENCE.finditer(query)] or [query]
    return any(
        sentence.rstrip().endswith("?") or _REQUEST.match(_COURTESY.sub("", sentence.strip())) for sentence in sentences
    )


def names_book(query: str, passage: str, book: Mapping[str, str]) -> bool:
    """Whether a query names the book's title or an author.

    A single word that stands in the passage as well does not count: "Emma" is a title and the heroine.

    Args:
        query: the query.
        passage: the passage.
        book: ``title`` and ``author``, as far as they are known.
    """
    title = _SUBTITLE.split(book.get("title", "").strip(), maxsplit=1)[0]
    return any(_stands_in(name, query, passage) for name in (title, *_author_names(book.get("author", ""))))


def _author_names(author: str) -> Iterable[str]:
    """Names to look for: each surname; in "Keeper, Anna" both, since a list of authors looks the same."""
    for part in re.split(r"[,;&]|\band\b", re.sub(r"\([^)]*\)|\[[^\]]*\]|[0-9?]+", " ", author)):
        words = _WORD.findall(part)
        while words and words[-1].lower() in _NO_NAME:
            words.pop()
        if words and (_HAN.search(words[-1]) or (len(words[-1]) >= _MIN_NAME_CHARS and words[-1][0].isupper())):
            yield words[-1]


def _stands_in(name: str, query: str, passage: str) -> bool:
    if _HAN.search(name):
        plain = name.strip("《》〈〉“” ")
        return len(plain) > 1 and plain in query and (plain not in passage or f"《{plain}》" in query)
    words = _WORD.findall(name)
    while len(words) > 1 and words[0].lower() in _ARTICLES:
        del words[0]
    if not words:
        return False
    if len(words) == 1:  # a name: written with a capital, and not one of the passage's own
        word = re.compile(rf"\b{re.escape(words[0][:1].upper() + words[0][1:])}\b")
        return len(words[0]) >= _MIN_NAME_CHARS and bool(word.search(query)) and not word.search(passage)
    run = r"\W+".join(re.escape(word) for word in words)
    found = re.search(rf"\b{run}\b", query, re.I)
    # "a time machine", in small letters and in the passage too, is what the passage is about.
    return found is not None and not (found.group().islower() and found.group() in passage.lower())
