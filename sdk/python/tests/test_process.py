"""The process: handshake, noise, log, lifeline, tokens, errors, cancellation, drain."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

import grpc
import numpy as np

import ctdb_sdk as ctdb
from ctdb_sdk import _messages as m
from ctdb_sdk._guard import INSTANCE, TOKEN
from ctdb_sdk.testing import Host

EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples")

NOISY = """\
#!/usr/bin/env python3
import os, sys, threading, time
print("before anything else")
import numpy as np
import ctdb_sdk as ctdb

class Noisy(ctdb.Task):
    "Prints, and fails as it is told."
    name = "noisy"

    def spec(self):
        print("printed")
        os.write(1, b"written\\n")
        os.system("echo from a child")
        self.env.log.info("logged %d", 3, extra={"fields": {"trials": 6}})
        return ctdb.TaskSpec(inputs=1, outputs=1, bins=2, train_trials=4, valid_trials=2)

    def trials(self, request):
        if request.pass_ == 1:
            raise ZeroDivisionError("one")
        if request.pass_ == 2:
            raise ctdb.Diverged(5, "loss", float("nan"), "wait")
        if request.pass_ == 3:
            while True:  # a loop that yields is cancelled between two blocks
                yield ctdb.Block([0], {"inputs": np.zeros((1, 2, 1))})
        if request.pass_ == 4:
            yield ctdb.Block([0, 1], {"inputs": np.zeros((1, 2, 1))})
        yield ctdb.Block([0], {"inputs": np.zeros((1, 2, 1))})

    def score(self, request, outputs):
        print("scoring", file=sys.stderr)
        time.sleep(0.01)
        for block in outputs:
            pass
        return ctdb.Score([0], [1.0], [0.5], metrics={"speed": [3.0]}, units={"speed": "m/s"})

class Looped(ctdb.Task):
    "A closed loop whose loss is its own."
    name = "looped"

    def spec(self):
        return ctdb.TaskSpec(inputs=1, outputs=2, bins=3, train_trials=4, valid_trials=2, loss=[ctdb.Term("custom")], loop=ctdb.Loop(actions=2, state_size=5))

    def trials(self, request):
        yield ctdb.Block([0], {"targets": np.zeros((1, 3, 5))})

    def score(self, request, outputs):
        raise NotImplementedError

    def begin(self, request):
        raise NotImplementedError

    def loss(self, request, trials, outputs):
        return float(np.sum(outputs)), np.ones_like(outputs)

class Keeper(ctdb.Comparator):
    "Keeps what it has so far."
    name = "keeper"

    def compare(self, subjects, call):
        call.checkpoint("half", lambda f: f.write(b"half of it"))
        return ctdb.Outcome()

if __name__ == "__main__":
    ctdb.serve("noisy", "1.2.3", "noise", [Noisy, Looped, Keeper])
