"""The key of a hosted server: read from the environment, sent in one header, and kept out of everything else."""

from __future__ import annotations

import os

from deepwriting.errors import EngineError

#: What stands in a text where the key stood.
HIDDEN = "[key]"


class ApiKey:
    """A key that shows itself only to the server.

    Args:
        variable: environment variable that holds the key; ``None`` for a server without one.

    Raises:
        EngineError: if the variable is not set, or its value cannot stand in a header. The value is not shown.
    """

    def __init__(self, variable: str | None):
        self.variable = variable
        self._value = ""
        if variable is None:
            return
        self._value = os.environ.get(variable, "").strip()
        if not self._value:
            raise EngineError(f"the environment variable {variable}, which api_key_env names, is not set")
        if not (self._value.isascii() and self._value.isprintable() and " " not in self._value):
            raise EngineError(
                f"the value of the environment variable {variable} is no key; printable ASCII without spaces is allowed"
            )

    def __repr__(self) -> str:
        return f"ApiKey({self.variable!r})"

    def __reduce__(self) -> tuple[type[ApiKey], tuple[str | None]]:
        """Pickled as the variable's name: the process that reads it has its own environment."""
        return ApiKey, (self.variable,)

    def headers(self) -> dict[str, str]:
        """The header that carries the key; empty for a server without one."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a server that reads its key from a variable; empty without a key."""
        return {name: self._value} if self._value else {}

    def scrub(self, text: str) -> str:
        """A text without the key, for messages and logs; servers may echo what they were sent."""
        return text.replace(self._value, HIDDEN) if self._value else text
