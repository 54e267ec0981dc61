"""The one table from an error to what to do next."""

from __future__ import annotations

from deepwriting.errors import (
    BuildError,
    ChecksumError,
    ContextOverflowError,
    CountsError,
    DamagedStageError,
    DeepWritingError,
    DiskFullError,
    EngineError,
    JournalError,
    ModelNotFoundError,
    NotFoundError,
    PromptError,
    RecipeError,
    RequestError,
    RunError,
    RunLockedError,
    SourceError,
    StageChangedError,
    StageMissingError,
    StageOrderError,
    WorkerLostError,
)

#: Error class -> what to do next. The first class that fits counts, so special ones stand before general ones.
REPAIRS: tuple[tuple[type[DeepWritingError], str], ...] = (
    (RecipeError, "correct the recipe; `deepwriting init` writes one in which every key is explained"),
    (SourceError, "check `path` and `kind` of the source in the recipe; its rejects tell what was wrong with its rows"),
    (PromptError, "compare the template with the bundled one of the same name in deepwriting/prompts/default"),
    (StageChangedError, "undo the change, give the run another name, or do the stage anew: --redo STAGE"),
    (StageMissingError, "run the earlier stages first: leave out --from"),
    (CountsError, "this is a bug; please report it with the stage's folder counts/ and logs/"),
    (DamagedStageError, "have that stage done anew: deepwriting run … --redo STAGE"),
    (DiskFullError, "make room and run the same command again: it goes on where it stopped"),
    (JournalError, "do the stage that keeps the journal anew: --redo search, or --redo source for queries of books"),
    (RunLockedError, "wait for it, or stop it; `deepwriting status RUN` shows how far it is"),
    (StageOrderError, "choose stages in the order in which they run, or leave one of the options out"),
    (
        WorkerLostError,
        "run the same command again, it goes on where it stopped; fewer execution.workers need less memory",
    ),
    (ModelNotFoundError, "name an embedded model, a local directory or a Hub id under engines in the recipe"),
    (ChecksumError, "delete the file and try again; if it stays so, the package index serves something else"),
    (ContextOverflowError, "take a model with a longer context, or lower pairs.max_answer_chars"),
    (RequestError, "the text that the message names cannot be computed; leave it out, or take another model"),
    (EngineError, "look at engines in the recipe and at the stage's log; the same command goes on from here"),
    (BuildError, "look at the rows in the folder annotate/shards, and at `build` in the recipe"),
    (NotFoundError, "`deepwriting recipes` lists recipes, `deepwriting status` lists runs"),
    (RunError, "the stage's folder rejects/ holds every row with its reason"),
)


def explain(error: DeepWritingError) -> str:
    """The error's message and, on a line of its own, what to do next."""
    repair = next((text for kind, text in REPAIRS if isinstance(error, kind)), None)
    message = f"error: {error}"
    return f"{message}\n  → {repair}" if repair else message
