"""The section about the search."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from deepwriting.errors import PromptError
from deepwriting.metrics.copying import MAX_COPIED_RUN, MAX_COPY_RATIO, MIN_RUN
from deepwriting.metrics.repetition import MAX_TOP_SHARE
from deepwriting.sections.base import Positive, Section, Share


class SearchSection(Section):
    """The iterative local search (paper, sections 2.2 and 3)."""

    max_steps: Annotated[int, Field(ge=0)] = Field(10, description="most steps; a step refines one segment")
    stop_score: float = Field(0.25, ge=0, description="stop at this clipped mean NLL (nats)")
    candidates: Positive = Field(2, description="candidates per step")
    temperature: float = Field(0.8, ge=0, le=2, description="sampling temperature")
    top_p: float = Field(0.85, gt=0, le=1, description="nucleus probability")
    top_k: Annotated[int, Field(ge=0)] = Field(40, description="likeliest tokens considered; 0 for all")
    frequency_penalty: float = Field(0.0, ge=0, le=2, description="logits lose this per earlier use of the token")
    rollouts: Positive = Field(1, description="trajectories searched for each pair")
    clip_logprob: float = Field(-2.0, lt=0, description="log-probabilities below this count as this (nats)")
    score_first_segment: bool = Field(False, description="score the first paragraph of y too")
    min_segment_chars: Positive = Field(100, description="shorter pieces join their neighbour (characters)")
    min_thinking_tokens: Positive = Field(100, description="a shorter first thinking is not searched (tokens)")
    max_thinking_tokens: Positive = Field(4096, description="length limit of the first thinking (tokens)")
    max_segment_tokens: Positive = Field(2048, description="length limit of a candidate with its analysis (tokens)")
    given_thinking: Literal["use", "ignore"] = Field(
        "use", description="start from the thinking that a pair of an existing release brings along, or write a new one"
    )
    initial_attempts: Positive = Field(2, description="first thinkings tried until one is fit for the search")
    unclosed: Literal["refuse", "trim"] = Field("refuse", description="what becomes of a text cut off by its limit")
    min_gain: float = Field(0.0, ge=0, description="what an edit must gain beyond the scorer's noise (nats)")
    copy_min_run: Positive = Field(MIN_RUN, description="a verbatim run of the answer counts from this length (words)")
    max_copy_ratio: Share = Field(
        MAX_COPY_RATIO, description="share of the answer that may stand verbatim in the thinking"
    )
    max_copy_run: Positive = Field(MAX_COPIED_RUN, description="longest verbatim run allowed (words)")
    max_repetition: Share = Field(MAX_TOP_SHARE, description="top-3 n-gram share above which a text is degenerate")
    passes: Positive = Field(1, description="times that the segments are gone through, within max_steps")
    length_penalty: float = Field(0.0, ge=0, description="what an edit must gain more per 100 tokens it adds (nats)")
    prune: bool = Field(False, description="stop scoring a candidate that cannot win any more; changes no result")
    race_confidence: float | None = Field(
        None, gt=0.5, lt=1, description="stop scoring a candidate that loses with this confidence"
    )
    concurrency: Positive = Field(32, description="searches in flight at the same time, per task")
    prompts: str = Field(
        "default", min_length=1, description="default, no-reflection, compact, or a folder with templates"
    )

    @model_validator(mode="after")
    def _possible(self) -> SearchSection:
        if self.min_thinking_tokens >= self.max_thinking_tokens:
            raise ValueError(
                f"min_thinking_tokens {self.min_thinking_tokens} is not below "
                f"max_thinking_tokens {self.max_thinking_tokens}; no thinking could pass"
            )
        if self.temperature == 0 and self.candidates > 1:
            raise ValueError(f"temperature 0 makes all {self.candidates} candidates equal; allowed: candidates 1")
        if self.stop_score >= -self.clip_logprob:
            raise ValueError(
                f"stop_score {self.stop_score} is not below {-self.clip_logprob}, the highest score that clip_logprob "
                f"{self.clip_logprob} leaves; every search would stop before its first step"
            )
        if self.temperature == 0 and self.rollouts > 1:
            raise ValueError(f"temperature 0 makes all {self.rollouts} rollouts alike; allowed: rollouts 1")
        return self

    @field_validator("prompts")
    @classmethod
    def _whole_set(cls, prompts: str) -> str:
        from deepwriting.reer.prompts import load_prompts

        try:
            load_prompts(prompts)
        except PromptError as error:
            raise ValueError(str(error)) from None
        return prompts
