"""What the models of this plugin share: a GRU in PyTorch's convention, Adam, and a loop over epochs that goes on from its checkpoint as if it had never stopped."""

import math
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

import ctdb_sdk as ctdb
from ctdb_sdk import safetensors

CHECKPOINT = "checkpoint.safetensors"


def gru(p, name, x, h):
    """One step of the cell p[name + ".*"]: inputs x (B, I), state h (B, H)."""
    gi = x @ p[name + ".weight_ih"].T + p[name + ".bias_ih"]
    gh = h @ p[name + ".weight_hh"].T + p[name + ".bias_hh"]
    (ir, iz, ic), (hr, hz, hc) = jnp.split(gi, 3, -1), jnp.split(gh, 3, -1)
    r, z = jax.nn.sigmoid(ir + hr), jax.nn.sigmoid(iz + hz)
    return (1 - z) * jnp.tanh(ic + r * hc) + z * h


def draw(rng, **shapes):
    """Weights drawn evenly within one over the root of the fan in, as PyTorch does; the fan in is the last number of a shape, biases are given with theirs."""
    out = {}
    for name, (shape, fan_in) in shapes.items():
        bound = 1 / math.sqrt(max(1, fan_in))
        out[name.replace("__", ".")] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return out


def gru_weights(rng, name, inputs, hidden):
    return draw(rng, **{
        name + "__weight_ih": ((3 * hidden, inputs), hidden), name + "__weight_hh": ((3 * hidden, hidden), hidden),
        name + "__bias_ih": ((3 * hidden,), hidden), name + "__bias_hh": ((3 * hidden,), hidden),
    })


@jax.jit
def adam(p, g, mean, square, step, rate, clip):
    """One step of Adam (Kingma & Ba 2015) with the gradient's norm clipped."""
    norm = jnp.sqrt(sum(jnp.sum(v * v) for v in g.values()))
    scale = jnp.minimum(1, clip / (norm + 1e-12))
    out = {}
    for k in p:
        d = g[k] * scale
        mean[k] = 0.9 * mean[k] + 0.1 * d
        square[k] = 0.999 * square[k] + 0.001 * d * d
        out[k] = p[k] - rate * (mean[k] / (1 - 0.9**step)) / (jnp.sqrt(square[k] / (1 - 0.999**step)) + 1e-8)
    return out, mean, square, norm


def fit(model, call, request, numbers, gradient, validate, before_epoch=lambda epoch: None):
    """Trains model.weights. gradient(p, rows, epoch) gives loss and gradient of a batch of the trials `numbers`, validate(p, epoch) the validation loss."""
    s = model.params
    p = {k: jnp.asarray(v) for k, v in model.weights.items()}
    mean, square = ({k: jnp.zeros_like(v) for k, v in p.items()} for _ in range(2))
    step, first, best, best_epoch, best_loss, last_loss = 0, 0, dict(p), 0, math.inf, math.nan
    path = os.path.join(model.env.dir, CHECKPOINT) if model.env.dir else ""
    if path and os.path.exists(path):
        with open(path, "rb") as f:
            kept, about = safetensors.read(f)
        p, mean, square, best = ({k: jnp.asarray(kept[f"{part}/{k}"]) for k in p} for part in ("now", "mean", "square", "best"))
        step, first, best_epoch = (int(about[k]) for k in ("step", "epoch", "best_epoch"))
        best_loss, last_loss = float(about["best_loss"]), float(about["last_loss"])
        call.log.info("goes on from epoch %d", first)
    started = saved = time.monotonic()

    def keep(epoch):
        parts = {"now": p, "mean": mean, "square": square, "best": best}
        arrays = {f"{part}/{k}": v for part, values in parts.items() for k, v in values.items()}
        about = {"step": step, "epoch": epoch, "best_epoch": best_epoch, "best_loss": repr(best_loss), "last_loss": repr(last_loss)}
        call.checkpoint(CHECKPOINT, lambda f: safetensors.write(f, arrays, {k: str(v) for k, v in about.items()}), step=step)

    stopped, epoch = "epochs", first
    while epoch < s.epochs:
        before_epoch(epoch)
        order = ctdb.random.stream(model.env.seed, "order", epoch).permutation(len(numbers))
        total = 0.0
        batches = np.array_split(order, max(1, round(len(order) / s.batch_size)))
        for i, rows in enumerate(batches):
            call.check()
            loss, g = gradient(p, np.sort(rows), epoch)
            step += 1
            p, mean, square, norm = adam(p, g, mean, square, step, s.lr, s.clip)
            if not (math.isfinite(float(loss)) and math.isfinite(float(norm))):
                raise ctdb.Diverged(step - 1, "loss", float(loss), "try a lower learning rate (lr)")
            total += float(loss) * len(rows)
            call.progress("epoch", epoch, s.epochs, float(loss))
        last_loss = total / len(order)
        valid = validate(p, epoch)
        call.metric("train/loss", last_loss, step - 1, epoch)
        call.metric("valid/loss", valid, step - 1, epoch)
        if valid < best_loss:
            best, best_epoch, best_loss = dict(p), epoch, valid
        epoch += 1
        call.progress("epoch", epoch, s.epochs, last_loss)
        now = time.monotonic()
        if call.draining:
            keep(epoch)
            call.stop()
        if request.checkpoint_every and now - saved >= request.checkpoint_every:
            keep(epoch)
            saved = now
        if request.max_time and now - started >= request.max_time:
            stopped = "time"
            break
    keep(epoch)
    model.weights = {k: np.asarray(v) for k, v in best.items()}
    return ctdb.TrainResult(
        steps=step, epochs=epoch, best_epoch=best_epoch, best_loss=best_loss, kept_best=True, last_loss=last_loss, stopped=stopped,
        last={k: np.asarray(v) for k, v in p.items()},
    )


