"""Components in other plugins, reached by leases: as the very classes that local ones are of."""

from __future__ import annotations

import queue
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import grpc
import numpy as np

from . import _messages as m
from . import _specs
from ._guard import INSTANCE, TOKEN
from ._status import from_status
from ._wire import RECEIVE, Rows, block_frames, by_rows, from_tensor, receive, receive_set, set_frames, to_tensor, wired
from .arrays import Array, Block, Blocks
from .component import Call, Env
from .errors import Error, Unavailable, Unsupported, invalid
from .model import Dynamics, Layout
from .task import Episode, EpisodeRequest, Observation, Score, ScoreRequest, Task, TaskSpec, TrialRequest

OPTIONS = [
    ("grpc.max_receive_message_length", RECEIVE), ("grpc.max_send_message_length", -1), ("grpc.http2.lookahead_bytes", 4 << 20),
    ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
]


class Leased:
    """A connection to an instance in another plugin, for the time of one call."""

    def __init__(self, lease: Any, call: Call) -> None:
        if not lease.instance or not lease.token:
            raise invalid("lease", f"{lease.component}: a lease needs an instance and a token")
        if not lease.address:
            raise invalid("lease.address", f"{lease.component}: its plugin cannot be reached from other plugins")
        self.name: str = lease.component
        self.capabilities = set(lease.capabilities)
        self.call = call
        address = lease.address[len("unix://") :] if lease.address.startswith("unix://") else lease.address
        self.channel = grpc.insecure_channel("unix:" + address if lease.address.startswith("unix") else address, options=OPTIONS)
        self.metadata = ((TOKEN, lease.token), (INSTANCE, lease.instance))
        self._made: Dict[str, Any] = {}
        call._on_cancel(self.close)

    def close(self) -> None:
        self.channel.close()

    def method(self, path: str) -> Any:
        if path not in self._made:
            method = m.METHODS[path]
            kind = ("stream" if method.takes_stream else "unary") + "_" + ("stream" if method.gives_stream else "unary")
            self._made[path] = getattr(self.channel, kind)(path, method.request.SerializeToString, method.response.FromString)
        return self._made[path]

    def start(self, path: str, request: Any) -> Any:
        self.call.check()
        return self.method(path)(request, metadata=self.metadata)

    @contextmanager
    def typed(self) -> Iterator[None]:
        """Turns gRPC's errors into this package's, and into Cancelled where this side has given up."""
        try:
            yield
        except (grpc.RpcError, ValueError) as error:  # a ValueError is a closed channel's
            if isinstance(error, ValueError) and not self.call.cancelled:
                raise
            self.call.check()
            raise from_status(error, self.name) from None

    def stream(self, path: str, request: Any) -> Iterator[Any]:
        """The responses of a call that is cancelled where the caller stops taking them. What goes wrong in making the requests is raised as it is."""
        failed: List[Exception] = []
        if m.METHODS[path].takes_stream:
            request = _until_failed(request, failed)
        try:
            with self.typed():
                rpc = self.start(path, request)
                try:
                    yield from rpc
                finally:
                    rpc.cancel()
        except Error:
            if failed and not self.call.cancelled:
                raise failed[0] from None
            raise
        if failed:
            raise failed[0]


def _until_failed(requests: Iterator[Any], failed: List[Exception]) -> Iterator[Any]:
    """Requests up to where making one goes wrong, which is kept: gRPC, in whose thread they are made, would only say that it did."""
    try:
        yield from requests
    except Exception as error:  # whatever it is, it is the caller's
        failed.append(error)


_TASK = "/ctdb.task.v1.TaskService/"
_DYNAMICS = "/ctdb.model.v1.DynamicsService/"


