from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.errors import NotFoundError, RecipeError
from deepwriting.recipe import (
    Recipe,
    SearchSection,
    bundled_recipes,
    load_recipe,
    parse_recipe,
    reader_options,
    settings_hash,
)
from deepwriting.sources import SOURCE_KINDS

SMALLEST: dict[str, Any] = {
    "name": "mine",
    "sources": [{"kind": "pairs", "path": "pairs.jsonl"}],
    "engines": {"generator": {"model": "smollm2-135m"}},
}


def text_with(**changes: Any) -> str:
    return yaml.safe_dump(SMALLEST | changes)


def source(**changes: Any) -> dict[str, Any]:
    return {"sources": [{"kind": "pairs", "path": "x"} | changes]}


def problem(text: str) -> str:
    """The message of a recipe that is refused; always one line a mistake, each beginning with the origin."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "my.yaml")
    message = str(caught.value)
    assert all(line.startswith("my.yaml") and len(line) < 600 for line in message.splitlines())
    return message


def test_defaults_are_the_papers() -> None:
    search = parse_recipe(text_with()).search
    assert (search.max_steps, search.stop_score, search.candidates) == (10, 0.25, 2)
    assert (search.temperature, search.top_p, search.top_k) == (0.8, 0.85, 40)
    assert (search.clip_logprob, search.min_segment_chars, search.min_thinking_tokens) == (-2.0, 100, 100)
    assert not search.score_first_segment
    assert search.rollouts == 1


def test_the_generator_scores_where_no_scorer_is_named() -> None:
    recipe = parse_recipe(text_with())
    assert recipe.engines.scoring is recipe.engines.generator
    both = {"generator": {"model": "a"}, "scorer": {"model": "b"}}
    assert parse_recipe(text_with(engines=both)).engines.scoring.model == "b"


UNKNOWN_KEYS = [
    ({"serach": {}}, "serach = {} is an unknown key; allowed: name, seed, dataset, sources"),
    ({"dataset": {"title": "x"}}, "dataset.title = 'x' is an unknown key; allowed: name, version, pretty_name"),
    (source(url="y"), "sources.0.url = 'y' is an unknown key; allowed: kind, path, name, license, limit, options"),
    ({"pairs": {"min_chars": 5}}, "pairs.min_chars = 5 is an unknown key; allowed: min_answer_chars"),
    ({"engines": {"generator": {"model": "m"}, "judge": 1}}, "engines.judge = 1 is an unknown key; allowed: generator"),
    (
        {"engines": {"generator": {"model": "m", "gpu": 0}}},
        "engines.generator.gpu = 0 is an unknown key; allowed: engine, model",
    ),
    (
        {"engines": {"generator": {"model": "m"}, "scorer": {"model": "m", "gpu": 0}}},
        "engines.scorer.gpu = 0 is an unknown key; allowed: engine, model",
    ),
    ({"select": {"top": 1}}, "select.top = 1 is an unknown key; allowed: classifier, sure_probability"),
    ({"search": {"steps": 3}}, "search.steps = 3 is an unknown key; allowed: max_steps, stop_score"),
    ({"filters": {"pii": True}}, "filters.pii = True is an unknown key; allowed: repetition_n"),
    ({"build": {"shards": 2}}, "build.shards = 2 is an unknown key; allowed: drop_flags, max_score"),
    (
        {"execution": {"cores": 8}},
        "execution.cores = 8 is an unknown key; allowed: executor, tasks, workers, cpus, memory_gb, gpus, time, "
        "partition, image, stages, ray, slurm, jobs",
    ),
]


@pytest.mark.parametrize(("changes", "message"), UNKNOWN_KEYS)
def test_an_unknown_key_is_named_with_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    assert problem(text_with(**changes)).startswith(f"my.yaml: {message}")


WRONG_VALUES = [
    ({"name": "a/b"}, "name = 'a/b' is not allowed: string should match pattern"),
    ({"seed": "42"}, "seed = '42' is not allowed: input should be a valid integer"),
    ({"seed": True}, "seed = True is not allowed: input should be a valid integer"),
    ({"search": {"max_steps": 2.0}}, "search.max_steps = 2.0 is not allowed: input should be a valid integer"),
    ({"search": {"max_steps": -1}}, "search.max_steps = -1 is not allowed: input should be greater than or equal to 0"),
    ({"search": {"candidates": 0}}, "search.candidates = 0 is not allowed: input should be greater than or equal to 1"),
    ({"search": {"top_p": 0.0}}, "search.top_p = 0.0 is not allowed: input should be greater than 0"),
    ({"search": {"top_p": 1.5}}, "search.top_p = 1.5 is not allowed: input should be less than or equal to 1"),
    ({"search": {"clip_logprob": 0}}, "search.clip_logprob = 0 is not allowed: input should be less than 0"),
    ({"search": {"stop_score": float("nan")}}, "search.stop_score = nan is not allowed: input should be"),
    (
        {"search": {"clip_logprob": -float("inf")}},
        "search.clip_logprob = -inf is not allowed: input should be a finite number",
    ),
    ({"search": {"unclosed": "cut"}}, "search.unclosed = 'cut' is not allowed: input should be 'refuse' or 'trim'"),
    (
        {"engines": {"generator": {"model": "m", "engine": "tgi"}}},
        "engines.generator.engine = 'tgi' is not allowed; allowed: transformers, vllm, server",
    ),
    (
        {"engines": {"generator": {"model": "m", "dtype": "int8"}}},
        "engines.generator.dtype = 'int8' is not allowed: input should be 'auto', 'float32', 'bfloat16' or 'float16'",
    ),
    ({"engines": {"generator": {"model": "m", "device": "gpu"}}}, "engines.generator.device = 'gpu' is not allowed: "),
    ({"engines": {"generator": {"model": ""}}}, "engines.generator.model = '' is not allowed: string should have at"),
    ({"engines": {"generator": {}}}, "engines.generator.model is missing; it is required"),
    ({"sources": []}, "sources = [] is not allowed: list should have at least 1 item"),
    ({"sources": {"kind": "pairs"}}, "sources = {'kind': 'pairs'} is not allowed: input should be a valid list"),
    (source(path=""), "sources.0.path = '' is not allowed: string should have at least 1 character"),
    (source(limit=0), "sources.0.limit = 0 is not allowed: input should be greater than or equal to 1"),
    (source(name="a b"), "sources.0.name = 'a b' is not allowed: string should match pattern"),
    (
        {"select": {"classifier": "slow"}},
        "select.classifier = 'slow' is not allowed: input should be 'fast', 'cascade'",
    ),
    (
        {"select": {"pairs": 9, "category_weights": {"Poetry": 2.0}}},
        "select.category_weights: there is no category 'Poetry'; allowed: Poetry & Lyrics",
    ),
    (
        {"select": {"pairs": 9, "source_limits": {"pears": 2}}},
        "recipe: select.source_limits: there is no source 'pears'",
    ),
    (
        {"select": {"category_weights": {"Essay Writing": 2.0}}},
        "select: category_weights has nothing to share out while",
    ),
    (
        {"select": {"pairs": 9, "category_targets": {"Essay Writing": 10}}},
        "select: category_targets add up to 10, more than pairs 9",
    ),
    (
        {"select": {"pairs": 9, "category_targets": {"Essay Writing": 1}, "category_weights": {"Essay Writing": 1.0}}},
        "select: 'Essay Writing' has both a weight and a target; give one of them",
    ),
    ({"select": {"quality": {"score": 0.0}}}, "select.quality: {'score': 0.0} gives nothing a weight; give one of"),
    (
        {"select": {"quality": {"upvotes": 1.0}}},
        "select.quality.upvotes.[key] = 'upvotes' is not allowed: input should",
    ),
    ({"select": {"preferred_chars": [9, 5]}}, "select: preferred_chars [9, 5] begins above its end"),
    ({"build": {"drop_flags": ["pii"]}}, "build.drop_flags.0 = 'pii' is not allowed: input should be 'repetition', "),
    ({"build": {"drop_flags": "copying"}}, "build.drop_flags = 'copying' is not allowed: input should be a valid list"),
    ({"filters": {"tail_fraction": 0}}, "filters.tail_fraction = 0 is not allowed: input should be greater than 0"),
    ({"execution": {"tasks": 0}}, "execution.tasks = 0 is not allowed: input should be greater than or equal to 1"),
    ({"dataset": {"version": 1.0}}, "dataset.version = 1.0 is not allowed: input should be a valid string"),
    ({"dataset": {"version": "1.0"}}, "dataset.version = '1.0' is not allowed: string should match pattern"),
    ({"dataset": {"name": "ends-"}}, "dataset.name = 'ends-' is not allowed: string should match pattern"),
    ({"dataset": {"name": "n" * 97}}, "dataset.name = 'nnn"),
    ({"search": None}, "search = None is not allowed: it should be a mapping with keys of its own: max_steps"),
    ({"engines": "cpu"}, "engines = 'cpu' is not allowed: it should be a mapping with keys of its own: generator, mor"),
    ({"sources": ["pairs"]}, "sources.0 = 'pairs' is not allowed: it should be a mapping with keys of its own: kind"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    assert problem(text_with(**changes)).startswith(f"my.yaml: {message}")


IMPOSSIBLE = [
    ({"search": {"min_thinking_tokens": 50, "max_thinking_tokens": 50}}, "min_thinking_tokens 50 is not below max_th"),
    ({"search": {"temperature": 0}}, "temperature 0.* makes all 2 candidates equal; allowed: candidates 1"),
    ({"search": {"temperature": 0.0, "candidates": 1, "rollouts": 3}}, "makes all 3 rollouts alike; allowed: rollouts"),
    ({"search": {"stop_score": 2.0}}, "stop_score 2.0 is not below 2.0, the highest score that clip_logprob -2.0"),
    ({"pairs": {"min_answer_chars": 90, "max_answer_chars": 80}}, "min_answer_chars 90 is above max_answer_chars 80"),
    ({"sources": [{"kind": "pairs", "path": p} for p in "ab"]}, r"sources: the names \['pairs'\] occur twice; give"),
    (
        {"sources": [{"kind": "pairs", "path": "a"}, {"kind": "wildchat", "path": "b", "name": "pairs"}]},
        r"sources: the names \['pairs'\] occur twice",
    ),
    (source(kind="blog"), "sources.0: kind 'blog' is unknown; allowed: writingprompts_dump, .*, pairs$"),
    ({"dataset": {"name": "search"}}, "dataset.name: 'search' is taken inside a run's folder; allowed: anything but"),
    ({"dataset": {"name": "run.lock"}}, "dataset.name: 'run.lock' is taken inside a run's folder"),
    ({"build": {"drop_flags": ["copying", "copying"]}}, r"build.drop_flags: \['copying'\] stand twice"),
    ({"search": {"prompts": "poetic"}}, r"search.prompts: prompts 'poetic' is neither a bundled set \(default, no-r"),
]


@pytest.mark.parametrize(("changes", "message"), IMPOSSIBLE)
def test_an_impossible_combination_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text_with(**changes))


def test_a_source_may_stand_twice_under_two_names() -> None:
    recipe = parse_recipe(text_with(sources=[{"kind": "pairs", "path": p, "name": p} for p in "ab"]))
    assert [item.label for item in recipe.sources] == ["a", "b"]


OPTIONS = [
    ("pairs", {"min_chars": 3}, r"options \['min_chars'\] are unknown for pairs; allowed: \['answer_column', "),
    ("wildchat", {"column": "x"}, r"options \['column'\] are unknown for wildchat"),
    ("pairs", {"query_column": 3}, r"options.query_column = 3 is not allowed: input should be a valid string"),
    ("gutenberg", {"min_chars": "many"}, "options.min_chars = 'many' is not allowed: input should be a valid integer"),
    ("gutenberg", {"min_chars": True}, "options.min_chars = True is not allowed: input should be a valid integer"),
    ("writingprompts_dump", {"skip_tags": "OT"}, "options.skip_tags = 'OT' is not allowed: "),
    ("writingprompts_dump", {"skip_tags": ["OT", 3]}, "options.skip_tags = .* is not allowed: input should be a valid"),
    ("gutenberg", {"min_chars": None}, "options.min_chars = None is not allowed: input should be a valid integer"),
    ("gutenberg", {"min_chars": 9000}, "options: min_chars is 9000 and max_chars 6000; needed: 0 < min_chars <= max"),
    ("gutenberg", {"min_chars": -1}, "options: min_chars is -1"),
]


@pytest.mark.parametrize(("kind", "options", "message"), OPTIONS)
def test_reader_options_are_checked_when_the_recipe_is_read(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=f"^recipe: sources.0: {message}"):
        parse_recipe(text_with(**source(kind=kind, options=options)))


@pytest.mark.parametrize("kind", sorted(SOURCE_KINDS))
def test_every_reader_takes_its_options_at_their_defaults_and_no_others(kind: str) -> None:
    import inspect

    parameters = inspect.signature(SOURCE_KINDS[kind]).parameters
    defaults = {name: parameters[name].default for name in reader_options(SOURCE_KINDS[kind])}
    defaults = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    recipe = parse_recipe(text_with(**source(kind=kind, options=defaults)))
    assert recipe.sources[0].options == defaults
    assert not defaults.keys() & {"path", "name", "license", "limit"}


def test_each_mistake_is_a_line_of_its_own() -> None:
    message = problem(text_with(seed="x", search={"max_steps": -1, "foo": 1}, execution={"tasks": 0}))
    assert [line.split(" = ")[0] for line in message.splitlines()] == [
        "my.yaml: seed",
        "my.yaml: search.max_steps",
        "my.yaml: search.foo",
        "my.yaml: execution.tasks",
    ]


NOT_RECIPES = [
    ("", "my.yaml is empty; expected a mapping of sections"),
    ("# only a comment\n", "my.yaml is empty"),
    ("- name: a\n", "my.yaml must be a mapping of sections; found list"),
    ("just words", "my.yaml must be a mapping of sections; found str"),
    ("name: [a", "my.yaml is not valid YAML: "),
    ("name: a\n\tseed: 1", "my.yaml is not valid YAML: "),
    ("name: a\x00b", "my.yaml is not valid YAML: unacceptable character #x0000"),
    ("name: 2024-99-99", "my.yaml is not valid YAML: month must be in 1..12"),
    ("seed: " + "9" * 5000, "my.yaml is not valid YAML: "),
    ("[" * 3000, "my.yaml is not valid YAML: it is nested too deeply"),
    ("? [a]\n: 1", "my.yaml is not valid YAML: "),
    ("name: a\nname: b", "my.yaml is not valid YAML: the key 'name' stands twice"),
    ("name: !!python/object/apply:os.getcwd []", "my.yaml is not valid YAML: could not determine a constructor"),
]


@pytest.mark.parametrize(("text", "message"), NOT_RECIPES)
def test_what_is_not_a_mapping_in_yaml_is_one_line(text: str, message: str) -> None:
    found = problem(text)
    assert found.startswith(message)
    assert "\n" not in found


def test_a_key_that_stands_twice_deep_inside_is_refused() -> None:
    text = text_with() + "search:\n  max_steps: 2\n  candidates: 2\n  max_steps: 10\n"
    assert "the key 'max_steps' stands twice" in problem(text)


def test_a_merge_key_is_no_key_that_stands_twice() -> None:
    engines = "engines:\n  generator: &own {model: m, dtype: float32}\n  scorer: {<<: *own, dtype: bfloat16}\n"
    recipe = parse_recipe(yaml.safe_dump({key: SMALLEST[key] for key in ("name", "sources")}) + engines)
    assert recipe.engines.scoring.model == "m"
    assert recipe.engines.scoring.dtype == "bfloat16"


def test_keys_that_are_not_text_are_named() -> None:
    assert "keys should be strings" in problem(text_with() + "1: 2\n")
    assert "keys should be strings" in problem(text_with() + "on: 2\n")  # YAML 1.1 reads `on` as true


def test_scientific_notation_without_a_point_gets_a_hint() -> None:
    message = problem(text_with() + "search: {min_gain: 1e-3}\n")
    assert message.startswith("my.yaml: search.min_gain = '1e-3' is not allowed: input should be a valid number")
    assert message.endswith("(YAML reads a number such as 1e-3 as text; write 1.0e-3)")
    assert parse_recipe(text_with() + "search: {min_gain: 1.0e-3}\n").search.min_gain == 0.001


def test_a_prompt_folder_with_a_wrong_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "inference.txt").write_text("No slot here.")
    message = problem(text_with(search={"prompts": str(tmp_path)}))
    assert message == "my.yaml: search.prompts: template inference lacks the slots ['query']"
    (tmp_path / "en" / "inference.txt").write_text("Please write: {{query}}")
    assert parse_recipe(text_with(search={"prompts": str(tmp_path)})).search.prompts == str(tmp_path)


def test_files_are_read_by_path_and_by_bundled_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text_with(), encoding="utf-8-sig")  # a byte-order mark is harmless
    recipe, text = load_recipe(str(path))
    assert recipe == parse_recipe(text_with())
    assert "sources:" in text
    assert load_recipe("quickstart")[0].name == "quickstart"


def test_a_file_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: caf\xe9".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"latin.yaml is not UTF-8 text: .*0xe9 in position 9"):
        load_recipe(str(path))


@pytest.mark.parametrize("name", ["no-such-recipe", "", ".", "a\0b", "~nobody-of-that-name/x.yaml"])
def test_a_recipe_that_does_not_exist_names_the_bundled_ones(name: str) -> None:
    with pytest.raises(NotFoundError, match=r"is neither a file nor bundled; bundled: .*quickstart"):
        load_recipe(name)


@pytest.mark.parametrize("name", sorted(bundled_recipes()))
def test_bundled_recipes_are_whole(name: str) -> None:
    recipe, text = load_recipe(name)
    assert recipe.name == name
    assert text.startswith("#"), "a bundled recipe says in its first line what it is for"
    assert all(item.license != "unknown" for item in recipe.sources)


def test_the_quickstart_takes_the_papers_values_where_it_names_none() -> None:
    named = yaml.safe_load(bundled_recipes()["quickstart"])["search"]
    search, paper = load_recipe("quickstart")[0].search.model_dump(), SearchSection.model_validate({}).model_dump()
    assert {key for key in paper if search[key] != paper[key]} <= named.keys()


def test_hashes_are_stable_and_do_not_depend_on_the_order_of_keys() -> None:
    assert settings_hash({"b": [1, 2.5], "a": "ü"}) == settings_hash({"a": "ü", "b": [1, 2.5]}) == "ad9698576f4620e9"


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=4))
def test_different_settings_have_different_hashes(settings: dict[str, Any]) -> None:
    assert settings_hash(settings) == settings_hash(dict(reversed(settings.items())))
    assert settings_hash(settings) != settings_hash(settings | {"one more": 1})


def test_a_recipe_survives_writing_and_reading() -> None:
    recipe = load_recipe("quickstart")[0]
    assert Recipe.model_validate(yaml.safe_load(yaml.safe_dump(recipe.model_dump()))) == recipe


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_recipe(text_with()).search.max_steps = 3  # type: ignore[misc]


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_no_text_makes_anything_but_a_recipe_error(text: str) -> None:
    with pytest.raises(RecipeError):
        parse_recipe(text)
