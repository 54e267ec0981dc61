"""How far a pilot's forecast is off, by the way its pairs are drawn and its figures extrapolated.

Needs a pilot that has measured all pairs of a run, so that the truth is known:

    deepwriting plan quickstart --pilot 25
    python benchmarks/pilot_draws.py runs/quickstart.plan/pilot/*/rows.json

From these pairs thousands of smaller pilots are drawn: at random with the mean; at random with the ratio to the pairs'
length; spread over the lengths with the mean, as ``deepwriting plan`` does. Printed are the root mean square error of
the forecast total and how often the 80 % interval held the truth (``deepwriting.forecast`` has none for the ratio).
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from pathlib import Path

from deepwriting.forecast import total
from deepwriting.pilot import Pilot, PilotRow, draw

QUANTITIES = ("prompt_tokens", "sampled_tokens", "scored_tokens", "seconds")
REPEATS = 3000


def quantity(row: PilotRow, name: str) -> float:
    """One measured number of a row."""
    return row.seconds if name == "seconds" else sum(getattr(tally, name) for tally in row.tallies.values())


def simulate(rows: dict[str, PilotRow], name: str, count: int) -> list[tuple[str, float, float | None]]:
    """Root mean square error, and share of intervals that hold the truth, for each way of drawing."""
    keys, sizes = list(rows), [(key, row.size) for key, row in rows.items()]
    truth = sum(quantity(row, name) for row in rows.values())
    whole = sum(row.size for row in rows.values())
    errors: dict[str, list[float]] = {"random, mean": [], "random, ratio": [], "spread, mean": []}
    held = dict.fromkeys(errors, 0)
    for repeat in range(REPEATS):
        plain = random.Random(repeat).sample(keys, count)
        for label, drawn in (("random, mean", plain), ("spread, mean", draw(sizes, count, repeat))):
            estimate = total([quantity(rows[key], name) for key in drawn], len(rows))
            errors[label].append(estimate.value / truth - 1)
            held[label] += estimate.holds(truth)
        share = whole / sum(rows[key].size for key in plain)
        errors["random, ratio"].append(sum(quantity(rows[key], name) for key in plain) * share / truth - 1)
    return [
        (label, root_mean_square(found), None if label == "random, ratio" else held[label] / REPEATS)
        for label, found in errors.items()
    ]


def root_mean_square(values: Sequence[float]) -> float:
    """Root of the mean of the squares."""
    return math.sqrt(sum(value * value for value in values) / len(values))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="rows.json of a pilot over all pairs")
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 8, 16], help="sizes of the small pilots")
    arguments = parser.parse_args()
    rows = {key: row for key, row in Pilot.read(arguments.rows).rows.items() if row.ended}
    print(f"{len(rows)} pairs, {REPEATS} pilots each")
    for name in QUANTITIES:
        for count in arguments.counts:
            for label, error, held in simulate(rows, name, count):
                shown = f"interval held {held:4.0%}" if held is not None else ""
                print(f"{name:<15} {count:>3} pairs  {label:<14} off by {error:6.1%}  {shown}")


if __name__ == "__main__":
    main()
