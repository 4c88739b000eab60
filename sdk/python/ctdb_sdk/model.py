"""What a model is: it trains, on a task or on spikes, it rolls out over trials, and it may offer its dynamics.

An instance is opened for the sizes that it must fit; then it is trained or given weights, and then rolled out, saved and examined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, List, Mapping, Optional, Sequence, Tuple

from .arrays import Array, Arrays, Block, Blocks
from .component import Call, Component, Env, Memory, overrides
from .errors import Problem, Unsupported
from .task import Task, TaskSpec


@dataclass
class DataSpec:
    """What a data set looks like: the first held_in of its neurons are seen by the encoder, all are reconstructed."""

    neurons: int
    held_in: int
    inputs: int
    """Known external input channels, 0 for none."""
    bins: int
    bin_width: float
    train_trials: int
    valid_trials: int


@dataclass
class Target:
    """What a model must fit: a task or a data set; neither while that is not known yet."""

    task: Optional[TaskSpec] = None
    data: Optional[DataSpec] = None
    distant: bool = False
    """The task is in another process; known where memory is estimated."""


class DataSource:
    """The recorded trials of a data set, in blocks with "encod_data", "recon_data" and where there are any "inputs" and "lengths"."""

    def data(self, split: str) -> Blocks:
        """The trials of "train" or "valid", in order, as often as wanted."""
        raise NotImplementedError


@dataclass
class TrainRequest:
    """What to train on: exactly one of task and data."""

    task: Optional[Task] = None
    """In this process or another; Task's methods all work, begin where it is a closed-loop task."""
    data: Optional[DataSource] = None
    checkpoint_every: float = 0.0
    """Seconds between checkpoints; 0 takes none but the last."""
    max_time: float = 0.0
    """Seconds after which training ends early, counted from when the first trials are loaded; 0 sets no limit."""


@dataclass
class TrainResult:
    """Sums training up. steps and epochs count those before a resumption too."""

    steps: int
    epochs: int
    best_epoch: int = 0
    best_loss: float = math.nan
    kept_best: bool = False
    """The instance has the weights of the best epoch; else those of the last."""
    last_loss: float = math.nan
    stopped: str = "epochs"
    """"epochs", "early-stopping", "steps" or "time"."""
    last: Optional[Mapping[str, Any]] = None
    """The weights of the last epoch where kept_best."""


@dataclass
class RolloutRequest:
    """How to run: the noise's seed, whether there is any, the number of posterior samples (0: the posterior's mean), the closed-loop task to run in, and which arrays are wanted
    (none named: those that the model usually gives)."""

    seed: int = 0
    noise: bool = False
    samples: int = 0
    task: Optional[Task] = None
    split: str = ""
    pass_: int = 0
    want: Sequence[str] = ()

    def wants(self, name: str) -> bool:
        """Whether an array is to be returned that the model usually gives."""
        return not self.want or name in self.want


@dataclass
class Layout:
    """What a state is made of: its width, an input's, named parts in order, and what observe offers, e.g. {"latents": 64}."""

    size: int
    inputs: int
    segments: Sequence[Tuple[str, int]] = ()
    observable: Mapping[str, int] = field(default_factory=dict)
    bin_width: float = 0.0
    float64: bool = False


class Dynamics:
    """A model's step x' = F(x, u) without noise, with its derivatives, for a batch of states (B, state) and inputs (B, inputs), or None where the model has no inputs. Arrays are
    float64 where the layout says so. Methods may be called from several threads."""

    def layout(self) -> Layout:
        raise NotImplementedError

    def initial_state(self, trials: Block) -> Any:
        """The learned initial state (1, state), or those inferred for the trials (B, state)."""
        raise NotImplementedError

    def step(self, state: Array, input: Optional[Array]) -> Any:
        raise NotImplementedError

    def observe(self, state: Array, role: str) -> Any:
        """"latents", "rates" or "outputs" of states: (B, width)."""
        raise NotImplementedError

    def jvp(self, state: Array, input: Optional[Array], d_state: Array, d_input: Optional[Array]) -> Any:
        """J_state d_state + J_input d_input."""
        raise NotImplementedError

    def vjp(self, state: Array, input: Optional[Array], cotangent: Array) -> Tuple[Any, Optional[Any]]:
        """J_state^T c and J_input^T c."""
        raise NotImplementedError

    def jacobians(self, state: Array, input: Optional[Array]) -> Tuple[Any, Optional[Any]]:
        """dF/dstate (B, state, state), element [b, i, j] = dF_i / dx_j, and dF/dinput (B, state, inputs)."""
        raise NotImplementedError