"""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Process(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.script = os.path.join(cls.folder.name, "ctdb-plugin-noisy")
        with open(cls.script, "w") as f:
            f.write(NOISY)
        os.chmod(cls.script, 0o755)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def quiet(self, **more):
        """A host of the plugin without the line that it prints too early."""
        path = os.path.join(self.folder.name, "ctdb-plugin-quiet")
        with open(path, "w") as f:
            f.write(NOISY.replace('print("before anything else")\n', ""))
        return Host(path, **more)

    def test_noise_is_not_on_standard_output(self):
        with self.quiet() as host:
            host.open_task("task/noisy").spec()
            manifest = host.describe()
            self.assertEqual((manifest.name, manifest.version, manifest.protocol, manifest.components[0].name), ("noisy", "1.2.3", 1, "task/noisy"))
            self.assertIn("environment", manifest.numerics)
        self.assertEqual(host.stdout, [])
        self.assertEqual(host.process.returncode, 0)
        for text in ("printed\n", "written\n", "from a child\n"):
            self.assertIn(text, host.stderr)
        logged = [json.loads(line) for line in host.stderr if line.startswith("{")]
        self.assertEqual([(l["@level"], l["@message"], l["@module"], l["component"], l["trials"]) for l in logged], [("info", "logged 3", "noisy", "task/noisy", 6)])

    def test_errors_are_typed_and_the_process_lives_on(self):
        with self.quiet() as host:
            task = host.open_task("task/noisy")
            with self.assertRaisesRegex(ctdb.Internal, "task/noisy: ZeroDivisionError: one"):
                next(task.trials(ctdb.TrialRequest("train", 1)))
            with self.assertRaises(ctdb.Diverged) as caught:
                next(task.trials(ctdb.TrialRequest("train", 2)))
            self.assertEqual((caught.exception.step, caught.exception.hint), (5, "wait"))
            with self.assertRaises(ctdb.WrongShape):
                next(task.trials(ctdb.TrialRequest("train", 4)))
            with self.assertRaisesRegex(ctdb.NotFound, 'did you mean "task/noisy"'):
                host.open_task("task/nosy")
            with self.assertRaisesRegex(ctdb.InvalidArgument, "params.x: no such parameter"):
                host.open_task("task/noisy", {"x": 1})
            self.assertEqual([p.path for p in host.validate("task/noisy", {"x": 1})], ["params.x"])
            with self.assertRaises(ctdb.InvalidArgument):
                host.open("task/noisy", dir="relative")
            score = task.score(ctdb.ScoreRequest("train"), iter([ctdb.Block([0], {"outputs": np.zeros((1, 2, 1))})]))
            self.assertEqual((score.metrics["speed"][0], score.units), (3.0, {"speed": "m/s"}))
            # What goes wrong in making what is sent is told as it was, and is not the other side's.
            for error in (ctdb.Diverged(7, "rates", float("inf"), ""), KeyError("outputs")):

                def outputs():
                    yield ctdb.Block([0], {"outputs": np.zeros((1, 2, 1))})
                    raise error

                with self.assertRaises(type(error)) as caught:
                    task.score(ctdb.ScoreRequest("train"), outputs())
                self.assertIs(caught.exception, error)
            with self.assertRaisesRegex(ctdb.Unsupported, "not a closed-loop task"):
                task._leased.capabilities.add("closed-loop")
                task.begin(ctdb.EpisodeRequest("train", 0, np.arange(1), 0))
        self.assertTrue(any("ZeroDivisionError" in line and json.loads(line)["component"] == "task/noisy" for line in host.stderr if line.startswith("{")))

    def test_loss_of_a_closed_loop_is_on_its_state(self):
        with self.quiet() as host:
            task = host.open_task("task/looped")
            value, cotangent = task.loss(ctdb.ScoreRequest("train"), np.arange(2), np.ones((2, 3, 5), np.float32))
            self.assertEqual((value, cotangent.shape), (30.0, (2, 3, 5)))
            with self.assertRaisesRegex(ctdb.InvalidArgument, r"outputs: shape \[2, 3, 2\]: \[2, 3, 5\] is needed"):
                task.loss(ctdb.ScoreRequest("train"), np.arange(2), np.ones((2, 3, 2), np.float32))

    def test_checkpoints_of_comparators(self):
        with self.quiet() as host, tempfile.TemporaryDirectory() as folder:
            leased = host.open("comparator/keeper", dir=folder)
            answers = list(leased.stream("/ctdb.comparator.v1.ComparatorService/Compare", iter(())))
            self.assertEqual(sorted(os.listdir(folder)), ["half"])
            self.assertTrue(any(a.event.HasField("checkpoint") for a in answers))
            # As others of one's group may read them who share the host's store.
            umask = os.umask(0)
            os.umask(umask)
            self.assertEqual(os.stat(os.path.join(folder, "half")).st_mode & 0o777, 0o666 & ~umask)

    def test_tokens(self):
        with self.quiet() as host:
            task = host.open_task("task/noisy")
            id = dict(task._leased.metadata)[INSTANCE]
            spec = task._leased.method("/ctdb.task.v1.TaskService/Spec")

            def code(*metadata):
                with self.assertRaises(grpc.RpcError) as caught:
                    spec(m.task.SpecRequest(), metadata=metadata)
                return caught.exception.code()

            self.assertIs(code((INSTANCE, id)), grpc.StatusCode.UNAUTHENTICATED)
            self.assertIs(code((TOKEN, "x" * 32), (INSTANCE, id)), grpc.StatusCode.UNAUTHENTICATED)
            self.assertIs(code((TOKEN, host.token), (INSTANCE, "task/noisy#9")), grpc.StatusCode.NOT_FOUND)
            lease = host.lease(task._leased, ["/ctdb.task.v1.TaskService/Trials"])
            self.assertIs(code((TOKEN, lease.token), (INSTANCE, id)), grpc.StatusCode.PERMISSION_DENIED)
            lease = host.lease(task._leased, ["/ctdb.task.v1.TaskService/Spec"])
            spec(m.task.SpecRequest(), metadata=((TOKEN, lease.token), (INSTANCE, id)))
            host.rpc("Revoke", m.plugin.RevokeRequest(token=lease.token))
            self.assertIs(code((TOKEN, lease.token), (INSTANCE, id)), grpc.StatusCode.UNAUTHENTICATED)
            host.close_instance(task._leased)
            self.assertIs(code((TOKEN, host.token), (INSTANCE, id)), grpc.StatusCode.NOT_FOUND)

    def test_cancelled_calls_end(self):
        with self.quiet() as host:
            task = host.open_task("task/noisy")
            endless = task.trials(ctdb.TrialRequest("train", 3))
            next(endless)
            endless.close()
            host.close_instance(task._leased)  # waits for the call's end

    def test_closing_ends_running_calls(self):
        with self.quiet() as host:
            task = host.open_task("task/noisy")
            endless = task.trials(ctdb.TrialRequest("train", 3))
            next(endless)
            closing = threading.Thread(target=host.close_instance, args=(task._leased,))
            closing.start()
            with self.assertRaises(ctdb.Unavailable):
                for _ in endless:
                    pass
            closing.join(20)
            self.assertFalse(closing.is_alive())

    def test_drain(self):
        with self.quiet() as host:
            task = host.open_task("task/noisy")
            endless = task.trials(ctdb.TrialRequest("train", 3))
            next(endless)
            request = m.plugin.DrainRequest()
            request.deadline.nanos = 200_000_000
            draining = threading.Thread(target=host.rpc, args=("Drain", request))
            draining.start()
            with self.assertRaises(ctdb.Unavailable):
                for _ in endless:
                    pass
            draining.join(20)
            self.assertFalse(draining.is_alive())
            self.assertFalse(host.rpc("Health", m.plugin.HealthRequest()).ready)
            with self.assertRaises(ctdb.Unavailable):
                host.open_task("task/noisy")

    def test_drains_that_are_given_up_hold_no_thread(self):
        with self.quiet() as host:
            task = host.open_task("task/noisy")
            endless = task.trials(ctdb.TrialRequest("train", 3))
            next(endless)

            def threads():
                return len(os.listdir(f"/proc/{host.process.pid}/task")) if sys.platform == "linux" else 0

            before = 0
            for k in range(40):
                with self.assertRaises(Exception):  # without a deadline of its own it waits for the running call
                    host.rpc("Drain", m.plugin.DrainRequest(), timeout=0.05)
                if k == 9:
                    before = threads()
            next(endless)  # which goes on: it was asked to end, and nobody has cancelled it
            self.assertFalse(host.rpc("Health", m.plugin.HealthRequest()).ready)
            self.assertLess(threads() - before, 15)  # 30 if each held one
            endless.close()
            host.rpc("Drain", m.plugin.DrainRequest(), timeout=20)

    @unittest.skipUnless(sys.platform == "linux", "as the kernel does it there")
    def test_ends_with_its_host(self):
        # Also where the interpreter's lock is held for good: the kernel kills.
        host = self.quiet()
        pid = host.process.pid
        host.process.stdin.close()
        self.assertEqual(host.process.wait(10), -9)
        self.assertFalse(alive(pid))
        host.kill()

    def test_by_hand(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CTDB_")}
        run = subprocess.run([sys.executable, self.script], env=env, capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertIn("is a plugin of ctdb-host", run.stderr)
        run = subprocess.run([sys.executable, self.script], env={**env, "CTDB_PLUGIN": "computation-through-dynamics"}, capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertIn("CTDB_PLUGIN_TOKEN", run.stderr)
        run = subprocess.run(
            [sys.executable, self.script], capture_output=True, text=True,
            env={**env, "CTDB_PLUGIN": "computation-through-dynamics", "CTDB_PLUGIN_TOKEN": "x", "PLUGIN_PROTOCOL_VERSIONS": "2"},
        )
        self.assertIn("version 2 of the protocol, this plugin version 1", run.stderr)

    def test_mistakes_of_authors(self):
        class Bad(ctdb.Task):
            name = "Bad Name"
            version = "1"

        from ctdb_sdk._plugin import Plugin

        with self.assertRaises(TypeError) as caught:
            Plugin("p", "1.0.0", "x", [Bad])
        for word in ("Bad Name", "semantic version", "docstring"):
            self.assertIn(word, str(caught.exception))


class Clicks(unittest.TestCase):
    def test_trials(self):
        with Host(os.path.join(EXAMPLES, "clicks", "ctdb-plugin-clicks")) as host:
            task = host.open_task("task/poisson-clicks", {"n_trials": 50}, seed=3)
            spec = task.spec()
            self.assertEqual((spec.inputs, spec.train_trials, spec.valid_trials, spec.bins), (2, 40, 10, 70))
            whole = ctdb.joined(task.trials(ctdb.TrialRequest("all")))
            parts = ctdb.joined(task.trials(ctdb.TrialRequest("all", block_trials=7)))
            np.testing.assert_array_equal(whole.trials, np.arange(50))
            for name in whole.arrays:
                np.testing.assert_array_equal(whole[name], parts[name])
            other = ctdb.joined(host.open_task("task/poisson-clicks", {"n_trials": 50}, seed=4).trials(ctdb.TrialRequest("all")))
            self.assertTrue((other["inputs"] != whole["inputs"]).any())
            # Who answers as it should succeeds; who says the opposite does not.
            right = task.score(ctdb.ScoreRequest("all"), iter([ctdb.Block(whole.trials, {"outputs": whole["targets"]})]))
            self.assertEqual((right.success.min(), right.loss.max()), (1, 0))
            wrong = task.score(ctdb.ScoreRequest("all"), iter([ctdb.Block(whole.trials, {"outputs": -whole["targets"]})]))
            self.assertEqual(wrong.success.max(), 0)
            # The counts are Poisson: 40 a second for half a second.
            many = ctdb.joined(host.open_task("task/poisson-clicks", {"n_trials": 2000}).trials(ctdb.TrialRequest("all")))
            clicks = many["inputs"].sum((1, 2))
            self.assertAlmostEqual(clicks.mean(), 20, delta=0.4)
            self.assertAlmostEqual(clicks.var(), 20, delta=2.5)


if __name__ == "__main__":
    unittest.main()
