"""A dataset that is as it was built passes; whatever is damaged in it is found and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.manifest import Manifest, read_manifest
from deepwriting.errors import BuildError
from deepwriting.hub.verify import Check, Rescoring, verify
from deepwriting.hub.verify.documents import check_documents
from deepwriting.hub.verify.files import check_files
from deepwriting.hub.verify.rescoring import check_scores
from deepwriting.hub.verify.rows import check_rows
from deepwriting.hub.verify.tables import check_counts, check_loading, check_schema

Edit = Callable[..., str]
Reseal = Callable[[Path], None]


def rows_checked(folder: Path) -> dict[str, Check]:
    return {check.name: check for check in check_rows(folder, read_manifest(folder))}


def kinds(check: Check) -> list[str]:
    return [problem.kind for problem in check.problems]


def cases(check: Check) -> str:
    return "\n".join(case for problem in check.problems for case in problem.cases)


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> Manifest:
    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_manifest(folder)


def test_a_build_passes_every_check_and_its_scores_come_out_again(built: Path) -> None:
    watched: list[str] = []
    done = verify(built, Rescoring(rows=2), lambda name, count: watched.append(name))
    told = {check.name: (check.state, kinds(check), check.reason) for check in done.checks}
    assert told == {name: ("passed", [], "") for name in told}
    assert list(told) == [
        "files", "schema", "counts", "loading", "card", "rows", "flags", "decision", "configs", "splits", "scores",
    ]  # fmt: skip
    assert done.state == "passed"
    assert set(watched) == {"files", "schema", "counts", "loading", "card", "rows", "scores"}
    assert done.check("scores").looked_at == "2 rows"
    assert "train 7 queries, validation 1 queries" in done.check("splits").looked_at


def test_a_changed_cell_a_missing_shard_and_a_strange_file(dataset: Path, edit: Edit) -> None:
    edit(dataset, "all", steps=1)
    shutil.rmtree(dataset / "data/verl")
    (dataset / "data/default/notes.txt").write_text("mine")
    (dataset / ".gitattributes").write_text("the Hub's own")
    check = check_files(dataset, read_manifest(dataset))
    assert kinds(check) == ["changed", "missing", "not in the manifest"]
    assert "data/all/train-00000-of-00001.parquet" in cases(check)
    assert "data/verl/train-00000-of-00001.parquet" in cases(check)
    assert "data/default/notes.txt" in cases(check)
    assert ".gitattributes" not in cases(check)


def test_a_wrong_count_in_the_card_is_shown_beside_the_right_one(dataset: Path) -> None:
    card = dataset / "README.md"
    text = card.read_text(encoding="utf-8")
    before, line, after = text.partition("| `default` |")
    assert "| 4 | 1 |" in after.splitlines()[0]
    card.write_text(before + line + after.replace("| 4 | 1 |", "| 40 | 1 |", 1), encoding="utf-8")
    check = check_documents(dataset, read_manifest(dataset))
    assert kinds(check) == ["the card differs"]
    assert "README.md, line " in cases(check)
    assert "| 40 | 1 |" in cases(check).partition(" should be ")[0]


def test_a_plot_of_other_numbers_and_metadata_of_other_files(dataset: Path, reseal: Reseal) -> None:
    plots = sorted((dataset / "assets").glob("*.png"))
    plots[0].write_bytes(plots[1].read_bytes())
    croissant = dataset / "croissant.json"
    croissant.write_text(croissant.read_text(encoding="utf-8").replace("small", "large"), encoding="utf-8")
    (dataset / "assets/more.png").write_bytes(b"")
    reseal(dataset)
    check = check_documents(dataset, read_manifest(dataset))
    assert f"assets/{plots[0].name} shows something else" in cases(check)
    assert "croissant.json, line " in cases(check)


def test_another_version_of_deepwriting_has_its_tables_compared(dataset: Path) -> None:
    manifest = rewritten(dataset, lambda content: content.update(deepwriting_version="0.0.9"))
    card = dataset / "README.md"
    text = card.read_text(encoding="utf-8").replace("# ", "# Our ")
    card.write_text(text.replace("An ", "One ").replace("`max_steps` |", "`max_steps` | 1", 1), encoding="utf-8")
    check = check_documents(dataset, manifest)
    assert any("whose words differ" in note for note in check.notes)
    assert any("table rows of README.md were compared" in note for note in check.notes)


def test_wrong_numbers_in_the_manifest(dataset: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["configs"]["sft"]["rows"] += 1
        content["counts"]["kept"] -= 1
        content["counts"]["dropped_by_reason"] = {"copying": 3}

    check = check_counts(dataset, rewritten(dataset, change))
    assert kinds(check) == ["rows of a config", "counts"]
    assert "sft: 5, the manifest says 6" in cases(check)
    assert "dropped for copying: 0, the manifest says 3" in cases(check)


def test_swapped_configs_are_found_even_with_right_checksums(dataset: Path, reseal: Reseal) -> None:
    data = dataset / "data"
    for one, other in (("sft", "verl"), ("short", "long")):
        (data / one).rename(data / "aside")
        (data / other).rename(data / one)
        (data / "aside").rename(data / other)
    reseal(dataset)
    manifest = read_manifest(dataset)
    assert check_files(dataset, manifest).state == "passed"
    schema = check_schema(dataset, manifest)
    assert kinds(schema) == ["columns differ"]
    assert "data/sft/train-00000-of-00001.parquet: row_id is missing" in cases(schema)
    (data / "sft").rename(data / "aside")
    (data / "verl").rename(data / "sft")
    (data / "aside").rename(data / "verl")
    reseal(dataset)
    assert check_schema(dataset, read_manifest(dataset)).state == "passed"
    configs = rows_checked(dataset)["configs"]
    assert {kind.partition(":")[0] for kind in kinds(configs)} == {"short", "long"}


@pytest.mark.parametrize(
    ("column", "value", "check", "kind"),
    [
        ("flags", ["copying"], "flags", "flags"),
        ("repetition", 0.5, "flags", "repetition"),
        ("thinking", "Something else altogether.", "flags", "thinking_pattern_count"),
        ("thinking", "Something else altogether.", "rows", "segments are not the thinking's"),
        ("answer", "Another answer.", "rows", "not the id of its texts"),
        ("category", "Limericks", "rows", "a row breaks the schema"),
        ("accepted_edits", 9, "rows", "steps do not fit the row"),
        ("license", "MIT", "configs", "default: other content"),
        ("score_after", 7.5, "decision", "another decision"),
    ],
)
def test_an_edited_value_is_found_where_it_matters(
    dataset: Path, edit: Edit, column: str, value: Any, check: str, kind: str
) -> None:
    row = edit(dataset, "all", **{column: value})
    found = rows_checked(dataset)[check]
    assert kind in kinds(found)
    assert row in cases(found)


def test_dropped_rows_in_the_default_config_and_kept_ones_that_are_gone(dataset: Path, edit: Edit) -> None:
    edit(dataset, "sft", row_id="dw-0-0")
    configs = rows_checked(dataset)["configs"]
    assert kinds(configs) == ["sft: rows that do not belong there", "sft: rows missing"]
    assert "dw-0-0" in cases(configs)
    row = edit(dataset, "all", keep=False, drop_reasons=["copying"])
    found = rows_checked(dataset)
    assert f"{row}: dropped for copying, should be kept" in cases(found["decision"])
    assert "default: rows that do not belong there" in kinds(found["configs"])


def test_ids_twice_and_queries_in_two_splits(dataset: Path) -> None:
    folder = dataset / "data/all"
    shutil.copy(next(folder.glob("train-*")), next(folder.glob("validation-*")))
    found = rows_checked(dataset)
    assert "an id twice" in kinds(found["rows"])
    assert cases(found["splits"]) == "train and validation share 7"


def test_an_edited_score_does_not_survive_rescoring(dataset: Path, edit: Edit) -> None:
    row = edit(dataset, "all", score_before=lambda score: score + 0.01, perplexity_no_thinking=lambda p: p * 1.01)
    check = check_scores(dataset, read_manifest(dataset), Rescoring(rows=100, device="cpu"))
    assert sorted(kinds(check)) == ["perplexity_no_thinking", "score_before"]
    assert row in cases(check)
    assert check.looked_at == "8 rows"


def test_rescoring_says_why_it_cannot_be_done(dataset: Path, tmp_path: Path) -> None:
    manifest = read_manifest(dataset)
    check = check_scores(dataset, manifest, Rescoring(rows=1, scorer=str(tmp_path / "nowhere")))
    assert (check.state, "cannot be loaded" in check.reason) == ("unchecked", True)
    (tmp_path / "mine/en").mkdir(parents=True)
    (tmp_path / "mine/en/inference.txt").write_text("Answer: {{query}}")
    check = check_scores(dataset, manifest, Rescoring(rows=1, prompts=str(tmp_path / "mine")))
    assert "the inference template of the run is not here" in check.reason
    check = check_scores(
        dataset, rewritten(dataset, lambda content: content["settings"].pop("search")), Rescoring(rows=1)
    )
    assert "lack search.clip_logprob" in check.reason


def test_without_thresholds_nothing_is_claimed(dataset: Path) -> None:
    rewritten(dataset, lambda content: content["settings"].pop("filters"))
    found = rows_checked(dataset)
    assert found["flags"].state == "unchecked"
    assert "lack `filters`" in found["flags"].reason
    assert found["decision"].state == "passed"


def test_garbage_is_a_finding_and_no_crash(dataset: Path) -> None:
    next((dataset / "data/all").glob("train-*")).write_bytes(b"PAR1 garbage")
    next((dataset / "data/steps").glob("train-*")).unlink()
    (dataset / "README.md").write_text("---\nconfigs: [\n---\n", encoding="utf-8")
    (dataset / "croissant.json").write_bytes(b"\xff\xfe")
    done = verify(dataset)
    states = {check.name: check.state for check in done.checks}
    assert done.state == "failed"
    assert [states[name] for name in ("files", "schema", "loading", "card")] == ["failed"] * 4
    assert states["flags"] == "unchecked"
    assert json.loads(json.dumps(done.as_dict()))["state"] == "failed"


def test_loading_compares_configs_and_rows(dataset: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["configs"]["default"]["splits"]["train"]["rows"] = 3
        del content["configs"]["verl"]

    check = check_loading(dataset, rewritten(dataset, change))
    assert kinds(check) == ["configs differ", "loaded otherwise"]
    assert cases(check).startswith("verl is not in the manifest\ndefault: train 4, validation 1 rows")


def test_a_folder_that_is_no_dataset(tmp_path: Path, dataset: Path) -> None:
    with pytest.raises(BuildError, match="it is not a built dataset"):
        verify(tmp_path)
    (dataset / "manifest.json").write_text('{"name": "small"}')
    with pytest.raises(BuildError, match=r"manifest\.json is damaged"):
        verify(dataset)
