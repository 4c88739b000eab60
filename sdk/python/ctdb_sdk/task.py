"""What a task is: it makes trials, declares the loss that a network is trained with, and scores outputs.

B trials, T bins; arrays are (B, T, channels). Draw all that is random from ctdb_sdk.random.stream(seed, purpose, trial): then a trial is the same however many others are made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, List, Mapping, Optional, Sequence, Tuple

from .arrays import Array, Blocks
from .component import Component, Env, Memory, overrides
from .errors import Problem

TRAIN, VALID, ALL = "train", "valid", "all"


@dataclass
class Term:
    """One term of a declared loss. kind is "squared-error" or "poisson-nll" of outputs against targets, times weights; "action-square"; "latent-square"; or "custom", computed by
    Task.loss. reduction is "mean" over all elements, or "sum-time". horizon_epochs > 0 counts only the first ceil(T min(1, epoch / horizon_epochs)) bins, at least 1, in
    an epoch of training, counted from 0."""

    kind: str = "squared-error"
    scale: float = 1.0
    reduction: str = "mean"
    horizon_epochs: int = 0


@dataclass
class Loop:
    """A closed loop: what a model does is bounded to [low, high], where an infinity is no bound; the terms of the loss on outputs are on the loop's state."""

    actions: int
    state_size: int
    action_low: float = 0.0
    action_high: float = 1.0
    state_labels: Sequence[str] = ()
    feedback_delay: Mapping[str, float] = field(default_factory=dict)
    """Seconds, by modality."""
    recorded: Sequence[str] = ()
    """Names of further arrays that a step returns."""


@dataclass
class TaskSpec:
    """What a task's trials look like."""

    inputs: int
    outputs: int
    bins: int
    train_trials: int
    valid_trials: int
    loss: Sequence[Term] = (Term(),)
    bin_width: float = 0.0
    """dt in seconds; 0 where time has no unit."""
    input_labels: Sequence[str] = ()
    output_labels: Sequence[str] = ()
    input_units: Sequence[str] = ()
    output_units: Sequence[str] = ()
    condition_names: Sequence[str] = ()
    extra: Sequence[str] = ()
    """Names of the columns of the array "extra"."""
    extra_units: Sequence[str] = ()
    """Units of these: none, one for each, or one for all. Columns in "bin" are whole bins of the trial, from 0 (to bins, of what ends with it), or -1 for what does not happen: where a simulator leaves out bins
    before them, as trim says, they move with the rest. Columns in other units, or in none, are never changed."""
    fresh_noise: bool = False
    """Trials differ from pass to pass."""
    group_batches: bool = False
    loop: Optional[Loop] = None
    trim: Tuple[int, int] = (0, 0)
    """A simulator keeps the bins [trim[0], T + trim[1])."""
    simulation: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the parameters where spikes are simulated from the trials."""


@dataclass
class TrialRequest:
    """Which trials: the split "train", "valid" or "all", the epoch from 0, and the largest number of trials in a block, 0 where the task may choose."""

    split: str
    pass_: int = 0
    block_trials: int = 0


@dataclass
class ScoreRequest:
    """Which trials the outputs belong to."""

    split: str
    pass_: int = 0


@dataclass
class Score:
    """The judgement of each trial. success is 1 or 0 or a fraction; metrics are further quantities by name, units theirs."""

    trials: Any
    success: Any
    loss: Any
    condition: Optional[Any] = None
    condition_names: Sequence[str] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass
class EpisodeRequest:
    """What to run in closed loop. The trials may be a shard of a batch: what happens to a trial must not depend on which others are with it."""

    split: str
    pass_: int
    trials: Array
    seed: int
    """Of the noise in the loop."""
    float64: bool = False
    tape: bool = False
    """Keep what vjp needs."""
    horizon: int = 0
    """Bins to run; 0 for all."""
    noise_off: bool = False
    truncate: int = 0
    """Cut the cotangent of the environment's own state that vjp carries from step t to t - 1 where t is a multiple of it; 0 never."""


@dataclass
class Observation:
    """What comes back from a step: what the model sees next (B, inputs); what the loss is computed on (B, state_size), None before the first step; the arrays that Loop.recorded
    names, which may be left out before the first step and where there is a tape."""

    inputs: Any
    state: Optional[Any] = None
    recorded: Mapping[str, Any] = field(default_factory=dict)


class Episode:
    """A running batch of trials. State and tape stay in it. It is used by one thread at a time; steps come in order from t = 0."""

    def step(self, t: int, actions: Array) -> Observation:
        """Applies the actions (B, actions) of bin t. What it returns is for bin t + 1."""
        raise NotImplementedError

    def vjp(self, t: int, inputs: Optional[Array], state: Optional[Array]) -> Any:
        """Takes the cotangents of what step t returned, None for zero, and returns that of its actions. It is called from the last step down."""
        raise NotImplementedError

    def drop_tape(self, before: int) -> None:
        """Forgets what vjp needs of the steps before one."""

    def end(self) -> None:
        """Frees the episode."""


class Task(Component):
    """A task. spec, trials and score are needed; begin makes it a closed-loop task, loss gives it a loss that cannot be declared. Methods may be called from several threads."""

    kind: ClassVar[str] = "task"

    def __init__(self, params: Any, env: Env) -> None:
        self.params, self.env = params, env

    @classmethod
    def check(cls, params: Any) -> List[Problem]:
        """What is wrong with parameters beyond what each one's range says. Paths are the parameters' names."""
        return []

    @classmethod
    def memory(cls, params: Any, threads: int) -> Optional[Memory]:
        """An estimate of what an instance takes; None where it is not known."""
        return None

    def spec(self) -> TaskSpec:
        raise NotImplementedError

    def trials(self, request: TrialRequest) -> Blocks:
        """Yields the trials of a split in blocks with the arrays "inputs", "targets" and "conds", and where there are any "true_inputs", "weights", "extra", "lengths",
        "inputs_to_env"."""
        raise NotImplementedError

    def score(self, request: ScoreRequest, outputs: Blocks) -> Score:
        """Judges a model's outputs, in blocks with an array "outputs" (B, T, outputs), in closed loop also with "controlled" and what the loop records."""
        raise NotImplementedError

    def loss(self, request: ScoreRequest, trials: Array, outputs: Array) -> Tuple[float, Any]:
        """The mean loss of a batch and the cotangent of its outputs (B, T, outputs), for a term of kind "custom"; in closed loop outputs are the loop's state (B, T, state_size)."""
        raise NotImplementedError

    def begin(self, request: EpisodeRequest) -> Tuple[Episode, Observation]:
        """Starts trials in closed loop and returns the first observation."""
        raise NotImplementedError

    @classmethod
    def capabilities(cls) -> List[str]:
        out = super().capabilities()
        if overrides(cls, Task, "begin"):
            out.append("closed-loop")
        if overrides(cls, Task, "loss"):
            out.append("custom-loss")
        return out

    def numbers(self, split: str) -> Sequence[int]:
        """The numbers of a split's trials: the first train_trials of the spec are those for training. Override it where they are others; calls that name others are refused."""
        spec = self.spec()
        whole = spec.train_trials + spec.valid_trials
        return {"train": range(spec.train_trials), "valid": range(spec.train_trials, whole)}.get(split, range(whole))
