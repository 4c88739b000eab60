"""The examples in JAX, each against an independent reckoning."""

import os
import sys
import tempfile
import threading
import unittest

import numpy as np

import ctdb_sdk as ctdb
from ctdb_sdk import _messages as m
from ctdb_sdk.testing import Host

PLUGIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples", "jax", "ctdb-plugin-jax")
DATA = ctdb.DataSpec(neurons=6, held_in=4, inputs=2, bins=15, bin_width=0.01, train_trials=40, valid_trials=10)
SAE = {"latent": 5, "encoder": 7, "epochs": 6, "batch_size": 16}


def recorded():
    rng = np.random.default_rng(0)

    def block(first, n):
        rates = 0.5 + 0.4 * np.sin(np.arange(DATA.bins) / 2 + rng.uniform(0, 6, (n, 1)))
        counts = rng.poisson(rates[:, :, None], (n, DATA.bins, DATA.neurons)).astype(float)
        return ctdb.Block(np.arange(first, first + n), {"encod_data": counts[:, :, : DATA.held_in], "recon_data": counts, "inputs": rng.standard_normal((n, DATA.bins, 2))})

    return {"train": [block(0, 24), block(24, 16)], "valid": [block(40, 10)]}


def central(f, x, h=1e-5):
    """Central differences (rows of x apart) of f (B, N) by x (B, M): (B, N, M)."""
    out = []
    for j in range(x.shape[1]):
        d = np.zeros_like(x)
        d[:, j] = h
        out.append((np.asarray(f(x + d)) - np.asarray(f(x - d))) / (2 * h))
    return np.stack(out, -1)


