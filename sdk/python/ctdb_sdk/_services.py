"""The services: what each method does with an instance."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, Type

import numpy as np

from . import _messages as m
from . import _specs, figures
from ._client import Leased, RemoteTask
from ._episode import OpenEpisode, begin, numbers
from ._guard import Guard, Running
from ._incoming import CallersData, Subjects
from ._wire import block_frames, from_tensor, receive, receive_set, set_frames, to_tensor, wired
from .arrays import Block, Blocks
from .comparator import Comparator, Outcome
from .errors import NotFound, Unavailable, Unsupported, WrongShape, invalid
from .model import Dynamics, Model, RolloutRequest, TrainRequest
from .simulator import Simulator
from .task import ScoreRequest, Task, TaskSpec, TrialRequest

MAX_EPISODES = 1024


def requested(requests: Iterable[Any], call: Running) -> Iterator[Any]:
    """The messages of a stream; Cancelled where the call was."""
    it = iter(requests)
    while True:
        try:
            request = next(it)
        except StopIteration:
            call.check()
            return
        except Exception:
            call.check()
            raise Unavailable("the stream has ended") from None
        call.check()
        yield request


def first(requests: Iterator[Any], what: str) -> Any:
    request = next(requests, None)
    if request is None:
        raise invalid("request", f"the stream ends before it says {what}")
    return request


def blocks(requests: Iterator[Any]) -> Blocks:
    return receive(r.frame for r in requests)


def checked(given: Iterable[Any], call: Running) -> Iterator[Any]:
    """What a component yields; the call's end between two of them."""
    for x in given:
        call.check()
        yield x


def called(call: Running, kind: Type[Any], what: str) -> Any:
    value = call.instance.value if call.instance is not None else None
    if not isinstance(value, kind):
        raise Unsupported(f"{call.instance.name if call.instance else ''}: it is not a {what}")
    return value


def reported(work: Callable[[Callable[[Any], None]], None], call: Running) -> Iterator[Any]:
    """The messages that work sends, which runs in a thread of its own."""
    sent: "queue.Queue[Tuple[Any, Optional[BaseException]]]" = queue.Queue(64)

    def send(message: Any) -> None:
        while True:
            call.check()
            with contextlib.suppress(queue.Full):
                return sent.put((message, None), timeout=1)

    def run() -> None:
        error: Optional[BaseException] = None
        try:
            work(send)
        except BaseException as e:
            error = e
        while not abandoned.is_set():
            with contextlib.suppress(queue.Full):
                return sent.put((None, error), timeout=1)

    abandoned = threading.Event()
    thread = threading.Thread(target=run, name=call.method, daemon=True)
    thread.start()
    try:
        while True:
            message, error = sent.get()
            if error is not None:
                raise error
            if message is None:
                return
            yield message
    finally:
        # The call has not ended before the component has: nothing else may be called meanwhile.
        abandoned.set()
        if thread.is_alive():
            call._cancel()
            while thread.is_alive():
                with contextlib.suppress(queue.Empty):
                    sent.get_nowait()
                thread.join(0.05)


@contextlib.contextmanager
def leased_task(guard: Guard, lease: Any, call: Running) -> Iterator[Any]:
    with guard.own(lease) as instance:
        if instance is not None:
            if not isinstance(instance.value, Task):
                raise invalid("task", f"{instance.name} is not a task")
            yield instance.value
            return
        leased = Leased(lease, call)
        try:
            yield RemoteTask(leased)
        finally:
            leased.close()


