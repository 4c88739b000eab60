import unittest

import ctdb_sdk as ctdb
from ctdb_sdk import _messages as m
from ctdb_sdk import _specs


class Specs(unittest.TestCase):
    def test_task(self):
        """What a task says of its trials is the same on the other side."""
        given = ctdb.TaskSpec(
            inputs=2, outputs=1, bins=9, train_trials=4, valid_trials=1, loss=[ctdb.Term("squared-error", 0.5, "sum-time", 3)], bin_width=0.01,
            input_labels=["a", "b"], input_units=["m"], output_labels=["c"], output_units=["N"], condition_names=["x"], extra=["go", "angle"], extra_units=["bin", "rad"], fresh_noise=True, group_batches=True,
            loop=ctdb.Loop(actions=1, state_size=2, state_labels=["x", "y"], feedback_delay={"vision": 0.05}, recorded=["q"]), trim=(4, -1), simulation={"mode": "simulation"},
        )
        message = m.plugin.TaskSpec.FromString(_specs.to_spec(given).SerializeToString())
        self.assertEqual(_specs.from_spec(message), given)
