"""How a forecast is shown, and what is said about where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from deepwriting.cli.console import duration, out
from deepwriting.cli.search_view import reasons
from deepwriting.cli.tables import plain_table
from deepwriting.forecast import CONFIDENCE, Estimate, Forecast
from deepwriting.recipe import Recipe


def plan_data(forecast: Forecast, actual: Mapping[str, float] | None, pilot: Path) -> dict[str, Any]:
    """Everything that ``--json`` shows."""
    return {
        "confidence": CONFIDENCE,
        "forecast": forecast.as_dict(),
        "actual": dict(actual) if actual else None,
        "pilot": str(pilot),
    }


def print_plan(recipe: Recipe, name: str, forecast: Forecast, actual: Mapping[str, float] | None, pilot: Path) -> None:
    """The table, and what it rests on; on stdout.

    Args:
        recipe: the recipe.
        name: what the user called it.
        forecast: the forecast.
        actual: what the finished run took, by the forecast's names.
        pilot: the pilot's folder.
    """
    console = out()
    title = f"{recipe.name}: the search of {forecast.rows:,} rows, from a pilot of {forecast.drawn} of its "
    title += f"{forecast.pairs:,} pairs"
    columns = ["", "forecast", f"{CONFIDENCE:.0%} interval", *(["the run took", "off by"] if actual else [])]
    table = plain_table(*columns, right=range(1, len(columns)))
    for label, key, estimate, shown in _lines(forecast):
        cells = [label, shown(estimate.value), _interval(estimate, shown, whole=forecast.drawn == forecast.rows)]
        if actual:
            cells += [shown(actual[key]), _off(estimate.value, actual[key])] if key in actual else ["", ""]
        table.add_row(*cells)
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)
    for line in _grounds(recipe, forecast, pilot):
        console.print(line, soft_wrap=True)
    if actual is None:
        click.echo(f"run it with: deepwriting run {name}", err=True)


def _lines(forecast: Forecast) -> list[tuple[str, str, Estimate, Callable[[float], str]]]:
    lines: list[tuple[str, str, Estimate, Callable[[float], str]]] = [
        ("rows that cannot be searched", "skipped", forecast.skipped, _count),
        ("steps", "steps", forecast.steps, _count),
        ("prompt tokens", "prompt_tokens", forecast.prompt_tokens, _count),
        ("sampled tokens", "sampled_tokens", forecast.sampled_tokens, _count),
        ("scored tokens", "scored_tokens", forecast.scored_tokens, _count),
        ("time", "seconds", forecast.seconds, duration),
    ]
    if forecast.gpu_hours is not None:
        gpus = f"{forecast.gpus} GPUs" if forecast.gpus > 1 else "one GPU"
        lines.append((f"GPU-hours of {gpus}", "gpu_hours", forecast.gpu_hours, _hours))
    lines += [(f"cost of {kind} (USD)", kind, cost, _money) for kind, cost in forecast.usd.items()]
    return lines


def _grounds(recipe: Recipe, forecast: Forecast, pilot: Path) -> list[str]:
    """What the figures rest on, and what they leave out."""
    lines = [
        f"The pilot ran {forecast.concurrency} rows at a time: {forecast.tokens_in_per_second:,.0f} tokens/s in, "
        f"{forecast.reused_share:.0%} of them not computed again, and {forecast.tokens_out_per_second:,.0f} out."
    ]
    per_task = min(recipe.search.concurrency, forecast.rows)
    if per_task > forecast.concurrency:
        lines.append(
            f"The run has {per_task} at a time, which engines do faster: take the time for a ceiling, "
            f"or pilot with --pilot {min(per_task, forecast.pairs)}."
        )
    if forecast.reasons:
        lines.append(f"Skipped in the pilot: {reasons(forecast.reasons, most=None)}.")
    workers = recipe.execution.of("search").workers
    if workers > 1:
        lines.append(f"The time is that of {workers} workers, each with devices of its own.")
    if forecast.rows > forecast.pairs:
        lines.append(f"Each pair is searched {recipe.search.rollouts} times; the pilot did so once.")
    lines.append("Not in it: loading the models, and the other stages.")
    lines.append(f"The pilot is kept in {pilot}; a larger one goes on from it.")
    return lines


def _interval(estimate: Estimate, shown: Callable[[float], str], *, whole: bool) -> str:
    """The interval; a pilot whose pairs were all alike has not shown that the others are."""
    if estimate.low is None or estimate.high is None:
        return "not known"
    if estimate.low == estimate.high and not whole:
        return "no spread seen"
    return f"{shown(estimate.low)} – {shown(estimate.high)}"


def _off(forecast: float, actual: float) -> str:
    return f"{forecast / actual - 1:+.0%}" if actual else ""


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _hours(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _money(value: float) -> str:
    return f"{value:,.2f}"
