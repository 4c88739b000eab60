"""PluginService, and the gRPC server that all services are on."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import platform
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Type

import grpc

from . import _messages as m
from . import _specs, params
from ._guard import Guard, Running
from ._identity import numerics
from ._services import Services, requested
from ._wire import RECEIVE
from .component import Component, Env
from .errors import InvalidArgument, NotFound, Problem, invalid

PROTOCOL_MAJOR, PROTOCOL_MINOR = 1, 1
# A stream holds a thread as long as it lasts, and an episode is a stream; threads are made when they are needed.
_THREADS = 1024
_ORDER = ("task", "model", "simulator", "comparator")

_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "AMD64": "amd64"}


class Plugin:
    """What a plugin consists of: its name, version and doc, and its components."""

    def __init__(self, name: str, version: str, doc: str, components: Sequence[Type[Component]]) -> None:
        self.name, self.version, self.doc = name, version, doc
        self.components: List[Type[Component]] = sorted(components, key=lambda c: _ORDER.index(c.kind) if c.kind in _ORDER else 9)
        mistakes = [text for c in self.components for text in c._mistakes()]
        names = [c.full_name() for c in self.components]
        mistakes += [f"two components are named {n}" for n in sorted(set(names)) if names.count(n) > 1]
        if not components:
            mistakes.append("a plugin needs at least one component")
        if mistakes:
            raise TypeError(f"plugin {name}: " + "; ".join(mistakes))

    def manifest(self) -> Any:
        """The message that describes the plugin."""
        out = m.plugin.DescribeResponse(
            name=self.name, version=self.version, doc=self.doc, protocol=PROTOCOL_MINOR, language="python" + platform.python_version(),
            build=f"{sys.platform}/{_ARCH.get(platform.machine(), platform.machine())}", numerics=numerics(),
        )
        for c in self.components:
            made = out.components.add(
                name=c.full_name(), version=c.version, doc=c.doc(), source=c.source, params=params.to_fields(params.schema(c.Params)), capabilities=c.capabilities()
            )
            for r in getattr(c, "readings", ()):
                made.readings.add(metric=r.metric, text=r.text, source=r.source)
        return out

    def find(self, name: str) -> Type[Component]:
        for c in self.components:
            if c.full_name() == name:
                return c
        names = [c.full_name() for c in self.components]
        hint = params.did_you_mean(name, names)
        raise NotFound(f"plugin {self.name} has no component {name}" + (f"; {hint}" if hint else ""))


class PluginService:
    """Manifest, validation, instances, leases, health, drain."""

    def __init__(self, plugin: Plugin, guard: Guard) -> None:
        self.plugin, self.guard = plugin, guard
        self._manifest = plugin.manifest()

    def PluginService_Describe(self, _: Any, call: Running) -> Any:
        return self._manifest

    def _resolve(self, request: Any) -> Tuple[Type[Component], Any, Any, List[Problem]]:
        """The component, its parameters (None where there are problems) and what it must fit."""
        cls = self.plugin.find(request.component)
        target = None if cls.kind == "task" else _specs.from_target(request.target, cls.kind)
        values, problems = params.resolve(params.schema(cls.Params), params.from_values(request.params))
        resolved = None
        if not problems:
            resolved = cls.Params(**values) if cls.Params is not None else None
            for p in cls.check(*((resolved, target) if cls.kind in ("model", "simulator") else (resolved,))):  # type: ignore[attr-defined]
                root = p.path.split(".")[0].split("[")[0]
                path = "params" if not p.path else "params." + p.path if root in values else p.path
                problems.append(Problem(path, p.message, p.hint))
        if request.threads < 0:
            problems.append(Problem("threads", f"{request.threads}: at least 1 is needed"))
        return cls, resolved, target, problems

    def PluginService_Validate(self, request: Any, call: Running) -> Any:
        cls, resolved, target, problems = self._resolve(request)
        out = m.plugin.ValidateResponse(problems=[m.plugin.Problem(path=p.path, message=p.message, hint=p.hint) for p in problems])
        unknown = cls.kind == "model" and target.task is None and target.data is None or cls.kind == "comparator" and target.data is None
        if not problems and not unknown:
            threads = max(1, request.threads)
            given = (resolved, threads) if cls.kind == "task" else (resolved, target, threads)
            memory = cls.memory(*given)  # type: ignore[attr-defined]
            if memory is not None:
                out.memory_bytes = max(0, min(int(memory.bytes), (1 << 63) - 1))
                out.memory_params.extend(memory.params)
        return out

    def PluginService_Open(self, request: Any, call: Running) -> Any:
        cls, resolved, target, problems = self._resolve(request)
        if cls.kind == "model" and target.task is None and target.data is None:
            raise invalid("target", f"{cls.full_name()}: the spec of a task or of a data set is needed")
        if request.dir and not (os.path.isabs(request.dir) and os.path.isdir(request.dir)):
            problems.append(Problem("dir", f'"{request.dir}": the absolute path of a folder is needed'))
        if problems:
            raise InvalidArgument(problems)
        env = Env(seed=request.seed, threads=max(1, request.threads), dir=request.dir, log=_Log(self.guard.log, {"component": cls.full_name()}))
        value = cls(resolved, env, target) if cls.kind in ("model", "simulator") else cls(resolved, env)  # type: ignore[call-arg]
        instance = self.guard.add(value)
        return m.plugin.OpenResponse(instance=instance.id, capabilities=cls.capabilities())

    def PluginService_Close(self, request: Any, call: Running) -> Any:
        self.guard.close(request.instance)
        return m.plugin.CloseResponse()

    def PluginService_Grant(self, request: Any, call: Running) -> Any:
        return m.plugin.GrantResponse(token=self.guard.grant(request.instance, list(request.methods)))

    def PluginService_Revoke(self, request: Any, call: Running) -> Any:
        self.guard.revoke(request.token)
        return m.plugin.RevokeResponse()

    def PluginService_Health(self, _: Any, call: Running) -> Any:
        ready, running = self.guard.health()
        out = m.plugin.HealthResponse(ready=ready)
        now = time.monotonic()
        latest: Dict[str, Running] = {}
        for c in running:
            assert c.instance is not None and c._last is not None
            before = latest.get(c.instance.id)
            if before is None or before._last.at < c._last.at:  # type: ignore[union-attr]
                latest[c.instance.id] = c
        for id, c in latest.items():
            p = c._last
            assert p is not None
            age = max(0.0, now - p.at)
            a = out.activities.add(instance=id, last=m.plugin.Progress(phase=p.phase, done=p.done, total=p.total, loss=p.loss))
            a.age.seconds, a.age.nanos = int(age), int(age % 1 * 1e9)
        return out

    def PluginService_Drain(self, request: Any, call: Running) -> Any:
        patience = None
        if request.HasField("deadline"):
            # The last quarter is for what is cancelled to come to its end.
            patience = max((request.deadline.seconds + request.deadline.nanos / 1e9) * 0.75, 1e-9)
        self.guard.drain(patience, call)
        return m.plugin.DrainResponse()


class _Log(logging.LoggerAdapter):  # type: ignore[type-arg]
    """A logger that names the component in each message, beside the fields of `extra={"fields": {...}}`."""

    def process(self, msg: Any, kwargs: Any) -> Any:
        extra = dict(kwargs.get("extra") or {})
        extra["fields"] = {**(self.extra or {}), **extra.get("fields", {})}
        kwargs["extra"] = extra
        return msg, kwargs


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """All methods: ours from the descriptors, and those that go-plugin asks for."""

    def __init__(self, plugin: Plugin, guard: Guard, shutdown: Callable[[], None]) -> None:
        services = (PluginService(plugin, guard), Services(guard))
        self._handlers: Dict[str, grpc.RpcMethodHandler] = {}
        for path, method in m.METHODS.items():
            service, name = path.rsplit("/", 1)
            attribute = f"{service.rsplit('.', 1)[1]}_{name}"
            function = next(getattr(s, attribute) for s in services if hasattr(s, attribute))
            self._handlers[path] = _handler(guard, path, method, function)

        def empty(_: bytes, context: Any) -> bytes:
            return b""

        def stop(_: bytes, context: Any) -> bytes:
            shutdown()
            return b""

        def serving(_: bytes, context: Any) -> bytes:
            return b"\x08\x01"  # HealthCheckResponse{status: SERVING}

        self._handlers["/grpc.health.v1.Health/Check"] = grpc.unary_unary_rpc_method_handler(serving)
        self._handlers["/plugin.GRPCController/Shutdown"] = grpc.unary_unary_rpc_method_handler(stop)

    def service(self, details: grpc.HandlerCallDetails) -> Optional[grpc.RpcMethodHandler]:
        return self._handlers.get(details.method)


def _handler(guard: Guard, path: str, method: m.Method, function: Callable[[Any, Running], Any]) -> grpc.RpcMethodHandler:
    def given(request: Any, call: Running) -> Any:
        return requested(request, call) if method.takes_stream else request

    def one(request: Any, context: grpc.ServicerContext) -> Any:
        with guard.call(path, context) as call:
            return function(given(request, call), call)

    def many(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with guard.call(path, context) as call:
            yield from function(given(request, call), call)

    kind = ("stream" if method.takes_stream else "unary") + "_" + ("stream" if method.gives_stream else "unary")
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    out: grpc.RpcMethodHandler = make(many if method.gives_stream else one, method.request.FromString, method.response.SerializeToString)
    return out


def make_server(plugin: Plugin, guard: Guard, shutdown: Callable[[], None]) -> grpc.Server:
    """A gRPC server with the plugin's services, which has no address yet."""
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="call"),
        options=[
            ("grpc.max_receive_message_length", RECEIVE), ("grpc.max_send_message_length", -1), ("grpc.http2.lookahead_bytes", 4 << 20), ("grpc.so_reuseport", 0),
        ],
    )
    server.add_generic_rpc_handlers((_Handlers(plugin, guard, shutdown),))
    return server
