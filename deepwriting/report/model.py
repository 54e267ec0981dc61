"""What a report says, as plain values: the terminal view, the HTML page and ``--json`` show nothing else.

Report
├── stages      the funnel: rows in, out and rejected, as a whole and by source
├── sources     what each source brought and what was selected of it
├── reasons     every reason with its rows by source, what the details say, and samples
├── lengths     queries and answers, before (pairs that entered the run) and after (pairs that are left)
├── categories, languages, measures, masked
├── search      the effect of the search, if there is one
└── notes       what is not there yet
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

#: Version of the layout that ``--json`` shows; raised when a key is renamed, removed or means something else.
LAYOUT = 1

#: How far a stage is; ``waiting`` has not begun, ``interrupted`` has begun and nobody works on it.
State = Literal["waiting", "running", "interrupted", "finished"]


@dataclass(frozen=True)
class Spread:
    """The distribution of a number.

    Attributes:
        rows: rows that have the number.
        mean: arithmetic mean.
        least: smallest value.
        low: 10th percentile.
        median: middle value.
        high: 90th percentile.
        most: largest value.
        bins: ``(from, below, rows)`` in bins of equal width on a logarithmic axis; empty where no histogram is shown.
    """

    rows: int
    mean: float
    least: float
    low: float
    median: float
    high: float
    most: float
    bins: list[tuple[float, float, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Sample:
    """One rejected row, cut short and made visible.

    Attributes:
        source: name of the source.
        source_id: id inside the source, or where the record stands in its file.
        detail: what the reject says about itself.
        query: beginning of the query, if it had one.
        text: beginning of the answer, or of the raw record that never became a pair.
    """

    source: str
    source_id: str
    detail: str
    query: str
    text: str


@dataclass(frozen=True)
class Detail:
    """What rejects of one reason say, without what differs from row to row, and how many say so."""

    text: str
    rows: int


@dataclass(frozen=True)
class Reason:
    """Rows that ended in one stage for one reason.

    Attributes:
        stage: the stage.
        reason: short name, as in the rejects.
        rows: number of rows.
        sources: source -> rows, most first.
        details: most frequent first; empty if they differ from row to row.
        samples: some of the rows.
    """

    stage: str
    reason: str
    rows: int
    sources: dict[str, int]
    details: list[Detail]
    samples: list[Sample]


@dataclass(frozen=True)
class Flow:
    """Rows of one source in one stage; ``None`` where it cannot be told yet."""

    rows_in: int | None
    rows_out: int | None
    rejected: int


@dataclass(frozen=True)
class Stage:
    """One step of the funnel.

    Attributes:
        name: the stage.
        title: what it does.
        state: how far it is.
        rows_in: rows that it got; ``None`` if that is not known yet.
        rows_out: rows that went on; so far, unless it has finished.
        extra: rows added by making several of one (rollouts).
        rejected: rows that ended here.
        reasons: reason -> rows, most first.
        seconds: time that it took.
        rows_per_second: rows in (and added) a second; ``None`` unless it has finished.
        sources: source -> its rows; empty for a stage that has not begun.
        facts: what the stage told beyond its counts.
    """

    name: str
    title: str
    state: State
    rows_in: int | None
    rows_out: int
    extra: int
    rejected: int
    reasons: dict[str, int]
    seconds: float
    rows_per_second: float | None
    sources: dict[str, Flow]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether all its rows are through."""
        return self.state == "finished"


@dataclass(frozen=True)
class Source:
    """One source.

    Attributes:
        name: value of the ``source`` column.
        kind: native layout; empty if it is not known.
        license: licence as the recipe names it; empty if it is not known.
        candidates: raw records read.
        pairs: pairs that passed the checks of the source stage.
        left: pairs that are left after the last finished stage up to the selection.
        languages: language -> rows that are left, most first.
    """

    name: str
    kind: str
    license: str
    candidates: int
    pairs: int
    left: int
    languages: dict[str, int]


@dataclass(frozen=True)
class Lengths:
    """Lengths of queries or answers (characters).

    Attributes:
        text: ``query`` or ``answer``.
        source: name of the source; empty for all sources together.
        before: of the pairs that passed the checks of the source stage.
        after: of the pairs that are left.
    """

    text: str
    source: str
    before: Spread | None
    after: Spread | None


@dataclass(frozen=True)
class Category:
    """One category of the selected pairs.

    Attributes:
        name: the category.
        domain: its domain.
        rows: selected pairs.
        sources: source -> selected pairs, most first.
        probability: median probability of the category, where it was measured.
        asked: pairs that the recipe asked for; ``None`` if it did not.
        available: pairs that could be had; ``None`` if the selection did not tell.
        why: why fewer were selected than asked for; empty if they were not.
    """

    name: str
    domain: str
    rows: int
    sources: dict[str, int]
    probability: float | None
    asked: int | None = None
    available: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Measure:
    """A number that rows carry, such as upvotes or the category's probability, before and after."""

    name: str
    source: str
    before: Spread | None
    after: Spread | None


@dataclass(frozen=True)
class Masked:
    """Personal details that were masked in the pairs that are left.

    Attributes:
        source: name of the source.
        kinds: kind -> occurrences, most first.
        rows: pairs with at least one.
    """

    source: str
    kinds: dict[str, int]
    rows: int


@dataclass(frozen=True)
class Search:
    """What the search achieved.

    Attributes:
        rows: searched rows.
        stage: the stage that the figures are read from.
        measures: measure -> its distribution.
        lower_score: rows whose score the search lowered.
        below_no_thinking: rows whose final score is below the score without any thinking.
        edited: rows with an accepted edit.
        accepted_edits: accepted edits.
        steps: steps.
        stop_reasons: why searches ended -> rows.
        refusals: why candidates were refused -> candidates.
        flags: what the filters noticed -> rows.
        kept: rows of the default config; ``None`` before the build.
        published: source -> rows of the default config; empty before the build.
        drop_reasons: why rows are left out of it -> rows; a row may have several.
    """

    rows: int
    stage: str
    measures: dict[str, Spread]
    lower_score: int
    below_no_thinking: int
    edited: int
    accepted_edits: int
    steps: int
    stop_reasons: dict[str, int]
    refusals: dict[str, int]
    flags: dict[str, int]
    kept: int | None
    published: dict[str, int]
    drop_reasons: dict[str, int]


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        run: the run's folder.
        name: the run's name.
        version: version of deepwriting that made the report.
        stages: all stages in order.
        last: the last finished stage up to the selection, whose pairs are "left"; empty if none has finished.
        sources: the sources in the recipe's order.
        reasons: all reasons, by stage, most frequent first.
        lengths: of queries and answers; all sources together first.
        categories: by domain, in the taxonomy's order.
        languages: language -> pairs that are left, most first.
        measures: numbers that pairs carry; all sources together first.
        masked: personal details masked, by source.
        search: the effect of the search; ``None`` if it has not finished.
        notes: what is not there yet, in sentences.
    """

    run: str
    name: str
    version: str
    stages: list[Stage]
    last: str
    sources: list[Source]
    reasons: list[Reason]
    lengths: list[Lengths]
    categories: list[Category]
    languages: dict[str, int]
    measures: list[Measure]
    masked: list[Masked]
    search: Search | None
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"layout": LAYOUT} | asdict(self)

    def stage(self, name: str) -> Stage:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)
