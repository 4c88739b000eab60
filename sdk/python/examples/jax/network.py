"""A recurrent network that learns a task, in open or in closed loop."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import ctdb_sdk as ctdb
from ctdb_sdk import param
from training import StepDynamics, Weights, draw, fit, gru, gru_weights


@dataclass
class Params:
    hidden: int = param(64, min=1, max=2000, doc="units, whose states are the latents")
    epochs: int = param(100, min=1, unit="epoch", doc="epochs of training")
    batch_size: int = param(64, min=1, unit="trial", doc="trials of a batch")
    lr: float = param(3e-3, above=0, doc="learning rate of Adam")
    clip: float = param(1.0, above=0, doc="largest norm of a gradient")


def cell(p, h, x):
    """The next state, and the output that is read from it."""
    h = gru(p, "cell", x, h)
    return h, h @ p["readout.weight"].T + p["readout.bias"]


@jax.jit
def cell_vjp(p, h, x, ch, cy):
    return jax.vjp(cell, p, h, x)[1]((ch, cy))


def run(p, inputs):
    """Latents and outputs (B, T, .) of inputs (B, T, I)."""
    h = jnp.broadcast_to(p["initial"], (inputs.shape[0], p["initial"].shape[0]))
    step = lambda h, x: (lambda n: (n[0], n))(cell(p, h, x))
    _, (h, y) = jax.lax.scan(step, h, jnp.swapaxes(inputs, 0, 1))
    return jnp.swapaxes(h, 0, 1), jnp.swapaxes(y, 0, 1)


class Network(Weights, ctdb.Model):
    """GRU in JAX with a linear readout, trained by gradients through time, in closed loop through the task's own."""

    name = "jax-gru"
    version = "1.0.0"
    trains_on_task = True
    trains_closed_loop = True
    deterministic = True
    Params = Params

    def __init__(self, params, env, target):
        super().__init__(params, env, target)
        self.spec = target.task
        if self.spec is None:
            raise ctdb.invalid("target", "this network is trained on a task")
        rng = ctdb.random.stream(env.seed, "weights")
        hidden, outputs = params.hidden, self.spec.outputs
        self.weights = {
            **gru_weights(rng, "cell", self.spec.inputs, hidden), "initial": np.zeros(hidden, np.float32),
            **draw(rng, readout__weight=((outputs, hidden), hidden), readout__bias=((outputs,), hidden)),
        }
        self._run, self._cell = jax.jit(run), jax.jit(cell)
        self._judge = jax.jit(jax.value_and_grad(self._loss, (0, 1, 2)), static_argnums=(5,))
        self._gradient = jax.jit(jax.value_and_grad(lambda p, x, targets, weights, bins: self._open(p, x, targets, weights, bins)), static_argnums=(4,))

    @classmethod
    def check(cls, params, target):
        if target.data is not None:
            return [ctdb.Problem("target", "this network is trained on a task")]
        if target.task is not None:
            known = ("squared-error", "action-square", "latent-square")
            return [
                ctdb.Problem(f"task.loss[{i}].kind", f"{t.kind}: this network knows {', '.join(known)}") for i, t in enumerate(target.task.loss) if t.kind not in known
            ]
        return []

    def _loss(self, judged, actions, latents, targets, weights, bins):
        """The declared loss of what is judged (B, T, .), the outputs or in closed loop the loop's state; `bins` count for terms with a horizon."""
        total = 0.0
        for t in self.spec.loss:
            last = bins if t.horizon_epochs else judged.shape[1]
            if t.kind == "squared-error":
                e = (weights * (judged - targets) ** 2)[:, :last]
            elif t.kind == "action-square":
                e = (actions**2)[:, :last]
            else:
                e = (latents**2 * (weights.max(2, keepdims=True) > 0))[:, :last]
            total += t.scale * (e.mean() if t.reduction == "mean" else e.sum(1).mean())
        return total

    def _open(self, p, x, targets, weights, bins):
        h, y = run(p, x)
        return self._loss(y, y, h, targets, weights, bins)

    def _bins(self, epoch):
        """How many bins count in an epoch for a term with a horizon."""
        horizon = max(t.horizon_epochs for t in self.spec.loss)
        return max(1, int(np.ceil(self.spec.bins * min(1, (epoch + 1) / horizon)))) if horizon else self.spec.bins

    def _closed(self, p, task, split, epoch, numbers, targets, weights, gradient):
        """Loss, and gradient where it is wanted, of trials that run in the task's loop."""
        asked = ctdb.EpisodeRequest(split, epoch, numbers, seed=self.env.seed, tape=gradient)
        episode, seen = task.begin(asked)
        try:
            h = jnp.broadcast_to(p["initial"], (len(numbers), self.params.hidden))
            tape, actions, states, latents = [], [], [], []
            for t in range(self.spec.bins):
                before, x = h, jnp.asarray(seen.inputs)
                h, y = self._cell(p, h, x)
                seen = episode.step(t, y)
                tape.append((before, x))
                actions.append(y)
                latents.append(h)
                states.append(seen.state)
            value, (c_states, c_actions, c_latents) = self._judge(
                jnp.stack(states, 1), jnp.stack(actions, 1), jnp.stack(latents, 1), targets, weights, self._bins(epoch)
            )
            if not gradient:
                return value, None
            c_states = np.asarray(c_states)
            total, ch, cx = {k: jnp.zeros_like(v) for k, v in p.items()}, jnp.zeros_like(h), None
            for t in reversed(range(self.spec.bins)):
                cy = c_actions[:, t] + episode.vjp(t, None if cx is None else np.asarray(cx), c_states[:, t])
                d, ch, cx = cell_vjp(p, *tape[t], ch + c_latents[:, t], cy)
                total = jax.tree.map(jnp.add, total, d)
            total["initial"] = total["initial"] + ch.sum(0)
            return value, total
        finally:
            episode.end()

    def train(self, request, call):
        task, loop = request.task, self.spec.loop is not None
        data = {}

        def arrays(split, pass_):
            """Trials of a pass; where they are the same in all, of the first."""
            pass_ = pass_ if self.spec.fresh_noise else 0
            if data.get(split, (None, None))[0] != pass_:
                b = ctdb.joined(task.trials(ctdb.TrialRequest(split, pass_)))
                weights = b["weights"] if "weights" in b else np.ones(b["targets"].shape[:2] + (1,), np.float32)
                data[split] = (pass_, (b.trials, b["inputs"] if not loop else None, b["targets"].astype(np.float32), weights.astype(np.float32)))
            return data[split][1]

        def batch(p, split, rows, epoch, gradient):
            numbers, inputs, targets, weights = arrays(split, epoch)
            if loop:
                return self._closed(p, task, split, epoch, numbers[rows], targets[rows], weights[rows], gradient)
            given = (p, inputs[rows], targets[rows], weights[rows], self._bins(epoch))
            return self._gradient(*given)

        def validate(p, epoch):
            return float(batch(p, "valid", np.arange(len(arrays("valid", epoch)[0])), epoch, False)[0])

        return fit(self, call, request, arrays("train", 0)[0], lambda p, rows, epoch: batch(p, "train", rows, epoch, True), validate)

    def rollout(self, request, trials):
        for block in trials:
            made = self._in_loop(request, block) if request.task is not None else self._in_open(block)
            made["state"] = made["latents"]
            names = request.want or [n for n in made if n != "state"]
            yield ctdb.Block(block.trials, {name: np.asarray(made[name]) for name in names if name in made})

    def _in_open(self, block):
        latents, outputs = self._run(self.weights, block["inputs"].astype(np.float32))
        return {"latents": latents, "outputs": outputs}

    def _in_loop(self, request, block):
        loop = self.spec.loop
        asked = ctdb.EpisodeRequest(request.split, request.pass_, block.trials, seed=request.seed, noise_off=not request.noise)
        episode, seen = request.task.begin(asked)
        h = jnp.broadcast_to(self.weights["initial"], (len(block), self.params.hidden))
        made = {}
        for t in range(self.spec.bins):
            x = np.array(seen.inputs)
            h, y = self._cell(self.weights, h, x)
            seen = episode.step(t, y)
            bin = {"latents": h, "outputs": y, "actions": np.clip(y, loop.action_low, loop.action_high), "seen_inputs": x, "controlled": np.array(seen.state)}
            for name, a in {**bin, **{name: np.array(a) for name, a in seen.recorded.items()}}.items():
                made.setdefault(name, []).append(a)
        episode.end()
        return {name: np.stack(values, 1) for name, values in made.items()}

    def dynamics(self):
        n, s = self.params.hidden, self.spec
        return StepDynamics(
            self.weights, lambda p, h, x: gru(p, "cell", x, h),
            {"latents": lambda p, h: h, "outputs": lambda p, h: p["readout.weight"] @ h + p["readout.bias"]},
            ctdb.Layout(size=n, inputs=s.inputs, observable={"latents": n, "outputs": s.outputs}, bin_width=s.bin_width, float64=True), lambda p, trials: p["initial"][None],
        )
