"""The search as a datatrove step: pairs in, rows out."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path

from datatrove.data import Document

from deepwriting.concurrency import ConcurrentStep
from deepwriting.recipe import EnginesSection, SearchSection
from deepwriting.reer.control import ControlTokens
from deepwriting.reer.found import Found
from deepwriting.reer.given import Given, given_thinking
from deepwriting.reer.journal import Journal
from deepwriting.reer.progress import SearchProgress
from deepwriting.reer.search import LocalSearch
from deepwriting.rundir import rows_of_task
from deepwriting.schema import GIVEN_GENERATOR, GIVEN_REVISION, GIVEN_THINKING, row_id
from deepwriting.steps import reject


class ReerSearch(ConcurrentStep):
    """Searches ``rollouts`` trajectories for every pair; each becomes a row of its own.

    A rollout that could not be searched becomes a rejected row with the search's reason.

    Args:
        engines: the recipe's engines section.
        settings: the recipe's search section.
        seed: the recipe's seed.
        journal_folder: one journal file a task is kept here.
        settings_hash: hash of all that decides the outcome; a journal with another one is refused.
        status_folder: one file a task that tells how far it is.
        counts_folder: folder ``counts`` of the stage that gives the pairs.
    """

    name = "🔎 REER local search"

    def __init__(
        self,
        engines: EnginesSection,
        settings: SearchSection,
        *,
        seed: int,
        journal_folder: str,
        settings_hash: str,
        status_folder: str,
        counts_folder: str | None = None,
    ):
        super().__init__(settings.concurrency)
        self.engines = engines
        self.settings = settings
        self.seed = seed
        self.journal_folder = journal_folder
        self.settings_hash = settings_hash
        self.status_folder = status_folder
        self.counts_folder = counts_folder

    def open(self, rank: int, world_size: int) -> None:
        """Load the engines and open this task's journal."""
        from deepwriting.engines import get_engine
        from deepwriting.reer.prompts import load_prompts

        generators = [get_engine(section) for section in self.engines.generators]
        scorer = get_engine(self.engines.scoring)
        self._control = ControlTokens((*generators, scorer))
        pairs = None
        if self.counts_folder is not None:
            pairs = rows_of_task(Path(self.counts_folder), rank, world_size)
        roles = dict(zip(self.engines.generator_roles, generators, strict=True))
        self._progress = SearchProgress(
            Path(self.status_folder) / f"{rank:05d}.json",
            rows=pairs * self.settings.rollouts if pairs is not None else None,
            max_steps=self.settings.max_steps,
            engines=roles | {"scorer": scorer},
            passes=self.settings.passes,
        )
        self._journal = Journal(
            Path(self.journal_folder) / f"{rank:05d}.jsonl",
            self.settings_hash,
            replayed=self._progress.replayed,
            written=self._progress.recorded,
        )
        self._progress.start()
        self._search = LocalSearch(
            generators,
            scorer,
            load_prompts(self.settings.prompts),
            self.settings,
            seed=self.seed,
            journal=self._journal,
        )

    def close(self) -> None:
        """Close the journal; the engines stay for the next stage."""
        if hasattr(self, "_journal"):
            self._journal.close()
            self._progress.stop()

    async def process(self, doc: Document) -> Iterable[Document]:
        """Search one pair."""
        given = given_thinking(doc.metadata, self.settings)
        if token := self._control.found_in(doc.metadata["query"], doc.text, given.thinking if given else ""):
            self._progress.left_out("control_token", self.settings.rollouts)
            return [reject(doc, "control_token", f"the text holds {token!r}, which the model's tokeniser acts on")]
        return [await self._rollout(doc, rollout, given) for rollout in range(self.settings.rollouts)]

    async def _rollout(self, doc: Document, rollout: int, given: Given | None) -> Document:
        if self._journal.row(row_id(doc.id, rollout)).end is None:
            self._progress.begun(row_id(doc.id, rollout))
        query, language = doc.metadata["query"], doc.metadata["language"]
        result = await self._search.search(doc.id, query, doc.text, language, rollout, given)
        row = Document(doc.text, doc.id, metadata=copy.deepcopy(doc.metadata))
        row.metadata |= {"row_id": row_id(doc.id, rollout), "rollout": rollout, "refusals": dict(result.refusals)}
        for reason, count in result.refusals.items():
            self.stat_update(f"refused_{reason}", value=count)
        if not isinstance(result, Found):
            return reject(row, result.reason, result.detail)
        for key in (GIVEN_THINKING, GIVEN_GENERATOR, GIVEN_REVISION):  # the row's own columns say it from here on
            row.metadata.pop(key, None)
        row.metadata |= {
            "thinking": result.thinking,
            "segments": result.segments,
            "trace": result.trace,
            **result.values,
        }
        if given and rollout == 0:
            self.stat_update("given_thinkings")
        self.stat_update("steps", value=result.values["steps"])
        self.stat_update("accepted_edits", value=result.values["accepted_edits"])
        self.stat_update(f"stopped_{result.values['stop_reason']}")
        return row
