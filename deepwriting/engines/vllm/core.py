"""vLLM's engine behind four calls: add, step, abort, close.

vLLM either runs in processes of its own (the rule on GPUs) or inside this one (the rule here on CPUs). Inside, it keeps
what a forward pass needs in module globals. Two engines that step at the same time read each other's: with vLLM 0.30 a
score came out 1.8 nats wrong without any error (tests/engines_vllm/test_vllm_engine.py). And the first to be shut down
takes the process groups of the others with it. So engines inside this process take turns, and the last one cleans up.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from deepwriting.errors import EngineError

#: Longest reason of vLLM's that a message of ours repeats (characters).
BRIEF_CHARS = 400


class Turns:
    """A lock that is handed on in the order in which it was asked for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._last = self._serving = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn; it lasts as long as the block."""
        with self._changed:
            mine = self._last
            self._last += 1
            self._changed.wait_for(lambda: self._serving == mine)
        try:
            yield
        finally:
            with self._changed:
                self._serving += 1
                self._changed.notify_all()


_TURNS = Turns()
#: Engines inside this process; changed in turns only.
_INSIDE: set[Llm] = set()


class Llm:
    """vLLM's engine; used by one thread.

    Args:
        args: vLLM's ``EngineArgs``.

    Raises:
        EngineError: if vLLM does not start.
    """

    def __init__(self, args: Any):
        from vllm.v1.engine.llm_engine import LLMEngine

        with _TURNS.turn():  # whether it will be inside is known when it is there
            try:
                self._engine: Any = LLMEngine.from_engine_args(args)
            except Exception as error:
                raise EngineError(f"vLLM could not start {args.model!r}: {brief(error)}") from error
            self.config: Any = self._engine.vllm_config
            # vLLM gives its engine this attribute where the model runs inside.
            self._inside = hasattr(self._engine, "model_executor")
            if self._inside:
                _INSIDE.add(self)

    def add(self, key: str, ids: list[int], params: Any) -> None:
        """Hand vLLM a request.

        Args:
            key: names the request in the outputs.
            ids: token ids of the prompt.
            params: vLLM's ``SamplingParams``, for this request alone.
        """
        from vllm.inputs import tokens_input

        with self._turn():
            self._engine.add_request(key, tokens_input(ids), params)

    def step(self) -> list[Any]:
        """Let vLLM compute one step for what is in flight; the requests (``RequestOutput``) that it finished."""
        with self._turn():
            return [output for output in self._engine.step() if output.finished]

    def abort(self, keys: Sequence[str]) -> None:
        """Drop requests."""
        with self._turn():
            self._engine.abort_request(list(keys))

    def close(self) -> None:
        """End vLLM's processes, or give back the memory that it has inside this one."""
        with self._turn():
            engine, self._engine = self._engine, None
            _INSIDE.discard(self)
            if self._inside and _INSIDE:
                engine.model_executor.shutdown()
                gc.unfreeze()  # vLLM has hidden its objects from the collector
            else:
                engine.engine_core.shutdown()
            del engine
            gc.collect()

    def _turn(self) -> AbstractContextManager[None]:
        return _TURNS.turn() if self._inside else nullcontext()


def brief(error: Exception) -> str:
    """An error of vLLM, which can be pages long, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:BRIEF_CHARS]}"
