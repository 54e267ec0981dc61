"""Who samples and scores for the reference search: plain transformers, or one request after the other to a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from prepared import prepare

from deepwriting.engines.base import SCORE_NOISE_NATS, UNKNOWN_NOISE_NATS, Completion
from deepwriting.recipe import SearchSection
from deepwriting.seeds import derive_seed


class Backend(Protocol):
    """Who samples and scores for the reference search."""

    noise_nats: float
    sampled_tokens: int
    scored_tokens: int

    def count_tokens(self, text: str) -> int:
        """Length of a text (tokens)."""
        ...

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt for a user turn and the beginning of the model's own."""
        ...

    def sample(
        self, prompt: str, n: int, max_tokens: int, stop: Sequence[str], seed: int, settings: SearchSection
    ) -> list[Completion]:
        """Sample ``n`` continuations."""
        ...

    def logprobs(self, head: str, target: str) -> NDArray[np.float64]:
        """Log-probabilities of the tokens of ``target`` behind ``head``, shape ``(target_tokens,)``, nats."""
        ...


class Tokens:
    """The tokenizer of a model, and which tokens of a text belong to its last part."""

    def __init__(self, folder: str):
        from transformers import AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def count_tokens(self, text: str) -> int:
        """Length of a text (tokens), without special tokens."""
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt for a user turn; base models get plain text."""
        if self.tokenizer.chat_template:
            turns = [{"role": "user", "content": user}]
            return (
                str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)) + assistant
            )
        adds_bos = self.tokenizer("a")["input_ids"][:1] == [self.tokenizer.bos_token_id]
        return f"{self.tokenizer.bos_token if adds_bos else ''}{user}\n\n{assistant}"

    def split(self, head: str, target: str) -> tuple[list[int], int]:
        """Token ids of ``head + target``, and the index of the first one that overlaps the target."""
        encoded = self.tokenizer(head + target, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids: list[int] = encoded["input_ids"]
        start = next(i for i, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(head))
        return ids, start


class PlainTransformers(Tokens):
    """``generate`` and full forward passes of transformers.

    Args:
        folder: directory or Hub id of the model.
        device: ``cpu``, ``cuda``, …
        dtype: name of a torch dtype.
        together: sample all candidates of a step in one call of ``generate``, which is what the original asks its
            server for; otherwise one after the other.
        prepared: put prepared texts in place of the sampled ones, see ``prepared.py``.
    """

    def __init__(self, folder: str, *, device: str, dtype: str, together: bool = False, prepared: bool = False):
        import torch
        from transformers import AutoModelForCausalLM

        super().__init__(folder)
        self.network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).to(device).eval()
        self.together, self.prepared = together, prepared
        self.noise_nats = SCORE_NOISE_NATS[dtype]
        self.sampled_tokens = self.scored_tokens = 0

    def sample(
        self, prompt: str, n: int, max_tokens: int, stop: Sequence[str], seed: int, settings: SearchSection
    ) -> list[Completion]:
        """Sample ``n`` continuations, each from the beginning of the prompt."""
        import torch

        completions: list[Completion] = []
        ids = torch.tensor([self.tokenizer(prompt, add_special_tokens=False)["input_ids"]], device=self.network.device)
        for index in range(1 if self.together else n):
            torch.manual_seed(derive_seed(seed, index))
            with torch.inference_mode():
                output = self.network.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    do_sample=settings.temperature > 0,
                    temperature=settings.temperature or None,
                    top_p=settings.top_p,
                    top_k=settings.top_k,
                    num_return_sequences=n if self.together else 1,
                    max_new_tokens=max_tokens,
                    logits_processor=self._penalty(settings, ids.shape[1]),
                    pad_token_id=self.tokenizer.eos_token_id,
                    stopping_criteria=[self._stopping(stop, ids.shape[1])],
                )
            completions += [self._completion(row[ids.shape[1] :].tolist(), stop) for row in output]
        self.sampled_tokens += sum(completion.tokens for completion in completions)
        if self.prepared:
            return prepare(completions, tokens=max_tokens, stop=stop, seed=seed, count=self.count_tokens)
        return completions

    def _penalty(self, settings: SearchSection, prompt_tokens: int) -> list[Any]:
        """The frequency penalty, which ``generate`` does not have, as in the OpenAI API."""
        import torch

        def lower(input_ids: Any, scores: Any) -> Any:
            written = input_ids[:, prompt_tokens:]
            cost = torch.full_like(written, -settings.frequency_penalty, dtype=scores.dtype)
            return scores.scatter_add(1, written, cost)

        return [lower] if settings.frequency_penalty else []

    def _stopping(self, stop: Sequence[str], prompt_tokens: int) -> Any:
        """Whether each row has said a stop string.

        Not ``generate``'s own ``stop_strings``: that reads the whole vocabulary anew in every call, half a second for
        49,000 tokens, and the reference would look slower than it has to be.
        """
        import torch

        def stopped(input_ids: Any, scores: Any, **unused: Any) -> Any:
            # A stop string of n bytes has at most n tokens.
            tails = input_ids[:, max(prompt_tokens, input_ids.shape[1] - max(len(mark.encode()) for mark in stop)) :]
            texts = [self.tokenizer.decode(tail) for tail in tails.tolist()]
            return torch.tensor([any(mark in text for mark in stop) for text in texts], device=input_ids.device)

        return stopped

    def _completion(self, ids: list[int], stop: Sequence[str]) -> Completion:
        end = self.network.generation_config.eos_token_id
        ends = set(end) if isinstance(end, list) else {end, self.tokenizer.eos_token_id}
        at = next((i for i, token in enumerate(ids) if token in ends), None)
        kept = ids if at is None else ids[:at]
        text = self.tokenizer.decode(kept)
        found = [place for place in (text.find(mark) for mark in stop) if place >= 0]
        if found:
            return Completion(text[: min(found)], len(kept), "stop")
        return Completion(text, len(kept), "length" if at is None else "eos")

    def logprobs(self, head: str, target: str) -> NDArray[np.float64]:
        """One forward pass over everything, with the logits of every position."""
        import torch

        ids, start = self.split(head, target)
        self.scored_tokens += len(ids)
        with torch.inference_mode():
            row = torch.tensor([ids], device=self.network.device)
            logits = self.network(row, use_cache=False).logits[0].float()
            # Only y's positions are normalised: kinder than the original, whose server normalises all of them.
            logs = torch.log_softmax(logits[start - 1 : -1], dim=-1).gather(1, row[0, start:, None])[:, 0]
        return logs.double().cpu().numpy()


class PlainServer(Tokens):
    """One request after the other to a server with vLLM's completions API.

    Args:
        url: address, up to and with ``/v1``.
        model: the model as the server calls it.
        folder: directory or Hub id with its tokenizer.
        dtype: precision that the server computes in, for what counts as noise.
        prepared: put prepared texts in place of the sampled ones.
    """

    #: Seconds that one request may take; a long thinking on a CPU takes minutes.
    timeout_s = 1800.0

    def __init__(self, url: str, *, model: str, folder: str, dtype: str, prepared: bool = False):
        import httpx2

        super().__init__(folder)
        self.client = httpx2.Client(base_url=url.rstrip("/") + "/", timeout=self.timeout_s)
        self.model, self.prepared = model, prepared
        self.noise_nats = SCORE_NOISE_NATS.get(dtype, UNKNOWN_NOISE_NATS)
        self.sampled_tokens = self.scored_tokens = 0

    def sample(
        self, prompt: str, n: int, max_tokens: int, stop: Sequence[str], seed: int, settings: SearchSection
    ) -> list[Completion]:
        """Sample all continuations in one request, as the original does."""
        answer = self._ask(
            prompt=self.tokenizer(prompt, add_special_tokens=False)["input_ids"], n=n, max_tokens=max_tokens,
            temperature=settings.temperature, top_p=settings.top_p, top_k=settings.top_k or -1,
            frequency_penalty=settings.frequency_penalty, stop=list(stop), seed=seed % 2**31,
        )  # fmt: skip
        total = answer["usage"]["completion_tokens"]
        self.sampled_tokens += total
        completions = []
        for choice in answer["choices"]:
            stopped = "eos" if choice.get("stop_reason") is None else "stop"
            reason: Any = "length" if choice["finish_reason"] == "length" else stopped
            # The server counts the tokens of all continuations together.
            completions.append(Completion(choice["text"], round(total / n), reason))
        if self.prepared:
            return prepare(completions, tokens=max_tokens, stop=stop, seed=seed, count=self.count_tokens)
        return completions

    def logprobs(self, head: str, target: str) -> NDArray[np.float64]:
        """One request for one text."""
        ids, start = self.split(head, target)
        self.scored_tokens += len(ids)
        answer = self._ask(prompt=ids, max_tokens=1, temperature=0.0, prompt_logprobs=0)
        positions = answer["choices"][0]["prompt_logprobs"]
        return np.array([positions[at][str(ids[at])]["logprob"] for at in range(start, len(ids))])

    def _ask(self, **request: Any) -> dict[str, Any]:
        response = self.client.post("completions", json={"model": self.model, **request})
        if response.status_code != 200:
            raise SystemExit(f"the server answered {response.status_code}: {response.text[:500]}")
        body: dict[str, Any] = response.json()
        return body
