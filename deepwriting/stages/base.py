"""What a stage is: a name, the settings that decide its outcome, and the datatrove steps that do the work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers.jsonl import JsonlReader

from deepwriting.recipe import Recipe
from deepwriting.rundir import RunFolder


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


@dataclass(frozen=True)
class Phase:
    """One datatrove pipeline of a stage.

    Attributes:
        name: folder of its logs and completion markers below the stage's ``logs/``; empty for the last one.
        steps: the datatrove steps.
        tasks: number of tasks.
        models: whether the steps load models: only such tasks get GPUs.
    """

    name: str
    steps: list[PipelineStep]
    tasks: int
    models: bool = False


class Stage(ABC):
    """One stage of the recipe. A stage is stateless: everything it knows comes with the context."""

    #: The stage's name and folder.
    name: ClassVar[str]
    #: What it does, for the command line.
    title: ClassVar[str]
    #: Bump when the stage computes something else from the same settings.
    version: ClassVar[int] = 1

    @abstractmethod
    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """The part of the recipe, and whatever else, that decides the stage's outcome; JSON values."""

    @abstractmethod
    def phases(self, context: StageContext) -> Iterator[Phase]:
        """The stage's pipelines in order.

        All may be asked for before anything has run: a step looks at what others have left when it runs. The last one
        ends with ``WriteShard``. What phases hand to each other is kept in ``StageFolder.work`` until the stage is
        done.
        """

    def tasks(self, recipe: Recipe) -> int:
        """Number of datatrove tasks."""
        return recipe.execution.of(self.name).tasks

    def check(self, recipe: Recipe) -> None:  # noqa: B027 - most stages need nothing else
        """Look for what the stage needs beside the rows; asked before the first stage of a run begins.

        Raises:
            SourceError: if something is not there.
        """

    def facts(self, context: StageContext) -> dict[str, Any]:
        """What the finished stage has to tell beyond its counts."""
        return {}


class SimpleStage(Stage):
    """A stage of one pipeline."""

    def models(self, recipe: Recipe) -> bool:
        """Whether its steps load models."""
        return False

    @abstractmethod
    def steps(self, context: StageContext) -> list[PipelineStep]:
        """The datatrove steps, from reading to writing."""

    def phases(self, context: StageContext) -> Iterator[Phase]:
        """The only phase."""
        recipe = context.recipe
        yield Phase("", self.steps(context), self.tasks(recipe), self.models(recipe))


def read_stage(context: StageContext, stage: str) -> JsonlReader:
    """A reader of an earlier stage's shards."""
    folder = context.run.stage(stage).shards
    return JsonlReader(str(folder), glob_pattern="*.jsonl.gz", add_file_path=False)
