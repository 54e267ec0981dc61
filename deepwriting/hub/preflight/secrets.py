"""What a secret and a local path look like: access tokens, private keys, folders of somebody's machine.

The forms are the issuers' own: a fixed beginning and a fixed length or alphabet, so that prose is not mistaken for a
token. A password in a sentence has no form and is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

#: Kind -> (a text that is always part of it, its form). The first is searched for first, because that is fast.
SECRETS: dict[str, tuple[tuple[str, ...], re.Pattern[str]]] = {
    "Hugging Face token": (("hf_", "api_org_"), re.compile(r"(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{30,}")),
    "OpenAI or Anthropic key": (("sk-",), re.compile(r"(?<![A-Za-z0-9])sk-(?=[\w-]*\d)[A-Za-z0-9_-]{20,}")),
    "AWS access key": (
        ("AKIA", "ASIA"),
        re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)(?![A-Z0-9]*EXAMPLE)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ),
    "AWS secret key": (
        ("aws_secret", "AWS_SECRET", "SecretAccessKey"),
        re.compile(
            r"(?i:aws_secret_access_key|SecretAccessKey)[\"']?\s*[=:]\s*[\"']?(?![A-Za-z0-9/+]*EXAMPLE)[A-Za-z0-9/+]{40}"
        ),
    ),
    "GitHub token": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    ),
    "Google key": (("AIza",), re.compile(r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}")),
    "Slack token": (("xox",), re.compile(r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,}")),
    "private key": (("PRIVATE KEY",), re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    "JSON web token": (("eyJ",), re.compile(r"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")),
    "password in an address": (("://",), re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/:@]{3,}@[\w.-]+")),
}
#: Folders that exist on somebody's machine: known roots, a home folder, a drive's letter, a share.
_PATH = re.compile(
    r"(?<![\w/.:>~-])(?:"
    r"/(?:home|Users|root|tmp|var|mnt|media|data|work|opt|srv|scratch|private|workspace|content|kaggle|gpfs|lustre|nfs"
    r"|Volumes|usr|etc)/[\w.@+-]+"
    r"|/root(?![\w/-])"
    r"|~/[\w.@+-]+"
    r"|[A-Za-z]:\\[\w.@+-]+"
    r"|\\\\[\w.-]+\\[\w$.-]+"
    r"|file://)"
)
#: A setting that is nothing but an absolute path, whatever its root; /r/… and /u/… are names on Reddit.
_ABSOLUTE = re.compile(r"/(?![ru]/)[^/\s]+/.+|[A-Za-z]:[\\/].+|~[\w-]*/.+|file:.+", re.DOTALL)
#: Query strings of signed addresses, which are as good as a token for a while.
_SIGNED = re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]+")
_BEARER = re.compile(r"(?i)\b(bearer\s+)\S+")
#: What stands in a secret's place in a message.
REDACTED = "[redacted]"


class Found(NamedTuple):
    """A secret or a path in a text.

    Attributes:
        kind: what it is.
        start: where it begins (characters).
        end: where it ends.
    """

    kind: str
    start: int
    end: int


def find_secrets(text: str) -> Iterator[Found]:
    """Find the tokens and keys in a text."""
    for kind, (parts, form) in SECRETS.items():
        if any(part in text for part in parts):
            for match in form.finditer(text):
                yield Found(kind, *match.span())


def find_paths(text: str) -> Iterator[Found]:
    """Find the paths of a machine's own folders in a text, such as a card."""
    for match in _PATH.finditer(text):
        yield Found("local path", *match.span())


def is_local_path(value: str) -> bool:
    """Whether a setting is, or holds, the path of a machine's own folder; relative paths tell nothing and are fine."""
    return _ABSOLUTE.fullmatch(value.strip()) is not None or next(find_paths(value), None) is not None


def redacted(text: str, *known: str | None) -> str:
    """A text without secrets, fit for a message or a log.

    Args:
        text: for example what a server has answered.
        known: tokens in use, whatever they look like.

    Returns:
        The text with ``[redacted]`` for every secret, and addresses without their query strings.
    """
    for secret in known:
        if secret:
            text = text.replace(secret, REDACTED)
    for _, form in SECRETS.values():
        text = form.sub(REDACTED, text)
    return _BEARER.sub(rf"\1{REDACTED}", _SIGNED.sub(r"\1", text))