class RemoteTask(Task):
    """A task in another plugin."""

    name = "remote"

    def __init__(self, leased: Leased) -> None:
        super().__init__(None, Env(seed=0))
        self._leased = leased
        self._spec: Optional[TaskSpec] = None

    def can(self, capability: str) -> bool:
        return capability in self._leased.capabilities

    def spec(self) -> TaskSpec:
        if self._spec is None:
            with self._leased.typed():
                answer = self._leased.method(_TASK + "Spec")(m.task.SpecRequest(), metadata=self._leased.metadata)
            if not answer.HasField("spec"):
                raise invalid("spec", f"{self._leased.name} sent none")
            self._spec = _specs.from_spec(answer.spec)
        return self._spec

    def trials(self, request: TrialRequest) -> Blocks:
        message = m.task.TrialsRequest(split=_specs.to_split(request.split), block_trials=request.block_trials)
        setattr(message, "pass", request.pass_)
        return receive(r.frame for r in self._leased.stream(_TASK + "Trials", message))

    def score(self, request: ScoreRequest, outputs: Blocks) -> Score:
        start = m.task.ScoreStart(split=_specs.to_split(request.split))
        setattr(start, "pass", request.pass_)

        def requests() -> Iterator[Any]:
            yield m.task.ScoreRequest(start=start)
            for f in block_frames(outputs):
                yield m.task.ScoreRequest(frame=f)

        answers = self._leased.stream(_TASK + "Score", requests())
        names = next(answers).names
        return _specs.from_score(names, receive_set(r.frame for r in answers))

    def loss(self, request: ScoreRequest, trials: Array, outputs: Array) -> Tuple[float, Array]:
        start = m.task.LossStart(split=_specs.to_split(request.split), trials=trials)
        setattr(start, "pass", request.pass_)

        def requests() -> Iterator[Any]:
            yield m.task.LossRequest(start=start)
            for f in set_frames({"outputs": outputs}):
                yield m.task.LossRequest(frame=f)

        answers = self._leased.stream(_TASK + "Loss", requests())
        value = next(answers).value
        arrays = receive_set(r.frame for r in answers)
        if len(arrays) != 1:
            raise invalid("loss", f"{self._leased.name} sent {len(arrays)} arrays: the cotangent alone is needed")
        return value, next(iter(arrays.values()))

    def begin(self, request: EpisodeRequest) -> Tuple[Episode, Observation]:
        if not self.can("closed-loop"):
            raise Unsupported(f"{self._leased.name} is not a closed-loop task")
        episode = RemoteEpisode(self._leased, len(request.trials))
        begin = m.task.EpisodeBegin(
            split=_specs.to_split(request.split), trials=np.asarray(request.trials, np.int64), seed=request.seed, float64=request.float64, tape=request.tape,
            horizon=request.horizon, noise_off=request.noise_off, truncate=request.truncate,
        )
        setattr(begin, "pass", request.pass_)
        episode.send(begin=begin)
        return episode, episode.observation(-1)


class RemoteEpisode(Episode):
    """An episode of a task in another plugin, with a stream to itself."""

    def __init__(self, leased: Leased, trials: int) -> None:
        self._leased, self._trials = leased, trials
        self._requests: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        with leased.typed():
            self._rpc = leased.start(_TASK + "Episode", iter(self._requests.get, None))

    def send(self, **call: Any) -> None:
        self._requests.put(m.task.EpisodeRequest(**call))

    def _receive(self, want: str, t: int) -> Any:
        try:
            with self._leased.typed():
                answer = next(self._rpc, None)
        except Error:
            self._requests.put(None)
            raise
        if answer is None:
            raise Unavailable(f"{self._leased.name}: the stream of the episode ended early")
        got = answer.WhichOneof("answer")
        if got != want or (got != "done" and getattr(answer, got).t != t):
            raise invalid("episode", f"{self._leased.name}: step {t} was answered by {got}")
        return getattr(answer, got)

    def observation(self, t: int) -> Observation:
        inputs, state = Rows(self._trials), Rows(self._trials)
        recorded: Dict[str, Rows] = {}
        while True:
            o = self._receive("observation", t)
            if o.HasField("inputs"):
                inputs.add(from_tensor(o.inputs), "inputs")
            if o.HasField("state"):
                state.add(from_tensor(o.state), "state")
            for r in o.recorded:
                recorded.setdefault(r.header.name, Rows(self._trials)).add(from_tensor(r), r.header.name)
            if not o.more:
                return Observation(inputs.take("inputs"), state.take("state"), {name: rows.take(name) for name, rows in recorded.items()})

    def step(self, t: int, actions: Array) -> Observation:
        a = wired("actions", actions)
        for first, last, more in by_rows([a]):
            self.send(step=m.task.EpisodeStep(t=t, actions=to_tensor("actions", a[first:last]), more=more))
        return self.observation(t)

    def vjp(self, t: int, inputs: Optional[Array], state: Optional[Array]) -> Array:
        i, s = (None if x is None else wired(name, x) for name, x in (("inputs", inputs), ("state", state)))
        for first, last, more in by_rows([i, s]):
            self.send(vjp=m.task.EpisodeVjp(
                t=t, more=more, inputs=None if i is None else to_tensor("inputs", i[first:last]), state=None if s is None else to_tensor("state", s[first:last])
            ))
        rows = Rows(self._trials)
        while True:
            c = self._receive("cotangent", t)
            rows.add(from_tensor(c.actions), "actions")
            if not c.more:
                out = rows.take("actions")
                assert out is not None
                return out

    def drop_tape(self, before: int) -> None:
        self.send(drop_tape=m.task.EpisodeDropTape(before=before))
        self._receive("done", -1)

    def end(self) -> None:
        self.send(end=m.task.EpisodeEnd())
        self._receive("done", -1)
        self._requests.put(None)
        self._rpc.cancel()


