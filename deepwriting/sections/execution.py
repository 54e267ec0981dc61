"""Section about where a run's tasks run: on this machine or on a cluster, and what each stage's tasks need there.

Nothing of it but the number of tasks decides what is computed: a laptop's run and a run over 64 GPUs are one recipe.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from deepwriting.sections.base import Positive, Section

ExecutorName = Literal["local", "ray", "slurm", "jobs"]

#: Time limits: Slurm's notation, or a number with a unit.
_CLOCK = re.compile(r"(?:(\d+)-)?(\d{1,2}):(\d{2}):(\d{2})")
_SPAN = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_ABOUT_TASKS = "shards of the stage"
_ABOUT_WORKERS = "tasks running at the same time, each with its own models"
_ABOUT_CPUS = "processors for each task (ray, slurm)"
_ABOUT_MEMORY = "memory for each task (GB; ray, slurm)"
_ABOUT_GPUS = "GPUs for each task whose models run in it (ray, slurm); tasks without models get none"
_ABOUT_TIME = 'time limit of each task: "2h", "90m" or "1-12:00:00"; a search goes on in the next job (slurm, jobs)'
_ABOUT_PARTITION = "partition (slurm) or hardware flavor (jobs)"
_ABOUT_IMAGE = "container image (slurm with pyxis or apptainer, jobs)"


class StageExecutionSection(Section):
    """What the tasks of one stage need; what is left out is as for all stages."""

    tasks: Positive | None = Field(None, description=_ABOUT_TASKS)
    workers: Positive | None = Field(None, description=_ABOUT_WORKERS)
    cpus: Positive | None = Field(None, description=_ABOUT_CPUS)
    memory_gb: Annotated[float, Field(gt=0)] | None = Field(None, description=_ABOUT_MEMORY)
    gpus: Annotated[int, Field(ge=0)] | None = Field(None, description=_ABOUT_GPUS)
    time: str | None = Field(None, description=_ABOUT_TIME)
    partition: str | None = Field(None, min_length=1, description=_ABOUT_PARTITION)
    image: str | None = Field(None, min_length=1, description=_ABOUT_IMAGE)

    @field_validator("time", mode="before")
    @classmethod
    def _a_time(cls, value: Any) -> Any:
        return _checked_time(value)


def _as_for_all() -> StageExecutionSection:
    return StageExecutionSection.model_validate({})


class StagesExecutionSection(Section):
    """The stages that need something else than the others."""

    source: StageExecutionSection = Field(default_factory=_as_for_all, description="readers and cleaning")
    dedupe: StageExecutionSection = Field(default_factory=_as_for_all, description="MinHash and benchmarks")
    select: StageExecutionSection = Field(default_factory=_as_for_all, description="classifier and choice")
    search: StageExecutionSection = Field(default_factory=_as_for_all, description="the search itself")
    annotate: StageExecutionSection = Field(default_factory=_as_for_all, description="annotating filters")
    build: StageExecutionSection = Field(default_factory=_as_for_all, description="the dataset")


class RaySection(Section):
    """A Ray cluster (needs the extra ``ray``)."""

    address: str = Field("auto", min_length=1, description="address of the cluster; `auto` finds that of this machine")
    retries: Annotated[int, Field(ge=0)] = Field(
        10, description="how often a task whose worker or node was lost is given to another one"
    )


class SlurmSection(Section):
    """A Slurm cluster whose nodes see the run's folder and this environment."""

    qos: str | None = Field(None, min_length=1, description="quality of service")
    account: str | None = Field(None, min_length=1, description="who is charged")
    setup: str = Field("", description="shell commands before each task, for example to load modules")
    options: dict[str, str] = Field(default_factory=dict, description="more options for sbatch, by name")
    max_array: Positive = Field(1001, description="most tasks in one array job, as the cluster allows")
    retries: Annotated[int, Field(ge=0)] = Field(3, description="how often a task that was killed is queued again")
    warning_s: Positive = Field(
        120, description="how long before its time limit a task stops in order and queues itself again (seconds)"
    )


class JobsSection(Section):
    """Hugging Face Jobs; the run's folder is then a remote one, such as ``hf://buckets/NAMESPACE/NAME/RUN``."""

    namespace: str | None = Field(None, min_length=1, description="whose jobs they are; yours if left out")
    dependencies: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=lambda: ["deepwriting"], description="what is installed in each job, as pip names it"
    )
    retries: Annotated[int, Field(ge=0)] = Field(3, description="how often a job that failed is started again")
    secrets: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]] = Field(
        default_factory=list, description="environment variables that go to the jobs as secrets, beside HF_TOKEN"
    )
    poll_s: Positive = Field(15, description="how often the jobs are looked after (seconds)")


class StageExecution(Section):
    """What the tasks of one stage get, with what holds for all stages filled in."""

    tasks: int
    workers: int
    cpus: int
    memory_gb: float
    gpus: int
    time: str | None
    partition: str | None
    image: str | None

    @property
    def time_s(self) -> int | None:
        """The time limit (seconds); ``None`` without one."""
        return None if self.time is None else seconds(self.time)


class ExecutionSection(Section):
    """Where tasks run, and what they need there."""

    executor: ExecutorName = Field("local", description="local, ray, slurm or jobs")
    tasks: Positive = Field(1, description="shards of every stage")
    workers: Positive = Field(1, description=_ABOUT_WORKERS)
    cpus: Positive = Field(1, description=_ABOUT_CPUS)
    memory_gb: float = Field(4.0, gt=0, description=_ABOUT_MEMORY)
    gpus: Annotated[int, Field(ge=0)] = Field(0, description=_ABOUT_GPUS)
    time: str | None = Field(None, description=_ABOUT_TIME)
    partition: str | None = Field(None, min_length=1, description=_ABOUT_PARTITION)
    image: str | None = Field(None, min_length=1, description=_ABOUT_IMAGE)
    stages: StagesExecutionSection = Field(default_factory=lambda: StagesExecutionSection.model_validate({}))
    ray: RaySection = Field(default_factory=lambda: RaySection.model_validate({}))
    slurm: SlurmSection = Field(default_factory=lambda: SlurmSection.model_validate({}))
    jobs: JobsSection = Field(default_factory=lambda: JobsSection.model_validate({}))

    @field_validator("time", mode="before")
    @classmethod
    def _a_time(cls, value: Any) -> Any:
        return _checked_time(value)

    def of(self, stage: str) -> StageExecution:
        """What the tasks of one stage get; no more workers than tasks."""
        own = getattr(self.stages, stage)
        values = {
            key: getattr(self, key) if getattr(own, key) is None else getattr(own, key)
            for key in StageExecution.model_fields
        }
        return StageExecution(**values | {"workers": min(values["workers"], values["tasks"])})


def seconds(text: str) -> int:
    """A time limit as the recipe writes it, in seconds.

    Raises:
        ValueError: if it is none.
    """
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        found = days * 86400 + hours * 3600 + minutes * 60 + rest
    elif span := _SPAN.fullmatch(text):
        found = int(span[1]) * _SECONDS[span[2]]
    else:
        raise ValueError(f'{text!r} is no time limit; allowed: "2h", "90m", "12:00:00" or "1-12:00:00"')
    if found < 1:
        raise ValueError(f"{text!r} leaves no time")
    return found


def _checked_time(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        # YAML 1.1 reads 12:00:00 as a number to base 60.
        text = f'{value} is no time limit; write it in quotation marks, such as "2h" or "12:00:00"'
        raise ValueError(text)  # noqa: TRY004 - pydantic reports no TypeError
    if isinstance(value, str):
        seconds(value)
    return value
