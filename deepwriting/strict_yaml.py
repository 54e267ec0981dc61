"""YAML as recipes need it: a key that stands twice is an error, and every mistake is one line."""

from __future__ import annotations

from typing import Any

import yaml

from deepwriting.errors import RecipeError


class _StrictLoader(yaml.SafeLoader):
    """Refuses a mapping with the same key twice: YAML would silently take the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_mapping(text: str, origin: str) -> dict[Any, Any]:
    """Read YAML that holds a mapping.

    Args:
        text: YAML.
        origin: what to call it in error messages.

    Raises:
        RecipeError: if it is not YAML, or no mapping.
    """
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except RecursionError as error:
        raise RecipeError(f"{origin} is not valid YAML: it is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that Python cannot hold
        raise RecipeError(f"{origin} is not valid YAML: {' '.join(str(error).split())}") from error
    if data is None:
        raise RecipeError(f"{origin} is empty; expected a mapping of sections")
    if not isinstance(data, dict):
        raise RecipeError(f"{origin} must be a mapping of sections; found {type(data).__name__}")
    return data
