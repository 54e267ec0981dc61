"""The stages of a recipe, in order.

    source → dedupe → select → search → annotate → build

Each is one or several datatrove pipelines with a folder of their own, see ``deepwriting.rundir``.
"""

from __future__ import annotations

from deepwriting.stages.annotate import AnnotateStage
from deepwriting.stages.base import Phase, SimpleStage, Stage, StageContext
from deepwriting.stages.build import BuildStage
from deepwriting.stages.dedupe import DedupeStage
from deepwriting.stages.search import SearchStage
from deepwriting.stages.select import SelectStage
from deepwriting.stages.source import SourceStage

#: All stages in the order in which they run.
STAGES: tuple[Stage, ...] = (
    SourceStage(), DedupeStage(), SelectStage(), SearchStage(), AnnotateStage(), BuildStage(),
)  # fmt: skip
STAGE_NAMES = tuple(stage.name for stage in STAGES)

__all__ = ["STAGES", "STAGE_NAMES", "Phase", "SimpleStage", "Stage", "StageContext"]
