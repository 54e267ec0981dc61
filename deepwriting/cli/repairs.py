"""The one table from an error to what to do next."""

from __future__ import annotations

from deepwriting.errors import (
    BuildError,
    CardError,
    ChecksumError,
    ConflictError,
    ContextOverflowError,
    CountsError,
    DamagedDatasetError,
    DamagedStageError,
    DatasetNotFoundError,
    DeepWritingError,
    DiskFullError,
    EngineError,
    ExecutorError,
    FolderError,
    HubError,
    JournalError,
    ModelNotFoundError,
    NotFoundError,
    NothingKeptError,
    PromptError,
    RecipeError,
    RefusedError,
    RemoteError,
    RequestError,
    RunError,
    RunLockedError,
    SchemaError,
    SourceError,
    StageChangedError,
    StageMissingError,
    StageOrderError,
    TaskHeldError,
    TasksFailedError,
    TokenError,
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
    (FolderError, "give the run another folder with --run-dir, or yourself the right to write this one"),
    (ExecutorError, "look at `execution` in the recipe; --executor local runs the same recipe on this machine"),
    (
        TasksFailedError,
        "`deepwriting status RUN` shows the last line of each failed task; the same command goes on from here",
    ),
    (TaskHeldError, "wait for it, or stop it; `deepwriting status RUN` shows where it runs"),
    (JournalError, "do the stage that keeps the journal anew: --redo search, or --redo source for queries of books"),
    (
        RemoteError,
        "look at URL, keys and endpoint (AWS_ENDPOINT_URL, HF_TOKEN …); the same command goes on where it stopped",
    ),
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
    (SchemaError, "have the rows made anew: deepwriting run … --redo annotate, or --redo select for a category"),
    (
        NothingKeptError,
        "`deepwriting report RUN` shows what dropped the rows; loosen `build` or `filters` in the recipe, then: "
        "deepwriting run … --redo annotate",
    ),
    (CardError, "have the card made anew: `deepwriting build RUN FOLDER`; do not edit it by hand"),
    (DamagedDatasetError, "deepwriting verify tells what else is damaged; build or fetch the dataset again"),
    (BuildError, "look at the rows in the folder annotate/shards, and at `build` in the recipe"),
    (TokenError, "hf auth login, with a token that may write; the same command goes on where it stopped"),
    (ConflictError, "look at what they have changed, then run the same command again"),
    (RefusedError, "correct it, then run the same command again"),
    (HubError, "run the same command again, it goes on where it stopped; HF_ENDPOINT names the Hub"),
    (DatasetNotFoundError, "name the folder of a dataset, or namespace/name@version of one on the Hub"),
    (NotFoundError, "`deepwriting recipes` lists recipes, `deepwriting status` lists runs"),
    (RunError, "the stage's folder rejects/ holds every row with its reason"),
)


def explain(error: DeepWritingError) -> str:
    """The error's message and, on a line of its own, what to do next."""
    repair = next((text for kind, text in REPAIRS if isinstance(error, kind)), None)
    message = f"error: {error}"
    return f"{message}\n  → {repair}" if repair else message
