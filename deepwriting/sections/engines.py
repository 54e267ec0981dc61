"""Sections about engines: which model writes candidates, which is surprised by y, and what runs them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from deepwriting.sections.base import Positive, Section

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Device = Annotated[str, Field(pattern=r"^(cpu|mps|cuda(:\d+)?)$")]


class EngineSection(Section):
    """A language model and what runs it; each engine has a section of its own."""

    #: Settings that change speed, or where a server is, but not what is computed.
    speed_only: ClassVar[frozenset[str]] = frozenset()

    engine: str
    model: str
    revision: str | None = None
    context_tokens: Positive | None = None

    @property
    def runs_here(self) -> bool:
        """Whether a task that uses it loads the model itself, or starts its server."""
        return True

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide what is computed."""
        return self.model_dump(mode="json", exclude=set(self.speed_only))


class TransformersSection(EngineSection):
    """A language model that transformers runs in this process."""

    speed_only = frozenset({"max_batch", "max_batch_tokens", "prefix_cache_gb", "device", "devices"})

    engine: Literal["transformers"] = Field("transformers", description="what runs the model")
    model: str = Field(min_length=1, description="embedded name, local directory or Hub id")
    revision: str | None = Field(None, description="Hub revision")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N, mps")
    devices: list[Device] = Field(
        default_factory=list, description="dealt out over the worker processes of one machine, instead of device"
    )
    dtype: Dtype = Field("auto", description="precision of the weights")
    max_batch: Positive = Field(32, description="most sequences sampled at the same time")
    max_batch_tokens: Positive | None = Field(None, description="most tokens in one forward pass; chosen by device")
    prefix_cache_gb: float = Field(1.0, ge=0, description="memory for kept prefixes (GB)")
    context_tokens: Positive | None = Field(None, description="use less context than the model has (tokens)")

    @model_validator(mode="after")
    def _one_placement(self) -> TransformersSection:
        if self.devices and self.device != "auto":
            raise ValueError(f"device {self.device!r} and devices {self.devices} contradict each other; name one")
        return self


class VllmSection(EngineSection):
    """A language model that vLLM runs in this process (needs the extra ``vllm``)."""

    speed_only = frozenset({"max_batch", "gpu_memory_utilization", "tensor_parallel", "enforce_eager"})

    engine: Literal["vllm"] = Field("vllm", description="what runs the model")
    model: str = Field(min_length=1, description="embedded name, local directory or Hub id")
    revision: str | None = Field(None, description="Hub revision")
    dtype: Dtype = Field("auto", description="precision of the weights")
    context_tokens: Positive | None = Field(None, description="use less context than the model has (tokens)")
    max_batch: Positive = Field(256, description="most sequences in flight at the same time")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="share of the GPU's memory that vLLM takes")
    tensor_parallel: Positive = Field(1, description="GPUs that share the model")
    enforce_eager: bool = Field(False, description="start faster and run slower: no compilation, no CUDA graphs")
    options: dict[str, Any] = Field(default_factory=dict, description="more of vLLM's engine arguments, by name")


class ServerStartSection(Section):
    """A server that the run starts on its own machine, watches and ends; or, beside endpoints, `deepwriting serve`."""

    program: Literal["vllm", "sglang"] = Field(description="what serves the model")
    python: str | None = Field(None, description="interpreter that has it; this one if left out")
    arguments: list[str] = Field(default_factory=list, description="more arguments for its command line")
    port: int | None = Field(None, ge=1, le=65535, description="a free one if left out")
    ready_s: float = Field(600.0, gt=0, description="how long it may take to load the model (seconds)")
    devices: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=list, description="GPUs that it sees, by number; all if left out"
    )
    copies: Positive = Field(1, description="so many servers, each with an equal part of the devices")

    @model_validator(mode="after")
    def _a_part_each(self) -> ServerStartSection:
        if len(set(self.devices)) < len(self.devices):
            raise ValueError(f"devices {self.devices} names a device twice; once is allowed")
        if len(self.devices) % self.copies:
            raise ValueError(
                f"{len(self.devices)} devices cannot be shared equally by {self.copies} copies; a multiple is allowed"
            )
        if self.port is not None and self.port + self.copies - 1 > 65535:
            raise ValueError(f"{self.copies} copies need the ports from {self.port} on; they end at 65535")
        return self


