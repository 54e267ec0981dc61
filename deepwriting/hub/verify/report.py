"""What an audit found, check by check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

#: ``unchecked`` means that it could not be looked at, which says neither.
State = Literal["passed", "failed", "unchecked"]
#: Cases of one kind of problem that are told; the others are counted.
MOST_CASES = 5


@dataclass
class Problem:
    """One kind of problem.

    Attributes:
        kind: what is wrong, in a few words.
        count: how often.
        cases: the first of them, each in one line.
    """

    kind: str
    count: int = 0
    cases: list[str] = field(default_factory=list)


@dataclass
class Check:
    """One thing that an audit looks at.

    Attributes:
        name: short name.
        question: what is asked.
        looked_at: how much was looked at, such as ``36 files``.
        notes: what should be known beside the result.
        reason: why it could not be checked, or not all of it; empty if it was.
    """

    name: str
    question: str
    looked_at: str = ""
    notes: list[str] = field(default_factory=list)
    reason: str = ""
    _problems: dict[str, Problem] = field(default_factory=dict)

    def found(self, kind: str, case: str = "", count: int = 1) -> None:
        """Note a problem.

        Args:
            kind: what is wrong, in a few words.
            case: where, in one line.
            count: how many such cases this one stands for.
        """
        problem = self._problems.setdefault(kind, Problem(kind))
        problem.count += count
        if case and len(problem.cases) < MOST_CASES:
            problem.cases.append(case)

    @property
    def problems(self) -> Sequence[Problem]:
        """All kinds of problems, in the order in which they were met."""
        return tuple(self._problems.values())

    @property
    def state(self) -> State:
        """The result."""
        return "failed" if self._problems else "unchecked" if self.reason else "passed"

    def as_dict(self) -> dict[str, Any]:
        """The check as JSON gives it."""
        problems = [{"kind": p.kind, "count": p.count, "cases": p.cases} for p in self.problems]
        return {
            "name": self.name,
            "question": self.question,
            "state": self.state,
            "looked_at": self.looked_at,
            "problems": problems,
            "notes": self.notes,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Verification:
    """The whole audit of one dataset.

    Attributes:
        name: name of the dataset.
        version: its version.
        folder: the folder that was looked at.
        checks: all checks in order.
    """

    name: str
    version: str
    folder: Path
    checks: tuple[Check, ...]

    @property
    def state(self) -> State:
        """``failed`` if any check failed; else ``unchecked`` if any could not be made."""
        states = {check.state for check in self.checks}
        return "failed" if "failed" in states else "unchecked" if "unchecked" in states else "passed"

    def check(self, name: str) -> Check | None:
        """The check of that name, if it was made."""
        return next((check for check in self.checks if check.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """The audit as ``deepwriting verify --json`` prints it."""
        return {
            "name": self.name,
            "version": self.version,
            "folder": str(self.folder),
            "state": self.state,
            "checks": [check.as_dict() for check in self.checks],
        }
