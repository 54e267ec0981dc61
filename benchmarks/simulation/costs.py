"""What things cost: figures by name, each with its unit and where it comes from.

``benchmarks/cluster_costs.json`` holds them. An origin is one of

    measured    by a script of this project; ``source`` says where the result stands
    published   by somebody else; ``source`` is the address
    derived     computed from others in the file, or from a model's configuration
    assumed     nobody measured it; ``low`` and ``high`` say how wrong it may be
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

COSTS = Path(__file__).parents[1] / "cluster_costs.json"
Origin = Literal["measured", "published", "derived", "assumed"]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        value: a number, or a table of measurements.
        unit: of the value.
        origin: how it is known, see above.
        source: where from.
        low: what it may be instead at best or worst; ``None`` where it was measured.
        high: the other end.
    """

    value: Any
    unit: str
    origin: Origin
    source: str
    low: float | None = None
    high: float | None = None


class Costs(Mapping[str, Any]):
    """Figures by dotted name; ``costs["generator.step_ms"]`` is the value.

    Args:
        figures: name -> figure.
    """

    def __init__(self, figures: Mapping[str, Figure]):
        self.figures = dict(figures)

    @classmethod
    def read(cls, file: Path = COSTS) -> Costs:
        """The figures of a file."""
        return cls({name: Figure(**figure) for name, figure in json.loads(file.read_text(encoding="utf-8")).items()})

    def __getitem__(self, name: str) -> Any:
        return self.figures[name].value

    def __iter__(self) -> Any:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def but(self, **values: Any) -> Costs:
        """The same with other values; a double underscore in a name stands for the dot."""
        changed = {name.replace("__", "."): value for name, value in values.items()}
        if unknown := changed.keys() - self.figures.keys():
            raise KeyError(f"no figures named {', '.join(sorted(unknown))}")
        figures = {name: replace(self.figures[name], value=value) for name, value in changed.items()}
        return Costs(self.figures | figures)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Figures with a range -> its ends."""
        return {
            name: (figure.low, figure.high)
            for name, figure in self.figures.items()
            if figure.low is not None and figure.high is not None
        }


@dataclass(frozen=True)
class GeneratorCosts:
    """What one generator's server does, as a continuous batch.

    A pass takes ``step + per_sequence * sequences + per_context_token * context`` seconds, plus the prompts' tokens in
    it at ``prompt_rate``.

    Attributes:
        step: a pass whatever is in it (seconds): reading the weights, starting the kernels.
        per_sequence: more for each sequence in it (seconds).
        per_context_token: more for each token of the sequences' contexts (seconds): reading their keys.
        prompt_rate: prompt tokens a second.
        chunk: most prompt tokens in one pass.
        memory: tokens whose keys fit beside the weights.
        sequences: most sequences at a time.
        keeps_prefixes: whether the keys of earlier prompts are kept while there is memory.
    """

    step: float
    per_sequence: float
    per_context_token: float
    prompt_rate: float
    chunk: int
    memory: float
    sequences: int
    keeps_prefixes: bool = True

    @classmethod
    def of(cls, costs: Costs, *, beside_scorer: bool = False, gpus: int = 1) -> GeneratorCosts:
        """From the figures.

        Args:
            costs: the figures.
            beside_scorer: whether the scorer lives on the same GPU, with its weights and kept prefixes.
            gpus: GPUs that one server spans; weights, keys and work are spread over them.
        """
        usable = costs["gpu.memory_gb"] * costs["gpu.usable_share"] * gpus - costs["generator.weights_gb"]
        usable -= costs["generator.activations_gb"]
        if beside_scorer:
            usable -= costs["scorer.weights_gb"] + costs["scorer.prefix_gb"]
        per_token = costs["generator.key_bytes"]
        tokens = usable * 1e9 / per_token
        if tokens < costs["generator.context_tokens"]:
            tokens = 0.0
        speed = costs["generator.scale"]
        across = 1 + costs["generator.tensor_parallel_loss"] * (gpus > 1)
        return cls(
            step=costs["generator.step_ms"] / 1000 / gpus * across / speed,
            per_sequence=costs["generator.sequence_ms"] / 1000 / speed,
            per_context_token=per_token / (costs["gpu.bandwidth_gb_s"] * 1e9) / gpus / speed,
            prompt_rate=costs["generator.prompt_tokens_s"] * gpus / across * speed,
            chunk=int(costs["generator.chunk_tokens"]),
            memory=tokens,
            sequences=int(costs["generator.max_sequences"]),
        )


@dataclass(frozen=True)
class ScorerCosts:
    """What one scorer does: texts that wait are taken together.

    Attributes:
        call: a pass over any texts (seconds).
        text: more for each text (seconds).
        rate: tokens a second.
        window: most tokens taken together.
    """

    call: float
    text: float
    rate: float
    window: int

    @classmethod
    def of(cls, costs: Costs) -> ScorerCosts:
        """From the measured passes, scaled by what the sensitivity asks for."""
        call, text, rate = fit_passes(costs["scorer.passes"])
        scale = costs["scorer.scale"]
        return cls(call / scale, text / scale, rate * scale, int(costs["scorer.window_tokens"]))


def fit_passes(passes: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Seconds a call, seconds a text and tokens a second that explain measured passes best.

    Least squares of the relative error, none of the three below zero.

    Args:
        passes: texts, tokens of all of them, and seconds of each pass.
    """
    table = np.asarray(passes, dtype=float)
    seconds = table[:, 2]
    whole = np.column_stack([np.ones(len(table)), table[:, 0], table[:, 1]]) / seconds[:, None]
    best: tuple[float, np.ndarray] | None = None
    for kept in ((0, 1, 2), (0, 2), (1, 2), (2,)):
        found = np.zeros(3)
        found[list(kept)] = np.linalg.lstsq(whole[:, kept], np.ones(len(table)), rcond=None)[0]
        error = float(((whole @ found - 1) ** 2).sum())
        if (found >= 0).all() and found[2] > 0 and (best is None or error < best[0]):
            best = error, found
    assert best is not None, "no pass takes longer with more tokens"
    call, text, token = best[1]
    return float(call), float(text), 1 / float(token)
