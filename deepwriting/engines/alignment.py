"""Which tokens of a text belong to its target, and how a model's tokenizer is asked.

A text is tokenised once, as a whole, the way the model reads it: a token can join characters from both sides of a
boundary. Which tokens are the target's is found from their character offsets. A token belongs to the target if it
overlaps the target's characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwriting.engines.models import ResolvedModel
from deepwriting.engines.quiet import quiet_transformers
from deepwriting.errors import ContextOverflowError, EngineError, ModelNotFoundError, RequestError

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Aligned:
    """A tokenised text and where its target begins.

    Attributes:
        ids: token ids of the whole text, shape ``(tokens,)``.
        start: index of the first token that belongs to the target; at least 1, and less than ``len(ids)``.
    """

    ids: Ids
    start: int

    @property
    def target_ids(self) -> Ids:
        """Token ids of the target, shape ``(target_tokens,)``."""
        return self.ids[self.start :]


class Tokeniser:
    """A model's tokenizer, asked for what engines need.

    Args:
        tokenizer: a fast tokenizer of transformers.
        model: the model's name, for messages.

    Raises:
        EngineError: if the tokenizer knows no character offsets.
    """

    def __init__(self, tokenizer: Any, model: str):
        if not tokenizer.is_fast:
            raise EngineError(f"model {model!r} has no fast tokenizer; character offsets need one")
        self.tokenizer = tokenizer
        self.model = model

    @classmethod
    def load(cls, resolved: ResolvedModel) -> Tokeniser:
        """The tokenizer of a model.

        Args:
            resolved: where the model's files are.

        Raises:
            ModelNotFoundError: if there is none to be had.
            EngineError: if it knows no character offsets.
        """
        from transformers import AutoTokenizer

        revision = {"revision": resolved.revision} if resolved.on_hub and resolved.revision else {}
        try:
            with quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(resolved.path, **revision)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelNotFoundError(f"the tokenizer of {resolved.name!r} could not be loaded: {reason}") from error
        return cls(tokenizer, resolved.name)

    def encode(self, text: str) -> tuple[Ids, Ids]:
        """Token ids of a text and, for each token, the index of the character behind it; both ``(tokens,)``.

        Raises:
            RequestError: if the text holds half of a surrogate pair, which stands for no character.
        """
        encoded = self._call(text, return_offsets_mapping=True)
        offsets = np.asarray(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        # Bytes of one character can be spread over tokens whose offsets repeat: the ends never go back.
        return np.asarray(encoded["input_ids"], dtype=np.int64), np.maximum.accumulate(offsets[:, 1])

    def align(self, head: str, target: str) -> Aligned:
        """Tokenise ``head + target`` and find the target's tokens.

        Raises:
            RequestError: if no token stands before the target, or the target has none.
        """
        ids, ends = self.encode(head + target)
        start = int(np.searchsorted(ends, len(head), side="right"))
        if start == 0:
            raise RequestError("nothing stands before the target; a score needs a prefix")
        if start >= len(ids):
            raise RequestError("the target has no tokens; an empty text cannot be scored")
        return Aligned(ids, start)

    def prompt(self, text: str) -> Ids:
        """Token ids of a prompt.

        Raises:
            RequestError: if it has none.
        """
        ids = self.encode(text)[0]
        if len(ids) == 0:
            raise RequestError("the prompt has no tokens; there is nothing to continue")
        return ids

    def count(self, text: str) -> int:
        """Length of a text (tokens), without special tokens."""
        return len(self._call(text)["input_ids"])

    def control_tokens(self) -> Sequence[str]:
        """Texts that the tokenizer reads as control tokens."""
        return sorted(self.tokenizer.get_added_vocab())

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt for a user turn, ending inside the assistant turn; base models get plain text."""
        if self.tokenizer.chat_template:
            turns = [{"role": "user", "content": user}]
            rendered: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            return rendered + assistant
        adds_bos = self.tokenizer("a")["input_ids"][:1] == [self.tokenizer.bos_token_id]
        return f"{self.tokenizer.bos_token if adds_bos else ''}{user}\n\n{assistant}"

    def _call(self, text: str, **options: Any) -> Any:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RequestError(
                f"character {error.start} of the text is the lone surrogate U+{ord(text[error.start]):04X}; "
                "a text has to be valid Unicode"
            ) from error
        return self.tokenizer(text, add_special_tokens=False, verbose=False, **options)


def check_context(tokens: int, limit: int, model: str) -> None:
    """Refuse a text that is too long for a model.

    Args:
        tokens: length of the text and of what is to be sampled after it (tokens).
        limit: the model's context (tokens).
        model: its name.

    Raises:
        ContextOverflowError: if the text is longer than the context.
    """
    if tokens > limit:
        raise ContextOverflowError(f"{tokens} tokens do not fit into {limit} of {model}")
