"""Which documents each table is made of, split by split; decided from a few facts about every row.

A split is decided for the query, not for the row: whatever a config holds of a query lies in the same split in all of
them, so that a model trained on one config can be validated on another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deepwriting.builders.ablations import LITERATURE_DOMAINS, stays
from deepwriting.builders.shards import Facts, SortedDocuments
from deepwriting.builders.validation import validation_places
from deepwriting.errors import BuildError, NothingKeptError
from deepwriting.schema import TRAIN, VALIDATION, pair_of
from deepwriting.sections.outcome import DOWNSAMPLE, MAX_VALIDATION_SHARE, BuildSection


@dataclass(frozen=True)
class Choice:
    """What a build may choose.

    Attributes:
        validation_share: share of the queries that go to split ``validation`` (0 to 0.5).
        validation_rows: instead of a share, the number of kept rows in it.
        downsample: share of the long rows in ``short`` and of the short rows in ``long`` (0 to 1).
    """

    validation_share: float = 0.0
    validation_rows: int = 0
    downsample: float = DOWNSAMPLE

    def __post_init__(self) -> None:
        if not 0 <= self.validation_share <= MAX_VALIDATION_SHARE:
            raise BuildError(
                f"validation_share {self.validation_share}: allowed are 0 (none) to {MAX_VALIDATION_SHARE}"
            )
        if self.validation_rows < 0:
            raise BuildError(f"validation_rows {self.validation_rows}: allowed are 0 (none) and more")
        if self.validation_share and self.validation_rows:
            raise BuildError(
                f"validation_share {self.validation_share} and validation_rows {self.validation_rows} contradict each "
                "other; name one of them"
            )
        if not 0 <= self.downsample <= 1:
            raise BuildError(f"downsample {self.downsample}: allowed are 0 to 1")

    @classmethod
    def of(cls, section: BuildSection) -> Choice:
        """What a recipe chose."""
        return cls(section.validation_share, section.validation_rows, section.downsample)

    @property
    def validates(self) -> bool:
        """Whether there is a validation split."""
        return bool(self.validation_share or self.validation_rows)


class Selection:
    """The documents of each config and split, in the release's order.

    Args:
        documents: all searched rows, with the decision about each.
        choice: what the build chose.

    Raises:
        NothingKeptError: if the default config, or a split of it, would be empty.
    """

    def __init__(self, documents: SortedDocuments, choice: Choice):
        self._documents, self._downsample = documents, choice.downsample
        self._validation: frozenset[int] = frozenset()
        facts = documents.facts
        kept = [fact.keep for fact in facts]
        if choice.validates:
            queries = (_query(document) for document in documents)
            self._validation = validation_places(
                queries, kept, share=choice.validation_share, rows=choice.validation_rows
            )
            self._check_splits(kept, choice)
        lengths = sorted(fact.tokens for fact in facts if fact.keep)
        # The lower one of two middle values: with an even number of rows, half of them are short.
        self._median = lengths[(len(lengths) - 1) // 2] if lengths else 0

    def _check_splits(self, kept: Sequence[bool], choice: Choice) -> None:
        held = sum(kept[place] for place in self._validation)
        if not any(kept) or 0 < held < sum(kept):
            return
        asked = (
            f"validation_rows {choice.validation_rows}"
            if choice.validation_rows
            else f"validation_share {choice.validation_share}"
        )
        left = "validation" if not held else "train"
        raise NothingKeptError(
            f"{asked} leaves no row for {left}: {held} of {sum(kept)} kept rows would be held out; rows with the same "
            "or nearly the same query stay together"
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits in order."""
        return (TRAIN, VALIDATION) if self._validation else (TRAIN,)

    def documents(self, config: str, split: str) -> Iterator[dict[str, Any]]:
        """Documents that may contribute to a config; the dropped ones among them are left out by ``tables.rows``."""
        facts = self._documents.facts
        places = (
            place
            for place in range(len(facts))
            if (place in self._validation) == (split == VALIDATION) and self._holds(config, facts[place])
        )
        return self._documents.at(places)

    def others(self, documents: SortedDocuments, split: str) -> Iterator[dict[str, Any]]:
        """Documents of another run of the same pairs: those whose pair has a kept row here, in that row's split."""
        own = self._documents.facts
        wanted = {
            pair_of(fact.row_id)
            for place, fact in enumerate(own)
            if fact.keep and (place in self._validation) == (split == VALIDATION)
        }
        return documents.at(place for place, fact in enumerate(documents.facts) if pair_of(fact.row_id) in wanted)

    def _holds(self, config: str, fact: Facts) -> bool:
        if config in ("all", "steps"):
            return True
        if not fact.keep:
            return False
        if config == "no-literature":
            return fact.domain not in LITERATURE_DOMAINS
        if config in ("short", "long"):
            long = fact.tokens > self._median
            return long == (config == "long") or stays(fact.row_id, self._downsample)
        return True


def _query(document: dict[str, Any]) -> str:
    query = document["metadata"].get("query")
    return query if isinstance(query, str) else ""  # such a row is refused where its table is made