class StepDynamics(ctdb.Dynamics):
    """Dynamics of a step function f(p, state, input) for one state, all derivatives by JAX, in float64."""

    def __init__(self, weights, step, observables, layout, initial):
        self.p = {k: jnp.asarray(v, jnp.float64) for k, v in weights.items()}
        self._layout, self._initial = layout, initial
        f = lambda x, u: step(self.p, x, u)
        self._step = jax.jit(jax.vmap(f))
        self._jvp = jax.jit(jax.vmap(lambda x, u, dx, du: jax.jvp(f, (x, u), (dx, du))[1]))
        self._vjp = jax.jit(jax.vmap(lambda x, u, c: jax.vjp(f, x, u)[1](c)))
        self._jacobians = jax.jit(jax.vmap(jax.jacrev(f, (0, 1))))
        self._observe = {role: jax.jit(jax.vmap(lambda x, g=g: g(self.p, x))) for role, g in observables.items()}

    def layout(self):
        return self._layout

    def initial_state(self, trials):
        return np.asarray(self._initial(self.p, trials), np.float64)

    def _given(self, state, *others):
        """Arrays of float64; an input that is absent has no columns, or is zero."""
        state = np.asarray(state, np.float64)
        if state.shape[1] != self._layout.size:
            raise ctdb.invalid("state", f"{state.shape[1]} columns: {self._layout.size} are needed")
        out = [state]
        for name, width, a in others:
            a = np.zeros((len(state), width)) if a is None else np.asarray(a, np.float64)
            if a.shape[1] != width:
                raise ctdb.invalid(name, f"{a.shape[1]} columns: {width} are needed")
            out.append(a)
        return out

    def step(self, state, input):
        return self._step(*self._given(state, ("input", self._layout.inputs, input)))

    def observe(self, state, role):
        if role not in self._observe:
            raise ctdb.Unsupported(f"role {role}: {', '.join(self._observe)} can be observed")
        return self._observe[role](*self._given(state))

    def jvp(self, state, input, d_state, d_input):
        return self._jvp(*self._given(state, ("input", self._layout.inputs, input), ("d_state", self._layout.size, d_state), ("d_input", self._layout.inputs, d_input)))

    def vjp(self, state, input, cotangent):
        return self._vjp(*self._given(state, ("input", self._layout.inputs, input), ("cotangent", self._layout.size, cotangent)))

    def jacobians(self, state, input):
        return self._jacobians(*self._given(state, ("input", self._layout.inputs, input)))


class Weights:
    """save and load of a model whose weights are a dictionary."""

    weights: dict

    def save(self):
        return dict(sorted(self.weights.items()))

    def load(self, weights):
        ctdb.check_weights(self.weights, weights)
        self.weights = {k: np.asarray(weights[k], np.float32) for k in self.weights}
