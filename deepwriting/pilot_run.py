"""Searching a pilot's pairs for real, and measuring each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deepwriting.engines.base import Engine
from deepwriting.pilot import Pilot, PilotRow, pair_row, size
from deepwriting.recipe import Recipe
from deepwriting.reer.control import ControlTokens
from deepwriting.reer.found import Skipped
from deepwriting.reer.given import given_thinking
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.search import LocalSearch
from deepwriting.tally import Tally, TallyEngine

#: Seconds between two writes of what the rows took: a killed pilot forgets at most that.
SAVE_SECONDS = 1.0


class PilotRun:
    """Searches drawn pairs and measures each of them.

    Args:
        recipe: the recipe; its engines, prompts and search settings are used as they are.
        folder: the pilot's folder, ``pilot/HASH``.
        settings_hash: hash of the search stage.
    """

    def __init__(self, recipe: Recipe, folder: Path, settings_hash: str):
        self.recipe = recipe
        self.folder = folder
        self.settings_hash = settings_hash
        self.file = folder / "rows.json"
        self.pilot = Pilot.read(self.file)

    def missing(self, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of the documents that have not been measured to their end."""
        rows = self.pilot.rows
        return [document for document in documents if not ((row := rows.get(pair_row(document))) and row.ended)]

    def measure(self, documents: Sequence[dict[str, Any]], watch: Callable[[Pilot], None]) -> Pilot:
        """Search the documents that are missing.

        Args:
            documents: pairs as the select stage wrote them.
            watch: gets the pilot whenever it was saved.

        Returns:
            The pilot of these documents alone, without others that an earlier one measured.

        Raises:
            EngineError: if a model cannot be loaded or fails.
        """
        missing = self.missing(documents)
        if missing:
            asyncio.run(self._search(missing, watch))
        return self.pilot.of(documents)

    async def _search(self, documents: Sequence[dict[str, Any]], watch: Callable[[Pilot], None]) -> None:
        from deepwriting.engines import get_engine

        generators = [get_engine(section) for section in self.recipe.engines.generators]
        scorer = get_engine(self.recipe.engines.scoring)
        self.pilot.concurrency = min(self.recipe.search.concurrency, len(documents))
        with Journal(self.folder / "journal.jsonl", self.settings_hash) as journal:
            life = _Life(self, generators, scorer, journal, watch)
            try:
                async with asyncio.TaskGroup() as group:
                    for document in documents:
                        group.create_task(life.measure(document))
            except* Exception as errors:
                raise errors.exceptions[0] from None
            finally:
                life.save()


class _Life:
    """One process's part of a pilot: measures rows, and writes down what they took, not too often."""

    def __init__(
        self,
        run: PilotRun,
        generators: Sequence[Engine],
        scorer: Engine,
        journal: Journal,
        watch: Callable[[Pilot], None],
    ):
        self.run = run
        self.generators = dict(zip(run.recipe.engines.generator_roles, generators, strict=True))
        self.scorer = scorer
        self.journal = journal
        self.watch = watch
        self.settings = run.recipe.search
        self.engines = list({id(engine): engine for engine in (*generators, scorer)}.values())
        self.control = ControlTokens(self.engines)
        self.prompts = load_prompts(self.settings.prompts)
        self.gate = asyncio.Semaphore(self.settings.concurrency)
        self.clock = _Clock()
        run.pilot.devices = sorted({engine.info.device for engine in self.engines})
        self._reused = self._now_reused()
        self._saved = 0.0

    async def measure(self, document: dict[str, Any]) -> None:
        """Search one pair and note what it took."""
        new = PilotRow(size(document), {role: Tally() for role in (*self.generators, "scorer")})
        row = self.run.pilot.rows.setdefault(pair_row(document), new)
        async with self.gate:
            self.clock.enter(row)
            try:
                await self._search(document, row)
            finally:
                self.clock.leave(row)
        row.ended = True
        self.save()

    async def _search(self, document: dict[str, Any], row: PilotRow) -> None:
        metadata = document["metadata"]
        # What the search stage does not even begin with, see ReerSearch.process.
        given = given_thinking(metadata, self.settings)
        if self.control.found_in(metadata["query"], document["text"], given.thinking if given else ""):
            row.skipped = "control_token"
            return
        search = LocalSearch(
            [TallyEngine(engine, row.tallies[role], self.maybe_save) for role, engine in self.generators.items()],
            TallyEngine(self.scorer, row.tallies["scorer"], self.maybe_save),
            self.prompts,
            self.settings,
            seed=self.run.recipe.seed,
            journal=self.journal,
        )
        found = await search.search(
            document["id"], metadata["query"], document["text"], metadata["language"], given=given
        )
        row.skipped = found.reason if isinstance(found, Skipped) else None
        row.steps = len(self.journal.row(pair_row(document)).steps)

    def maybe_save(self) -> None:
        """Save, unless that was done just now."""
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the pilot's file, with the time up to now."""
        self._saved = time.monotonic()
        self.clock.share_out()
        reused = self._now_reused()
        self.run.pilot.reused_tokens += reused - self._reused
        self._reused = reused
        self.run.pilot.save(self.run.file)
        self.watch(self.run.pilot)

    def _now_reused(self) -> int:
        return sum(engine.usage.reused_tokens for engine in self.engines)


class _Clock:
    """Shares the passing time out among the rows in flight."""

    def __init__(self) -> None:
        self._active: list[PilotRow] = []
        self._at = time.monotonic()

    def enter(self, row: PilotRow) -> None:
        self.share_out()
        self._active.append(row)

    def leave(self, row: PilotRow) -> None:
        self.share_out()
        self._active = [other for other in self._active if other is not row]

    def share_out(self) -> None:
        """Give the time since the last call to the rows that were in flight."""
        now = time.monotonic()
        for row in self._active:
            row.seconds += (now - self._at) / len(self._active)
        self._at = now
