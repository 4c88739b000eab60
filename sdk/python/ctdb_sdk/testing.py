"""A plugin's own tests: start it as a host does, in a process of its own, and call what is in it.

    with Host("ctdb-plugin-clicks") as host:
        task = host.open_task("task/poisson-clicks", {"n_trials": 20}, seed=1)
        block = next(task.trials(TrialRequest("train")))

What crosses the boundary has been checked on both sides. The conformance suite tests much more:

    def test_conformance():
        check("ctdb-plugin-clicks")
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from . import _messages as m
from . import _specs, params
from ._client import Leased, RemoteDynamics, RemoteTask
from ._guard import TOKEN
from ._wire import block_frames, receive, receive_set, set_frames
from .arrays import Arrays, Block, Blocks
from .component import Call
from .errors import Error, Problem, Unavailable
from .model import DataSpec, RolloutRequest
from .serving import COOKIE, COOKIE_KEY, LIFELINE_KEY, TOKEN_KEY
from .task import TaskSpec

_PLUGIN = "/ctdb.plugin.v1.PluginService/"
_MODEL = "/ctdb.model.v1.ModelService/"


@dataclass
class Checked:
    """What came of one check of the conformance suite."""

    component: str
    """E.g. "task/clicks"; empty for what is of the plugin as a whole."""
    check: str
    doc: str
    """What the check holds a component to."""
    status: str
    """ "pass", "fail" or "not applicable"."""
    problems: List[str]
    """What is wrong and what is needed, each a sentence."""
    note: str

    def __str__(self) -> str:
        title = f"{self.component or 'the plugin'}: {self.check}: {self.doc}"
        return "\n".join([title] + [f"  - {p}" for p in self.problems])


def conformance(plugin: str, *, components: Sequence[str] = (), params: Mapping[str, Any] = {}, program: str = "") -> List[Checked]:
    """What `ctdb-host plugin check` finds: the plugin is started by that program, as an experiment would, and each component is opened, used and misused.

    components are those to check, e.g. ["task/clicks"], or all; params are parameters to check with, e.g. {"task/clicks.n_trials": 50}. program is ctdb-host, by default
    that of the environment variable CTDB, or the one on the PATH. A script whose first line is `#!/usr/bin/env python3` is run by the interpreter that runs the test.
    """
    program = program or os.environ.get("CTDB", "ctdb-host")
    words = [program, "plugin", "check", os.path.abspath(plugin), "--json"]
    for c in components:
        words += ["--component", c]
    for name, value in params.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    try:
        run = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PATH": path})
    except FileNotFoundError:
        raise FileNotFoundError(f"{program} is not on the PATH: the conformance suite is part of it; install it, or name it in CTDB") from None
    try:
        report = json.loads(run.stdout)["results"]
    except (ValueError, KeyError, TypeError):
        raise RuntimeError(f"{' '.join(words)}: exit status {run.returncode}: {run.stderr.strip()}") from None
    return [Checked(r.get("component", ""), r["check"], r["doc"], r["status"], list(r.get("problems", ())), r.get("note", "")) for r in report]


def check(plugin: str, *, components: Sequence[str] = (), params: Mapping[str, Any] = {}, program: str = "") -> List[Checked]:
    """conformance() that raises AssertionError where a check fails, with what is to be mended: the whole of a test with pytest or unittest."""
    found = conformance(plugin, components=components, params=params, program=program)
    failed = [str(one) for one in found if one.status == "fail"]
    if failed:
        raise AssertionError(f"{len(failed)} of {len(found)} checks failed\n" + "\n".join(failed))
    return found


class Host:
    """A plugin's process. A script of Python is started by the interpreter that runs the test."""

    def __init__(self, *command: str, env: Optional[Mapping[str, str]] = None, timeout: float = 60) -> None:
        words = list(command)
        with open(words[0], "rb") as f:
            if b"python" in f.readline():
                words.insert(0, sys.executable)
        self._folder = tempfile.mkdtemp(prefix="ctdb-")
        self.token = secrets.token_hex(16)
        own = {
            COOKIE_KEY: COOKIE, TOKEN_KEY: self.token, LIFELINE_KEY: "stdin", "PLUGIN_UNIX_SOCKET_DIR": self._folder, "PLUGIN_PROTOCOL_VERSIONS": "1",
        }
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **own, **(env or {})}, start_new_session=True, text=True
        )
        self.stdout: List[str] = []
        """Lines on standard output after the handshake: there may be none."""
        self.stderr: List[str] = []
        """The lines of the plugin's log."""
        self._greeting: "queue.Queue[str]" = queue.Queue()
        self._readers = [threading.Thread(target=f, daemon=True) for f in (self._read_output, self._read_log)]
        for r in self._readers:
            r.start()
        try:
            line = self._greeting.get(timeout=timeout)
        except queue.Empty:
            line = ""
        parts = line.split("|")
        if len(parts) < 5 or parts[:3] != ["1", "1", "unix"] or parts[4].strip() != "grpc":
            self.kill()
            raise Unavailable(f"the plugin did not shake hands: {line!r}; its log:\n" + "".join(self.stderr))
        self.address = "unix://" + parts[3]
        self.call = Call()
        self._plugin = self._leased("-", "plugin", ())

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        self._greeting.put(self.process.stdout.readline())
        self.stdout.extend(self.process.stdout)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.stderr.extend(self.process.stderr)

    def _leased(self, instance: str, component: str, capabilities: Iterable[str]) -> Leased:
        lease = m.plugin.Lease(address=self.address, instance=instance, token=self.token, component=component, capabilities=capabilities)
        return Leased(lease, self.call)

    def lease(self, leased: Leased, methods: Sequence[str]) -> Any:
        """A lease of an instance, as the host hands it to another plugin."""
        granted = self.rpc("Grant", m.plugin.GrantRequest(instance=dict(leased.metadata)["ctdb-instance"], methods=methods))
        return m.plugin.Lease(
            address=self.address, instance=dict(leased.metadata)["ctdb-instance"], methods=methods, token=granted.token, component=leased.name,
            capabilities=leased.capabilities,
        )

    def rpc(self, method: str, request: Any, timeout: Optional[float] = None) -> Any:
        """A call of PluginService."""
        with self._plugin.typed():
            return self._plugin.method(_PLUGIN + method)(request, metadata=((TOKEN, self.token),), timeout=timeout)

    def describe(self) -> Any:
        return self.rpc("Describe", m.plugin.DescribeRequest())

    def validate(self, component: str, values: Mapping[str, Any]) -> List[Problem]:
        answer = self.rpc("Validate", m.plugin.ValidateRequest(component=component, params={k: params.to_value(v) for k, v in values.items()}))
        return [Problem(p.path, p.message, p.hint) for p in answer.problems]

    def open(self, component: str, values: Mapping[str, Any] = {}, seed: int = 0, target: Any = None, dir: str = "", threads: int = 1) -> Leased:
        given = {k: params.to_value(v) for k, v in values.items()}
        answer = self.rpc("Open", m.plugin.OpenRequest(component=component, params=given, seed=seed, threads=threads, dir=dir, target=target))
        return self._leased(answer.instance, component, answer.capabilities)

    def close_instance(self, leased: Leased) -> None:
        self.rpc("Close", m.plugin.CloseRequest(instance=dict(leased.metadata)["ctdb-instance"]))

    def open_task(self, component: str, values: Mapping[str, Any] = {}, seed: int = 0) -> RemoteTask:
        return RemoteTask(self.open(component, values, seed))

    def open_model(
        self, component: str, values: Mapping[str, Any] = {}, seed: int = 0, task: Optional[TaskSpec] = None, data: Optional[DataSpec] = None, dir: str = ""
    ) -> "RemoteModel":
        target = m.plugin.Target(task=_specs.to_spec(task)) if task is not None else m.plugin.Target(data=m.plugin.DataSpec(**vars(data)))
        return RemoteModel(self.open(component, values, seed, target, dir))

    def close(self) -> None:
        """Stops the plugin as a host does: in good order."""
        if self.process.poll() is None:
            try:
                with self._plugin.typed():
                    self._plugin.channel.unary_unary("/plugin.GRPCController/Shutdown")(b"", timeout=10)
                self.process.wait(10)
            except (Error, subprocess.TimeoutExpired):
                pass
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for r in self._readers:
            r.join(5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class RemoteModel:
    """A model in a plugin's process, for tests."""

    def __init__(self, leased: Leased) -> None:
        self.leased = leased
        self.events: List[Any] = []
        """What the model said while it trained."""

    def train(self, task: Any = None, data: Optional[Mapping[str, Sequence[Block]]] = None) -> Any:
        """Trains on the task of a lease, or on the blocks of the splits "train" and "valid". The answer is the message of the result."""
        requests: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        requests.put(m.model.TrainRequest(start=m.model.TrainStart(task=task, on_data=data is not None)))
        feeds: Dict[int, Iterator[Any]] = {}
        result = None
        try:
            for r in self.leased.stream(_MODEL + "Train", iter(requests.get, None)):
                which = r.WhichOneof("response")
                if which == "event":
                    self.events.append(r.event)
                elif which == "want" and not r.want.done:
                    assert data is not None
                    id = r.want.sequence
                    if id not in feeds:
                        feeds[id] = _by_block(data[_specs.from_split(r.want.split)])
                    for _ in range(r.want.blocks):
                        for f in next(feeds[id], []):
                            requests.put(m.model.TrainRequest(data=m.model.TrainData(sequence=id, frame=f)))
                elif which == "result":
                    result = r.result
        finally:
            requests.put(None)
        if result is None:
            raise Unavailable("training ended without a result")
        return result

    def rollout(self, request: RolloutRequest, trials: Iterable[Block], task: Any = None) -> Blocks:
        start = m.model.RolloutStart(seed=request.seed, noise=request.noise, samples=request.samples, want=request.want, task=task)
        if request.split:
            start.split = _specs.to_split(request.split)
        setattr(start, "pass", request.pass_)

        def requests() -> Iterator[Any]:
            yield m.model.RolloutRequest(start=start)
            for f in block_frames(trials):
                yield m.model.RolloutRequest(frame=f)

        return receive(r.frame for r in self.leased.stream(_MODEL + "Rollout", requests()))

    def save(self) -> Arrays:
        return receive_set(r.frame for r in self.leased.stream(_MODEL + "Save", m.model.SaveRequest()))

    def load(self, weights: Mapping[str, Any]) -> None:
        with self.leased.typed():
            self.leased.start(_MODEL + "Load", (m.model.LoadRequest(frame=f) for f in set_frames(weights)))

    def dynamics(self) -> RemoteDynamics:
        return RemoteDynamics(self.leased)


def _by_block(blocks: Sequence[Block]) -> Iterator[List[Any]]:
    """The frames of each block, the end with the last."""
    frames: List[Any] = []
    for f in block_frames(blocks):
        if f.HasField("start") and frames:
            yield frames
            frames = []
        frames.append(f)
    yield frames
