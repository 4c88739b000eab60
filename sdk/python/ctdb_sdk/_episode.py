"""Episodes in closed loop: the order of their steps, and rows that come in several messages."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Tuple

import numpy as np

from . import _messages as m
from . import _specs
from ._wire import MAX_TRIALS, Rows, by_rows, from_tensor, to_tensor, wired
from .errors import Unsupported, WrongShape, invalid
from .task import Episode, EpisodeRequest, Observation, Task, TaskSpec


def numbers(task: Task, split: str, numbers: Iterable[int]) -> np.ndarray:
    """Numbers of trials that a caller gave, which must be of the split."""
    given = np.array(numbers, np.int64)
    known = task.numbers(split)
    wrong = given[~np.isin(given, np.asarray(known, np.int64))] if not isinstance(known, range) else given[(given < known.start) | (given >= known.stop)]
    if len(wrong):
        raise invalid("trials", f"{wrong[0]} is not one of the {len(known)} trials of the split {split}")
    return given


class OpenEpisode:
    """An episode of a stream, with the rows of a call that have arrived so far. It keeps the order of steps."""

    def __init__(self, episode: Episode, trials: int, spec: TaskSpec, asked: EpisodeRequest) -> None:
        self.episode = episode
        self.actions, self.inputs, self.state = Rows(trials), Rows(trials), Rows(trials)
        assert spec.loop is not None
        self.trials, self.spec, self.loop = trials, spec, spec.loop
        self.dtype = np.dtype(np.float64 if asked.float64 else np.float32)
        self.tape, self.bins = asked.tape, min(asked.horizon or spec.bins, spec.bins)
        self.next = 0  # the step that is due
        self.back = -1  # the step that vjp is due for, once it has begun
        self.kept = 0  # the first step whose tape is kept

    def _fit(self, name: str, a: Any, width: int) -> Any:
        if a is not None and a.shape != (self.trials, width):
            raise invalid(name, f"shape {list(a.shape)}: {[self.trials, width]} is needed")
        return a if a is None or a.dtype == self.dtype else a.astype(self.dtype)

    def step(self, id: int, request: Any) -> Iterator[Any]:
        if request.HasField("actions"):
            self.actions.add(from_tensor(request.actions), "actions")
        if request.more:
            return
        actions = self._fit("actions", self.actions.take("actions"), self.loop.actions)
        if actions is None:
            raise invalid("actions", "is missing")
        if request.t != self.next or self.back >= 0 or request.t >= self.bins:
            raise invalid("t", f"step {request.t} of {self.bins}: step {self.next} is due" if self.next < self.bins else f"step {request.t}: there are {self.bins}")
        self.next += 1
        yield from self.observe(id, request.t, self.episode.step(request.t, actions))

    def vjp(self, id: int, request: Any) -> Iterator[Any]:
        if request.HasField("inputs"):
            self.inputs.add(from_tensor(request.inputs), "inputs")
        if request.HasField("state"):
            self.state.add(from_tensor(request.state), "state")
        if request.more:
            return
        due = self.back if self.back >= 0 else self.next - 1
        if not self.tape:
            raise invalid("vjp", "the episode keeps no tape: begin asks for one")
        if request.t != due or due < self.kept:
            raise invalid("t", f"vjp of step {request.t}: that of step {due} is due, the tape begins with step {self.kept}")
        inputs, state = self._fit("inputs", self.inputs.take("inputs"), self.spec.inputs), self._fit("state", self.state.take("state"), self.loop.state_size)
        actions = self.episode.vjp(request.t, inputs, state)
        self.back = due - 1
        if self.back < 0:
            self.tape = False
        a = self._made("cotangent", actions, self.loop.actions)
        for at, to, more in by_rows([a]):
            yield m.task.EpisodeResponse(episode=id, cotangent=m.task.EpisodeCotangent(t=request.t, actions=to_tensor("actions", a[at:to]), more=more))

    def drop_tape(self, before: int) -> None:
        if before < 0 or before > self.next:
            raise invalid("before", f"{before}: 0 to {self.next}, the steps that were taken, are allowed")
        self.kept = max(self.kept, before)
        self.episode.drop_tape(before)

    def _made(self, name: str, value: Any, width: int) -> np.ndarray:
        a = wired(name, value)
        if a.shape != (self.trials, width):
            raise WrongShape(f'"{name}" has shape {list(a.shape)}: {[self.trials, width]} is needed')
        return a if a.dtype == self.dtype else a.astype(self.dtype)

    def observe(self, id: int, t: int, o: Observation) -> Iterator[Any]:
        inputs = self._made("inputs", o.inputs, self.spec.inputs)
        state = None if o.state is None else self._made("state", o.state, self.loop.state_size)
        recorded = {name: wired(name, a) for name, a in o.recorded.items()}
        for at, to, more in by_rows([inputs, state, *recorded.values()]):
            yield m.task.EpisodeResponse(episode=id, observation=m.task.EpisodeObservation(
                t=t, inputs=to_tensor("inputs", inputs[at:to]), state=None if state is None else to_tensor("state", state[at:to]),
                recorded=[to_tensor(name, a[at:to]) for name, a in recorded.items()], more=more,
            ))


def begin(task: Task, b: Any) -> Tuple[OpenEpisode, Observation]:
    if len(b.trials) > MAX_TRIALS:
        raise invalid("trials", f"{len(b.trials)}: at most {MAX_TRIALS} are allowed")
    for name in ("horizon", "truncate"):
        if getattr(b, name) < 0:
            raise invalid(name, f"{getattr(b, name)}: at least 0 is needed")
    split, spec = _specs.from_split(b.split), task.spec()
    if spec.loop is None:
        raise Unsupported(f"{task.full_name()}: its spec has no loop")
    asked = EpisodeRequest(
        split=split, pass_=getattr(b, "pass"), trials=numbers(task, split, b.trials), seed=b.seed, float64=b.float64, tape=b.tape,
        horizon=b.horizon, noise_off=b.noise_off, truncate=b.truncate,
    )
    episode, observation = task.begin(asked)
    return OpenEpisode(episode, len(b.trials), spec, asked), observation
