from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from deepwriting.sections.execution import ExecutionSection, seconds


def section(**values: Any) -> ExecutionSection:
    return ExecutionSection.model_validate(values)


def test_a_stage_gets_what_holds_for_all_unless_it_says_otherwise() -> None:
    execution = section(tasks=8, workers=16, memory_gb=2.0, time="2h", stages={"search": {"tasks": 64, "gpus": 1}})
    search, source = execution.of("search"), execution.of("source")
    assert (search.tasks, search.workers, search.gpus, search.memory_gb, search.time_s) == (64, 16, 1, 2.0, 7200)
    assert (source.tasks, source.workers, source.gpus) == (8, 8, 0)


def test_a_stage_may_need_no_gpu_where_the_others_do() -> None:
    assert section(gpus=2, stages={"select": {"gpus": 0}}).of("select").gpus == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("90m", 5400), ("2h", 7200), ("3d", 259_200), ("12:00:00", 43_200), ("1-12:00:01", 129_601)],
)
def test_times(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "2", "2 h", "1:2:3", "-1h", "0h", "00:00:00", "2h30m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time"):
        seconds(text)
    with pytest.raises(ValidationError, match=r"no time"):
        section(stages={"search": {"time": text}})


def test_a_time_that_yaml_has_read_as_a_number_is_explained() -> None:
    with pytest.raises(ValidationError, match=r'43200 is no time limit; write it in quotation marks, such as "2h"'):
        section(time=43_200)


def test_gpus_cannot_be_negative_nor_memory_zero() -> None:
    with pytest.raises(ValidationError):
        section(gpus=-1)
    with pytest.raises(ValidationError):
        section(stages={"search": {"memory_gb": 0}})