class Jax(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host(PLUGIN)

    @classmethod
    def tearDownClass(cls):
        cls.host.close()

    def test_autoencoder_learns_and_goes_on(self):
        data = recorded()
        values = {**SAE, "epochs": 40}
        model = self.host.open_model("model/jax-sae", values, seed=1, data=DATA)
        result = model.train(data=data)
        curve = [e.metric.value for e in model.events if e.WhichOneof("event") == "metric" and e.metric.name == "train/loss"]
        self.assertEqual((result.epochs, result.steps, len(curve), result.stopped), (40, 80, 40, "epochs"))
        self.assertLess(curve[-1], curve[0])
        weights = model.save()
        # Drained in the middle, and taken up again in another instance: the same bytes.
        with tempfile.TemporaryDirectory() as dir, Host(PLUGIN) as other:
            first = other.open_model("model/jax-sae", values, seed=1, data=DATA, dir=dir)
            begun = threading.Event()
            first.events = type("Events", (list,), {"append": lambda _, e: begun.set()})()
            request = m.plugin.DrainRequest()
            draining = threading.Thread(target=lambda: begun.wait(60) and other.rpc("Drain", request))
            draining.start()
            with self.assertRaisesRegex(ctdb.Unavailable, "coming to its end"):
                first.train(data=data)
            draining.join(60)
            self.assertEqual(os.listdir(dir), ["checkpoint.safetensors"])
            with Host(PLUGIN) as again:
                second = again.open_model("model/jax-sae", values, seed=1, data=DATA, dir=dir)
                second.train(data=data)
                self.assertTrue(any("goes on from epoch" in line for line in again.stderr))
                taken_up = second.save()
            self.assertEqual(list(weights), list(taken_up))
            for name in weights:
                np.testing.assert_array_equal(weights[name], taken_up[name], name)

    def test_dynamics(self):
        model = self.host.open_model("model/jax-sae", SAE, seed=2, data=DATA)
        d = model.dynamics()
        rng = np.random.default_rng(3)
        x, u, c = rng.standard_normal((4, 5)), rng.standard_normal((4, 2)), rng.standard_normal((4, 5))
        jx, ju = d.jacobians(x, u)
        self.assertEqual(jx.dtype, np.float64)
        np.testing.assert_allclose(jx, central(lambda x: d.step(x, u), x), atol=1e-8)
        np.testing.assert_allclose(ju, central(lambda u: d.step(x, u), u), atol=1e-8)
        vx, vu = d.vjp(x, u, c)
        np.testing.assert_allclose(vx, np.einsum("bij,bi->bj", jx, c), atol=1e-12)
        np.testing.assert_allclose(vu, np.einsum("bij,bi->bj", ju, c), atol=1e-12)
        dx, du = rng.standard_normal((4, 5)), rng.standard_normal((4, 2))
        np.testing.assert_allclose(d.jvp(x, u, dx, du), np.einsum("bij,bj->bi", jx, dx) + np.einsum("bij,bj->bi", ju, du), atol=1e-12)
        # Rolled out from its own initial states it is what rollout gives, and its rates are those.
        block = recorded()["valid"][0]
        out = next(model.rollout(ctdb.RolloutRequest(), [block]))
        z = d.initial_state(block)
        for t in range(DATA.bins):
            z = d.step(z, block["inputs"][:, t])
            np.testing.assert_allclose(z, out["latents"][:, t], atol=1e-5)
            np.testing.assert_allclose(d.observe(z, "rates"), out["rates"][:, t], rtol=1e-4)
        with self.assertRaises(ctdb.Unsupported):
            d.observe(z, "outputs")
        with self.assertRaisesRegex(ctdb.InvalidArgument, "state"):
            d.step(x[:, :3], u)

    def test_weights(self):
        a, b = (self.host.open_model("model/jax-sae", SAE, seed=s, data=DATA) for s in (1, 2))
        before = b.save()
        with self.assertRaises(ctdb.InvalidArgument) as caught:
            b.load({"readout.bias": np.zeros(3, np.float32), "other": np.zeros(1)})
        self.assertIn("readout.bias: has shape [3]: [6] is needed", str(caught.exception))
        self.assertEqual(len(caught.exception.problems), len(before) + 1)
        b.load(a.save())
        for name, w in a.save().items():
            np.testing.assert_array_equal(w, b.save()[name])

    def test_training_excludes_other_calls_and_cancelling_ends_it(self):
        model = self.host.open_model("model/jax-sae", {**SAE, "epochs": 100_000}, data=DATA)
        failed = []

        def train():
            try:
                model.train(data=recorded())
            except ctdb.Error as error:
                failed.append(error)

        training = threading.Thread(target=train)
        training.start()
        while not model.events and training.is_alive():
            training.join(0.05)
        with self.assertRaisesRegex(ctdb.InvalidArgument, "in training"):
            model.save()
        activity = self.host.rpc("Health", m.plugin.HealthRequest()).activities[0]
        self.assertEqual((activity.last.phase, activity.last.total), ("epoch", 100_000))
        self.host.close_instance(model.leased)
        training.join(30)
        self.assertFalse(training.is_alive())
        self.assertIsInstance(failed[0], ctdb.Unavailable)

    def test_network_in_closed_loop_over_a_lease(self):
        """The gradient through network and physics, taken of the training's first step, against differences of the loss."""
        # In this process, since it looks inside.
        sys.path.insert(0, os.path.dirname(PLUGIN))
        try:
            import jax

            jax.config.update("jax_enable_x64", True)
            from network import Network
            from network import Params as NetworkParams
            from pendulum import Params, Pendulum
        finally:
            sys.path.pop(0)
        task = Pendulum(Params(n_trials=10, n_bins=7, noise=0.0, torque=3.0), ctdb.Env(seed=0))
        net = Network(NetworkParams(hidden=4), ctdb.Env(seed=0), ctdb.Target(task=task.spec()))
        p = {k: v.astype(np.float64) for k, v in net.weights.items()}
        b = ctdb.joined(task.trials(ctdb.TrialRequest("train")))
        weights = np.ones((len(b), 7, 1))
        begin = task.begin
        task.begin = lambda r: begin(ctdb.EpisodeRequest(**{**vars(r), "float64": True}))
        loss = lambda p: float(net._closed(p, task, "train", 0, b.trials, b["targets"].astype(float), weights, False)[0])
        value, g = net._closed(p, task, "train", 0, b.trials, b["targets"].astype(float), weights, True)
        self.assertAlmostEqual(float(value), loss(p), places=12)
        rng = np.random.default_rng(0)
        for name in p:
            d = rng.standard_normal(p[name].shape)
            h = 1e-6
            up, down = ({**p, name: p[name] + s * h * d} for s in (1, -1))
            self.assertAlmostEqual((loss(up) - loss(down)) / (2 * h), float((np.asarray(g[name]) * d).sum()), delta=1e-7, msg=name)
        # And over the boundary, from one process to another: the same weights as in one, where the lease leads back to the plugin itself.
        values = {"n_trials": 10, "n_bins": 5}
        saved = []
        methods = [f"/ctdb.task.v1.TaskService/{n}" for n in ("Spec", "Trials", "Episode")]
        with Host(PLUGIN) as other:
            for owner in (self.host, other):
                task = owner.open_task("task/jax-pendulum", values)
                model = self.host.open_model("model/jax-gru", {"hidden": 4, "epochs": 2, "batch_size": 4}, task=task.spec())
                model.train(task=owner.lease(task._leased, methods))
                saved.append(model.save())
        for name in saved[0]:
            np.testing.assert_array_equal(saved[0][name], saved[1][name], name)


if __name__ == "__main__":
    unittest.main()
