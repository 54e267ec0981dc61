"""Running a causal language model over tokens while reusing the prefixes that it has already seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from deepwriting.engines.prefixes import Ids, Prefix, PrefixStore, cache_from, can_reuse, prefix_from

#: Positions whose logits exist at the same time: bounds memory to this many rows of the vocabulary (float32).
HEAD_CHUNK = 512
#: Several texts with fewer tokens than this in all are scored as one row under a block mask (see ``_packed_logprobs``).
#: Behind a prefix of 250 tokens four texts took 0.82 of a padded batch's time at 120 tokens in all and 0.85 at 240, but
#: 1.05 at 480 and 1.16 at 1,600, where the mask throws away more and more attention (benchmarks/packed_scoring.py,
#: SmolLM2-135M, float32, 2 cores).
PACKED_TOKENS = 320
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
            #: (Boolean masks, which sharing needs, are what the sdpa attention takes.)
            self.reusable = (
                can_reuse(output.past_key_values, model.config) and model.config._attn_implementation == "sdpa"
            )
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
        suffixes = [row[shared:] for row in rows]
        if len(rows) > 1 and sum(map(len, suffixes)) <= PACKED_TOKENS:
            return self._packed_logprobs(suffixes, prefix, [start - shared for start in starts])
        return self._logprobs(rows, prefix, starts)

    def _logprobs(self, rows: list[Ids], prefix: Prefix | None, starts: list[int]) -> list[np.ndarray]:
        """One row a text, padded behind the texts, where nothing sees it."""
        shared = len(prefix.ids) if prefix is not None else 0
        width = max(len(row) for row in rows) - shared
        batch = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            batch[index, : len(row) - shared] = row[shared:]
        self.computed_tokens += int(batch.size)
        outputs_BTD = self._outputs(torch.from_numpy(batch).to(self.device), prefix)
        suffixes = [row[shared:] for row in rows]
        return self._pick(list(outputs_BTD), suffixes, [start - shared for start in starts])

    def _packed_logprobs(self, suffixes: list[Ids], prefix: Prefix, starts: list[int]) -> list[np.ndarray]:
        """All texts in one row, each seeing the prefix and itself: the prefix is not copied for each of them."""
        shared, lengths = len(prefix.ids), [len(suffix) for suffix in suffixes]
        owner_T = np.repeat(np.arange(len(suffixes)), lengths)
        position_T = np.concatenate([np.arange(length) for length in lengths])
        own_TT = (owner_T[:, None] == owner_T[None, :]) & (position_T[:, None] >= position_T[None, :])
        mask_TS = np.concatenate([np.ones((len(owner_T), shared), dtype=bool), own_TT], axis=1)
        self.computed_tokens += len(owner_T)
        outputs_1TD = self._outputs(
            self.tokens(np.concatenate(suffixes)),
            prefix,
            attention_mask=torch.from_numpy(mask_TS)[None, None].to(self.device),
            position_ids=torch.from_numpy(position_T + shared)[None].to(self.device),
        )
        return self._pick(list(torch.split(outputs_1TD[0], lengths)), suffixes, starts)

    def _outputs(self, input_ids: torch.Tensor, prefix: Prefix | None, **extra: torch.Tensor) -> torch.Tensor:
        """What the head works on: hidden states, or logits where the head is not a plain one; (batch, tokens, …)."""
        cache = cache_from(prefix, input_ids.shape[0], self.model.config)
        if self._plain_head:
            hidden: torch.Tensor = self._body(
                input_ids, past_key_values=cache, use_cache=True, **extra
            ).last_hidden_state
            return hidden
        logits: torch.Tensor = self.model(input_ids, past_key_values=cache, use_cache=True, **extra).logits
        return logits

    def _pick(self, outputs: list[torch.Tensor], texts: list[Ids], starts: list[int]) -> list[np.ndarray]:
        """Log-probabilities of ``text[start:]`` for each text, from the outputs at the positions before them.

        The head works on the positions of all texts together, a chunk at a time: on few positions it would spend its
        time reading its weights, on all at once the logits would fill the memory.
        """
        inputs_ND = torch.cat(
            [out[start - 1 : len(text) - 1] for out, text, start in zip(outputs, texts, starts, strict=True)]
        )
        targets_N = torch.from_numpy(np.concatenate([text[start:] for text, start in zip(texts, starts, strict=True)]))
        head = self.model.get_output_embeddings() if self._plain_head else None
        picked_N = np.empty(len(targets_N), dtype=np.float32)
        for at in range(0, len(targets_N), HEAD_CHUNK):
            chunk = slice(at, at + HEAD_CHUNK)
            logits_TV = (head(inputs_ND[chunk]) if head is not None else inputs_ND[chunk]).float()
            chosen_T = logits_TV.gather(1, targets_N[chunk, None].to(self.device))[:, 0]
            picked_N[chunk] = (chosen_T - torch.logsumexp(logits_TV, dim=-1)).cpu().numpy()
        lengths = [len(text) - start for text, start in zip(texts, starts, strict=True)]
        return np.split(picked_N, np.cumsum(lengths)[:-1])
