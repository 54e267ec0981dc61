"""How a run of 20,000 pairs grows from 1 to 64 GPUs: a discrete simulation with measured costs.

    python benchmarks/cluster_simulation.py                        # all tables, about half an hour on one core
    python benchmarks/cluster_simulation.py --rows 2000 --only scaling placement
    python benchmarks/cluster_simulation.py --pictures docs/scaling
    python benchmarks/cluster_simulation.py --pilot runs/mine.plan/pilot/HASH/rows.json --only scaling

What is simulated: searches in flight in each task, with the recipe's settings; generators as continuous batches with a
bounded memory for keys and kept prefixes; scorers that take together what waits; servers and workers that die and come
back; stragglers; a remote journal. What things cost stands in ``cluster_costs.json`` with where each figure comes from;
``cluster_simulation_check.py`` holds the simulation against measured runs. Needs SimPy (``pip install simpy``).

With ``--pilot`` rows are like those of a pilot of ``deepwriting plan``, in place of the assumed lengths.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import print_table
from simulation import pictures
from simulation.cluster import HOUR, Cluster, Outcome, Run
from simulation.costs import COSTS, Costs
from simulation.rows import Row, drawn_rows, pilot_rows, totals
from simulation.stages import phases
from tables import Table

from deepwriting.forecast import forecast
from deepwriting.pilot import Pilot, draw
from deepwriting.recipe import load_recipe

#: The sizes that the tables compare.
GPUS = (1, 8, 64)
#: One scorer for so many generators, or fewer: what ``placement`` finds best.
GENERATORS_A_SCORER = 5
#: Pairs of the pilots whose forecasts are compared: ``deepwriting plan``'s default, and one that fills a generator.
PILOTS = (8, 64)
#: A million pairs are chosen from this many times as many pairs.
CHOSEN_FROM = 5
#: Figures whose range the sensitivity goes through, with what the plot calls them.
RANGES = {
    "generator.scale": "generator twice / half as fast",
    "generator.step_ms": "decoding pass 15 / 43 ms",
    "generator.prompt_tokens_s": "prompts 7,500 / 4,000 tokens/s",
    "scorer.scale": "scorer 1.3 / 0.6 times as fast",
    "lengths.answer": "answers 400 / 2,500 tokens",
    "lengths.thinking": "first thinkings 450 / 1,800 tokens",
    "lengths.candidate": "candidates 175 / 700 tokens",
    "lengths.accepted_share": "edits accepted 30 / 80 %",
    "lengths.refused_share": "candidates refused 40 / 0 %",
    "host.step_ms": "event loop a step",
}


class Study:
    """All experiments over the same rows.

    Args:
        options: the command line's.
    """

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.costs = Costs.read(options.costs)
        self.recipe = load_recipe(options.recipe)[0]
        self.search = self.recipe.search
        self.rows = self.make(self.costs, options.rows)
        self.results: dict[str, Any] = {}

    def make(self, costs: Costs, count: int) -> list[Row]:
        """Rows to search."""
        if self.options.pilot:
            pilot = Pilot.read(self.options.pilot)
            return pilot_rows(pilot, count, self.recipe.seed, candidates=self.search.candidates)
        return drawn_rows(costs, self.search, count, self.recipe.seed)

    def replicas(self, gpus: int) -> Cluster:
        """Every GPU has both models and tasks of its own, as ``workers`` of one machine have."""
        return Cluster(gpus, 0, workers=gpus, tasks=gpus, concurrency=self.search.concurrency, shared=False)

    def apart(self, gpus: int, scorers: int | None = None, **changes: Any) -> Cluster:
        """Generators and scorers on GPUs of their own, shared by all tasks."""
        if scorers is None:
            scorers = math.ceil(gpus / (GENERATORS_A_SCORER + 1))
        generators = gpus - scorers
        cluster = Cluster(
            generators, scorers, workers=generators, tasks=generators, concurrency=self.search.concurrency
        )
        return replace(cluster, **changes)

    def run(self, cluster: Cluster, rows: Sequence[Row] | None = None, costs: Costs | None = None) -> Outcome:
        """Simulate, and say that it was done."""
        began = time.perf_counter()
        outcome = Run(cluster, costs or self.costs, self.rows if rows is None else rows).go()
        seconds = time.perf_counter() - began
        print(f"  simulated {outcome.seconds / HOUR:.1f} h on {cluster.gpus} GPUs in {seconds:.0f} s", file=sys.stderr)
        return outcome

    # The experiments

    def work(self) -> None:
        """What the rows ask for."""
        sums = totals(self.rows)
        print(f"{len(self.rows):,} rows of {self.recipe.name}:")
        print_table(
            [{"": name, "all": value, "a row": value / len(self.rows)} for name, value in sums.items()],
            {"all": ",.0f", "a row": ",.1f"},
        )
        self.results["work"] = sums

    def figures(self) -> None:
        """The costs with where they come from, as a table for the page."""
        table = Table("figure", "value", "range", "how known")
        for name, figure in self.costs.figures.items():
            value = f"{figure.value:,g}" if isinstance(figure.value, (int, float)) else "a table"
            span = "" if figure.low is None else f"{figure.low:,g} … {figure.high:,g}"
            table.add(f"`{name}`", f"{value} {figure.unit}", span, figure.origin)
        print(table.markdown())

    def planned(self, size: int, workers: int) -> float:
        """Seconds that ``deepwriting plan`` forecasts from a pilot on one GPU."""
        by_number = {str(row.number): row for row in self.rows}
        drawn = draw([(key, row.size) for key, row in by_number.items()], size, self.recipe.seed)
        cluster = replace(self.replicas(1), concurrency=min(size, self.search.concurrency))
        rows = [by_number[key] for key in drawn]
        shares = Run(cluster, self.costs, rows, pilot=True).go().shares
        pilot = Pilot(
            {str(row.number): row.measured(shares[row.number]) for row in rows}, 0, cluster.concurrency, ["cuda:0"]
        )
        return forecast(pilot, pairs=len(self.rows), rollouts=1, workers=workers).seconds.value

    def scaling(self) -> None:
        """1, 8, 64 GPUs in both layouts, beside the forecast."""
        found = []
        plans = {size: self.planned(size, 1) for size in PILOTS}
        start = self.costs["generator.start_seconds"]
        for gpus in GPUS:
            for layout in ("replicas", "apart"):
                if gpus == 1 and layout == "apart":
                    continue
                cluster = self.replicas(gpus) if layout == "replicas" else self.apart(gpus)
                outcome = self.run(cluster)
                found.append(
                    {
                        "gpus": gpus, "layout": layout, "generators": cluster.generators,
                        "scorers": cluster.scorers or cluster.generators, "hours": outcome.seconds / HOUR,
                        "GPU-hours": outcome.seconds * gpus / HOUR, "rows/h": outcome.rows_per_hour,
                        "steady rows/h": outcome.steady_rows_per_hour,
                        "of linear": found[0]["GPU-hours"] / (outcome.seconds * gpus / HOUR) if found else 1.0,
                        "generators with work": outcome.generator_busy, "scorers with work": outcome.scorer_busy,
                        "sequences": outcome.in_flight, "reused": outcome.reused / (outcome.reused + outcome.prompted),
                        "event loop": outcome.host_busy, "row min": _median(outcome.row_seconds) / 60,
                        "last 1 % min": outcome.tail_seconds / 60,
                        **{f"plan({size}) off": plans[size] / gpus / (outcome.seconds - start) - 1 for size in PILOTS},
                        "planned_hours": plans[PILOTS[0]] / gpus / HOUR if layout == "replicas" else None,
                    }
                )  # fmt: skip
        shares = dict.fromkeys(
            ("of linear", "generators with work", "scorers with work", "reused", "event loop"), ".0%"
        ) | {f"plan({size}) off": "+.0%" for size in PILOTS}
        counts = {"hours": ".1f", "GPU-hours": ".0f", "rows/h": ",.0f", "steady rows/h": ",.0f", "sequences": ".0f"}
        minutes = {"row min": ".1f", "last 1 % min": ".0f", "planned_hours": ".1f"}
        print_table(found, shares | counts | minutes)
        self.results["scaling"] = found

    def placement(self) -> None:
        """How many of 8 and of 64 GPUs should score."""
        found = []
        for gpus, counts, share in ((8, (1, 2, 3), 8), (64, (8, 11, 14, 18), 2)):
            rows = self.rows[: max(len(self.rows) // share, 1)]
            for scorers in counts:
                outcome = self.run(self.apart(gpus, scorers), rows)
                found.append(
                    {
                        "gpus": gpus, "generators": gpus - scorers, "scorers": scorers, "rows": len(rows),
                        "steady rows/h": outcome.steady_rows_per_hour, "generators with work": outcome.generator_busy,
                        "scorers with work": outcome.scorer_busy,
                    }
                )  # fmt: skip
        print_table(found, {"steady rows/h": ",.0f", "generators with work": ".0%", "scorers with work": ".0%"})
        self.results["placement"] = found

    def in_flight(self) -> None:
        """What one generator carries, by searches in flight, on several kinds of GPUs."""
        small = self.costs.but(gpu__memory_gb=85)
        kinds = {
            "one GPU of 149 GB": (self.costs, 1, 1),
            "one GPU of 149 GB, scorer on it too": (self.costs, 1, 0),
            "two GPUs of 80 GB": (small, 2, 1),
            "one GPU of 80 GB": (small, 1, 1),
        }
        found, series = [], dict[str, list[dict[str, float]]]()
        rows = self.rows[: max(len(self.rows) // 20, 1)]
        for kind, (costs, gpus_each, scorers) in kinds.items():
            for count in (4, 8, 16, 32, 64, 128, 256):
                cluster = Cluster(1, scorers, gpus_each=gpus_each, concurrency=count)
                outcome = self.run(cluster, rows, costs)
                rate = outcome.steady_rows_per_hour / gpus_each
                found.append(
                    {
                        "generator": kind, "in flight": count, "rows/h and GPU": rate, "sequences": outcome.in_flight,
                        "reused": outcome.reused / (outcome.reused + outcome.prompted),
                        "row min": _median(outcome.row_seconds) / 60, "scorer busy": outcome.scorer_busy,
                    }
                )  # fmt: skip
                series.setdefault(kind, []).append({"in_flight": count, "rate": rate})
        print_table(
            found,
            {"rows/h and GPU": ".0f", "sequences": ".0f", "reused": ".0%", "row min": ".1f", "scorer busy": ".0%"},
        )
        self.results["in_flight"], self.results["in_flight_series"] = found, series

    def faults(self) -> None:
        """64 GPUs: servers and workers that die, stragglers, remote journals, tasks of different sizes."""
        costs, base = self.costs, self.apart(GPUS[-1])
        deaths = {"server_hours": costs["faults.server_hours"], "worker_hours": costs["faults.worker_hours"]}
        slow = {"slow_share": costs["faults.slow_share"], "slow_speed": costs["faults.slow_speed"]}
        ways = {
            "nothing happens": base,
            "servers and workers die once a day": replace(base, **deaths),
            "... every three hours": replace(base, server_hours=3.0, worker_hours=3.0),
            "stragglers": replace(base, **slow),
            "stragglers, each task its own servers": replace(self.replicas(GPUS[-1]), **slow),
            "no server preferred": replace(base, sticky=False),
            "remote journal": replace(base, journal_seconds=costs["remote.put_ms"] / 1000),
            "one task drives all": replace(base, workers=1, tasks=1, concurrency=base.concurrency * base.workers),
            "each task its own servers": self.replicas(GPUS[-1]),
            "... four tasks a worker": replace(self.replicas(GPUS[-1]), tasks=4 * GPUS[-1]),
            "all at once": replace(base, **deaths, **slow, journal_seconds=costs["remote.put_ms"] / 1000),
        }
        found, ends = [], {}
        for name, cluster in ways.items():
            outcome = self.run(cluster)
            found.append(
                {
                    "": name, "hours": outcome.seconds / HOUR,
                    "against": outcome.seconds / (found[0]["hours"] * HOUR) if found else 1.0,
                    "server deaths": outcome.server_deaths, "worker deaths": outcome.worker_deaths,
                    "requests again": outcome.resent, "steps again": outcome.repeated,
                    "tokens lost": 1 - outcome.useful / outcome.sampled, "last 1 % min": outcome.tail_seconds / 60,
                    "journal s/step": outcome.journal_seconds / totals(self.rows)["steps"], "puts": outcome.puts,
                }
            )  # fmt: skip
            ends[name] = outcome.ends
            assert len(outcome.ends) == len(self.rows), "a row was lost"
        print_table(
            found,
            {"hours": ".2f", "against": ".3f", "tokens lost": ".2%", "last 1 % min": ".0f", "journal s/step": ".3f"},
        )
        self.results["faults"] = found
        drawn = {
            "nothing happens": "shared servers, nothing happens",
            "all at once": "shared servers, all faults at once",
            "each task its own servers": "each task its own servers",
            "... four tasks a worker": "each task its own servers, four tasks a worker",
        }
        self.results["ends"] = {label: ends[name] for name, label in drawn.items()}

    def sensitivity(self) -> None:
        """Eight GPUs, six of which sample: what each uncertain figure would change."""
        count = max(len(self.rows) // 10, 1)
        cluster, ranges = self.apart(8), self.costs.ranges()
        usual = self.run(cluster, self.make(self.costs, count)).steady_rows_per_hour
        found = []
        for name, label in RANGES.items():
            low, high = (
                usual / self.run(cluster, self.make(costs, count), costs).steady_rows_per_hour
                for costs in (self.costs.but(**{name.replace(".", "__"): end}) for end in ranges[name])
            )
            found.append({"figure": name, "from": ranges[name][0], "to": ranges[name][1], "time": low, "time ": high,
                          "label": label})  # fmt: skip
        shown = [{key: value for key, value in row.items() if key != "label"} for row in found]
        print_table(shown, {"time": ".2f", "time ": ".2f", "from": ",g", "to": ",g"})
        self.results["sensitivity"] = found

    def million(self) -> None:
        """What a million pairs would need, from the steady rate of 64 GPUs and the phases before the search."""
        steady = [row["steady rows/h"] for row in self.results["scaling"] if row["gpus"] == GPUS[-1]]
        pairs, rate = 1_000_000, max(steady) / GPUS[-1]
        hours = pairs / rate
        found = [
            {"weeks": weeks, "GPUs": math.ceil(hours / (weeks * 7 * 24))} for weeks in (1, 2, 4, 8)
        ]  # fmt: skip
        print(f"{rate:.1f} rows an hour and GPU: {hours:,.0f} GPU-hours for {pairs:,} pairs")
        print_table(found)
        read = pairs * CHOSEN_FROM / self.costs["stages.kept_share"]
        rows = []
        for factor, what in ((1.0, "a million rows read"), (read / self.costs["stages.rows"][1], f"{read:,.0f} read")):
            for workers in (2, 64):
                times = [(phase, phase.at(factor, workers)) for phase in phases(self.costs)]
                alone = sum(seconds for phase, seconds in times if phase.one_task)
                longest = max(times, key=lambda one: one[1])
                rows.append(
                    {
                        "": what, "workers": workers, "hours": sum(s for _, s in times) / HOUR,
                        "in one task": alone / HOUR, "longest": f"{longest[0].stage} {longest[0].name}",
                        "its hours": longest[1] / HOUR,
                    }
                )  # fmt: skip
        print_table(rows, {"hours": ".2f", "in one task": ".2f", "its hours": ".2f"})
        events = totals(self.rows)["steps"] / len(self.rows) + 2
        size = events * self.costs["remote.event_bytes"] * pairs
        print(f"journals: {events:.1f} events a row, {size / 1e9:.0f} GB for {pairs:,} pairs")
        self.results["million"] = {"rate": rate, "gpu_hours": hours, "gpus": found, "stages": rows, "journal": size}

    def draw(self, folder: Path) -> None:
        """Draw what was found."""
        results = self.results
        if "scaling" in results and "in_flight" in results:
            layouts = {"replicas": "each GPU both models, tasks of its own", "apart": "apart, shared by all tasks"}
            pictures.draw(
                folder / "growth.svg", 3.9,
                lambda axes: pictures.scaling(axes, results["scaling"], layouts),
                lambda axes: pictures.load(axes, results["in_flight_series"]),
            )  # fmt: skip
        if "faults" in results:
            pictures.draw(folder / "end.svg", 3.6, lambda axes: pictures.finish(axes, results["ends"]))
        if "sensitivity" in results:
            found = [(row["label"], row["time"], row["time "]) for row in results["sensitivity"]]
            pictures.draw(folder / "sensitivity.svg", 3.6, lambda axes: pictures.sensitivity(axes, found))


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def main() -> None:
    """Simulate and print."""
    experiments: dict[str, Callable[[Study], None]] = {
        "work": Study.work, "scaling": Study.scaling, "placement": Study.placement, "in-flight": Study.in_flight,
        "faults": Study.faults, "sensitivity": Study.sensitivity, "million": Study.million, "figures": Study.figures,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="deepwriting-20k", help="recipe whose search settings count [%(default)s]")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--costs", type=Path, default=COSTS)
    parser.add_argument("--pilot", type=Path, help="rows.json of a pilot: rows like its own")
    parser.add_argument("--only", nargs="+", choices=experiments, default=list(experiments))
    parser.add_argument("--results", type=Path, help="keep what was found as JSON, and go on from what is there")
    parser.add_argument("--pictures", type=Path, help="folder for the plots")
    options = parser.parse_args()
    study = Study(options)
    if options.results and options.results.exists():
        study.results = json.loads(options.results.read_text(encoding="utf-8"))
    for name in options.only:
        print(f"\n== {name}: {(experiments[name].__doc__ or '').splitlines()[0]}")
        experiments[name](study)
        if options.results:
            options.results.write_text(json.dumps(study.results), encoding="utf-8")
    if options.pictures:
        study.draw(options.pictures)


if __name__ == "__main__":
    main()
