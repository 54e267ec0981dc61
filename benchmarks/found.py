"""What a run did with planted rows: recall and precision against the truth of the synthetic sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from deepwriting.rundir import RunFolder
from deepwriting.schema import REJECT
from deepwriting.sections.dedupe import DedupeSection
from deepwriting.stages.rows import stage_documents

#: Rows that duplicate another one of their source.
DUPLICATES = ("exact_duplicate", "same_answer", "near_duplicate, 0.8 or more", "near_duplicate, below 0.8")
#: Near-duplicates count apart from this similarity on, the default of ``dedupe.answer_similarity``.
ALIKE = 0.8
#: Answers that a query keeps by default; a request that comes with more loses the others.
ANSWERS: int = DedupeSection.model_fields["max_answers_per_query"].default
_TOO_MANY = ("dedupe", "enough_answers")
#: Personal data, by the kinds that are planted.
PERSONAL = ("email", "phone", "ip", "card", "handle")
#: What no repaired text holds.
_BROKEN = "â€"
#: Kinds that a stage rejects, and how to tell from the reason that it was for this.
REJECTED: dict[str, Callable[[str, str], bool]] = {
    "contamination": lambda stage, reason: reason == "contaminated",
    "refusal": lambda stage, reason: reason == "refusal",
    "repetition": lambda stage, reason: stage == "source" and reason.startswith(("repeat", "duplicate")),
    "symbols": lambda stage, reason: (
        reason in ("few_letters", "too_few_words", "many_hashes", "many_ellipses", "odd_word_length")
    ),
    "other_language": lambda stage, reason: "language" in reason,
    "foreign": lambda stage, reason: "language" in reason,
    "not_writing": lambda stage, reason: reason == "not_a_writing_request",
    "toxic": lambda stage, reason: reason == "toxic",
    "redacted": lambda stage, reason: reason == "redacted",
    "no_answer": lambda stage, reason: stage == "source",
    "reply": lambda stage, reason: reason == "not_top_level",
    "gone": lambda stage, reason: reason in ("deleted", "removed"),
    "bot": lambda stage, reason: reason == "moderator_or_bot",
    "low_score": lambda stage, reason: reason == "low_score",
    "no_submission": lambda stage, reason: stage == "source",
    "nsfw": lambda stage, reason: stage == "source",
}

Key = tuple[str, str]


def found(run: RunFolder, truth: Path) -> list[dict[str, Any]]:
    """One row a kind: how many were planted, how many of them found, and how much of the rejects was planted.

    A row that was rejected for something else before can no longer be found and counts in none of both.

    Args:
        run: a run whose dedupe stage has finished.
        truth: the truth file of its sources.
    """
    planted: dict[Key, dict[str, Any]] = {}
    with truth.open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            if row["kind"] == "near_duplicate":
                row["kind"] += f", {ALIKE} or more" if row["similarity"] >= ALIKE else f", below {ALIKE}"
            planted[row["source"], row["id"]] = row
    originals = {(row["source"], row["of"]) for row in planted.values() if "of" in row}
    rejected: dict[Key, tuple[str, str]] = {}
    reasons: Counter[tuple[str, str]] = Counter()
    for stage in ("source", "dedupe"):
        for key, doc in _rows(run, stage, "rejects"):
            reason = doc["metadata"][REJECT]
            reasons[stage, reason] += 1
            if key in planted or key in originals:
                rejected[key] = stage, reason
    texts = {
        key: doc["text"]
        for key, doc in _rows(run, "dedupe", "shards")
        if key in planted and planted[key]["kind"] in (*PERSONAL, "mojibake")
    }
    table = [_duplicates(kind, planted, rejected, reasons) for kind in DUPLICATES]
    table.append(_near_queries(planted, rejected))
    for kind in (*REJECTED, *PERSONAL, "mojibake"):
        keys = [key for key, row in planted.items() if row["kind"] == kind]
        if not keys:
            continue
        if kind in REJECTED:
            table.append(_rejected(kind, keys, rejected, reasons))
        else:
            gone = {key for key in keys if key in texts and planted[key].get("value", _BROKEN) not in texts[key]}
            there = sum(key in texts for key in keys)
            table.append(_line(kind, len(keys), there, len(gone), None, ""))
    return table


def _near_queries(planted: dict[Key, dict[str, Any]], rejected: dict[Key, tuple[str, str]]) -> dict[str, Any]:
    """Of rows that ask for nearly the same, those beyond the answers that a query may have have to go, whichever."""
    groups: dict[Key, list[Key]] = {}
    for key, row in planted.items():
        if row["kind"] == "near_query" and row["similarity"] >= ALIKE:
            groups.setdefault((key[0], row["of"]), []).append(key)
    could = hit = 0
    for keys in groups.values():
        judged = [key for key in keys if rejected.get(key, _TOO_MANY) == _TOO_MANY]
        due = max(0, len(judged) - ANSWERS)
        could += due
        hit += min(due, sum(key in rejected for key in judged))
    return _line("near_query", sum(map(len, groups.values())), could, hit, None, f"beyond {ANSWERS} of a query")


def _rows(run: RunFolder, stage: str, folder: str) -> Iterator[tuple[Key, dict[str, Any]]]:
    for doc in stage_documents(run, stage, folder):
        metadata = doc["metadata"]
        yield (str(metadata.get("source")), _own_id(doc)), doc


def _own_id(doc: dict[str, Any]) -> str:
    """A row's own id; a record that became no pair is named by its place, and holds its id in its text."""
    name = str(doc["metadata"].get("source_id"))
    text = doc.get("text", "")  # datatrove leaves out an empty one
    if ":" in name and text.startswith("{"):
        try:
            record = orjson.loads(text)
        except orjson.JSONDecodeError:
            return name
        return str(record.get("id") or record.get("conversation_hash") or name)
    return name


