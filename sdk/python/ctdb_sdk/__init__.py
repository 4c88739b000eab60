"""Components of computation-through-dynamics studies in Python: tasks, models, simulators and comparators that ctdb-host runs as a plugin.

    class Clicks(Task):
        ...

    if __name__ == "__main__":
        serve("my-plugin", "1.0.0", "what is in it", [Clicks])

See README.md for a plugin in fifteen minutes.
"""

from . import random, safetensors
from .arrays import Array, Arrays, Block, Blocks, in_blocks, joined
from .comparator import Comparator, Outcome, Reading, Result, Sizes, Subject
from .component import Call, Component, Env, Memory
from .errors import (
    Cancelled, Damaged, Diverged, Error, Internal, InvalidArgument, NotFound, Problem, Unavailable, Unsupported, WrongShape, invalid,
)
from .figures import Axis, Figure, Mark, Panel
from .model import DataSource, DataSpec, Dynamics, Layout, Model, RolloutRequest, Target, TrainRequest, TrainResult, check_weights
from .params import param
from .serving import serve
from .simulator import Simulator, SimulatorSpec, Source
from .task import Episode, EpisodeRequest, Loop, Observation, Score, ScoreRequest, Task, TaskSpec, Term, TrialRequest

__version__ = "0.1.0"

__all__ = [
    "Array", "Arrays", "Axis", "Block", "Blocks", "Call", "Cancelled", "Comparator", "Component", "Damaged", "DataSource", "DataSpec", "Diverged", "Dynamics", "Env",
    "Episode", "EpisodeRequest", "Error", "Figure", "Internal", "InvalidArgument", "Layout", "Loop", "Mark", "Memory", "Model", "NotFound", "Observation", "Outcome", "Panel",
    "Problem", "Reading", "Result", "RolloutRequest", "Score", "ScoreRequest", "Simulator", "SimulatorSpec", "Sizes", "Source", "Subject", "Target", "Task", "TaskSpec", "Term",
    "TrainRequest", "TrainResult", "TrialRequest", "Unavailable", "Unsupported", "WrongShape", "check_weights", "in_blocks", "invalid", "joined", "param", "random",
    "safetensors", "serve",
]
