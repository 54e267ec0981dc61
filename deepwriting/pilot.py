"""The pilot of ``deepwriting plan``: some pairs of a run, drawn, and what their searches took.

runs/NAME.plan/
source/ dedupe/ select/    only if the run itself has not got that far
pilot/HASH/                HASH is that of everything that decides the search
journal.jsonl          the search's own journal: an interrupted pilot goes on where it stopped
rows.json              what each row took; a later, larger pilot measures only what is new
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deepwriting.files import write_json
from deepwriting.schema import row_id
from deepwriting.seeds import derive_seed
from deepwriting.tally import Tally

#: The fractional part of the golden ratio: its multiples spread more evenly over [0, 1) than those of any other number.
GOLDEN = (5**0.5 - 1) / 2


@dataclass
class PilotRow:
    """What the search of one row took.

    Attributes:
        size: length of query and answer (bytes of UTF-8).
        tallies: role -> tokens.
        seconds: its share of the time: while k rows are in flight, each gets 1/k of every second.
        steps: finished steps.
        skipped: why it could not be searched, if so.
        ended: whether its search has ended.
    """

    size: int
    tallies: dict[str, Tally]
    seconds: float = 0.0
    steps: int = 0
    skipped: str | None = None
    ended: bool = False


@dataclass
class Pilot:
    """All rows that were measured so far.

    Attributes:
        rows: row id -> what it took.
        reused_tokens: tokens in the tallies that the engines did not have to compute again.
        concurrency: rows that were in flight at the same time, in the latest life.
        devices: what the engines ran on.
    """

    rows: dict[str, PilotRow] = field(default_factory=dict)
    reused_tokens: int = 0
    concurrency: int = 0
    devices: list[str] = field(default_factory=list)

    @property
    def tokens_in(self) -> int:
        """Prompt and scored tokens of all rows."""
        tallies = (tally for row in self.rows.values() for tally in row.tallies.values())
        return sum(tally.prompt_tokens + tally.scored_tokens for tally in tallies)

    @property
    def tokens_out(self) -> int:
        """Sampled tokens of all rows."""
        return sum(tally.sampled_tokens for row in self.rows.values() for tally in row.tallies.values())

    @property
    def seconds(self) -> float:
        """Time during which rows were in flight."""
        return sum(row.seconds for row in self.rows.values())

    @property
    def reused_share(self) -> float:
        """Share of the tokens going in that the engines did not have to compute again."""
        return self.reused_tokens / self.tokens_in if self.tokens_in else 0.0

    def of(self, documents: Iterable[dict[str, Any]]) -> Pilot:
        """The pilot of these documents alone; what was reused is known for all together, and shared out."""
        part = Pilot({key: self.rows[key] for key in map(pair_row, documents)}, 0, self.concurrency, self.devices)
        part.reused_tokens = round(self.reused_share * part.tokens_in)
        return part

    @classmethod
    def read(cls, file: Path) -> Pilot:
        """What a file of ``save`` holds; an empty pilot if there is none."""
        if not file.is_file():
            return cls()
        data = json.loads(file.read_text(encoding="utf-8"))
        rows = {
            key: PilotRow(**row | {"tallies": {role: Tally(**tally) for role, tally in row["tallies"].items()}})
            for key, row in data.pop("rows").items()
        }
        return cls(rows, **data)

    def save(self, file: Path) -> None:
        """Write it whole."""
        write_json(file, asdict(self))


def size(document: Mapping[str, Any]) -> int:
    """Length of query and answer (bytes of UTF-8: closer to tokens over several scripts than characters are)."""
    return len(document["metadata"]["query"].encode()) + len(document["text"].encode())


def draw(sizes: Sequence[tuple[str, int]], count: int, seed: int) -> list[str]:
    """Draw pairs that are spread over the lengths: every pair is as likely, and short and long ones come in turn.

    The pairs are ordered by length; the draws step through that order by the golden ratio from a random start, which
    leaves no large gap after any number of draws. So a larger draw holds the smaller one.

    Measured on the quickstart with 8 of its 25 pairs (benchmarks/pilot_draws.py; prompt, sampled and scored tokens and
    seconds): the mean over such a draw is off by 3.6 to 9.8 % (root mean square), over a plain random draw by 4.3 to
    15.7 %, and a plain draw with the ratio to length by 7.4 to 14.7 %.

    Args:
        sizes: id and length of every pair.
        count: how many to draw; all if there are fewer.
        seed: the recipe's seed.

    Returns:
        Ids in the order of the draw.
    """
    order = sorted(sizes, key=lambda pair: (pair[1], derive_seed(seed, "pilot", pair[0])))
    start = derive_seed(seed, "pilot") / 2**48
    drawn: dict[str, None] = {}
    for index in itertools.count():
        if len(drawn) >= min(count, len(order)):
            return list(drawn)
        drawn[order[int(len(order) * ((start + index * GOLDEN) % 1))][0]] = None
    raise AssertionError("the draws never end")  # pragma: no cover


def pair_row(document: Mapping[str, Any]) -> str:
    """The row id of a pair's first rollout, the one that a pilot searches."""
    return row_id(document["id"], 0)