def _line(kind: str, planted: int, could: int, hit: int, precision: float | None, why: str) -> dict[str, Any]:
    return {
        "planted": kind, "rows": planted, "could be found": could, "found": hit,
        "recall, %": 100 * hit / could if could else None, "precision, %": precision, "why": why,
    }  # fmt: skip


def _rejected(
    kind: str, keys: list[Key], rejected: dict[Key, tuple[str, str]], reasons: Counter[tuple[str, str]]
) -> dict[str, Any]:
    fits = REJECTED[kind]
    why = Counter(rejected[key][1] for key in keys if key in rejected and fits(*rejected[key]))
    other = sum(key in rejected and not fits(*rejected[key]) for key in keys)
    # Several kinds may share a reason: what was planted for it is what counts against all its rejects.
    total = sum(count for (stage, reason), count in reasons.items() if fits(stage, reason))
    alone = sum(fits(*rejected[key]) for key in rejected)
    precision = 100 * alone / total if total and kind not in ("no_answer", "no_submission", "nsfw") else None
    named = ", ".join(f"{reason} {count}" for reason, count in why.most_common(3))
    return _line(kind, len(keys), len(keys) - other, why.total(), precision, named)


def _duplicates(
    kind: str,
    planted: dict[Key, dict[str, Any]],
    rejected: dict[Key, tuple[str, str]],
    reasons: Counter[tuple[str, str]],
) -> dict[str, Any]:
    """Of a row and its original one has to go as a duplicate, of whatever kind."""
    could = hit = 0
    why: Counter[str] = Counter()
    keys = [(key, (key[0], row["of"])) for key, row in planted.items() if row["kind"] == kind]
    for key, original in keys:
        ends = [rejected[one] for one in (key, original) if one in rejected]
        for_this = [reason for stage, reason in ends if stage == "dedupe" and "duplicate" in reason]
        if for_this or not ends:
            could += 1
        if for_this:
            hit += 1
            why[for_this[0]] += 1
    total = sum(count for (stage, reason), count in reasons.items() if stage == "dedupe" and "duplicate" in reason)
    known = {key for key, row in planted.items() if row["kind"] in DUPLICATES}
    known |= {(key[0], planted[key]["of"]) for key in known}
    right = sum(key in known and stage == "dedupe" and "duplicate" in why for key, (stage, why) in rejected.items())
    named = ", ".join(f"{reason} {count}" for reason, count in why.most_common(3))
    return _line(kind, len(keys), could, hit, 100 * right / total if total else None, named)
