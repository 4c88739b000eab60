"""A sequential autoencoder, fitted to spikes."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import ctdb_sdk as ctdb
from ctdb_sdk import param
from training import StepDynamics, Weights, draw, fit, gru, gru_weights


@dataclass
class Params:
    latent: int = param(16, min=1, max=2000, doc="units of the generator, whose states are the latents")
    encoder: int = param(32, min=1, max=2000, doc="units of the encoder")
    epochs: int = param(100, min=1, unit="epoch", doc="epochs of training")
    batch_size: int = param(64, min=1, unit="trial", doc="trials of a batch")
    lr: float = param(5e-3, above=0, doc="learning rate of Adam")
    clip: float = param(5.0, above=0, doc="largest norm of a gradient")


def run(p, spikes, inputs):
    """Latents (B, T, L) and log rates (B, T, N) of spikes (B, T, K) and inputs (B, T, I). The encoder reads the trial backwards, so that it ends where the generator begins."""
    batch = spikes.shape[0]
    zero = jnp.zeros((batch, p["encoder.weight_hh"].shape[1]), spikes.dtype)
    code, _ = jax.lax.scan(lambda h, x: (gru(p, "encoder", x, h), None), zero, jnp.swapaxes(spikes, 0, 1)[::-1])
    first = jnp.tanh(code @ p["initial.weight"].T + p["initial.bias"])

    def step(z, u):
        z = gru(p, "generator", u, z)
        return z, z

    _, latents = jax.lax.scan(step, first, jnp.swapaxes(inputs, 0, 1))
    latents = jnp.swapaxes(latents, 0, 1)
    return latents, latents @ p["readout.weight"].T + p["readout.bias"]


def loss(p, spikes, inputs, counts, weights):
    """Poisson likelihood, the mean over bins and neurons that count."""
    _, log_rates = run(p, spikes, inputs)
    log_rates = jnp.clip(log_rates, -15, 8)
    return jnp.sum(weights[:, :, None] * (jnp.exp(log_rates) - counts * log_rates)) / (jnp.sum(weights) * counts.shape[2])


class Autoencoder(Weights, ctdb.Model):
    """Sequential autoencoder in JAX: a GRU reads the spikes, another generates latents and rates; fitted by the spikes' Poisson likelihood."""

    name = "jax-sae"
    version = "1.0.0"
    source = "after Pandarinath et al. 2018"
    trains_on_data = True
    deterministic = True
    Params = Params

    def __init__(self, params, env, target):
        super().__init__(params, env, target)
        d = target.data
        if d is None:
            raise ctdb.invalid("target", "an autoencoder is fitted to data")
        rng = ctdb.random.stream(env.seed, "weights")
        self.weights = {
            **gru_weights(rng, "encoder", d.held_in, params.encoder), **gru_weights(rng, "generator", d.inputs, params.latent),
            **draw(rng, **{
                "initial__weight": ((params.latent, params.encoder), params.encoder), "initial__bias": ((params.latent,), params.encoder),
                "readout__weight": ((d.neurons, params.latent), params.latent), "readout__bias": ((d.neurons,), params.latent),
            }),
        }
        self._run, self._loss = jax.jit(run), jax.jit(loss)
        self._gradient = jax.jit(jax.value_and_grad(loss))

    @classmethod
    def check(cls, params, target):
        if target.task is not None:
            return [ctdb.Problem("target", "an autoencoder is fitted to data")]
        return []

    @classmethod
    def memory(cls, params, target, threads):
        d = target.data
        if d is None:
            return None
        data = 4 * d.bins * (d.train_trials + d.valid_trials) * (d.neurons + d.held_in + d.inputs)
        return ctdb.Memory(300 << 20 | 4 * d.bins * params.batch_size * 12 * (params.latent + params.encoder) + 2 * data, ["latent", "encoder", "batch_size"])

    def _arrays(self, block):
        """Spikes, inputs, counts and weights of a block, in float32."""
        spikes = block["encod_data"].astype(np.float32)
        batch, bins = spikes.shape[:2]
        inputs = block["inputs"].astype(np.float32) if self.target.data.inputs else np.zeros((batch, bins, 0), np.float32)
        counts = block["recon_data"].astype(np.float32) if "recon_data" in block else np.zeros((batch, bins, 0), np.float32)
        lengths = block["lengths"] if "lengths" in block else np.full(batch, bins)
        return spikes, inputs, counts, (np.arange(bins) < lengths[:, None]).astype(np.float32)

    def train(self, request, call):
        train, valid = (self._arrays(ctdb.joined(request.data.data(split))) for split in ("train", "valid"))
        # The mean rate is a good place to begin.
        self.weights["readout.bias"] = np.log(train[2].mean((0, 1)) + 1e-3).astype(np.float32)
        return fit(
            self, call, request, np.arange(len(train[0])),
            lambda p, rows, epoch: self._gradient(p, *(a[rows] for a in train)), lambda p, epoch: float(self._loss(p, *valid)),
        )

    def rollout(self, request, trials):
        for block in trials:
            spikes, inputs, _, _ = self._arrays(block)
            latents, log_rates = self._run(self.weights, spikes, inputs)
            made = {"latents": np.asarray(latents), "rates": np.exp(np.asarray(log_rates)), "state": np.asarray(latents)}
            names = request.want or ("latents", "rates")
            yield ctdb.Block(block.trials, {name: made[name] for name in names if name in made})

    def dynamics(self):
        n, inputs = self.params.latent, self.target.data.inputs

        def initial(p, trials):
            if not len(trials):
                raise ctdb.invalid("trials", "the initial state is inferred from trials: a block of them is needed")
            spikes = jnp.asarray(trials["encod_data"], jnp.float64)
            zero = jnp.zeros((len(trials), self.params.encoder), jnp.float64)
            code, _ = jax.lax.scan(lambda h, x: (gru(p, "encoder", x, h), None), zero, jnp.swapaxes(spikes, 0, 1)[::-1])
            return jnp.tanh(code @ p["initial.weight"].T + p["initial.bias"])

        return StepDynamics(
            self.weights, lambda p, z, u: gru(p, "generator", u, z),
            {"latents": lambda p, z: z, "rates": lambda p, z: jnp.exp(p["readout.weight"] @ z + p["readout.bias"])},
            ctdb.Layout(size=n, inputs=inputs, observable={"latents": n, "rates": self.target.data.neurons}, bin_width=self.target.data.bin_width, float64=True), initial,
        )
