"""The example in PyTorch, where that is installed."""

import importlib.util
import os
import unittest

import numpy as np

import ctdb_sdk as ctdb
from ctdb_sdk.testing import Host
from test_jax import DATA, SAE, central, recorded

PLUGIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples", "torch", "ctdb-plugin-torch")


@unittest.skipUnless(importlib.util.find_spec("torch"), "make python-torch has PyTorch")
class Torch(unittest.TestCase):
    def test_learns(self):
        saved = []
        with Host(PLUGIN) as host:
            for _ in range(2):
                model = host.open_model("model/torch-sae", {**SAE, "epochs": 8}, seed=1, data=DATA)
                result = model.train(data=recorded())
                curve = [e.metric.value for e in model.events if e.WhichOneof("event") == "metric" and e.metric.name == "train/loss"]
                self.assertEqual((result.epochs, result.steps, len(curve)), (8, 16, 8))
                self.assertLess(curve[-1], curve[0])
                saved.append(model.save())
        for name in saved[0]:
            np.testing.assert_array_equal(saved[0][name], saved[1][name])

    def test_dynamics(self):
        with Host(PLUGIN) as host:
            model = host.open_model("model/torch-sae", SAE, seed=2, data=DATA)
            d = model.dynamics()
            rng = np.random.default_rng(3)
            x, u, c = rng.standard_normal((4, 5)), rng.standard_normal((4, 2)), rng.standard_normal((4, 5))
            jx, ju = d.jacobians(x, u)
            np.testing.assert_allclose(jx, central(lambda x: d.step(x, u), x), atol=1e-8)
            np.testing.assert_allclose(ju, central(lambda u: d.step(x, u), u), atol=1e-8)
            vx, vu = d.vjp(x, u, c)
            np.testing.assert_allclose(vx, np.einsum("bij,bi->bj", jx, c), atol=1e-12)
            np.testing.assert_allclose(vu, np.einsum("bij,bi->bj", ju, c), atol=1e-12)
            dx, du = rng.standard_normal((4, 5)), rng.standard_normal((4, 2))
            np.testing.assert_allclose(d.jvp(x, u, dx, du), np.einsum("bij,bj->bi", jx, dx) + np.einsum("bij,bj->bi", ju, du), atol=1e-12)
            np.testing.assert_allclose(d.jvp(x, u, dx, None), np.einsum("bij,bj->bi", jx, dx), atol=1e-12)
            block = recorded()["valid"][0]
            out = next(model.rollout(ctdb.RolloutRequest(), [block]))
            z = d.initial_state(block)
            for t in range(DATA.bins):
                z = d.step(z, block["inputs"][:, t])
                np.testing.assert_allclose(z, out["latents"][:, t], atol=1e-5)
                np.testing.assert_allclose(d.observe(z, "rates"), out["rates"][:, t], rtol=1e-4)


if __name__ == "__main__":
    unittest.main()
