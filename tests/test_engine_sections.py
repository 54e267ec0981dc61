from __future__ import annotations

from typing import Any

import pytest
import yaml

from deepwriting.errors import RecipeError
from deepwriting.recipe import (
    ENGINE_SECTIONS,
    Recipe,
    ServerSection,
    TransformersSection,
    VllmSection,
    parse_recipe,
)

URL = "http://127.0.0.1:8000/v1"


def recipe(candidates: int = 2, **engines: Any) -> Recipe:
    data = {
        "name": "mine",
        "sources": [{"kind": "pairs", "path": "p.jsonl"}],
        "engines": {"generator": {"model": "m"}} | engines,
        "search": {"candidates": candidates},
    }
    return parse_recipe(yaml.safe_dump(data), "my.yaml")


def test_each_engine_has_its_section() -> None:
    server = {"engine": "server", "model": "big", "url": URL, "scoring": "none"}
    found = recipe(
        generator=server, more_generators=[{"engine": "vllm", "model": "v"}], scorer={"model": "small"}
    ).engines
    assert [type(section) for section in found.generators] == [ServerSection, VllmSection]
    assert isinstance(found.scoring, TransformersSection)
    assert {section.model_fields["engine"].annotation.__args__[0] for section in ENGINE_SECTIONS.values()} == set(
        ENGINE_SECTIONS
    )


def test_settings_of_place_and_speed_are_no_identity() -> None:
    server = {"engine": "server", "model": "big", "url": URL}
    one = recipe(generator=server).engines.generator
    moved = {"url": "https://elsewhere/v1", "api_key_env": "KEY", "timeout_s": 5.0}
    assert recipe(generator=server | moved).engines.generator.identity == one.identity
    assert recipe(generator=server | {"scoring": "echo"}).engines.generator.identity != one.identity
    vllm = {"engine": "vllm", "model": "v"}
    assert (
        recipe(generator=vllm | {"tensor_parallel": 2}).engines.generator.identity
        == recipe(generator=vllm).engines.generator.identity
    )
    assert (
        recipe(generator=vllm | {"options": {"quantization": "fp8"}}).engines.generator.identity
        != recipe(generator=vllm).engines.generator.identity
    )


def starting(**start: Any) -> dict[str, Any]:
    return {"engine": "server", "model": "m", "start": {"program": "vllm", **start}}


def test_where_servers_can_be() -> None:
    for place in (
        {"urls": [URL, "http://b:8000/v1"]},
        {"endpoints": "/shared/endpoints"},
        {"endpoints": "/shared/endpoints", "start": {"program": "vllm", "devices": [0, 1], "copies": 2}},
    ):
        found = recipe(scorer={"engine": "server", "model": "m", **place}).engines.scoring
        assert found.identity == recipe(scorer={"engine": "server", "model": "m", "url": URL}).engines.scoring.identity
    dealt = recipe(scorer={"model": "m", "devices": ["cuda:1", "cuda:2"]}).engines.scoring
    assert dealt.identity == recipe(scorer={"model": "m"}).engines.scoring.identity


WRONG = [
    ({"generator": {"engine": "tgi", "model": "m"}}, "generator.engine = 'tgi' is not allowed; allowed: transformers,"),
    ({"generator": {"engine": "vllm"}}, "engines.generator.model is missing; it is required"),
    ({"generator": {"engine": "vllm", "model": "m", "device": "cpu"}}, "generator.device = 'cpu' is an unknown key; "),
    ({"more_generators": [{"model": "m", "dtype": 4}]}, "engines.more_generators.0.dtype = 4 is not allowed"),
    ({"scorer": {"engine": "server", "model": "m"}}, "needs one of url, urls, endpoints and start, and has none; endp"),
    ({"scorer": {"engine": "server", "model": "m", "url": URL, "start": {"program": "vllm"}}}, "has url and start; en"),
    ({"scorer": {"engine": "server", "model": "m", "urls": [URL], "endpoints": "e"}}, "and has urls and endpoints; "),
    ({"scorer": {"engine": "server", "model": "m", "urls": [URL, URL + "/"]}}, "/v1' occurs twice; name each server o"),
    ({"scorer": {"engine": "server", "model": "m", "urls": [URL, "b:8000"]}}, "url 'b:8000' is no address; allowed: "),
    ({"scorer": {"engine": "server", "model": "m", "endpoints": ""}}, "scorer.endpoints = '' is not allowed"),
    ({"scorer": {"engine": "server", "model": "m", "endpoints": URL}}, "is an address; allowed: a file or folder that"),
    ({"scorer": {"model": "m", "device": "cuda", "devices": ["cuda:1"]}}, "device 'cuda' and devices ['cuda:1'] contr"),
    ({"scorer": {"model": "m", "devices": ["gpu1"]}}, "scorer.devices.0 = 'gpu1' is not allowed"),
    ({"scorer": starting(devices=[0, 1, 2], copies=2)}, "3 devices cannot be shared equally by 2 copies; a multiple"),
    ({"scorer": starting(devices=[1, 1])}, "devices [1, 1] names a device twice; once is allowed"),
    ({"scorer": starting(port=65535, copies=2)}, "2 copies need the ports from 65535 on; they end at 65535"),
    ({"scorer": {"engine": "server", "model": "m", "start": {"program": "tgi"}}}, "scorer.start.program = 'tgi' is no"),
    ({"scorer": {"engine": "server", "model": "m", "url": "localhost:8000"}}, "is no address; allowed: http://"),
    ({"scorer": {"engine": "server", "model": "m", "url": URL, "scoring": "none"}}, "a server that only samples; name"),
    ({"generator": {"engine": "server", "model": "m", "url": URL, "api": "chat"}}, "a server that only samples; name"),
    (
        {"generator": {"engine": "server", "model": "m", "url": URL, "api": "chat", "scoring": "echo"}},
        "api 'chat' cannot score, so scoring 'echo' is not allowed",
    ),
    ({"scorer": {"engine": "server", "model": "m", "url": URL, "api_key_env": "sk-12"}}, "api_key_env = 'sk-12' is no"),
]


@pytest.mark.parametrize(("engines", "message"), WRONG)
def test_what_is_refused(engines: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(**engines)
    assert message in str(caught.value)
    assert "transformers." not in str(caught.value)  # which section was tried is no key of the recipe


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    for url in ("https://me:hunter2@host/v1", "https://host/v1?key=hunter2"):
        with pytest.raises(RecipeError) as caught:
            recipe(generator={"engine": "server", "model": "m", "url": url})
        assert "hunter2" not in str(caught.value)
        assert "api_key_env" in str(caught.value)


def test_every_generator_needs_a_candidate() -> None:
    more = [{"model": "b"}, {"model": "c"}]
    with pytest.raises(RecipeError, match=r"3 generators share 2 candidates a step.*search.candidates from 3"):
        recipe(more_generators=more)
    assert len(recipe(candidates=3, more_generators=more).engines.generators) == 3
