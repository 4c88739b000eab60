"""A pendulum that a network swings, in closed loop, with gradients through its physics by JAX."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import ctdb_sdk as ctdb
from ctdb_sdk import param


@dataclass
class Params:
    n_trials: int = param(200, min=10, unit="trial", doc="number of trials, of which a fifth is for validation")
    n_bins: int = param(40, min=2, max=10000, unit="bin", doc="bins of a trial")
    dt: float = param(0.05, above=0, max=0.2, unit="s", doc="duration of a bin")
    torque: float = param(8.0, above=0, unit="N m", doc="strongest torque either way")
    damping: float = param(0.4, min=0, unit="N m s", doc="torque of friction at one radian a second")
    range: float = param(1.2, above=0, max=3.14, unit="rad", doc="angles of the start and the goal are drawn within it, from hanging down")
    noise: float = param(0.01, min=0, doc="standard deviation of the noise on what is seen, fresh in every pass")
    effort: float = param(1e-3, min=0, doc="weight of the squared actions in the loss")


def physics(s, state, actions):
    """Angle and velocity (B, 2) after a bin, by the semi-implicit Euler method; a mass of 1 kg on a rod of 1 m. Actions are bounded to [-1, 1]."""
    torque = s.torque * jnp.clip(actions[:, 0], -1, 1)
    angle, velocity = state[:, 0], state[:, 1]
    velocity = velocity + s.dt * (torque - 9.81 * jnp.sin(angle) - s.damping * velocity)
    return jnp.stack([angle + s.dt * velocity, velocity], 1)


class Pendulum(ctdb.Task):
    """Swing a pendulum to an angle that is shown, and hold it there, in closed loop."""

    name = "jax-pendulum"
    version = "1.0.0"
    deterministic = True
    Params = Params

    def __init__(self, params, env):
        super().__init__(params, env)
        f = partial(physics, params)
        self.forward = jax.jit(f)
        self.backward = jax.jit(lambda state, actions, c: jax.vjp(f, state, actions)[1](c))

    def spec(self):
        s = self.params
        terms = [ctdb.Term("squared-error")] + ([ctdb.Term("action-square", s.effort)] if s.effort else [])
        return ctdb.TaskSpec(
            inputs=3, outputs=1, bins=s.n_bins, bin_width=s.dt, train_trials=s.n_trials - s.n_trials // 5, valid_trials=s.n_trials // 5, loss=terms,
            input_labels=["goal", "angle", "velocity"], input_units=["rad", "rad", "rad/s"], output_labels=["torque"],
            loop=ctdb.Loop(actions=1, state_size=1, action_low=-1, action_high=1, state_labels=["angle"], recorded=["velocity"]),
            condition_names=["swing"],
        )

    def draws(self, numbers):
        """Start and goal (B, 2) in radians."""
        return np.array([ctdb.random.stream(self.env.seed, "angles", k).uniform(-1, 1, 2) for k in numbers]).reshape(-1, 2) * self.params.range

    def trials(self, request):
        for numbers in ctdb.in_blocks(self.numbers(request.split), request.block_trials):
            goals = self.draws(numbers)[:, 1].astype(np.float32)
            targets = np.broadcast_to(goals[:, None, None], (len(numbers), self.params.n_bins, 1))
            yield ctdb.Block(numbers, {"targets": targets, "conds": np.zeros(len(numbers), np.int64)})

    def begin(self, request):
        episode = Swing(self, request)
        return episode, episode.observe(0, None, {})

    def score(self, request, outputs):
        trials, success, loss, distance = [], [], [], []
        for block in outputs:
            error = block["controlled"][:, :, 0] - self.draws(block.trials)[:, 1:]
            trials += list(block.trials)
            success += list((np.abs(error[:, -1]) < 0.1).astype(float))
            loss += list((error**2).mean(1) + self.params.effort * (block["outputs"] ** 2).mean((1, 2)))
            distance += list(np.abs(error[:, -1]))
        return ctdb.Score(trials, success, loss, np.zeros(len(trials), np.int64), ["swing"], {"final_error": distance}, {"final_error": "rad"})


class Swing(ctdb.Episode):
    """Trials that run together. The tape is each step's state and actions; JAX goes back through the step."""

    def __init__(self, task, request):
        self.task, self.request = task, request
        self.dtype = np.float64 if request.float64 else np.float32
        drawn = task.draws(request.trials).astype(self.dtype)
        self.goal = drawn[:, 1:]
        self.state = np.concatenate([drawn[:, :1], np.zeros_like(self.goal)], 1)
        self.tape = {}
        self.carried = np.zeros_like(self.state)
        s = task.params
        self.noise = None
        if s.noise and not request.noise_off:
            draw = lambda k: ctdb.random.stream(request.seed, "noise", request.pass_, k).standard_normal((s.n_bins + 1, 2))
            self.noise = s.noise * np.array([draw(k) for k in request.trials]).reshape(-1, s.n_bins + 1, 2).astype(self.dtype)

    def observe(self, t, controlled, recorded):
        seen = self.state if self.noise is None else self.state + self.noise[:, t]
        return ctdb.Observation(np.concatenate([self.goal, seen], 1), controlled, recorded)

    def step(self, t, actions):
        if self.request.tape:
            self.tape[t] = (self.state, actions)
        self.state = np.asarray(self.task.forward(self.state, actions))
        return self.observe(t + 1, self.state[:, :1], {"velocity": self.state[:, 1:]})

    def vjp(self, t, inputs, state):
        c = self.carried
        if inputs is not None:
            c = c + inputs[:, 1:]
        if state is not None:
            c = c + np.concatenate([state, np.zeros_like(state)], 1)
        before, actions = self.tape.pop(t)
        carried, c_actions = (np.asarray(x) for x in self.task.backward(before, actions, c))
        cut = self.request.truncate and t % self.request.truncate == 0
        self.carried = np.zeros_like(carried) if cut else carried
        return c_actions

    def drop_tape(self, before):
        self.tape = {t: x for t, x in self.tape.items() if t >= before}
