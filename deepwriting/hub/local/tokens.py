"""Tokens: who asks, and what they may do.

A local Hub has one user with three tokens, made by chance when the folder is: one that may write, one that may only
read, and one that has expired, to see what a tool says about each.
"""

from __future__ import annotations

import json
import os
import secrets
import string
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Role = Literal["write", "read", "expired"]
ROLES: tuple[Role, ...] = ("write", "read", "expired")
_LETTERS = string.ascii_letters
#: Letters after ``hf_`` in a token, as the Hub has them.
_LENGTH = 34


@dataclass(frozen=True)
class Token:
    """A token.

    Attributes:
        secret: what the client sends.
        user: whose it is.
        role: what it may do.
    """

    secret: str
    user: str
    role: Role


class Tokens:
    """The tokens of a folder, kept in ``tokens.json``, which only its owner may read.

    Args:
        file: where they are kept; made if it does not exist.
        user: the user's name, where they are made.

    Raises:
        ValueError: if the file cannot be read.
    """

    def __init__(self, file: Path, user: str):
        if not file.exists():
            made = [
                Token("hf_" + "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)), user, role) for role in ROLES
            ]
            file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                json.dump([asdict(token) for token in made], opened, indent=1)
        try:
            self._all = [Token(**fields) for fields in json.loads(file.read_text())]
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file} cannot be read ({error}); without it, new tokens are made") from None

    @property
    def user(self) -> str:
        """The user's name."""
        return self._all[0].user

    def find(self, secret: str) -> Token | None:
        """The token with that secret."""
        return next((t for t in self._all if secrets.compare_digest(t.secret.encode(), secret.encode())), None)

    def of_role(self, role: Role) -> str:
        """The secret of the token with that role."""
        return next(token.secret for token in self._all if token.role == role)
