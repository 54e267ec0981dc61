"""Checks of the token and of the repository: who is asking, and what may be done there."""

from __future__ import annotations

import re

from deepwriting.errors import HubError, TokenError
from deepwriting.hub.preflight.base import Check
from deepwriting.hub.repository import Identity, Repository

#: ``namespace/name`` as the Hub takes it: up to 96 letters, digits, ``-``, ``_`` and ``.``; no ``--`` and no ``..``.
_REPO = re.compile(r"(?=.{3,96}$)(?!.*(?:--|\.\.))[A-Za-z0-9][\w.-]*/[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?", re.ASCII)
#: Roles of a token that may write everywhere its owner may.
_WRITES = ("write", "admin")
#: What to do about a token.
LOG_IN = "hf auth login, with a token that may write (https://huggingface.co/settings/tokens)"


def is_repository(name: str) -> bool:
    """Whether a text is ``namespace/name`` as the Hub takes it."""
    return _REPO.fullmatch(name) is not None and not name.endswith(".git")


def check_token(repository: Repository) -> tuple[Identity | None, Check]:
    """Whether there is a token, it is accepted, and it is one that writes."""
    if not repository.has_token:
        return None, Check("token", "refused", "there is none, neither in HF_TOKEN nor from a login", LOG_IN)
    try:
        identity = repository.whoami()
    except TokenError as error:
        return None, Check("token", "refused", str(error), LOG_IN)
    except HubError as error:
        return None, Check("token", "refused", str(error), "the same command again, when the Hub can be reached")
    if identity.role in _WRITES or identity.role == "fineGrained":
        return identity, Check("token", "ok", f"{identity.name}'s, role {identity.role}")
    return None, Check("token", "refused", f"{identity.name}'s, but its role is {identity.role}, not write", LOG_IN)


def check_repository(repository: Repository, identity: Identity, private: bool | None) -> tuple[bool | None, Check]:
    """Whether the token may write there, and who sees it.

    Args:
        repository: where the release goes.
        identity: whose the token is.
        private: whether it was asked to be private; None if nobody said.

    Returns:
        Whether the repository is private, or None where it has to be created; and the verdict.
    """
    name = repository.name
    found = repository.private()
    if found is None:
        namespace = name.partition("/")[0]
        if namespace not in identity.namespaces:
            detail = (
                f"{name} is not there, and {identity.name} is not in {namespace!r}: {', '.join(identity.namespaces)}"
            )
            return None, Check("repository", "refused", detail, f"--repo {identity.name}/{name.partition('/')[2]}")
        kind = "public" if private is False else "private"
        return None, Check("repository", "ok", f"{name} will be created, {kind}")
    kind = "private" if found else "public"
    if private is not None and private != found:
        wish = "private" if private else "public"
        detail = f"{name} is {kind}, and publishing does not change who sees it"
        return found, Check("repository", "refused", detail, f"hf repos settings {name} --type dataset --{wish}")
    if not repository.may_write():
        return found, Check("repository", "refused", f"{identity.name}'s token may not write to {name}", LOG_IN)
    return found, Check("repository", "ok", f"{name} exists and is {kind}")
