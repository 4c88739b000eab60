"""What a simulator is: it turns the latents of a trained network into observed activity, e.g. spike counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, List, Mapping, Optional

from .arrays import Blocks
from .component import Component, Env, Memory
from .errors import Problem
from .task import TaskSpec


@dataclass
class Source:
    """What will be simulated from; fields are 0 and None while they are not known."""

    latents: int = 0
    bins: int = 0
    """T before trimming."""
    task: Optional[TaskSpec] = None


@dataclass
class SimulatorSpec:
    """What comes out: the first held_in of the neurons are held in; the bins [first, last) are kept; activity is counts or continuous."""

    neurons: int
    held_in: int
    first: int
    last: int
    file_name: str
    """The data set's name, without a folder."""
    counts: bool = True


class Simulator(Component):
    """A simulator. It sees the same trials twice: first fit, then simulate; neither needs all of them in memory."""

    kind: ClassVar[str] = "simulator"

    origin: Source

    def __init__(self, params: Any, env: Env, source: Source) -> None:
        self.params, self.env, self.origin = params, env, source

    @classmethod
    def check(cls, params: Any, source: Source) -> List[Problem]:
        """What is wrong with parameters beyond what each one's range says, or for the source."""
        return []

    @classmethod
    def memory(cls, params: Any, source: Source, threads: int) -> Optional[Memory]:
        return None

    def spec(self) -> SimulatorSpec:
        raise NotImplementedError

    def fit(self, trials: Blocks) -> Mapping[str, Any]:
        """Chooses the mapping from "latents" (B, T, latents) to rates and returns it: "readout" (latents, neurons), and the scalars "orig_mean" and "orig_std" of shape (1, 1, 1) that
        latents were normalised by, "perm_neurons" where neurons were permuted."""
        raise NotImplementedError

    def simulate(self, trials: Blocks) -> Blocks:
        """Yields for each block one with "encod_data", "recon_data", "activity" (rates in spikes a bin) and all arrays of the block, those with bins trimmed."""
        raise NotImplementedError