class RemoteDynamics(Dynamics):
    """A model's dynamics in another plugin."""

    def __init__(self, leased: Leased) -> None:
        self._leased = leased
        with leased.typed():
            self._layout = _specs.from_layout(leased.method(_DYNAMICS + "Layout")(m.model.LayoutRequest(), metadata=leased.metadata))

    def layout(self) -> Layout:
        return self._layout

    def _typed(self, name: str, value: Any) -> Any:
        return None if value is None else wired(name, np.asarray(value, np.float64 if self._layout.float64 else np.float32))

    def initial_state(self, trials: Block) -> Array:
        def requests() -> Iterator[Any]:
            for f in block_frames([trials] if len(trials) else []):
                yield m.model.InitialStateRequest(frame=f)

        arrays = receive_set(r.frame for r in self._leased.stream(_DYNAMICS + "InitialState", requests()))
        return next(iter(arrays.values()))

    def _batched(self, method: str, request: Any, width: int, given: Mapping[str, Any], **more: Any) -> List[Optional[Array]]:
        """Calls once for each run of rows that fits a message and joins the answers."""
        arrays = {name: self._typed(name, a) for name, a in given.items() if a is not None}
        rows = len(arrays["state"])
        answer = np.lib.stride_tricks.as_strided(np.empty(1), (rows, width), (0, 0))  # stands for it in the reckoning of sizes
        parts: List[List[Optional[Array]]] = []
        for first, last, _ in by_rows([*arrays.values(), answer]):
            with self._leased.typed():
                self._leased.call.check()
                message = request(**{name: to_tensor(name, a[first:last]) for name, a in arrays.items()}, **more)
                out = self._leased.method(_DYNAMICS + method)(message, metadata=self._leased.metadata)
            parts.append([from_tensor(getattr(out, f.name)) if out.HasField(f.name) else None for f in out.DESCRIPTOR.fields])
        return [None if column[0] is None else np.concatenate([a for a in column if a is not None]) for column in zip(*parts)]

    def _one(self, out: List[Optional[Array]]) -> Array:
        if out[0] is None:
            raise invalid("dynamics", f"{self._leased.name} sent no array")
        return out[0]

    def step(self, state: Array, input: Optional[Array]) -> Array:
        return self._one(self._batched("Step", m.model.StepRequest, self._layout.size, {"state": state, "input": input}))

    def observe(self, state: Array, role: str) -> Array:
        return self._one(self._batched("Observe", m.model.ObserveRequest, self._layout.observable.get(role, 1), {"state": state}, role=role))

    def jvp(self, state: Array, input: Optional[Array], d_state: Array, d_input: Optional[Array]) -> Array:
        given = {"state": state, "input": input, "d_state": d_state, "d_input": d_input}
        return self._one(self._batched("Jvp", m.model.JvpRequest, self._layout.size, given))

    def vjp(self, state: Array, input: Optional[Array], cotangent: Array) -> Tuple[Array, Optional[Array]]:
        out = self._batched("Vjp", m.model.VjpRequest, self._layout.size + self._layout.inputs, {"state": state, "input": input, "cotangent": cotangent})
        return self._one(out), out[1]

    def jacobians(self, state: Array, input: Optional[Array]) -> Tuple[Array, Optional[Array]]:
        s, u = self._typed("state", state), self._typed("input", input)
        parts: Dict[str, List[Array]] = {"d_state": [], "d_input": []}
        for first, last, _ in by_rows([s, u]):
            message = m.model.JacobiansRequest(state=to_tensor("state", s[first:last]), input=None if u is None else to_tensor("input", u[first:last]))
            arrays = receive_set(r.frame for r in self._leased.stream(_DYNAMICS + "Jacobians", message))
            parts["d_state"].append(arrays.need("d_state"))
            if "d_input" in arrays:
                parts["d_input"].append(arrays["d_input"])
        return np.concatenate(parts["d_state"]), np.concatenate(parts["d_input"]) if parts["d_input"] else None
