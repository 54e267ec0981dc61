"""Running a causal language model over the next tokens of several texts, each behind what is already computed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepwriting.engines.transformers.heads import find_head
from deepwriting.engines.transformers.past import PastCache
from deepwriting.engines.transformers.prefixes import NOTHING, Ids, Prefix, PrefixStore
from deepwriting.engines.transformers.reuse import Windows, agrees, length_dependent, windows

#: Positions whose logits exist at the same time: bounds memory to this many rows of the vocabulary (float32).
HEAD_CHUNK = 512
#: Several texts behind one prefix with fewer new tokens than this in all are computed as one row under a block mask.
#: Behind a prefix of 250 tokens four texts took 0.82 of a padded batch's time at 120 tokens in all and 0.85 at 240, but
#: 1.05 at 480 and 1.16 at 1,600, where the mask throws away more and more attention (benchmarks/packed_scoring.py,
#: SmolLM2-135M, float32, 2 cores).
PACKED_TOKENS = 320
#: Tokens of one text in one forward pass: bounds the activations of a long one.
PREFILL_CHUNK = 4096


@dataclass(eq=False)
class Row:
    """A text on its way through the model.

    Attributes:
        ids: its tokens, shape ``(tokens,)``.
        past: the beginning of ``ids`` that is computed already.
        end: the next pass computes the tokens up to this one.
        retain: whether the keys of the next pass are needed after it.
    """

    ids: Ids
    past: Prefix = NOTHING
    end: int = 0
    retain: bool = False

    @property
    def width(self) -> int:
        """Tokens that the next pass computes."""
        return self.end - len(self.past)


def packable(rows: Sequence[Row]) -> bool:
    """Whether rows are best computed as one, see ``PACKED_TOKENS``."""
    shared = len(rows) > 1 and all(row.past is rows[0].past for row in rows)
    return shared and sum(row.width for row in rows) <= PACKED_TOKENS


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
        #: Size of the latest pass (tokens, filling included), also if it failed.
        self.tried_tokens = 0
        #: Texts in that pass.
        self.tried_rows = 0
        self._body = model.base_model
        self._windows: Windows | None = windows(model.config)
        #: Whether any beginning of a sequence can be kept and used again, in rows of any length.
        self.reusable = self._windows is not None
        #: Whether texts of different lengths can go through the model together.
        self.paddable = not length_dependent(model.config)
        with torch.inference_mode():
            #: From hidden states to logits; ``None`` if only the model itself knows how.
            self._head = find_head(model, self._body, self.device)
            self.reusable = self.reusable and agrees(self)

    @property
    def layers(self) -> int:
        """Number of layers that have a cache."""
        return int(self.model.config.get_text_config().num_hidden_layers)

    @property
    def chunk(self) -> int:
        """Most tokens of one text in one pass; less where a pass makes the logits of all of them."""
        return PREFILL_CHUNK if self._head is not None else HEAD_CHUNK

    def advance(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """Compute each row up to its ``end``, in one forward pass.

        Returns:
            For each row what the head works on at its new positions, shape ``(width, hidden)``; see ``logits``.
        """
        self.tried_rows = len(rows)
        self.computed_tokens += sum(row.width for row in rows)
        if not self.reusable:
            return self._plain(rows)
        if packable(rows):
            return self._packed(rows)
        return self._padded(rows, all(row.past is rows[0].past for row in rows))

    def logits(self, outputs_ND: torch.Tensor) -> torch.Tensor:
        """Logits in float32, shape ``(positions, vocabulary)``, from what ``advance`` returned."""
        logits_NV = self._head(outputs_ND) if self._head is not None else outputs_ND
        return logits_NV.float()

    def logprobs(self, outputs: list[torch.Tensor], targets: list[Ids]) -> list[NDArray[np.float32]]:
        """Log-probabilities of the tokens that follow.

        The head works on the positions of all texts together, a chunk at a time: on few positions it would spend its
        time reading its weights, on all at once the logits would fill the memory.

        Args:
            outputs: for each text what ``advance`` returned, at the positions before the targets.
            targets: for each text the tokens at the next positions.

        Returns:
            For each text natural log-probabilities, float32, shape ``(targets,)``.
        """
        inputs_ND = torch.cat(outputs)
        targets_N = torch.from_numpy(np.concatenate(targets)).to(self.device)
        picked = []
        for at in range(0, len(targets_N), HEAD_CHUNK):
            logits_TV = self.logits(inputs_ND[at : at + HEAD_CHUNK])
            chosen_T = logits_TV.gather(1, targets_N[at : at + HEAD_CHUNK, None])[:, 0]
            picked.append(chosen_T - torch.logsumexp(logits_TV, dim=-1))
        none = torch.empty(0, device=self.device)
        flat: NDArray[np.float32] = torch.cat([none, *picked]).cpu().numpy()  # the only wait for the device
        return np.split(flat, np.cumsum([len(target) for target in targets])[:-1])

    def mask(self, queries: torch.Tensor, keys: torch.Tensor, seen: torch.Tensor) -> Any:
        """The attention mask in the form that this model takes.

        Args:
            queries: positions of the queries in their texts, shape ``(rows or 1, queries, 1)``.
            keys: positions of the keys in their texts, shape ``(rows or 1, 1, keys)``.
            seen: whether a query may see a key in full attention, shape ``(rows or 1, queries, keys)``.
        """
        assert self._windows is not None
        masks: dict[str, torch.Tensor] = {}
        for kind, window in self._windows.items():
            mask = (seen if window is None else seen & (keys > queries - window))[:, None]
            if self.model.config._attn_implementation == "eager":  # adds its mask to the scores
                lowest = torch.finfo(self.model.dtype).min
                mask = torch.zeros(mask.shape, dtype=self.model.dtype, device=mask.device).masked_fill(~mask, lowest)
            masks[kind] = mask
        return next(iter(masks.values())) if len(masks) == 1 else masks

    def _padded(self, rows: Sequence[Row], shared: bool) -> list[torch.Tensor]:
        """One row a text: ``[past, filling][new, filling]``; no token sees the filling."""
        pasts = [rows[0].past] if shared else [row.past for row in rows]
        width, before = max(row.width for row in rows), max(len(past) for past in pasts)
        batch = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            batch[index, : row.width] = row.ids[len(row.past) : row.end]
        extra: dict[str, Any] = {}
        if before:  # without a past, plain causal attention sees the same and needs no mask
            lengths_B11 = torch.tensor([len(past) for past in pasts], device=self.device)[:, None, None]
            new_T, old_P = torch.arange(width, device=self.device), torch.arange(before, device=self.device)
            queries_BT1 = lengths_B11 + new_T[:, None]
            keys_B1S = torch.cat([old_P.expand(len(pasts), 1, before), lengths_B11 + new_T], dim=-1)
            is_new_S = torch.arange(before + width, device=self.device) >= before
            seen_BTS = (keys_B1S <= queries_BT1) & (is_new_S | (keys_B1S < lengths_B11))
            # Filling stays within its text: some models have no positions beyond their context.
            last_B1 = torch.tensor([row.end - 1 for row in rows], device=self.device)[:, None]
            extra["position_ids"] = torch.minimum(queries_BT1[:, :, 0].expand(len(rows), -1), last_B1)
            extra["attention_mask"] = self.mask(queries_BT1, keys_B1S, seen_BTS)
        cache = PastCache(pasts, self.layers, retain=any(row.retain for row in rows))
        outputs_BTD = self._outputs(torch.from_numpy(batch).to(self.device), past_key_values=cache, **extra)
        outputs = [outputs_BTD[index, : row.width] for index, row in enumerate(rows)]
        for index, row in enumerate(rows):
            if row.retain:
                row.past = row.past.extended(row.ids[len(row.past) : row.end], cache.new(index, 0, row.width))
        return outputs

    def _packed(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """All texts in one row, each seeing the past and itself: the past is not copied for each of them."""
        past, widths = rows[0].past, [row.width for row in rows]
        bounds = np.cumsum([0, *widths])
        owner = torch.from_numpy(np.repeat(np.arange(len(rows)), widths)).to(self.device)
        positions = np.concatenate([np.arange(width) for width in widths]) + len(past)
        new_T = torch.from_numpy(positions).to(self.device)
        queries_1T1 = new_T[None, :, None]
        keys_11S = torch.cat([torch.arange(len(past), device=self.device), new_T])[None, None]
        own_TT = (owner[:, None] == owner[None, :]) & (new_T[:, None] >= new_T[None, :])
        seen_1TS = torch.cat([own_TT.new_ones(len(new_T), len(past)), own_TT], dim=1)[None]
        cache = PastCache([past], self.layers, retain=any(row.retain for row in rows))
        tokens = np.concatenate([row.ids[len(past) : row.end] for row in rows])
        outputs_1TD = self._outputs(
            torch.from_numpy(tokens)[None].to(self.device),
            past_key_values=cache,
            position_ids=new_T[None],
            attention_mask=self.mask(queries_1T1, keys_11S, seen_1TS),
        )
        for index, row in enumerate(rows):
            if row.retain:
                new = cache.new(0, int(bounds[index]), int(bounds[index + 1]))
                row.past = past.extended(row.ids[len(past) : row.end], new)
        return list(torch.split(outputs_1TD[0], widths))

    def _plain(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """Whole texts, with nothing of ours inside the model; padded behind, where no token looks."""
        width = max(row.end for row in rows)
        batch = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            batch[index, : row.end] = row.ids[: row.end]
        outputs_BTD = self._outputs(torch.from_numpy(batch).to(self.device))
        return [outputs_BTD[index, : row.end] for index, row in enumerate(rows)]

    def _outputs(self, input_ids: torch.Tensor, **extra: Any) -> torch.Tensor:
        """What the head works on: hidden states, or logits where only the model knows its head; (batch, tokens, …)."""
        self.tried_tokens = int(input_ids.numel())
        extra["use_cache"] = "past_key_values" in extra
        if self._head is not None:
            hidden: torch.Tensor = self._body(input_ids, **extra).last_hidden_state
            return hidden
        logits: torch.Tensor = self.model(input_ids, **extra).logits
        return logits
