"""The metrics as modules of Hugging Face's `evaluate`: where they lie, and how they are loaded without a network.

    modules/<name>/<name>.py     the module: inputs, settings, and a call of the plain function
    modules/<name>/README.md     its card

    >>> from deepwriting import metrics
    >>> copy_ratio = metrics.load("copy_ratio", min_run=12)                        # doctest: +SKIP
    >>> copy_ratio.compute(thinking=rows["thinking"], answer=rows["answer"])       # doctest: +SKIP

`evaluate` itself loads them by path: ``evaluate.load(str(metrics.module_path("copy_ratio")))``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluate import EvaluationModule

#: The modules; each has a folder of its name below ``modules/``.
MODULES = ("copy_ratio", "perplexity_given_thinking", "repetition", "thinking_patterns")
_FOLDER = Path(__file__).parent / "modules"


def module_path(name: str) -> Path:
    """The folder of an `evaluate` module, for ``evaluate.load(str(path))`` or ``evaluate.combine``.

    Args:
        name: one of ``MODULES``.

    Raises:
        ValueError: if there is no such module.
    """
    if name not in MODULES:
        raise ValueError(f"there is no metric {name!r}; allowed: {', '.join(MODULES)}")
    return _FOLDER / name


def load(name: str, **settings: Any) -> EvaluationModule:
    """Load an `evaluate` module from the installed package; nothing is fetched.

    Args:
        name: one of ``MODULES``.
        settings: the module's settings, which its card explains, and arguments of ``evaluate.load``.

    Returns:
        The module: ``add``, ``add_batch`` and ``compute`` take columns of the dataset by their names.

    Raises:
        ValueError: if there is no such module or setting, or a value is not allowed.
    """
    path = module_path(name)
    import evaluate

    return evaluate.load(str(path), **settings)
