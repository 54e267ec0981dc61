"""The one definition of a pair and of a published row: names, types, units and documentation of every column.

A *pair* is a datatrove ``Document``: the solution y is ``text``, the query x and everything else is ``metadata``.
A *row* is what the dataset publishes. No other file spells out column names: they import ``ROW_COLUMNS`` and friends,
or use the functions below.

    Document.text                 the solution y
    Document.id                   ``pair_id(x, y)`` once the pair is checked; before that ``source/source_id``
    Document.metadata["query"]    the query x
    Document.metadata["reject"]   only on a rejected document: why it goes to the rejects

A pair from an existing release brings its thinking along, from which the search starts (``search.given_thinking``):

    Document.metadata["given_thinking"]            the thinking z as the release has it, cleaned
    Document.metadata["given_generator"]           model that wrote it, if the release tells; absent otherwise
    Document.metadata["given_generator_revision"]  that model's revision, likewise
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: The kinds a column can have; ``builders/features.py`` maps them to `datasets` features and Arrow types.
Kind = Literal[
    "string", "bool", "int32", "float32", "strings", "messages", "reasoning_messages", "pattern_counts", "segments",
    "reward_model", "extra_info",
]  # fmt: skip

#: Metadata key that marks a rejected document; the value is a short reason such as ``empty_answer``.
REJECT = "reject"
#: Metadata key with a sentence of detail beside ``REJECT``.
REJECT_DETAIL = "reject_detail"

#: Metadata keys of a pair that brings its thinking along, see above.
GIVEN_THINKING = "given_thinking"
GIVEN_GENERATOR = "given_generator"
GIVEN_REVISION = "given_generator_revision"

#: Languages that prompts, patterns and segment rules exist for.
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Column:
    """One column of a published table.

    Attributes:
        name: column name.
        kind: value type, see ``Kind``.
        doc: one sentence for the dataset card; names the unit where there is one.
        nullable: whether a row may lack the value.
    """

    name: str
    kind: Kind
    doc: str
    nullable: bool = False


#: Columns that identify the row and hold its text.
TEXT_COLUMNS = (
    Column("row_id", "string", "Stable id: the pair's id and the rollout index."),
    Column("query", "string", "The writing request x."),
    Column(
        "thinking", "string", "The trajectory z found by the search: first-person planning that leads to the answer."
    ),
    Column("answer", "string", "The known-good solution y, written before any search."),
    Column("category", "string", "One of 25 categories, the most likely one given the query."),
    Column("domain", "string", "The domain that the category belongs to."),
    Column("category_probability", "float32", "Probability of the category among the 25, given the query (0 to 1)."),
    Column("language", "string", "Language of the query: en or zh."),
    Column("source", "string", "Name of the source in the recipe."),
    Column("source_id", "string", "Id of the pair inside its source."),
    Column("license", "string", "Licence under which the source offers the text."),
    Column("provenance", "string", "Further facts about the origin, as a JSON object."),
    Column(
        "pii_masked",
        "int32",
        "Pieces of personal data replaced by placeholders; provenance.pii_masked tells the kinds.",
    ),
    Column("rollout", "int32", "Index of the trajectory among those searched for the same pair, from 0."),
)

#: Columns that the search fills.
SEARCH_COLUMNS = (
    Column(
        "generator",
        "string",
        "Model that wrote the thinking; several are joined by commas; `given` is an unnamed one of an earlier release.",
    ),
    Column("generator_revision", "string", "Revision or checksum of the generator."),
    Column("scorer", "string", "Model that scored the answer."),
    Column("scorer_revision", "string", "Revision or checksum of the scorer."),
    Column("score_no_thinking", "float32", "Search score of the answer with empty thinking (clipped mean NLL, nats)."),
    Column(
        "score_before", "float32", "Search score of the answer given the initial thinking (clipped mean NLL, nats)."
    ),
    Column("score_after", "float32", "Search score of the answer given the final thinking (clipped mean NLL, nats)."),
    Column("perplexity_no_thinking", "float32", "True perplexity of the answer with empty thinking, exp(mean NLL)."),
    Column("perplexity_before", "float32", "True perplexity of the answer given the initial thinking, exp(mean NLL)."),
    Column("perplexity_after", "float32", "True perplexity of the answer given the final thinking, exp(mean NLL)."),
    Column("first_segment_scored", "bool", "Whether the first paragraph of the answer counts in the scores."),
    Column("scored_tokens", "int32", "Tokens of the answer that count in the scores."),
    Column("steps", "int32", "Search steps taken; a step tries to improve one segment."),
    Column("accepted_edits", "int32", "Steps whose best candidate replaced the segment."),
    Column("stop_reason", "string", "Why the search ended."),
    Column("thinking_tokens_before", "int32", "Length of the initial thinking (tokens of the scorer)."),
    Column("thinking_tokens_after", "int32", "Length of the final thinking (tokens of the scorer)."),
    Column("answer_tokens", "int32", "Length of the answer (tokens of the scorer)."),
)

#: Columns that the annotating filters fill.
ANNOTATION_COLUMNS = (
    Column(
        "repetition",
        "float32",
        "Share of the thinking's n-grams taken by its three most frequent ones that recur (0 to 1).",
    ),
    Column(
        "thinking_patterns", "pattern_counts", "Thinking patterns such as 'wait' or 'maybe' and how often each occurs."
    ),
    Column("thinking_pattern_count", "int32", "Occurrences of thinking patterns in the whole thinking."),
    Column(
        "end_pattern_count",
        "int32",
        "Occurrences of reflection patterns (no mere connectives) in the thinking's last tenth.",
    ),
    Column("copy_ratio", "float32", "Share of the answer's words that stand verbatim in the thinking, in long runs."),
    Column("longest_copy", "int32", "Longest run of the answer that stands verbatim in the thinking (words)."),
    Column("flags", "strings", "What the filters noticed, for example repetition or end_of_thinking."),
    Column("pipeline_version", "string", "Version of deepwriting that made the row."),
)

#: Columns that only the ``all`` config has.
DECISION_COLUMNS = (
    Column("keep", "bool", "Whether the default config holds the row."),
    Column("drop_reasons", "strings", "Why the default config leaves the row out; empty for kept rows."),
    Column("initial_thinking", "string", "The initial trajectory, before any search step."),
    Column(
        "segments", "segments", "The trajectory segment by segment: initial text, final text, whether it was edited."
    ),
)

#: The published row: config ``default``.
ROW_COLUMNS = TEXT_COLUMNS + SEARCH_COLUMNS + ANNOTATION_COLUMNS
#: Config ``all``: every searched row with its annotations and the decision about it.
ALL_COLUMNS = ROW_COLUMNS + DECISION_COLUMNS
#: Config ``steps``: every candidate of every search step.
STEP_COLUMNS = (
    Column("row_id", "string", "Row that the step belongs to."),
    Column("step", "int32", "Step of the search, from 1."),
    Column("segment_index", "int32", "Segment that the step tried to improve, from 0."),
    Column("segment", "string", "The segment before the step."),
    Column("candidate_index", "int32", "Index of the candidate within the step, from 0."),
    Column("candidate", "string", "The candidate's text; empty when nothing could be parsed."),
    Column("generator", "string", "Model that wrote the candidate."),
    Column("refusal", "string", "Why the candidate was refused, or its scoring ended early.", nullable=True),
    Column("score_current", "float32", "Search score of the best trajectory before the step (clipped mean NLL, nats)."),
    Column("score", "float32", "Search score of the trajectory with the candidate in place (nats).", nullable=True),
    Column("perplexity", "float32", "True perplexity of the answer with the candidate in place.", nullable=True),
    Column("accepted", "bool", "Whether the candidate replaced the segment."),
)
#: Config ``preferences``: the step that gained most, as two conversations.
PREFERENCE_COLUMNS = (
    Column("row_id", "string", "Row that the two conversations were made from."),
    Column("step", "int32", "The search step that they come from: the one that gained most."),
    Column("prompt", "messages", "User turn with the query."),
    Column("chosen", "messages", "Assistant turn: the trajectory with the accepted candidate, then the answer."),
    Column(
        "rejected",
        "messages",
        "The same turn with the worst scored text in the candidate's place: another candidate, or what stood there.",
    ),
    Column("score_chosen", "float32", "Search score of the chosen trajectory (clipped mean NLL, nats; low is good)."),
    Column("score_rejected", "float32", "Search score of the rejected trajectory (nats; low is good)."),
    Column("category", "string", "One of 25 categories."),
    Column("language", "string", "Language of the query: en or zh."),
)
_CONVERSATION_COLUMNS = (
    Column("category", "string", "One of 25 categories."),
    Column("language", "string", "Language of the query: en or zh."),
    Column("source", "string", "Name of the source in the recipe."),
)
#: Config ``sft``: chat messages ready for supervised fine-tuning.
SFT_COLUMNS = (
    Column("row_id", "string", "Row that the conversation was made from."),
    Column("messages", "messages", "User turn with the query; assistant turn with <think>…</think> and the answer."),
    *_CONVERSATION_COLUMNS,
)
#: Config ``sft-reasoning``: the same for chat templates that take the thinking from a field of its own.
SFT_REASONING_COLUMNS = (
    Column("row_id", "string", "Row that the conversation was made from."),
    Column(
        "messages",
        "reasoning_messages",
        "User turn with the query; assistant turn with the answer as content and the thinking as reasoning_content.",
    ),
    *_CONVERSATION_COLUMNS,
)
#: Config ``verl``: the training layout of the original DeepWriting-20K release.
VERL_COLUMNS = (
    Column("data_source", "string", "Name of the source in the recipe."),
    Column("prompt", "messages", "User turn with the query."),
    Column("ability", "string", "What is trained; `writing` in every row."),
    Column("reward_model", "reward_model", "Open-ended writing has no rule to check: ground_truth is empty."),
    Column("extra_info", "extra_info", "index: the row id, which the other configs know."),
    Column("solution", "string", "<think>, the thinking, </think>, then the answer."),
)

#: Config name -> its columns.
CONFIG_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "default": ROW_COLUMNS,
    "all": ALL_COLUMNS,
    "steps": STEP_COLUMNS,
    "preferences": PREFERENCE_COLUMNS,
    "sft": SFT_COLUMNS,
    "sft-reasoning": SFT_REASONING_COLUMNS,
    "verl": VERL_COLUMNS,
    "initial": ROW_COLUMNS,
    "no-reflection": ROW_COLUMNS,
    "short": ROW_COLUMNS,
    "long": ROW_COLUMNS,
    "no-literature": ROW_COLUMNS,
}
#: Config name -> what it holds, in a sentence.
CONFIG_PURPOSE: Mapping[str, str] = {
    "default": "Kept rows: query, thinking, answer, search results and annotations.",
    "all": "Every searched row with its annotations, the decision about it and its segments.",
    "steps": "Every candidate of every search step with its score.",
    "preferences": "The best edit of each kept row and what it beat, as chosen and rejected conversations.",
    "sft": "Kept rows as chat messages, the thinking in <think> tags before the answer.",
    "sft-reasoning": "Kept rows as chat messages, the thinking in the field reasoning_content.",
    "verl": "Kept rows in the training layout of the original DeepWriting-20K release.",
    "initial": "Ablation: the kept rows with the thinking that the search began with, measured again.",
    "no-reflection": "Ablation: searched with prompts that ask for no thinking patterns.",
    "short": "Ablation: the kept rows, most of those with a long thinking left out.",
    "long": "Ablation: the kept rows, most of those with a short thinking left out.",
    "no-literature": "Ablation: the kept rows without the domains Literature & Arts and Ordinary Life.",
}
#: Configs that every dataset has: without the first there is nothing to load, without the second nothing to check.
REQUIRED_CONFIGS = ("default", "all")
#: Split names; the second exists only where a recipe asks for it.
TRAIN, VALIDATION = "train", "validation"


def normalise(text: str) -> str:
    """Text as the exact deduplication sees it: NFC, one kind of newline, no space at line ends or around the text."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


def pair_id(query: str, answer: str) -> str:
    """Content-derived id of a pair: equal for pairs that exact deduplication treats as one.

    Returns:
        ``dw-`` and 16 hexadecimal digits of the SHA-256 of both normalised texts.
    """
    digest = hashlib.sha256(f"{normalise(query)}\x1f{normalise(answer)}".encode()).hexdigest()
    return f"dw-{digest[:16]}"


def row_id(pair: str, rollout: int) -> str:
    """Id of a published row: the pair's id and the rollout index."""
    return f"{pair}-{rollout}"


def pair_of(row: str) -> str:
    """The pair's id inside of a row's, see ``row_id``."""
    return row.rpartition("-")[0]


def assistant_turn(thinking: str, answer: str) -> str:
    """The assistant turn of a training conversation, in the layout of the original DeepWriting-20K release."""
    return f"<think>\n{thinking}\n</think>\n\n{answer}"


def is_rejected(metadata: Mapping[str, Any]) -> bool:
    """Whether a document's metadata carries a reject mark."""
    return REJECT in metadata
