"""Running a causal language model over tokens while reusing the prefixes that it has already seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from deepwriting.engines.prefixes import Ids, Prefix, PrefixStore, cache_from, can_reuse, prefix_from

#: Positions whose logits exist at the same time: bounds memory to this many rows of the vocabulary (float32).
HEAD_CHUNK = 512
#: Tokens in one forward pass over a long prefix: bounds the activations.
PREFILL_CHUNK = 4096


class CausalModel:
    """A causal language model with prefix reuse.

    Args:
        model: a transformers causal language model in evaluation mode.
        store: where prefixes are kept.
    """

    def __init__(self, model: Any, store: PrefixStore):
        self.model = model
        self.store = store
        self.device = torch.device(model.device)
        self.reused_tokens = 0
        self.computed_tokens = 0
        self._body = model.base_model
        with torch.inference_mode():
            probe = torch.zeros(1, 2, dtype=torch.long, device=self.device)
            output = model(probe, use_cache=True)
            hidden = self._body(probe).last_hidden_state
            #: Whether any beginning of a sequence can be cut from the cache and used again.
            self.reusable = can_reuse(output.past_key_values)
            # Some models scale or cap their logits after the head; those go through the whole model instead.
            self._plain_head = bool(torch.equal(model.get_output_embeddings()(hidden), output.logits))

    @property
    def layers(self) -> int:
        """Number of layers that have a cache."""
        return int(self.model.config.get_text_config().num_hidden_layers)

    def tokens(self, ids: Ids) -> torch.Tensor:
        """Token ids as a one-row tensor on the model's device."""
        return torch.from_numpy(np.ascontiguousarray(ids))[None].to(self.device)

    def prefix(self, ids: Ids, *, keep: int = 0) -> Prefix:
        """Keys and values of ``ids``, computing only what no kept prefix covers.

        Args:
            ids: tokens, shape ``(tokens,)``.
            keep: keep the first ``keep`` tokens for later calls; 0 keeps nothing.
        """
        known = self.store.longest(ids)
        done = len(known.ids) if known is not None else 0
        cache = cache_from(known, 1, self.model.config)
        for start in range(done, len(ids), PREFILL_CHUNK):
            self._body(self.tokens(ids[start : start + PREFILL_CHUNK]), past_key_values=cache, use_cache=True)
        self.reused_tokens += done
        self.computed_tokens += len(ids) - done
        whole = prefix_from(cache, ids)
        if keep > done:
            part = whole.cut(keep)
            self.store.keep(Prefix(part.ids.copy(), tuple((k.clone(), v.clone()) for k, v in part.layers)))
        return whole

    def next_logits(self, ids: Ids, *, keep: int = 0) -> tuple[torch.Tensor, Prefix]:
        """Logits after the last of ``ids``, shape ``(vocabulary,)``, and the prefix of all of them."""
        before = self.prefix(ids[:-1], keep=min(keep, len(ids) - 1))
        cache = cache_from(before, 1, self.model.config)
        logits = self.model(self.tokens(ids[-1:]), past_key_values=cache, use_cache=True).logits[0, -1]
        return logits, prefix_from(cache, ids)

    def suffix_logprobs(self, rows: list[Ids], shared: int, starts: list[int], *, keep: int) -> list[np.ndarray]:
        """Log-probabilities of the last tokens of each row.

        Args:
            rows: token sequences that agree in their first ``shared`` tokens.
            shared: length of the common beginning (tokens).
            starts: for each row the index of the first token to score; larger than ``shared``.
            keep: keep the first ``keep`` tokens of the common beginning for later calls.

        Returns:
            For each row the natural log-probabilities of ``row[start:]``, float32.
        """
        if not self.reusable:
            return [self._logprobs([row], None, [start])[0] for row, start in zip(rows, starts, strict=True)]
        prefix = self.prefix(rows[0][:shared], keep=keep)
        return self._logprobs(rows, prefix, starts)

    def _logprobs(self, rows: list[Ids], prefix: Prefix | None, starts: list[int]) -> list[np.ndarray]:
        shared = len(prefix.ids) if prefix is not None else 0
        width = max(len(row) for row in rows) - shared
        batch = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            batch[index, : len(row) - shared] = row[shared:]  # padding stands behind the text, where nothing sees it
        self.computed_tokens += int(batch.size)
        input_ids = torch.from_numpy(batch).to(self.device)
        cache = cache_from(prefix, len(rows), self.model.config)
        if self._plain_head:
            hidden_BTD = self._body(input_ids, past_key_values=cache, use_cache=True).last_hidden_state  # noqa: N806
            head = self.model.get_output_embeddings()
        else:
            hidden_BTD = self.model(input_ids, past_key_values=cache, use_cache=True).logits  # noqa: N806
            head = None
        results = []
        for index, (row, start) in enumerate(zip(rows, starts, strict=True)):
            pieces = []
            for at in range(start, len(row), HEAD_CHUNK):
                to = min(at + HEAD_CHUNK, len(row))
                inputs = hidden_BTD[index, at - 1 - shared : to - 1 - shared]
                logits_TV = (head(inputs) if head is not None else inputs).float()  # noqa: N806
                targets = torch.from_numpy(np.ascontiguousarray(row[at:to])).to(self.device)
                picked = logits_TV.gather(1, targets[:, None])[:, 0] - torch.logsumexp(logits_TV, dim=-1)
                pieces.append(picked.cpu().numpy())
            results.append(np.concatenate(pieces))
        return results
