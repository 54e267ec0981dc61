"""How far a search is, for people: two lines below a bar, or a panel."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from deepwriting.cli.console import duration
from deepwriting.cli.tables import plain_table
from deepwriting.reer.status import SearchStatus, Worker

#: Reasons that are named in one line; the rest is summed up.
MOST_REASONS = 4


def search_lines(status: SearchStatus) -> list[str]:
    """The figures in two short lines: what the search does to the rows, and how fast."""
    done = [f"{status.in_flight} rows in flight", steps(status)]
    if status.score_before is not None:
        done.append(f"score {scores(status)}")
    speed = [tokens_per_second(status)]
    if status.refused:
        speed.append(f"refused {reasons(status.refused)}")
    if status.skipped or status.left_out:
        speed.append(f"skipped {reasons(status.skipped + status.left_out)}")
    return [" · ".join(done), " · ".join(part for part in speed if part)]


def search_panel(status: SearchStatus, *, held: bool) -> Table:
    """Everything that is known about a search that has not finished.

    Args:
        status: the search.
        held: whether a process works on the run.
    """
    table = plain_table("search", life(status, held=held))
    total = f" of {status.total}" if status.total is not None else ""
    begun = "in flight" if status.running else "begun"
    parts = [f"{status.done}{total} done", f"{status.finished} with a trajectory", f"{status.in_flight} {begun}"]
    table.add_row("rows", ", ".join(parts))
    if status.skipped or status.left_out:
        table.add_row("skipped", reasons(status.skipped + status.left_out, most=None))
    table.add_row("steps", steps(status))
    if status.score_before is not None:
        table.add_row("score, mean", f"{scores(status)}, over {status.scored_rows} rows")
        table.add_row("perplexity", f"{status.perplexity_before:.1f} → {status.perplexity_now:.1f} (geometric mean)")
    if status.refused:
        table.add_row("refused", f"{reasons(status.refused, most=None)} ({status.candidates} candidates of steps)")
    for engine in status.engines:
        table.add_row(" and ".join(engine["roles"]), f"{engine['model']}: {_tokens(engine)}")
    if status.running:
        table.add_row("tokens/s", tokens_per_second(status).removeprefix("tokens/s ") or "not known yet")
        table.add_row("time left", time_left(status) or "not known yet")
    return table


def life(status: SearchStatus, *, held: bool) -> str:
    """Whether the search goes on, and who does it."""
    at_work = [worker for worker in status.workers if worker.life == "running"]
    silent = [worker for worker in status.workers if worker.life == "silent"]
    if at_work:
        return f"running ({_who(at_work)})"
    if silent:
        return f"silent: {_who(silent)}; the process is there but writes nothing"
    if held:
        return "about to go on: the models are being loaded"
    return "not running"


def _who(workers: list[Worker]) -> str:
    latest = min(workers, key=lambda worker: worker.age)
    processes = sorted({(worker.host, worker.pid) for worker in workers})
    who = f"pid {latest.pid} on {latest.host}" if len(processes) == 1 else f"{len(processes)} processes"
    return f"{who}, updated {duration(latest.age)} ago"


def steps(status: SearchStatus) -> str:
    """Finished steps and the share that was accepted."""
    if not status.steps:
        return "0 steps"
    return f"{status.steps} steps, {status.accepted / status.steps:.0%} accepted"


def scores(status: SearchStatus) -> str:
    """Mean score before and now."""
    return f"{status.score_before:.3f} → {status.score_now:.3f} nats"


def tokens_per_second(status: SearchStatus) -> str:
    """Tokens per second in and out; empty if nothing is known."""
    if status.tokens_in_per_second is None or status.tokens_out_per_second is None:
        return ""
    return f"tokens/s {status.tokens_in_per_second:,.0f} in, {status.tokens_out_per_second:,.0f} out"


def time_left(status: SearchStatus) -> str:
    """The time left; empty if it is not known."""
    return duration(status.seconds_left) if status.seconds_left is not None else ""


def reasons(counts: Mapping[str, int], most: int | None = MOST_REASONS) -> str:
    """Reasons and their counts, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{reason} {count}" for reason, count in ordered[:most]]
    rest = sum(count for _, count in ordered[len(shown) :])
    return ", ".join([*shown, f"others {rest}"] if rest else shown)


def _tokens(engine: Mapping[str, int]) -> str:
    kinds = ("prompt", "sampled", "scored")
    used = ", ".join(f"{engine[f'{kind}_tokens']:,} {kind}" for kind in kinds if engine[f"{kind}_tokens"])
    reused = engine["reused_tokens"]
    return f"{used or 'no'} tokens" + (f", {reused:,} of them not computed again" if reused else "")
