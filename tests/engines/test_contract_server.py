"""The engine contract, for a server engine with each way of scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deepwriting.engines.server.engine import ServerEngine
from tests.engines.openai_server import OpenAIServer

pytest.register_assert_rewrite("tests.engines.contract")
from tests.engines.contract import EngineContract  # noqa: E402

pytestmark = pytest.mark.model


class ServerContract(EngineContract):
    name = "server"
    long_tokens = 400
    scoring: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def open_engine(cls, folder: Path) -> Iterator[Callable[..., ServerEngine]]:
        server = OpenAIServer(folder)
        opened = []

        def make(**options: Any) -> ServerEngine:
            opened.append(ServerEngine(str(folder), url=server.url, scoring=cls.scoring, dtype="float32", **options))
            return opened[-1]

        yield make
        for engine in opened:
            engine.close()
        server.close()


class TestPromptLogprobs(ServerContract):
    scoring = "prompt_logprobs"


class TestEcho(ServerContract):
    scoring = "echo"


class TestSglang(ServerContract):
    scoring = "sglang"
