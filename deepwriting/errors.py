"""Every error that deepwriting raises on purpose.

    DeepWritingError
    ├── RecipeError            (ValueError)         a recipe that cannot be run
    ├── SourceError            (ValueError)         a source that cannot be read at all
    ├── PromptError            (ValueError)         a prompt template that lacks or invents a slot
    ├── RunError               (RuntimeError)       a run that cannot go on
    │   ├── StageChangedError                       the recipe changed under a stage that has results
    │   ├── StageMissingError                       an earlier stage has not finished
    │   ├── CountsError                             rows in != rows out + rejects
    │   ├── DamagedStageError                       a file of a stage is missing or cannot be read
    │   ├── ExecutorError                           an executor that is not there, or refuses
    │   ├── TasksFailedError                        tasks of a phase did not finish
    │   ├── TaskHeldError                           another process works on the same task
    │   ├── FolderError                             the run's folder cannot be written
    │   ├── DiskFullError                           no room is left for what a run writes
    │   ├── JournalError                            a journal that belongs to another configuration
    │   ├── RemoteError                             a remote folder that cannot be reached, or refuses
    │   ├── RunLockedError                          another process works on the same run
    │   ├── StageOrderError                         stages asked for in an impossible order
    │   └── WorkerLostError                         a worker process was killed
    ├── EngineError            (RuntimeError)       a model that cannot sample or score
    │   ├── ModelNotFoundError (LookupError)        neither embedded, nor a folder, nor on the Hub
    │   ├── ChecksumError                           a model file is not the one that was tested
    │   └── RequestError                            one request cannot be computed, others can
    │       └── ContextOverflowError                the text does not fit into the model's context
    ├── BuildError             (ValueError)         a dataset that cannot be built
    │   ├── SchemaError                             a row has a wrong value, or a category that does not exist
    │   ├── NothingKeptError                        the default config, or a split of it, would be empty
    │   ├── CardError                               a dataset card that the Hub or `datasets` would not read
    │   └── DamagedDatasetError                     a file of a built dataset is missing or cannot be read
    ├── HubError               (RuntimeError)       the Hub cannot be reached, refuses, or lacks what was asked for
    │   ├── TokenError                              no token, or one that the Hub does not accept for this
    │   ├── ConflictError                           somebody else has changed the repository in the meantime
    │   └── RefusedError                            a release that a check refuses
    └── NotFoundError          (LookupError)        a run, row or recipe that does not exist
        └── DatasetNotFoundError                    neither the folder of a dataset nor one on the Hub

A message says what was wrong, the value received, and what is allowed. What to do next is said in one place, the
table in ``deepwriting/cli/repairs.py``.
"""

from __future__ import annotations


class DeepWritingError(Exception):
    """Base class of all errors that deepwriting raises on purpose."""


class RecipeError(DeepWritingError, ValueError):
    """A recipe has an unknown key, a wrong type or an impossible combination."""


class SourceError(DeepWritingError, ValueError):
    """A source cannot be read at all: missing, empty, or not in its native layout."""


class PromptError(DeepWritingError, ValueError):
    """A prompt template lacks a required slot or names an unknown one."""


class RunError(DeepWritingError, RuntimeError):
    """A run cannot go on."""


class StageChangedError(RunError):
    """The recipe changed under a stage that already has results."""


class StageMissingError(RunError):
    """A stage was asked for whose predecessor has not finished."""


class CountsError(RunError):
    """A stage lost or invented rows: rows in differ from rows out plus rejects."""


class DamagedStageError(RunError):
    """A file that a stage has left is missing, damaged, or holds other rows than the stage counted."""


class DiskFullError(RunError):
    """No room is left on a disk that a run writes to; nothing that was finished is lost."""


class ExecutorError(RunError):
    """An executor is not there, lacks something, or does not accept what it is given."""


class TasksFailedError(RunError):
    """Some tasks of a phase did not finish; what they had done is kept."""


class TaskHeldError(RunError):
    """Another process works on the same task."""


class FolderError(RunError):
    """The run's folder cannot be written."""


class JournalError(RunError):
    """A journal was written under another configuration, or is damaged."""


class RemoteError(RunError):
    """A remote folder cannot be reached, refuses, or is no place that can be used."""


class RunLockedError(RunError):
    """Another process is working on the same run."""


class StageOrderError(RunError):
    """The first stage to run, or the one to redo, comes after the last."""


class WorkerLostError(RunError):
    """A worker process was killed, most likely for want of memory."""


class EngineError(DeepWritingError, RuntimeError):
    """A language model cannot be loaded, sampled from or scored with."""


class ModelNotFoundError(EngineError, LookupError):
    """A model is neither embedded, nor a local directory, nor reachable on the Hub."""


class ChecksumError(EngineError):
    """A model file differs from the one that was tested."""


class RequestError(EngineError):
    """One request cannot be computed, now or later; the engine is fine and others can."""


class ContextOverflowError(RequestError):
    """A text does not fit into the model's context."""


class BuildError(DeepWritingError, ValueError):
    """A dataset cannot be built from the rows at hand."""


class SchemaError(BuildError):
    """A row has a missing or wrong value, a category that does not exist, or an id that another row has too."""


class NothingKeptError(BuildError):
    """The default config, or a split of it, would have no row."""


class CardError(BuildError):
    """A dataset card whose YAML is not valid, or says what is not true of the folder."""


class NotFoundError(DeepWritingError, LookupError):
    """A run, a row or a recipe that was named does not exist."""


class HubError(DeepWritingError, RuntimeError):
    """The Hub cannot be reached, refuses, or does not hold what was asked for."""


class TokenError(HubError):
    """There is no token, or the Hub does not accept it, or it may not do what was asked."""


class ConflictError(HubError):
    """Somebody else has changed the repository in the meantime."""


class RefusedError(HubError):
    """A release is not to be published as it is: a check refuses it."""


class DatasetNotFoundError(NotFoundError):
    """What was named is neither the folder of a dataset nor the name of one on the Hub, or holds another version."""


class DamagedDatasetError(BuildError):
    """A file of a built dataset is missing or cannot be read."""