class Services:
    """The methods by their last two names."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    # TaskService

    def TaskService_Spec(self, _: Any, call: Running) -> Any:
        return m.task.SpecResponse(spec=_specs.to_spec(called(call, Task, "task").spec()))

    def TaskService_Trials(self, request: Any, call: Running) -> Iterator[Any]:
        task = called(call, Task, "task")
        if request.block_trials < 0:
            raise invalid("block_trials", f"{request.block_trials}: at least 0 is needed")
        asked = TrialRequest(_specs.from_split(request.split), getattr(request, "pass"), request.block_trials)
        for f in block_frames(checked(task.trials(asked), call)):
            yield m.task.TrialsResponse(frame=f)

    def TaskService_Score(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        task = called(call, Task, "task")
        start = first(requests, "which trials are scored").start
        split = _specs.from_split(start.split)
        score = task.score(ScoreRequest(split, getattr(start, "pass")), _outputs(task, split, blocks(requests)))
        names, arrays = _specs.to_score(score)
        yield m.task.ScoreResponse(names=names)
        for f in set_frames(arrays):
            yield m.task.ScoreResponse(frame=f)

    def TaskService_Loss(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        task = called(call, Task, "task")
        if "custom-loss" not in task.capabilities():
            raise Unsupported(f"{task.full_name()}: it has no loss of its own")
        start = first(requests, "which trials the loss is of").start
        split = _specs.from_split(start.split)
        arrays = receive_set(r.frame for r in requests)
        if len(arrays) != 1:
            raise invalid("outputs", f"{len(arrays)} arrays: the outputs alone are needed")
        trials = numbers(task, split, start.trials)
        spec = task.spec()
        outputs = _expect("outputs", next(iter(arrays.values())), len(trials), spec, spec.loop.state_size if spec.loop else spec.outputs)
        value, cotangent = task.loss(ScoreRequest(split, getattr(start, "pass")), trials, outputs)
        made = wired("cotangent", cotangent)
        if made.shape != outputs.shape:
            raise WrongShape(f'"cotangent" has shape {list(made.shape)}: {list(outputs.shape)} is needed')
        yield m.task.LossResponse(value=float(value))
        for f in set_frames({"cotangent": made}):
            yield m.task.LossResponse(frame=f)

    def TaskService_Episode(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        task = called(call, Task, "task")
        if "closed-loop" not in task.capabilities():
            raise Unsupported(f"{task.full_name()}: it is not a closed-loop task")
        running: Dict[int, OpenEpisode] = {}
        try:
            for request in requests:
                id, which = request.episode, request.WhichOneof("call")
                if which == "begin":
                    if id in running:
                        raise invalid("episode", f"{id} has already begun")
                    if len(running) == MAX_EPISODES:
                        raise invalid("episode", f"{MAX_EPISODES} are running on this stream: no more are allowed")
                    running[id], observation = begin(task, request.begin)
                    yield from running[id].observe(id, -1, observation)
                    continue
                if id not in running:
                    raise NotFound(f"episode {id} of this stream has not begun or has ended")
                e = running[id]
                if which == "step":
                    yield from e.step(id, request.step)
                elif which == "vjp":
                    yield from e.vjp(id, request.vjp)
                elif which == "drop_tape":
                    e.drop_tape(request.drop_tape.before)
                    yield m.task.EpisodeResponse(episode=id, done=m.task.EpisodeDone())
                elif which == "end":
                    del running[id]
                    e.episode.end()
                    yield m.task.EpisodeResponse(episode=id, done=m.task.EpisodeDone())
                else:
                    raise invalid("call", "a call on an episode that this plugin does not know")
        finally:
            for e in running.values():
                with contextlib.suppress(Exception):  # nobody is left to be told
                    e.episode.end()

    # ModelService

    def ModelService_Train(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        model = called(call, Model, "model")
        assert call.instance is not None
        start = first(requests, "what to train on").start
        if start.HasField("task") == start.on_data:
            raise invalid("train", "either a task or data to train on is needed")
        every, limit = start.checkpoint_every, start.max_time
        asked = TrainRequest(checkpoint_every=every.seconds + every.nanos / 1e9, max_time=limit.seconds + limit.nanos / 1e9)
        call._dir = model.env.dir

        def work(send: Callable[[Any], None]) -> None:
            call._send = lambda event: send(m.model.TrainResponse(event=event))
            with contextlib.ExitStack() as held:
                if start.on_data:
                    source = CallersData(requests, send, call)
                    asked.data = source
                    threading.Thread(target=source.receive, name="data", daemon=True).start()
                else:
                    asked.task = held.enter_context(leased_task(self.guard, start.task, call))
                result = model.train(asked, call)
            message = _specs.to_trained(result)
            if result.last is not None:
                for f in set_frames(result.last):
                    send(m.model.TrainResponse(last=f))
            send(m.model.TrainResponse(result=message))

        try:
            yield from reported(work, call)
        finally:
            call.instance.stale()

    def ModelService_Rollout(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        model = called(call, Model, "model")
        start = first(requests, "how to run").start
        if start.samples < 0:
            raise invalid("samples", f"{start.samples}: at least 0 is needed")
        asked = RolloutRequest(
            seed=start.seed, noise=start.noise, samples=start.samples, split=_specs.from_split(start.split, needed=False), pass_=getattr(start, "pass"),
            want=list(start.want),
        )
        with contextlib.ExitStack() as held:
            if start.HasField("task"):
                asked.task = held.enter_context(leased_task(self.guard, start.task, call))
                if "closed-loop" not in start.task.capabilities:
                    raise invalid("task", f"{start.task.component} is not a closed-loop task")
            out = _wanted(asked, model.rollout(asked, _trials(model, blocks(requests))))
            for f in block_frames(checked(out, call)):
                yield m.model.RolloutResponse(frame=f)

    def ModelService_Save(self, _: Any, call: Running) -> Iterator[Any]:
        for f in set_frames(called(call, Model, "model").save()):
            yield m.model.SaveResponse(frame=f)

    def ModelService_Load(self, requests: Iterator[Any], call: Running) -> Any:
        assert call.instance is not None
        called(call, Model, "model").load(receive_set(r.frame for r in requests))
        call.instance.stale()
        return m.model.LoadResponse()

    # DynamicsService

    def _dynamics(self, call: Running) -> Dynamics:
        called(call, Model, "model")
        assert call.instance is not None
        out: Dynamics = call.instance.dynamics()
        return out

    def DynamicsService_Layout(self, _: Any, call: Running) -> Any:
        return _specs.to_layout(self._dynamics(call).layout())

    def DynamicsService_InitialState(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        dynamics = self._dynamics(call)
        given = list(blocks(requests))
        if len(given) > 1:
            raise invalid("trials", f"{len(given)} blocks: at most one is allowed")
        for f in set_frames({"initial_state": dynamics.initial_state(given[0] if given else Block(np.empty(0, np.int64)))}):
            yield m.model.InitialStateResponse(frame=f)

    def _given(self, request: Any, *names: str) -> List[Any]:
        """The arrays of a request: the state, which must be there, and others, which may be absent."""
        out = [from_tensor(getattr(request, n)) if request.HasField(n) else None for n in names]
        if out[0] is None:
            raise invalid(names[0], "is missing")
        for name, a in zip(names, out):
            if a is not None and (a.ndim != 2 or len(a) != len(out[0])):
                raise WrongShape(f'"{name}" has shape {list(a.shape)}: (B, width) with as many rows as {names[0]} is needed')
        return out

    def DynamicsService_Step(self, request: Any, call: Running) -> Any:
        return m.model.StepResponse(state=to_tensor("state", self._dynamics(call).step(*self._given(request, "state", "input"))))

    def DynamicsService_Observe(self, request: Any, call: Running) -> Any:
        (state,) = self._given(request, "state")
        return m.model.ObserveResponse(values=to_tensor(request.role, self._dynamics(call).observe(state, request.role)))

    def DynamicsService_Jvp(self, request: Any, call: Running) -> Any:
        given = self._given(request, "state", "input", "d_state", "d_input")
        if given[2] is None:
            raise invalid("d_state", "is missing")
        return m.model.JvpResponse(d_next=to_tensor("d_next", self._dynamics(call).jvp(*given)))

    def DynamicsService_Vjp(self, request: Any, call: Running) -> Any:
        given = self._given(request, "state", "input", "cotangent")
        if given[2] is None:
            raise invalid("cotangent", "is missing")
        d_state, d_input = self._dynamics(call).vjp(*given)
        return m.model.VjpResponse(d_state=to_tensor("d_state", d_state), d_input=None if d_input is None else to_tensor("d_input", d_input))

    def DynamicsService_Jacobians(self, request: Any, call: Running) -> Iterator[Any]:
        state, input = self._given(request, "state", "input")
        d_state, d_input = self._dynamics(call).jacobians(state, input)
        d_state = wired("d_state", d_state)
        if d_state.ndim != 3 or len(d_state) != len(state):
            raise WrongShape(f'"d_state" has shape {list(d_state.shape)} for states of shape {list(state.shape)}')
        arrays = {"d_state": d_state}
        if d_input is not None:
            arrays["d_input"] = wired("d_input", d_input)
        for f in set_frames(arrays):
            yield m.model.JacobiansResponse(frame=f)

    # SimulatorService

    def SimulatorService_Spec(self, _: Any, call: Running) -> Any:
        return _specs.to_simulated(called(call, Simulator, "simulator").spec())

    def SimulatorService_Fit(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        simulator = called(call, Simulator, "simulator")
        for f in set_frames(simulator.fit(_latents(simulator, blocks(requests)))):
            yield m.simulator.FitResponse(frame=f)

    def SimulatorService_Simulate(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        simulator = called(call, Simulator, "simulator")
        for f in block_frames(checked(simulator.simulate(_latents(simulator, blocks(requests))), call)):
            yield m.simulator.SimulateResponse(frame=f)

    # ComparatorService

    def ComparatorService_Compare(self, requests: Iterator[Any], call: Running) -> Iterator[Any]:
        comparator = called(call, Comparator, "comparator")
        call._dir = comparator.env.dir
        with contextlib.ExitStack() as held:
            subjects = Subjects(self.guard, call, held)
            for r in requests:
                subjects.take(r)
            subjects.complete()

            def work(send: Callable[[Any], None]) -> None:
                call._send = lambda event: send(m.comparator.CompareResponse(event=event))
                outcome = comparator.compare(subjects.all, call)
                if not isinstance(outcome, Outcome):
                    raise WrongShape(f"compare gave {type(outcome).__name__}: an Outcome is needed")
                for r in outcome.results:
                    send(m.comparator.CompareResponse(result=_specs.to_result(r)))
                for f in outcome.figures:
                    send(m.comparator.CompareResponse(figure=figures.to_figure(f)))
                if outcome.matrices:
                    for frame in set_frames(outcome.matrices):
                        send(m.comparator.CompareResponse(matrices=frame))
                send(m.comparator.CompareResponse(done=m.comparator.CompareDone()))

            yield from reported(work, call)


def _expect(name: str, a: np.ndarray, trials: int, spec: TaskSpec, channels: int) -> np.ndarray:
    want = (trials, spec.bins, channels)
    if a.shape != want:
        raise invalid(name, f"shape {list(a.shape)}: {list(want)} is needed")
    return a


def _outputs(task: Task, split: str, given: Blocks) -> Blocks:
    """Blocks of outputs that fit the task."""
    spec = task.spec()
    for b in given:
        numbers(task, split, b.trials)
        if "outputs" not in b:
            raise invalid("outputs", "is missing")
        _expect("outputs", b["outputs"], len(b), spec, spec.outputs)
        yield b


def _latents(simulator: Simulator, given: Blocks) -> Blocks:
    """Blocks of latents that fit what the simulator was opened for."""
    bins, width = simulator.origin.bins, simulator.origin.latents
    for b in given:
        if "latents" not in b:
            raise invalid("latents", "is missing")
        shape = b["latents"].shape
        if len(shape) != 3 or (bins and shape[1] != bins) or (width and shape[2] != width):
            raise invalid("latents", f"shape {list(shape)}: {[len(b), bins or 'any', width or 'any']} is needed")
        yield b


def _trials(model: Model, given: Blocks) -> Blocks:
    """Blocks of trials with the arrays that the model's target names, of its widths."""
    task, data = model.target.task, model.target.data
    wanted = {"encod_data": data.held_in, **({"inputs": data.inputs} if data.inputs else {})} if data is not None else {}
    if task is not None and task.loop is None:
        wanted["inputs"] = task.inputs
    for b in given:
        for name, width in wanted.items():
            if name not in b:
                raise invalid(name, "is missing")
            if b[name].ndim != 3 or b[name].shape[2] != width:
                raise invalid(name, f"shape {list(b[name].shape)}: {[len(b), 'bins', width]} is needed")
        yield b


def _wanted(asked: RolloutRequest, given: Blocks) -> Blocks:
    """Blocks that have what was asked for."""
    for b in given:
        missing = [name for name in asked.want if name not in b]
        if missing:
            raise invalid("want", f"there is no array {', '.join(missing)}: {', '.join(b.arrays) or 'none'} came of it")
        yield b