class Model(Component):
    """A model. train, rollout, save and load are needed; dynamics where it has any. Nothing else is called while it trains; otherwise methods may be called from several threads."""

    kind: ClassVar[str] = "model"
    trains_on_task: ClassVar[bool] = False
    trains_on_data: ClassVar[bool] = False
    trains_closed_loop: ClassVar[bool] = False
    """Can be trained on a closed-loop task, and rolls out in one."""
    infers_inputs: ClassVar[bool] = False
    posterior_samples: ClassVar[bool] = False

    target: Target

    def __init__(self, params: Any, env: Env, target: Target) -> None:
        self.params, self.env, self.target = params, env, target

    @classmethod
    def check(cls, params: Any, target: Target) -> List[Problem]:
        """What is wrong with parameters beyond what each one's range says, or for the target. Paths are the parameters' names."""
        return []

    @classmethod
    def memory(cls, params: Any, target: Target, threads: int) -> Optional[Memory]:
        """An estimate of what an instance takes, training included; None where it is not known."""
        return None

    def train(self, request: TrainRequest, call: Call) -> TrainResult:
        """Trains from the present weights, or goes on from a checkpoint in its folder with the same result as if it had never stopped."""
        raise NotImplementedError

    def rollout(self, request: RolloutRequest, trials: Blocks) -> Blocks:
        """Yields a block for each that comes in, with the same trials: "latents", "outputs" or "rates", ... Blocks of a task-trained model have "inputs", those of a data-trained one
        "encod_data" and where there are any "inputs"."""
        raise NotImplementedError

    def dynamics(self) -> Dynamics:
        """The dynamics with the present weights."""
        raise Unsupported(f"{self.full_name()} offers no dynamics")

    def save(self) -> Mapping[str, Any]:
        """The weights by PyTorch's names, in its layout."""
        raise NotImplementedError

    def load(self, weights: Arrays) -> None:
        """Sets the weights; see check_weights. Where names or shapes differ nothing changes."""
        raise NotImplementedError

    @classmethod
    def capabilities(cls) -> List[str]:
        out = super().capabilities()
        for name in ("trains_on_task", "trains_on_data", "trains_closed_loop", "infers_inputs", "posterior_samples"):
            if getattr(cls, name):
                out.append(name.replace("_", "-"))
        if overrides(cls, Model, "dynamics"):
            out.append("dynamics")
        return out

    @classmethod
    def _mistakes(cls) -> List[str]:
        out = super()._mistakes()
        if not (cls.trains_on_task or cls.trains_on_data):
            out.append(f"{cls.__qualname__}: trains_on_task or trains_on_data, or both, must be True")
        return out


def check_weights(own: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raises InvalidArgument with all names and shapes of given that are not those of own."""
    from .errors import InvalidArgument

    problems = []
    for name, a in own.items():
        shape = list(getattr(a, "shape", ()))
        if name not in given:
            problems.append(Problem(name, f"is missing: shape {shape} is needed"))
        elif list(given[name].shape) != shape:
            problems.append(Problem(name, f"has shape {list(given[name].shape)}: {shape} is needed"))
    problems += [Problem(name, "no such weight", "weights are " + ", ".join(own)) for name in given if name not in own]
    if problems:
        raise InvalidArgument(problems)
