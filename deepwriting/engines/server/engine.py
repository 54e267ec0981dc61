"""The engine behind HTTP: servers that speak the OpenAI protocol, hosted, started by the run itself, or in a pool.

A server that dies and comes back costs time, no results: every request waits, or goes to another one. One that refuses
a request fails that request, with the server's own words.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

from deepwriting.engines.alignment import Aligned, check_context
from deepwriting.engines.base import Abandon, Completion, EngineInfo, TargetScore, Usage
from deepwriting.engines.models import resolve_model
from deepwriting.engines.server.addresses import Addresses, Announced, Fixed
from deepwriting.engines.server.admission import Admission
from deepwriting.engines.server.chat import (
    Prefill,
    cut_at_stop,
    messages,
    pack,
    stops_to_send,
    unpack,
    without_beginning,
)
from deepwriting.engines.server.client import ServerClient
from deepwriting.engines.server.key import ApiKey
from deepwriting.engines.server.probe import Learned, learn
from deepwriting.engines.server.process import ServerProcess, ServerStart
from deepwriting.engines.server.sampling import Dialect, Sampling
from deepwriting.engines.server.scoring import PROTOCOLS, Scored
from deepwriting.engines.server.setup import find_tokeniser, run_in_thread, together
from deepwriting.errors import EngineError, RequestError

log = logging.getLogger(__name__)

#: How long the start waits for a pool's slower servers once one is ready (seconds); the others join later.
SETTLE_S = 30.0


class ServerEngine:
    """Samples and scores through a server, or through several that serve the same model.

    With ``api`` completions the prompt is rendered and tokenised here and sent as token ids. With chat it is sent as
    messages: for hosted models, which cannot score.

    Args:
        model: the model as the server calls it; with ``start`` an embedded name, local directory or Hub id.
        url: the server's address, up to and with ``/v1``.
        urls: the addresses of several servers.
        endpoints: a file or folder with the addresses of servers that come and go, see ``Announced``.
        start: start local servers instead. Processes that ask for the same ones share them. Beside ``endpoints`` it is
            what others start (``deepwriting serve``); nothing is started here.
        api: ``completions`` or ``chat``.
        prefill: chat only: ``continue`` lets the server go on with a begun assistant turn (vLLM, SGLang); ``ask`` asks
            the model to begin so, and cuts that beginning off if it does.
        scoring: how the server gives log-probabilities; ``auto`` tries the ways on a short text and takes the cheapest.
        tokenizer: embedded name, local directory or Hub id. If left out, that of ``model`` for completions, none for
            chat. Without one the server alone judges what fits into the context.
        revision: Hub revision of model and tokenizer; recorded in the rows.
        api_key_env: environment variable that holds the server's key.
        dtype: precision that the server computes in, if known; a server that is started is told so.
        context_tokens: use less context than the model has; needed where the server does not state it (tokens).
        max_concurrency: most requests of one process in flight at one server.
        requests_per_minute: rate limit of one process at one server.
        timeout_s: limit of one attempt (seconds).
        patience_s: how long to wait while all servers are away or busy (seconds).

    Raises:
        EngineError: if the arguments contradict each other, no server can be had, it lacks what was asked for, or two
            of ``urls`` do not serve the same.
        ModelNotFoundError: if the tokenizer, or the model to start, cannot be found.
    """

    def __init__(
        self,
        model: str,
        *,
        url: str | None = None,
        urls: Sequence[str] = (),
        endpoints: str | None = None,
        start: ServerStart | None = None,
        api: Literal["completions", "chat"] = "completions",
        prefill: Prefill = "continue",
        scoring: Literal["auto", "none", "prompt_logprobs", "echo", "sglang"] = "auto",
        tokenizer: str | None = None,
        revision: str | None = None,
        api_key_env: str | None = None,
        dtype: str = "unknown",
        context_tokens: int | None = None,
        max_concurrency: int = 64,
        requests_per_minute: int | None = None,
        timeout_s: float = 600.0,
        patience_s: float = 1800.0,
    ):
        if [bool(url), bool(urls), bool(endpoints), bool(start) and not endpoints].count(True) != 1:
            raise EngineError("a server engine needs exactly one of url, urls, endpoints and start")
        if api == "chat" and scoring not in ("auto", "none"):
            raise EngineError(f"a chat server cannot score, so scoring {scoring!r} is not allowed; allowed: none")
        key = ApiKey(api_key_env)
        resolved = resolve_model(model, revision) if start is not None else None
        self.model, self.api, self.prefill = model, api, prefill
        self._tokeniser = find_tokeniser(model, tokenizer, revision, api, resolved)
        self._processes: list[ServerProcess] = []
        self._dialect = Dialect()
        try:
            if start is not None and resolved is not None and endpoints is None:
                self._processes += [ServerProcess(one, resolved, dtype=dtype) for one in start.each()]
            where: Addresses = Fixed([url] if url else urls or [process.url for process in self._processes])
            if endpoints is not None:
                where = Announced(endpoints, model=model, revision=resolved.revision if resolved else revision)
            self._client = ServerClient(
                where,
                key=key,
                max_concurrency=max_concurrency,
                requests_per_minute=requests_per_minute,
                timeout_s=timeout_s,
                patience_s=patience_s,
                lost=self._lost,
                proxies=where.fixed and not self._processes,  # announced servers are of this network
            )
            for process in self._processes:
                process.wait_ready()
            self._learned = run_in_thread(self._learn(scoring=scoring, dtype=dtype, context_tokens=context_tokens))
        except BaseException:
            self.close()
            raise
        room = self._learned.context
        if room is not None and self._learned.protocol:
            room -= 1  # every protocol samples one token behind the text that it scores
        if room is None and context_tokens is None:
            self.close()
            raise EngineError(f"{self._client.url} does not state the context of {model!r}; name context_tokens")
        self._info = EngineInfo(
            engine="server",
            model=model,
            revision=revision or (resolved.revision if resolved else None) or "unknown",
            dtype=dtype,
            device=self._client.url,
            context_tokens=min(limit for limit in (context_tokens, room) if limit is not None),
        )
        self._sampled = self._prompted = self._scored = self._reused = 0
        log.info(
            "%s at %s, context %d tokens, scores: %s",
            model, self._info.device, self._info.context_tokens,
            self._learned.protocol or f"none ({self._learned.no_scores})",
        )  # fmt: skip

    @property
    def info(self) -> EngineInfo:
        """What stands behind this engine; the revision is what the recipe says, a server does not tell."""
        return self._info

    @property
    def usage(self) -> Usage:
        """Tokens processed so far; reused ones where the server reports them."""
        return Usage(self._sampled, self._prompted, self._scored, self._reused)

    def count_tokens(self, text: str) -> int:
        """Length of a text (tokens); without a tokenizer its UTF-8 bytes, which no text exceeds in tokens."""
        return self._tokeniser.count(text) if self._tokeniser else len(text.encode(errors="replace"))

    def control_tokens(self) -> Sequence[str]:
        """Texts that the tokenizer reads as control tokens; none if there is no tokenizer."""
        return self._tokeniser.control_tokens() if self._tokeniser else ()

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt for a user turn; for a chat server both turns, packed into one string."""
        if self.api == "chat":
            return pack(user, assistant)
        return self._tokeniser.render(user, assistant) if self._tokeniser else f"{user}\n\n{assistant}"

    async def sample(
        self,
        prompt: str,
        *,
        n: int,
        max_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        frequency_penalty: float,
        stop: Sequence[str],
        seed: int,
    ) -> list[Completion]:
        """Sample continuations, each by a request of its own with its own seed; see ``Engine.sample``."""
        if n < 1 or max_tokens < 1:
            raise EngineError(f"n is {n} and max_tokens is {max_tokens}; at least 1 of each is allowed")
        if not all(math.isfinite(value) for value in (temperature, top_p, frequency_penalty)):
            raise EngineError(
                f"temperature {temperature}, top_p {top_p} and frequency_penalty {frequency_penalty} have to be numbers"
            )
        request, begun, tokens = self._request(prompt)
        if tokens is not None:
            check_context(tokens + max_tokens, self._info.context_tokens, self.model)
        asked = self.api == "chat" and self.prefill == "ask" and bool(begun)
        sampling = Sampling(
            # The beginning that the model was asked to repeat counts against its limit.
            max_tokens + (self.count_tokens(begun) if asked else 0),
            temperature, top_p, top_k, frequency_penalty, stops_to_send(stop, begun) if asked else stop, seed,
        )  # fmt: skip

        async def continuation(index: int) -> Completion:
            path = "/chat/completions" if self.api == "chat" else "/completions"
            body = {"model": self.model, **request, **sampling.fields(index)}
            answer = await self._dialect.ask(self._client, path, body, stopping=bool(sampling.stop))
            text, stopped = cut_at_stop(without_beginning(answer.text, begun) if asked else answer.text, stop)
            sampled = self.count_tokens(text) if answer.tokens is None else answer.tokens
            self._sampled += sampled
            self._prompted += answer.prompt_tokens if tokens is None and answer.prompt_tokens else tokens or 0
            self._reused += answer.cached_tokens
            return Completion(text, sampled, "stop" if stopped else answer.finish_reason)

        return await together([continuation(index) for index in range(n)])

    async def score(
        self, prefix: str, middles: Sequence[str], target: str, *, abandon: Abandon | None = None
    ) -> list[TargetScore]:
        """Score a target after each middle; see ``Engine.score``. A server is never told to abandon one."""
        return await self._score([(prefix + middle, target) for middle in middles])

    async def score_each(self, prefix: str, targets: Sequence[str]) -> list[TargetScore]:
        """Score several targets after one prefix; see ``Engine.score_each``."""
        return await self._score([(prefix, target) for target in targets])

    def close(self) -> None:
        """Send waiting callers away, and end servers that were started once nobody else uses them."""
        if hasattr(self, "_client"):
            self._client.close()
        for process in self._processes:
            process.close()

    async def _learn(self, *, scoring: str, dtype: str, context_tokens: int | None) -> Learned:
        """Ask a server what it can do and, in a pool, see that the others can do the same."""
        client = self._client
        learned = await learn(client, self._dialect, self.model, self._tokeniser, api=self.api, scoring=scoring)
        if client.alone:
            return learned
        room = [tokens for tokens in (learned.context, context_tokens and context_tokens + 1) if tokens is not None]
        admission = Admission(
            model=self.model,
            tokeniser=self._tokeniser,
            learned=learned,
            dialect=self._dialect,
            dtype=dtype,
            context=min(room, default=None),
            chat=self.api == "chat",
        )
        await client.look_at_all(admission, limit_s=SETTLE_S)
        for server in list(client.pool.members.values()):
            if client.fixed and server.state == "unfit":  # the user named it; better now than after a day
                raise EngineError(f"the servers do not serve the same: {server.url}: {server.reason}")
        return learned

    def _lost(self) -> str | None:
        """Why no started server will come back; ``None`` as long as one may, or if none was started."""
        reasons = [process.failure() for process in self._processes]
        return next(iter(reasons), None) if all(reasons) else None

    def _request(self, prompt: str) -> tuple[dict[str, Any], str, int | None]:
        """The prompt's fields in a request, the begun assistant turn (chat only), and the prompt's tokens if known."""
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise RequestError(f"character {error.start} of the prompt is half of a surrogate pair") from error
        if self.api == "chat":
            user, begun = unpack(prompt)
            tokens = self._tokeniser.count(self._tokeniser.render(user, begun)) if self._tokeniser else None
            return messages(user, begun, self.prefill), begun, tokens
        if not prompt:
            raise RequestError("the prompt has no tokens; there is nothing to continue")
        ids = self._tokeniser.prompt(prompt).tolist() if self._tokeniser else None
        if ids is None:
            return {"prompt": prompt}, "", None
        if self._learned.sends_ids:
            return {"prompt": ids}, "", len(ids)
        return {"prompt": prompt, "add_special_tokens": False}, "", len(ids)  # the template has put them in

    async def _score(self, texts: list[tuple[str, str]]) -> list[TargetScore]:
        self._client.refuse_if_closed()
        if self._learned.protocol is None or self._tokeniser is None:
            raise EngineError(
                f"{self.model} at {self._client.url} only samples ({self._learned.no_scores}); name another scorer"
            )
        protocol = PROTOCOLS[self._learned.protocol]
        aligned = [self._tokeniser.align(head, target) for head, target in texts]
        for text in aligned:
            check_context(len(text.ids), self._info.context_tokens, self.model)

        async def one(text: Aligned) -> Scored:
            body = protocol.body(self.model, text)
            scored = await self._client.post(protocol.path, body, lambda answer: protocol.read(answer, text))
            self._scored += len(text.ids)
            self._reused += scored.cached_tokens
            return scored

        different = {(text.ids.tobytes(), text.start): text for text in aligned}
        found = dict(zip(different, await together([one(text) for text in different.values()]), strict=True))
        return [TargetScore(found[text.ids.tobytes(), text.start].logprobs, len(text.ids)) for text in aligned]
