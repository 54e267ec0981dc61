"""The stages before the search: no GPUs, but phases of which some run as one task whatever the cluster.

The times of the phases at two sizes are in the costs; between and beyond, a phase grows by the power that the two show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulation.costs import Costs


@dataclass(frozen=True)
class Phase:
    """A phase's time at two sizes.

    Attributes:
        stage: the stage.
        name: the phase.
        one_task: whether it runs as one task.
        seconds: at the larger size, with two workers where it has several tasks.
        power: by which the time grows with the rows.
    """

    stage: str
    name: str
    one_task: bool
    seconds: float
    power: float

    def at(self, factor: float, workers: int) -> float:
        """Seconds for ``factor`` times the rows of the larger size.

        Args:
            factor: rows over those measured.
            workers: processes at the same time.
        """
        return self.seconds * factor**self.power * (1.0 if self.one_task else 2 / workers)


def phases(costs: Costs) -> list[Phase]:
    """The phases with their growth; what grew less than its rows did is taken to grow like them."""
    small, large = costs["stages.rows"]
    found = []
    for stage, name, one_task, fewer, more in costs["stages.phases"]:
        power = math.log(more / fewer) / math.log(large / small)
        found.append(Phase(stage, name, bool(one_task), more, max(power, 1.0)))
    return found
