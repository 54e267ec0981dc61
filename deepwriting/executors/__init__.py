"""Executors: where the tasks of a run's stages run.

    local    this machine
    ray      a Ray cluster
    slurm    a Slurm cluster
    jobs     Hugging Face Jobs

The recipe, the stages and the results are the same on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from deepwriting.errors import ExecutorError
from deepwriting.executors.base import PhaseJob, Runner

if TYPE_CHECKING:
    from deepwriting.recipe import Recipe

#: Executor -> the module and class of its runner; imported when it is used.
RUNNERS = {
    "local": ("deepwriting.executors.local", "LocalRunner"),
    "ray": ("deepwriting.executors.ray", "RayRunner"),
    "slurm": ("deepwriting.executors.slurm", "SlurmRunner"),
    "jobs": ("deepwriting.executors.jobs", "JobsRunner"),
}

__all__ = ["RUNNERS", "PhaseJob", "Runner", "jobs_left", "runner"]


def runner(recipe: Recipe, name: str | None = None) -> Runner:
    """The runner that a recipe asks for.

    Args:
        recipe: the recipe.
        name: another executor than the recipe's.

    Raises:
        ExecutorError: if there is no such executor.
    """
    return _runner_class(name or recipe.execution.executor)(recipe)


def jobs_left(executor: str, jobs: Sequence[str]) -> list[str] | None:
    """Which jobs of a run that was submitted are still queued or running; ``None`` where this machine cannot tell."""
    return _runner_class(executor).jobs_left(jobs)


def _runner_class(name: str) -> type[Runner]:
    if name not in RUNNERS:
        raise ExecutorError(f"there is no executor {name!r}; allowed: {', '.join(RUNNERS)}")
    module, attribute = RUNNERS[name]
    found: type[Runner] = getattr(import_module(module), attribute)
    return found
