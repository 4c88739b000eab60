"""The kinds of failure that cross the boundary as types. Anything else that a component raises arrives as an internal error with its message, and its traceback goes to the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence


@dataclass(frozen=True)
class Problem:
    """One thing wrong with what was given."""

    path: str
    """Leads to the field, e.g. "params.n_bits"."""
    message: str
    """What was given and what is allowed."""
    hint: str = ""
    """What to do, e.g. the nearest valid name."""

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        return f"{text} ({self.hint})" if self.hint else text


class Error(Exception):
    """The root of what this package raises for others to see."""


class InvalidArgument(Error):
    """What was given is not allowed: all problems at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: List[Problem] = list(problems)
        super().__init__("invalid argument: " + "\n  ".join(map(str, self.problems)))


def invalid(path: str, message: str, hint: str = "") -> InvalidArgument:
    """An InvalidArgument of one problem, to be raised."""
    return InvalidArgument([Problem(path, message, hint)])


class NotFound(Error):
    """There is no such component, instance, trial or array."""


class Unavailable(Error):
    """The process at the other end is gone or coming to its end, or a lease has ended; a call that can be repeated may be."""


class Unsupported(Error):
    """The component does not offer this."""


class Damaged(Error):
    """Data was damaged on its way."""


class WrongShape(Error):
    """An array has the wrong shape or type."""


class Internal(Error):
    """A failure inside of another component, with its own message."""


class Cancelled(Error):
    """The caller has given the call up, or its time has passed. Do not catch it: it ends the call."""


class Diverged(Error):
    """Training or simulation left the finite numbers."""

    def __init__(self, step: int, quantity: str, value: float, hint: str = "") -> None:
        self.step, self.quantity, self.value, self.hint = int(step), quantity, float(value), hint
        text = f"diverged at step {self.step}: {quantity} is {self.value}"
        super().__init__(f"{text} ({hint})" if hint else text)
