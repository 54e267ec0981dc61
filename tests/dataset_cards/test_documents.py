from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from deepwriting.builders.manifest import read_manifest
from deepwriting.builders.parquet import file_facts
from deepwriting.dataset_cards.check import check_card
from deepwriting.dataset_cards.documents import drawn_with, published_rows, render_documents, revise
from deepwriting.dataset_cards.statistics import STATISTICS_COLUMNS, summarise
from deepwriting.errors import BuildError


def test_documents_come_from_the_tables_and_the_manifest_alone(copied: Path) -> None:
    published = {path: (copied / path).read_bytes() for path in _documents(copied)}
    for path in published:
        (copied / path).unlink()
    assert render_documents(copied, read_manifest(copied)) == published
    assert {"README.md", "croissant.json", "assets/copying.png", "assets/thinking_patterns.png"} <= published.keys()


def _documents(folder: Path) -> list[str]:
    return [file.path for file in read_manifest(folder).documents]


def test_a_changed_row_changes_the_card(copied: Path) -> None:
    before = (copied / "README.md").read_text("utf-8")
    path = next((copied / "data" / "all").glob("validation-*"))
    table = pq.read_table(path)
    at = table.schema.get_field_index("perplexity_after")
    pq.write_table(table.set_column(at, table.schema.field(at), [table["perplexity_before"].to_pylist()]), path)
    statistics = summarise(published_rows(copied, "all", read_manifest(copied).configs["all"].files))
    assert statistics.kept.lower_perplexity == 5
    assert "| true perplexity lower than with the initial thinking | 100.0% | 100.0% |" in before
    card = render_documents(copied, read_manifest(copied), statistics)["README.md"].decode()
    assert "| true perplexity lower than with the initial thinking | 71.4% | 75.0% |" in card


def test_rows_are_read_from_all_splits_with_the_decision(built: Path) -> None:
    configs = read_manifest(built).configs
    rows = list(published_rows(built, "all", configs["all"].files))
    assert (len(rows), sum(row["keep"] for row in rows)) == (8, 7)
    assert set(rows[0]) == set(STATISTICS_COLUMNS)
    assert all(row["keep"] for row in published_rows(built, "default", configs["default"].files))


def test_without_config_all_the_kept_rows_are_described(copied: Path) -> None:
    text = json.loads((copied / "manifest.json").read_text("utf-8"))
    del text["configs"]["all"]
    (copied / "manifest.json").write_text(json.dumps(text), "utf-8")
    card = render_documents(copied, read_manifest(copied))["README.md"].decode()
    assert "This release has the kept rows only." in card
    check_card(card, copied)
    del text["configs"]["default"]
    (copied / "manifest.json").write_text(json.dumps(text), "utf-8")
    with pytest.raises(BuildError, match="has the configs sft; a card is made from all or default"):
        render_documents(copied, read_manifest(copied))


def test_files_that_are_not_what_the_manifest_says_are_named(copied: Path) -> None:
    manifest = read_manifest(copied)
    path = next((copied / "data" / "sft").glob("validation-*"))
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(BuildError, match=r"sft/validation-00000-of-00001.parquet holds 1 rows; the manifest says 2"):
        render_documents(copied, manifest)
    path.write_bytes(b"PAR1")
    with pytest.raises(BuildError, match=r"sft/validation-.* cannot be read"):
        render_documents(copied, manifest)
    path.unlink()
    with pytest.raises(BuildError, match=r"sft/validation-.* cannot be read"):
        render_documents(copied, manifest)


def test_a_request_in_both_splits_is_told(copied: Path) -> None:
    path = next((copied / "data" / "all").glob("validation-*"))
    table = pq.read_table(path)
    at = table.schema.get_field_index("query")
    pq.write_table(table.set_column(at, table.schema.field(at), [["Write about lantern 0.", "Another."]]), path)
    manifest = read_manifest(copied)
    card = render_documents(copied, manifest)["README.md"].decode()
    assert "Careful: 1 requests stand in both splits." in card


def test_facts_about_a_release_are_revised_without_touching_the_tables(copied: Path) -> None:
    tables = {path: path.read_bytes() for path in copied.rglob("*.parquet")}
    manifest = revise(copied, repo_id="other/place", changes=None, history=[{"version": "1.0.0", "rows": 3}])
    card = (copied / "README.md").read_text("utf-8")
    assert 'load_dataset("other/place"' in card
    assert "More lanterns." not in card
    assert "- **1.0.0**: 3 rows in `default`." in card
    assert tables == {path: path.read_bytes() for path in copied.rglob("*.parquet")}
    assert manifest == read_manifest(copied)
    for file in manifest.documents:
        assert file_facts(copied / file.path, copied) == file


def test_a_revision_that_cannot_be_is_not_written(copied: Path) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    with pytest.raises(BuildError, match="expected a list of sentences"):
        revise(copied, changes="one sentence")
    assert before == {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}


def test_a_plot_tells_what_drew_it(built: Path) -> None:
    import matplotlib

    assert drawn_with((built / "assets" / "perplexity.png").read_bytes()) == f"matplotlib {matplotlib.__version__}"
    assert drawn_with(b"no picture") == ""
