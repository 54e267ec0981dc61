"""What a Hugging Face Job is asked for, and what keeps a recipe from running in one.

A Job's machine has nothing of this one: no files, no environment. It gets Python packages, some secrets, and the run's
remote folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import deepwriting
from deepwriting.errors import ExecutorError

if TYPE_CHECKING:
    from deepwriting.recipe import Recipe

#: Image where none is named: Debian with Python and `uv`, which `huggingface_hub` takes for jobs of `uv` too.
UV_IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
#: Hardware flavor where neither the recipe nor the stage names one.
DEFAULT_FLAVOR = "cpu-basic"
#: Flavors that begin so have no GPU.
_WITHOUT_GPU = "cpu-"
#: Time limit of a job where the recipe sets none (seconds); the Hub's own of half an hour would cut every search.
DEFAULT_TIMEOUT_S = 12 * 3600
#: This package as a requirement without a version, extras or not.
_UNPINNED = re.compile(r"deepwriting(\[[\w,\s-]+\])?")
#: A path that any machine can read.
_REMOTE_PATH = re.compile(r"[a-z][a-z0-9+.-]*://")
#: A Hub on one of these hosts runs its jobs here.
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def dependencies(wanted: Sequence[str]) -> list[str]:
    """What a job installs: as the recipe says, this package in this version unless the recipe says which.

    Another version may compute something else from the same settings.
    """
    return [f"{item}=={deepwriting.__version__}" if _UNPINNED.fullmatch(item) else item for item in wanted]


def secret_names(recipe: Recipe) -> list[str]:
    """Names of the environment variables that go to the jobs as secrets: the recipe's, and the keys of its engines."""
    keys = [getattr(section, "api_key_env", None) for _, section in _engines(recipe)]
    return sorted({*recipe.execution.jobs.secrets, *filter(None, keys)})


def environment() -> dict[str, str]:
    """What every job's environment holds: which Hub, where it is not the usual one."""
    endpoint = os.environ.get("HF_ENDPOINT")
    return {"HF_ENDPOINT": endpoint} if endpoint else {}


def label_of(text: str) -> str:
    """A text as a job's name or label may have it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def hub_is_here() -> bool:
    """Whether the Hub, and with it every job, is on this machine."""
    return urlsplit(os.environ.get("HF_ENDPOINT", "")).hostname in _LOOPBACK


def check_recipe(recipe: Recipe) -> None:
    """Look whether jobs can run a recipe.

    Raises:
        ExecutorError: if a secret is not set, a flavor does not exist or has no GPU, or a path is on this machine only.
    """
    if missing := [name for name in secret_names(recipe) if not os.environ.get(name)]:
        raise ExecutorError(
            f"executor 'jobs' hands over {', '.join(missing)} as a secret, and the environment has no such variable; "
            "allowed in execution.jobs.secrets and api_key_env: names of variables that are set here"
        )
    _check_flavors(recipe)
    if not hub_is_here():
        for key, section in _engines(recipe):
            if place := getattr(section, "endpoints", None):
                raise ExecutorError(
                    f"executor 'jobs' runs on machines that do not see {key}.endpoints = {place!r}; allowed: url or "
                    "urls, with addresses that jobs reach"
                )
        for key, path in _local_paths(recipe):
            raise ExecutorError(
                f"executor 'jobs' runs on machines that do not see {key} = {path!r}; allowed: a Hub id, or an address "
                "such as hf://datasets/NAMESPACE/NAME/…, hf://buckets/… or s3://…"
            )


def _check_flavors(recipe: Recipe) -> None:
    from huggingface_hub import JobHardware

    from deepwriting.stages import STAGE_NAMES

    known = [str(kind.value) for kind in JobHardware]
    for stage in STAGE_NAMES:
        flavor = recipe.execution.of(stage).partition or DEFAULT_FLAVOR
        if flavor not in known:
            raise ExecutorError(
                f"stage {stage!r}: execution.partition = {flavor!r} is no hardware flavor of Jobs; allowed: "
                f"{', '.join(known)}"
            )
    search = recipe.execution.of("search")
    flavor = search.partition or DEFAULT_FLAVOR
    if search.gpus and flavor.startswith(_WITHOUT_GPU):
        raise ExecutorError(
            f"stage 'search' asks for {search.gpus} GPU, and the hardware flavor {flavor!r} has none; name one in "
            "execution.stages.search.partition, such as a10g-small, or set gpus: 0"
        )


def _engines(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    engines = recipe.engines
    yield "engines.generator", engines.generator
    for number, section in enumerate(engines.more_generators):
        yield f"engines.more_generators[{number}]", section
    if engines.scorer is not None:
        yield "engines.scorer", engines.scorer


def _local_paths(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Paths of the recipe that are on this machine only, with the keys that name them."""
    for number, source in enumerate(recipe.sources):
        if not _REMOTE_PATH.match(source.path):
            yield f"sources[{number}].path", source.path
    for number, benchmark in enumerate(recipe.decontaminate.benchmarks):
        if not _REMOTE_PATH.match(benchmark.path):
            yield f"decontaminate.benchmarks[{number}].path", benchmark.path
    from deepwriting.reer.prompts import BUNDLED_SETS

    prompts = recipe.search.prompts
    named = [("cleaning.harm_lexicon", recipe.cleaning.harm_lexicon)]
    named += [("search.prompts", None if prompts in BUNDLED_SETS else prompts)]
    named += [(f"{key}.{name}", getattr(section, name, None)) for key, section in _engines(recipe)
              for name in ("model", "tokenizer")]  # fmt: skip
    named += [(f"dedupe.earlier_release[{n}]", path) for n, path in enumerate(recipe.dedupe.earlier_release)]
    for key, path in named:
        # A name is a model's or a dataset's on the Hub unless something of that name lies here.
        if path and not _REMOTE_PATH.match(str(path)) and os.path.exists(path):
            yield key, str(path)


def captured(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the genuine client would send for a job: method, address and body. Nothing is sent.

    Args:
        request: arguments of ``huggingface_hub.run_job``, with a namespace.
    """
    import httpx2
    from huggingface_hub import run_job, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    seen: list[dict[str, Any]] = []

    def answer(sent: httpx2.Request) -> httpx2.Response:
        seen.append({"method": sent.method, "url": str(sent.url), "body": json.loads(sent.content)})
        owner = {"id": "", "name": request["namespace"], "type": "user"}
        return httpx2.Response(200, json={"id": "", "owner": owner, "status": {"stage": "SCHEDULING"}}, request=sent)

    set_client_factory(lambda: httpx2.Client(transport=httpx2.MockTransport(answer)))
    try:
        run_job(**request)
    finally:
        set_client_factory(default_client_factory)
    return seen[-1]
