"""Arrays by name, and blocks of trials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from .errors import NotFound, WrongShape

Array = np.ndarray


class Arrays(Dict[str, Array]):
    """Arrays by name, in order. `units` has the unit of an array that has one, `axes` the names of its axes where they are named."""

    def __init__(self, given: Union[Mapping[str, Any], Iterable[Tuple[str, Any]]] = (), units: Optional[Mapping[str, str]] = None) -> None:
        super().__init__(given)
        self.units: Dict[str, str] = dict(units or {})
        self.axes: Dict[str, Tuple[str, ...]] = {}

    def need(self, name: str) -> Array:
        """The array of that name, which must be there."""
        if name not in self:
            raise NotFound(f"array {name}: there are {', '.join(self) or 'none'}")
        return self[name]


@dataclass
class Block:
    """A run of trials: their numbers within the data set, and arrays with a row for each."""

    trials: Array
    arrays: Arrays = field(default_factory=Arrays)

    def __post_init__(self) -> None:
        self.trials = np.asarray(self.trials, np.int64)
        if not isinstance(self.arrays, Arrays):
            self.arrays = Arrays(self.arrays)

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, name: str) -> Array:
        return self.arrays.need(name)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


Blocks = Iterator[Block]


def in_blocks(trials: Sequence[int], size: int, default: int = 256) -> Iterator[Array]:
    """The numbers of trials in runs of a size that a caller asked for; 0 means default."""
    numbers = np.asarray(trials, np.int64)
    size = size or default
    for at in range(0, len(numbers), size):
        yield numbers[at : at + size]


def joined(blocks: Iterable[Block]) -> Block:
    """All blocks as one; only for what fits the memory."""
    all_blocks = list(blocks)
    if not all_blocks:
        return Block(np.empty(0, np.int64))
    names = set(all_blocks[0].arrays)
    for b in all_blocks:
        if set(b.arrays) != names:
            raise WrongShape(f"a block with {', '.join(b.arrays)} after one with {', '.join(all_blocks[0].arrays)}")
    arrays = Arrays(((name, np.concatenate([b.arrays[name] for b in all_blocks])) for name in all_blocks[0].arrays), all_blocks[0].arrays.units)
    return Block(np.concatenate([b.trials for b in all_blocks]), arrays)
