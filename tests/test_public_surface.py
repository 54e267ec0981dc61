"""The names that the package promises, and the errors that it raises."""

from __future__ import annotations

import inspect
import pickle

import pytest

import deepwriting
from deepwriting import errors
from deepwriting.cli.repairs import REPAIRS, explain

ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_all_names_what_is_there() -> None:
    assert sorted(deepwriting.__all__) == sorted(deepwriting._HOMES)
    for name in deepwriting.__all__:
        found = getattr(deepwriting, name)
        assert found.__module__ == deepwriting._HOMES[name]
        assert inspect.getdoc(found)
    assert set(deepwriting.__all__) <= set(dir(deepwriting))


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        deepwriting.nonsense  # noqa: B018


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_are_deepwriting_errors_and_standard_ones(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.DeepWritingError)
    if kind is not errors.DeepWritingError:
        assert issubclass(kind, (ValueError, RuntimeError, LookupError))
    again = pickle.loads(pickle.dumps(kind("what was wrong")))
    assert type(again) is kind
    assert str(again) == "what was wrong"
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not errors.DeepWritingError])
def test_every_error_has_its_own_repair(kind: type[errors.DeepWritingError]) -> None:
    first = next(listed for listed, _ in REPAIRS if issubclass(kind, listed))
    assert first is kind, f"{kind.__name__} is explained by the repair of {first.__name__}"
    message, repair = explain(kind("the value 7 is wrong")).splitlines()
    assert message == "error: the value 7 is wrong"
    assert repair.startswith("  → ")
