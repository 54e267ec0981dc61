"""The `evaluate` modules, loaded by the genuine library without a network and with a cache of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deepwriting.metrics import MODULES, load, module_path

#: Runs the examples of all cards, with the model's name exchanged for a small one's; then uses the modules in every
#: way, beside the plain functions.
PROBE = """
import doctest
import json
import sys
import evaluate
from deepwriting import metrics
from deepwriting.metrics import MODULES, module_path
for name in MODULES:
    card = (module_path(name) / "README.md").read_text(encoding="utf-8").replace("smollm2-135m", sys.argv[1])
    found = doctest.DocTestParser().get_doctest(card, {}, name, None, 0)
    assert len(found.examples) >= 3, name
    result = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(found)
    assert not result.failed, name

rows = {
    "query": ["A story, please.", "写一个故事。"],
    "thinking": ["Hmm. Maybe so: the tide came in over the wall and took it all. " * 8, "嗯，也许从码头开始。"],
    "answer": ["The tide came in over the wall and took it all.", "码头上没有人。"],
}
paths = {name: str(metrics.module_path(name)) for name in ("copy_ratio", "repetition", "thinking_patterns")}
by_path, by_name = evaluate.load(paths["copy_ratio"], min_run=3), metrics.load("copy_ratio", min_run=3)
one = by_path.compute(thinking=rows["thinking"], answer=rows["answer"])
assert one == by_name.compute(thinking=rows["thinking"], answer=rows["answer"])
assert one["copy_ratios"] == [metrics.copy_ratio(y, z, 3) for y, z in zip(rows["answer"], rows["thinking"])]
for thinking, answer in zip(rows["thinking"], rows["answer"]):
    by_name.add(thinking=thinking, answer=answer)
assert one == by_name.compute()

together = evaluate.combine([by_path, paths["repetition"], metrics.load("thinking_patterns")])
found = together.compute(**rows)
assert found["repetitions"] == [metrics.top_ngram_share(z) for z in rows["thinking"]]
assert found["end_pattern_counts"] == [metrics.count_patterns_in_tail(z) for z in rows["thinking"]]
assert {key: found[key] for key in one} == one
together.add_batch(**rows)
assert together.compute() == found
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_card_that_says_what_the_hub_wants_to_know(name: str) -> None:
    text = (module_path(name) / "README.md").read_text(encoding="utf-8")
    _, header, body = text.split("---\n", 2)
    facts = yaml.safe_load(header)
    assert facts["title"]
    assert facts["description"].endswith(".")
    assert facts["tags"] == ["evaluate", "measurement"]
    for heading in ("What it measures", "How to use it", "Inputs", "Settings", "Output", "Limits", "Citation"):
        assert f"# {heading}" in body, heading


def test_the_cards_examples_hold_and_the_modules_say_what_the_functions_say(pocket_model: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(pocket_model)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["copy_ratios"] == [1.0, 0.0]
    assert found["thinking_patterns"] == {"hmm": 8, "maybe": 8, "嗯": 1, "也许": 1}


def test_there_is_a_folder_for_each_module_and_no_other() -> None:
    folder = module_path(MODULES[0]).parent
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == sorted(MODULES)
    with pytest.raises(ValueError, match=r"no metric 'bleu'; allowed: copy_ratio, perplexity_given_thinking, "):
        module_path("bleu")


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`evaluate` reads its folders when it is imported; in this process that may have happened long ago."""
    import evaluate.config

    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_MODULES_CACHE", "HF_METRICS_CACHE"):
            patch.setattr(evaluate.config, name, tmp_path_factory.mktemp(name))
        yield


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("copy_ratio", {"min_run": 0}, "min_run is 0"),
        ("copy_ratio", {"n": 3}, "copy_ratio has no setting 'n'; allowed: min_run"),
        ("repetition", {"top": 0}, "top is 0"),
        ("thinking_patterns", {"tail_fraction": 2.0}, r"fraction is 2\.0"),
        ("perplexity_given_thinking", {}, "perplexity_given_thinking needs 'model'"),
        ("perplexity_given_thinking", {"model": "m", "clip_logprob": 1.0}, r"clip_logprob is 1\.0"),
    ],
)
def test_settings_are_checked_when_a_module_is_loaded(
    name: str, settings: dict[str, object], message: str, own_cache: None
) -> None:
    with pytest.raises(ValueError, match=message):
        load(name, **settings)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"thinking": ["z"]}, "needs thinking, answer; missing: answer"),
        ({"thinking": ["z"], "answer": ["y", "y"]}, r"Mismatch in the number of thinking \(1\) and answer \(2\)"),
        ({"thinking": ["z", None], "answer": ["y", "y"]}, r"thinking\[1\] is missing"),
        ({"thinking": "z", "answer": "y"}, "thinking is one text"),
        ({"predictions": ["z"], "references": ["y"]}, "not predictions and references"),
        ({"thinking": ["z"], "answer": ["y"], "min_run": 3}, "settings are given when it is loaded"),
        ({"thinking": [], "answer": []}, "given no row"),
    ],
)
def test_inputs_are_checked(columns: dict[str, object], message: str, own_cache: None) -> None:
    module = load("copy_ratio", keep_in_memory=True)
    with pytest.raises(ValueError, match=message):
        module.compute(**columns)
