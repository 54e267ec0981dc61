"""``deepwriting show``: one row, with the edited segments marked."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command("show", short_help="show one row", epilog="Example:  deepwriting show quickstart dw-0123456789abcdef-0")
@click.argument("run")
@click.argument("row_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="The whole row as JSON.")
def command(run: str, row_id: str | None, as_json: bool) -> None:
    """Show the row ROW_ID of RUN: query, thinking before and after, answer, scores.

    The beginning of an id is enough if it is unique. Without ROW_ID the rows are listed, most improved first.
    """
    from deepwriting.rundir import RunFolder

    found = RunFolder.existing(run)
    stage, rows = _searched_rows(found)
    if row_id is None:
        _list(rows, as_json)
        return
    document = _find(rows, row_id, stage)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        _print(document)


def _searched_rows(run: Any) -> tuple[str, list[dict[str, Any]]]:
    """The rows of the latest finished stage that has thinking, most improved first."""
    from deepwriting.errors import NotFoundError
    from deepwriting.stages.rows import stage_documents

    for stage in ("build", "annotate", "search"):
        record = run.stage(stage).record()
        if record is not None and record.state == "finished":
            rows = list(stage_documents(run, stage))
            return stage, sorted(rows, key=lambda row: _gain(row["metadata"]), reverse=True)
    raise NotFoundError(f"{run.path} has no searched rows yet: its search has not finished")


def _gain(row: dict[str, Any]) -> float:
    return float(row["score_before"]) - float(row["score_after"])


def _find(rows: list[dict[str, Any]], row_id: str, stage: str) -> dict[str, Any]:
    from deepwriting.errors import NotFoundError

    exact = [row for row in rows if row["metadata"]["row_id"] == row_id]
    matches = exact or [row for row in rows if row["metadata"]["row_id"].startswith(row_id)]
    if not matches:
        raise NotFoundError(f"no row {row_id!r} among the {len(rows)} rows of stage {stage}")
    if len(matches) > 1:
        ids = ", ".join(row["metadata"]["row_id"] for row in matches[:5])
        raise NotFoundError(f"{row_id!r} stands for {len(matches)} rows: {ids}")
    return matches[0]


def _list(rows: list[dict[str, Any]], as_json: bool) -> None:
    from deepwriting.cli.console import out
    from deepwriting.cli.tables import plain_table

    if as_json:
        keys = ("row_id", "category", "language", "source", "score_before", "score_after", "accepted_edits")
        click.echo(json.dumps([{key: row["metadata"][key] for key in keys} for row in rows], ensure_ascii=False))
        return
    table = plain_table("row", "category", "before", "after", "edits", "query", right=(2, 3, 4))
    for document in rows:
        row = document["metadata"]
        query = " ".join(row["query"].split())
        table.add_row(
            row["row_id"], row["category"], f"{row['score_before']:.3f}", f"{row['score_after']:.3f}",
            f"{row['accepted_edits']}/{row['steps']}", query if len(query) <= 60 else query[:57] + "…",
        )  # fmt: skip
    out().print(table)


def _print(document: dict[str, Any]) -> None:
    from rich.rule import Rule
    from rich.text import Text

    from deepwriting.cli.console import out
    from deepwriting.cli.tables import plain_table

    console, row = out(), document["metadata"]
    console.print(Text(row["row_id"], style="bold"), f"  {row['category']} · {row['language']} · {row['source']}")
    console.print(Rule("query", align="left"))
    console.print(row["query"])
    console.print(Rule("thinking before", align="left"))
    for segment in row["segments"]:
        console.print(
            Text(
                _marked(segment["initial"], "-" if segment["edited"] else " "), style="red" if segment["edited"] else ""
            )
        )
    console.print(Rule("thinking after", align="left"))
    for segment in row["segments"]:
        console.print(
            Text(
                _marked(segment["final"], "+" if segment["edited"] else " "), style="green" if segment["edited"] else ""
            )
        )
    console.print(Rule("answer", align="left"))
    console.print(document["text"])
    console.print(Rule("scores", align="left"))
    table = plain_table("", "no thinking", "before", "after", right=(1, 2, 3))
    for label, key in (("score: clipped mean NLL (nats)", "score"), ("perplexity", "perplexity")):
        table.add_row(label, *(f"{row[f'{key}_{when}']:.3f}" for when in ("no_thinking", "before", "after")))
    table.add_row("thinking (tokens)", "0", str(row["thinking_tokens_before"]), str(row["thinking_tokens_after"]))
    console.print(table)
    facts = {
        "steps": row["steps"], "accepted edits": row["accepted_edits"], "stopped": row["stop_reason"],
        "flags": ", ".join(row.get("flags", [])) or "none",
        "refused candidates": ", ".join(f"{k} {v}" for k, v in row["refusals"].items()) or "none",
    }  # fmt: skip
    console.print("   ".join(f"{name}: {value}" for name, value in facts.items()))


def _marked(segment: str, mark: str) -> str:
    """A segment with a mark before each line, and an empty line behind it."""
    return "\n".join(f"{mark} {line}".rstrip() for line in segment.splitlines()) + "\n"
