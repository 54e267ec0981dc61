"""What a stage is: a name, the settings that decide its outcome, and the datatrove steps that do the work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers.jsonl import JsonlReader

from deepwriting.recipe import EngineSection, Recipe
from deepwriting.rundir import RunFolder

#: Engine settings that change speed but not what is computed.
_SPEED_ONLY = {"max_batch", "prefix_cache_gb", "device"}


@dataclass(frozen=True)
class StageContext:
    """What a stage is built from.

    Attributes:
        recipe: the recipe.
        run: the run's folder.
        settings_hash: the stage's settings hash, its predecessors' included.
    """

    recipe: Recipe
    run: RunFolder
    settings_hash: str


class Stage(ABC):
    """One stage of the recipe. A stage is stateless: everything it knows comes with the context."""

    #: The stage's name and folder.
    name: ClassVar[str]
    #: What it does, for the command line.
    title: ClassVar[str]
    #: Bump when the stage computes something else from the same settings.
    version: ClassVar[int] = 1
    #: Whether the stage has to see all rows in one task.
    single_task: ClassVar[bool] = False

    @abstractmethod
    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """The part of the recipe, and whatever else, that decides the stage's outcome; JSON values."""

    @abstractmethod
    def steps(self, context: StageContext) -> list[PipelineStep]:
        """The datatrove steps, from reading to writing."""

    def tasks(self, recipe: Recipe) -> int:
        """Number of datatrove tasks."""
        return 1 if self.single_task else recipe.execution.tasks

    def facts(self, context: StageContext) -> dict[str, Any]:
        """What the finished stage has to tell beyond its counts."""
        return {}


def engine_identity(section: EngineSection) -> dict[str, Any]:
    """The engine settings that decide an outcome."""
    return section.model_dump(exclude=_SPEED_ONLY)


def read_stage(context: StageContext, stage: str) -> JsonlReader:
    """A reader of an earlier stage's shards."""
    folder = context.run.stage(stage).shards
    return JsonlReader(str(folder), glob_pattern="*.jsonl.gz", add_file_path=False)
