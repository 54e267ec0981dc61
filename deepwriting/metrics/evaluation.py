"""What the `evaluate` modules below ``modules/`` share: inputs named like the dataset's columns, checked settings.

`evaluate` copies a module's file into a cache and imports it there, so a module holds next to nothing: it names its
inputs and settings and calls the plain function. Three habits of `evaluate` 0.4.6 decide how this looks:

* ``combine(...)`` gives every keyword to every module. Settings are therefore given when a module is loaded, and a
  module takes and leaves the inputs of the others.
* The first subclass of ``EvaluationModule`` among a module's names counts as the module: modules import this module,
  not the class.
* Each import stands on a line of its own: its search for imports reads ``import a, b`` as one package "a, b".
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import datasets
import evaluate

#: Inputs of any of the modules, by the names of the dataset's columns.
INPUTS: Mapping[str, str] = {
    "query": "the writing request x",
    "thinking": "the trajectory z",
    "answer": "the solution y",
}
#: Default of a setting that has to be given.
REQUIRED = object()
_EVALUATE_OPTIONS = frozenset(inspect.signature(evaluate.EvaluationModule.__init__).parameters) - {"self", "kwargs"}


class RowMeasurement(evaluate.Measurement):
    """Base of the modules: one value a row from one or more of its texts, and their summary.

    Subclasses name ``inputs`` and ``settings`` and implement ``check`` and ``measure``; their docstring is the
    module's description.
    """

    #: Columns that the module reads.
    inputs: ClassVar[tuple[str, ...]]
    #: Setting -> default.
    settings: ClassVar[Mapping[str, Any]]
    #: Given the settings by name: refuses those that cannot be meant, before any row is seen (``ValueError``).
    check: Callable[..., None]
    #: Given the columns and settings by name: the values of all rows (lists, plural names) and their summary.
    measure: Callable[..., dict[str, Any]]

    def __init__(self, **options: Any):
        name = type(self).__module__.rpartition(".")[2]
        if unknown := sorted(options.keys() - self.settings.keys() - _EVALUATE_OPTIONS):
            allowed = ", ".join(self.settings)
            raise ValueError(f"{name} has no setting {unknown[0]!r}; allowed: {allowed}")
        self.chosen = {key: options.pop(key, default) for key, default in self.settings.items()}
        if missing := [key for key, value in self.chosen.items() if value is REQUIRED]:
            raise ValueError(f"{name} needs {missing[0]!r}: deepwriting.metrics.load({name!r}, {missing[0]}=…)")
        self.check(**self.chosen)
        super().__init__(**options)

    def compute(self, *, predictions: Any = None, references: Any = None, **columns: Any) -> dict[str, Any] | None:
        """Measure the rows given here, or those that were added before.

        Args:
            predictions: not used; the inputs are named like the dataset's columns.
            references: not used.
            columns: the inputs, each a list of texts, one a row.

        Returns:
            The values of the rows and their summary; ``None`` in a process other than the first of several.

        Raises:
            ValueError: if an input is missing or unknown, or a text is missing.
        """
        if predictions is not None or references is not None:
            raise ValueError(f"{self.name} takes {', '.join(self.inputs)}; not predictions and references")
        if unknown := sorted(columns.keys() - INPUTS.keys()):
            raise ValueError(
                f"{self.name} has no input {unknown[0]!r}; its inputs are {', '.join(self.inputs)}, and its settings "
                "are given when it is loaded"
            )
        given = {key: columns[key] for key in self.inputs if columns.get(key) is not None}
        if columns and (missing := [key for key in self.inputs if key not in given]):
            raise ValueError(f"{self.name} needs {', '.join(self.inputs)}; missing: {', '.join(missing)}")
        for key, column in given.items():
            # A text is a sequence too, of one-letter rows.
            if isinstance(column, str):
                raise ValueError(f"{key} is one text; a list of texts is expected, one for each row")  # noqa: TRY004
        result: dict[str, Any] | None = super().compute(**given)
        return result

    def _info(self) -> evaluate.EvaluationModuleInfo:
        about = inspect.cleandoc(type(self).__doc__ or "")
        lines = [f"    {key}: {INPUTS[key]}, a list of texts" for key in self.inputs]
        lines += ["Settings, given when the module is loaded:"]
        lines += [f"    {key}: {'required' if v is REQUIRED else repr(v)}" for key, v in self.settings.items()]
        return evaluate.MeasurementInfo(
            description=about,
            citation="",
            inputs_description="\nArgs:\n" + "\n".join(lines) + "\n",
            features=datasets.Features({key: datasets.Value("string") for key in self.inputs}),
            license="apache-2.0",
        )

    def _compute(self, **columns: list[str | None]) -> dict[str, Any]:
        for key, column in columns.items():
            if not column:
                raise ValueError(f"{self.name} was given no row")
            if None in column:
                raise ValueError(f"{key}[{column.index(None)}] is missing; a text is expected")
        return self.measure(**columns, **self.chosen)
