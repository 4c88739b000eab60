"""What a comparator is: given labelled subjects, a truth and models of it or models alone, it reports how alike they are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, List, Mapping, Optional, Sequence

from .arrays import Arrays
from .component import Call, Component, Env, Memory
from .errors import Problem
from .figures import Figure
from .model import DataSpec, Dynamics


@dataclass
class Subject:
    """One thing compared: role is "truth", "recording" or "fitted". train and valid have "latents", "rates", "spikes", "inputs", ... where there are any, the trials first; the same
    rows of two subjects are the same trials. scored has the task's own score of a truth's network. dynamics is None where there are none, and then why says why."""

    label: str
    role: str
    held_in: int
    input_channels: int
    train: Arrays
    valid: Arrays
    scored: Arrays
    dynamics: Optional[Dynamics] = None
    why: str = ""


@dataclass
class Result:
    """One number; NaN where it cannot be had, and then reason says why. better is "higher", "lower" or "neither"."""

    metric: str
    subject: str
    value: float
    reference: str = ""
    low: float = math.nan
    high: float = math.nan
    null: float = math.nan
    unit: str = ""
    better: str = "neither"
    n: int = 0
    reason: str = ""


@dataclass
class Outcome:
    """What a comparison found. Matrices, e.g. of pairwise distances, are (n, n) with the subjects in order."""

    results: Sequence[Result] = ()
    figures: Sequence[Figure] = ()
    matrices: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Reading:
    """How to read a metric: its name in results, what stands behind a slash there left out; what it measures, and when it misleads; what defines it."""

    metric: str
    text: str
    source: str = ""


@dataclass
class Sizes:
    """How large what will be compared is, as far as it is known."""

    data: Optional[DataSpec] = None
    subjects: int = 0
    latents: int = 0


class Comparator(Component):
    """A comparator. compare may be called from several threads."""

    kind: ClassVar[str] = "comparator"
    needs_dynamics: ClassVar[bool] = False
    """Says nothing about models without dynamics."""
    wants_dynamics: ClassVar[bool] = False
    """Looks at the dynamics of models that have some, and has something to say of others too. Without it or needs_dynamics none are handed over."""
    readings: ClassVar[Sequence[Reading]] = ()
    """How to read the metrics; reports show it beside the numbers."""

    def __init__(self, params: Any, env: Env) -> None:
        self.params, self.env = params, env

    @classmethod
    def check(cls, params: Any) -> List[Problem]:
        """What is wrong with parameters beyond what each one's range says."""
        return []

    @classmethod
    def memory(cls, params: Any, sizes: Sizes, threads: int) -> Optional[Memory]:
        return None

    def compare(self, subjects: Sequence[Subject], call: Call) -> Outcome:
        """Compares. The subjects come in the order of the experiment; at most one is a truth or a recording, and it is the first."""
        raise NotImplementedError

    @classmethod
    def capabilities(cls) -> List[str]:
        claimed = [("needs-dynamics", cls.needs_dynamics), ("wants-dynamics", cls.wants_dynamics)]
        return super().capabilities() + [name for name, does in claimed if does]