class ServerSection(EngineSection):
    """Servers that speak the OpenAI protocol, one or many: vLLM, SGLang, TGI, llama.cpp or hosted ones."""

    speed_only = frozenset({"url", "urls", "endpoints", "start", "api_key_env", "max_concurrency",
                            "requests_per_minute", "timeout_s", "patience_s"})  # fmt: skip

    engine: Literal["server"] = Field("server", description="what runs the model")
    model: str = Field(min_length=1, description="the model as the server calls it")
    revision: str | None = Field(None, description="recorded in the rows; a server does not tell it")
    url: str | None = Field(None, description="address, up to and with /v1")
    urls: list[str] = Field(default_factory=list, description="addresses of several servers of the same model")
    endpoints: str | None = Field(
        None,
        min_length=1,
        description="file with an address a line, or folder in which `deepwriting serve` registers servers; may change",
    )
    start: ServerStartSection | None = Field(None, description="start local servers instead of naming addresses")
    api: Literal["completions", "chat"] = Field("completions", description="chat for servers that take only messages")
    prefill: Literal["continue", "ask"] = Field(
        "continue", description="chat: let the server continue a begun turn, or ask the model to begin so"
    )
    scoring: Literal["auto", "none", "prompt_logprobs", "echo", "sglang"] = Field(
        "auto", description="how it gives log-probabilities of a text"
    )
    tokenizer: str | None = Field(None, description="embedded name, local directory or Hub id; the model if left out")
    dtype: Literal["unknown", "float32", "bfloat16", "float16"] = Field(
        "unknown", description="precision that the server computes in; decides what counts as noise"
    )
    api_key_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="environment variable that holds the key"
    )
    context_tokens: Positive | None = Field(None, description="context length, where the server does not tell (tokens)")
    max_concurrency: Positive = Field(64, description="most requests of a process in flight at one server")
    requests_per_minute: Positive | None = Field(None, description="rate limit of one server")
    timeout_s: float = Field(600.0, gt=0, description="time limit of one request (seconds)")
    patience_s: float = Field(1800.0, gt=0, description="how long to wait while all servers are away (seconds)")

    @field_validator("urls")
    @classmethod
    def _several(cls, urls: list[str]) -> list[str]:
        bare = [url.rstrip("/") for url in urls]
        if twice := sorted({url for url in bare if bare.count(url) > 1}):
            raise ValueError(f"{twice[0]!r} occurs twice; name each server once")
        for url in urls:
            cls._no_credentials(url)
        return urls

    @field_validator("endpoints")
    @classmethod
    def _a_path(cls, endpoints: str | None) -> str | None:
        if endpoints is not None and "://" in endpoints:
            raise ValueError(
                f"endpoints {endpoints!r} is an address; allowed: a file or folder that all machines see. Addresses of "
                "servers are url or urls"
            )
        return endpoints

    @field_validator("url")
    @classmethod
    def _no_credentials(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url {url!r} is no address; allowed: http://… or https://…")
        if parts.username or parts.password or parts.query:
            # Not shown: a recipe is kept in every run and release.
            raise ValueError("url must hold neither user, password nor query; name an api_key_env for the key")
        return url

    @model_validator(mode="after")
    def _somewhere(self) -> ServerSection:
        named = {"url": self.url, "urls": self.urls, "endpoints": self.endpoints, "start": self.start}
        given = [key for key, value in named.items() if value]
        if len(given) != 1 and given != ["endpoints", "start"]:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"a server needs one of url, urls, endpoints and start, and has {found}; endpoints may have a start "
                "beside them, for `deepwriting serve`"
            )
        if self.api == "chat" and self.scoring not in ("auto", "none"):
            raise ValueError(f"api 'chat' cannot score, so scoring {self.scoring!r} is not allowed; allowed: none")
        return self

    @property
    def runs_here(self) -> bool:
        """Whether a task starts it; else it has GPUs of its own, wherever it is."""
        return self.start is not None and self.endpoints is None

    @property
    def scores(self) -> bool:
        """Whether it can be the scorer."""
        return self.api == "completions" and self.scoring != "none"


#: Engine -> its section.
ENGINE_SECTIONS: dict[str, type[EngineSection]] = {
    "transformers": TransformersSection,
    "vllm": VllmSection,
    "server": ServerSection,
}


def _engine_name(value: Any) -> Any:
    return value.get("engine", "transformers") if isinstance(value, dict) else getattr(value, "engine", "transformers")


AnyEngineSection = Annotated[
    Annotated[TransformersSection, Tag("transformers")]
    | Annotated[VllmSection, Tag("vllm")]
    | Annotated[ServerSection, Tag("server")],
    Discriminator(_engine_name),
]


class EnginesSection(Section):
    """The two roles of section 2.2: who writes candidates, and who is surprised by y."""

    generator: AnyEngineSection = Field(description="writes queries, thinkings and candidates")
    more_generators: list[AnyEngineSection] = Field(
        default_factory=list, description="write candidates too, in turn with the first"
    )
    scorer: AnyEngineSection | None = Field(None, description="the generator scores too if this is left out")

    @property
    def scoring(self) -> TransformersSection | VllmSection | ServerSection:
        """The engine that scores."""
        return self.scorer or self.generator

    @property
    def generators(self) -> list[TransformersSection | VllmSection | ServerSection]:
        """All engines that write candidates."""
        return [self.generator, *self.more_generators]

    @property
    def generator_roles(self) -> list[str]:
        """What the generators are called in status and forecast: ``generator``, ``generator 2`` and so on."""
        return ["generator", *(f"generator {number}" for number in range(2, len(self.generators) + 1))]

    @model_validator(mode="after")
    def _can_score(self) -> EnginesSection:
        if isinstance(self.scoring, ServerSection) and not self.scoring.scores:
            raise ValueError("the scorer is a server that only samples; name a scorer that gives log-probabilities")
        return self
