"""A real HTTP server, a real model behind it: speaks what vLLM, SGLang and hosted servers speak, and can misbehave.

    server = OpenAIServer(folder)      serves a saved model on a free port, in a thread of its own
    server.faults.append(Fault(...))   the next request meets this instead of an answer
    server.die(); server.revive()      no connection survives; the port stays the same
    server.requests                    what was asked

As a program: python tests/engines/openai_server.py --model FOLDER --port 8000 --served-model-name NAME
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}


@dataclass
class Fault:
    """What a request meets instead of an answer; ``path`` limits it to addresses that contain this."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drop: bool = False
    path: str = ""


class RefusedError(Exception):
    """The server's answer to a request that is wrong."""

    def __init__(self, status: int, body: Any):
        super().__init__(body)
        self.status, self.body = status, body

    @classmethod
    def openai(cls, message: str, param: str | None = None, status: int = 400) -> RefusedError:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
        return cls(status, {"error": error})


class Model:
    """A saved model, computed by transformers; nothing of it is ours."""

    def __init__(self, folder: Path):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from deepwriting.engines.quiet import quiet_transformers

        self.torch: Any = torch
        with quiet_transformers():
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            self.network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        self.context: int = self.network.config.max_position_embeddings
        self.ends = {self.tokenizer.eos_token_id, self.network.generation_config.eos_token_id}

    def ids(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def logprobs(self, ids: list[int]) -> list[float | None]:
        """Of each token after the ones before it; nothing for the first."""
        with self.torch.inference_mode():
            logits = self.network(self.torch.tensor([ids])).logits[0, :-1]
            chosen = logits.gather(1, self.torch.tensor([ids[1:]]).T)[:, 0] - logits.logsumexp(dim=-1)
        return [None, *chosen.tolist()]

    def generate(self, ids: list[int], body: dict[str, Any], gone: Callable[[], bool]) -> dict[str, Any]:
        """One continuation as a choice of /v1/completions."""
        rng = np.random.Generator(np.random.PCG64(body.get("seed", 0)))
        stops = body.get("stop") or []
        found: list[int] = []
        text, reason, stopped, past, fresh = "", "length", None, None, ids
        while len(found) < body["max_tokens"] and not gone():
            with self.torch.inference_mode():
                out = self.network(self.torch.tensor([fresh]), past_key_values=past, use_cache=True)
            past, logits = out.past_key_values, out.logits[:, -1].clone()
            for token in found:
                logits[0, token] -= body.get("frequency_penalty", 0.0)
            token = draw(logits[0].double().numpy(), body, rng)
            found.append(token)
            fresh = [token]
            if token in self.ends:
                reason = "stop"
                break
            text = self.tokenizer.decode(found, skip_special_tokens=True)
            places = [(text.find(stop), stop) for stop in stops if stop in text]
            if places:
                at, stopped = min(places)
                text, reason = text[:at], "stop"
                break
        return {"index": 0, "text": text, "finish_reason": reason, "stop_reason": stopped, "tokens": len(found)}


def draw(logits: np.ndarray, body: dict[str, Any], rng: np.random.Generator) -> int:
    """One token by a request's temperature, top_k and top_p."""
    if (temperature := body.get("temperature", 1.0)) == 0:
        return int(logits.argmax())
    top_k = body.get("top_k", -1)
    order = np.argpartition(-logits, top_k)[:top_k] if 0 < top_k < len(logits) else np.arange(len(logits))
    order = order[np.argsort(-logits[order], kind="stable")]
    weights = np.exp((logits[order] - logits[order[0]]) / temperature)
    before = np.cumsum(weights) - weights
    weights[before >= body.get("top_p", 1.0) * weights.sum()] = 0.0
    return int(rng.choice(order, p=weights / weights.sum()))


class OpenAIServer:
    """Serves a model.

    Args:
        folder: the saved model.
        name: what it is served as; the folder if left out.
        port: where to listen; a free port if 0.
    """

    def __init__(self, folder: Path | str, *, name: str | None = None, port: int = 0):
        self.folder, self.name, self.port = Path(folder), name or str(folder), port
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.refused: set[str] = set()  # fields that it does not know
        self.scores = {"sglang", "prompt_logprobs", "echo"}
        self.takes_ids = True
        self.says_stop = True  # vLLM says which string or token ended a text, hosted servers do not
        self.states_context = True
        self.key = ""
        self.most_at_once = self._at_once = 0
        self._model: Model | None = None
        self._computing = ThreadPoolExecutor(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-server", daemon=True)
        self._thread.start()
        self.revive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def model(self) -> Model:
        if self._model is None:
            self._model = Model(self.folder)
        return self._model

    def revive(self) -> None:
        """Listen (again)."""
        self._call(self._listen())

    def die(self) -> None:
        """Stop listening and break every connection, whatever is on its way."""
        self._call(self._break())

    def close(self) -> None:
        self.die()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._computing.shutdown()

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The bodies of the requests to a path."""
        return [body for where, _, body in self.requests if where == path]

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _break(self) -> None:
        # Python 3.11 forgets connections that it has accepted but not handed over when a server closes (their clients
        # wait for ever): stop accepting first, and let these arrive.
        for listening in self._server.sockets:
            self._loop.remove_reader(listening.fileno())
        await asyncio.sleep(0.05)
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass  # it ends here either way
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        path = head[0].split()[1]
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        body = json.loads(content) if content else {}
        self.requests.append((path, headers, body))
        fault = next((fault for fault in self.faults if fault.path in path), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.hang:
                await asyncio.Event().wait()
            if fault.drop:
                return False
            self._answer(writer, fault.status, fault.body.encode(), fault.headers)
        else:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                status, answer = 200, await self._work(path, headers, body, reader.at_eof)
            except RefusedError as refused:
                status, answer = refused.status, refused.body
            finally:
                self._at_once -= 1
            self._answer(writer, status, json.dumps(answer).encode(), {})
        await writer.drain()
        return True

    def _answer(self, writer: asyncio.StreamWriter, status: int, content: bytes, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {PHRASES.get(status, 'Other')}", f"Content-Length: {len(content)}"]
        lines += ["Content-Type: application/json", *(f"{key}: {value}" for key, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)

    async def _work(self, path: str, headers: dict[str, str], body: dict[str, Any], gone: Callable[[], bool]) -> Any:
        routes: dict[str, Callable[[dict[str, Any], Callable[[], bool]], Any]] = {
            "/v1/completions": self._completions,
            "/v1/chat/completions": self._chat,
            "/v1/models": self._models,
            "/tokenize": lambda body, _: {"tokens": self.model.ids(body["prompt"])},
            "/health": lambda *_: {},
        }
        if "sglang" in self.scores:
            routes["/generate"] = self._generate
        if path not in routes:
            raise RefusedError(404, {"detail": "Not Found"})
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            raise RefusedError.openai(f"wrong key: {headers.get('authorization')}", status=401)
        for name in sorted(self.refused & body.keys()):
            raise RefusedError.openai(f"Unrecognized request argument supplied: {name}")
        work: Awaitable[Any] = self._loop.run_in_executor(self._computing, lambda: routes[path](body, gone))
        return await work

    def _models(self, *_: object) -> Any:
        context = {"max_model_len": self.model.context} if self.states_context else {}
        return {"object": "list", "data": [{"id": self.name, "object": "model", **context}]}

    def _completions(self, body: dict[str, Any], gone: Callable[[], bool]) -> Any:
        prompt = body["prompt"]
        if isinstance(prompt, list) and not self.takes_ids:
            raise RefusedError(422, "Failed to deserialize the JSON body: prompt: expected a string")
        ids = prompt if isinstance(prompt, list) else self.model.ids(prompt)
        choice, usage = self._choice(ids, body, gone)
        if body.get("echo") and "logprobs" in body and "echo" in self.scores:
            found = self.model.logprobs(ids)
            choice["logprobs"] = {
                "token_logprobs": [*found, *[-1.0] * choice.pop("tokens")],
                "tokens": [self.model.tokenizer.decode([token]) for token in ids],
            }
        if "prompt_logprobs" in body and "prompt_logprobs" in self.scores:
            choice["prompt_logprobs"] = [
                None if value is None else {str(token): {"logprob": value, "rank": 1}}
                for token, value in zip(ids, self.model.logprobs(ids), strict=True)
            ]
        return {"object": "text_completion", "model": self.name, "choices": [choice], "usage": usage}

    def _chat(self, body: dict[str, Any], gone: Callable[[], bool]) -> Any:
        turns = list(body["messages"])
        begun = turns.pop()["content"] if body.get("continue_final_message") else ""
        if self.model.tokenizer.chat_template:
            text = self.model.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        else:
            text = "\n\n".join(turn["content"] for turn in turns) + "\n\n"
        choice, usage = self._choice(self.model.ids(text + begun), body, gone)
        choice["message"] = {"role": "assistant", "content": choice.pop("text")}
        return {"object": "chat.completion", "model": self.name, "choices": [choice], "usage": usage}

    def _choice(self, ids: list[int], body: dict[str, Any], gone: Callable[[], bool]) -> tuple[dict[str, Any], Any]:
        if body.get("model") != self.name:
            raise RefusedError.openai(f"The model {body.get('model')!r} does not exist.", status=404)
        if (name := "max_completion_tokens") in body:
            body = {**body, "max_tokens": body[name]}
        if len(ids) + body["max_tokens"] > self.model.context:
            raise RefusedError.openai(f"This model's maximum context length is {self.model.context} tokens.")
        choice = self.model.generate(ids, body, gone)
        if not self.says_stop:
            del choice["stop_reason"]
        return choice, {"prompt_tokens": len(ids), "completion_tokens": choice["tokens"]}

    def _generate(self, body: dict[str, Any], gone: Callable[[], bool]) -> Any:
        ids, start = body["input_ids"], body["logprob_start_len"]
        found = self.model.logprobs(ids)
        entries = [[None if at == start else found[at], ids[at], None] for at in range(start, len(ids))]
        choice = self.model.generate(ids, {"max_tokens": 1, "temperature": 0.0}, gone)
        return {"text": choice["text"], "meta_info": {"input_token_logprobs": entries, "cached_tokens": start}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name")
    options, _ = parser.parse_known_args()
    server = OpenAIServer(options.model, name=options.served_model_name, port=options.port)
    server._thread.join()


if __name__ == "__main__":
    main()
