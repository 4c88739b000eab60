"""Which calls are let in: instances, tokens, leases, and the ends of calls. What sdk/serve does in Go, in the same order."""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

import grpc

from ._status import Status, to_status
from .component import Call, Component
from .errors import Cancelled, Error, NotFound, Unavailable, invalid

TOKEN, INSTANCE = "ctdb-token", "ctdb-instance"
PLUGIN_SERVICE = "/ctdb.plugin.v1.PluginService/"
TRAIN = "/ctdb.model.v1.ModelService/Train"
_FREE = {PLUGIN_SERVICE + name for name in ("Describe", "Health", "Drain", "Close", "Revoke")}
_UNBLOCK = 0.5  # seconds that a cancelled call has to say why before its stream is cut


class Instance:
    """An opened component."""

    def __init__(self, id: str, value: Component) -> None:
        self.id, self.value = id, value
        self.lent = 0  # how many hold its dynamics directly
        self.held = 0  # running calls on it, and those elsewhere that hold it directly
        self.making = threading.Lock()
        self.live: Any = None  # its dynamics with the present weights

    @property
    def name(self) -> str:
        return self.value.full_name()

    def dynamics(self) -> Any:
        with self.making:
            if self.live is None:
                self.live = self.value.dynamics()  # type: ignore[attr-defined]
            return self.live

    def stale(self) -> None:
        with self.making:
            self.live = None


class Grant:
    def __init__(self, instance: Instance, methods: Sequence[str]) -> None:
        self.instance, self.methods = instance, set(methods)


class Running(Call):
    """A call that the guard has let in."""

    def __init__(self, method: str, log: logging.Logger) -> None:
        super().__init__(log)
        self.method = method
        self.instance: Optional[Instance] = None
        self.grant: Optional[Grant] = None
        self.admitted = False
        self.counted = False
        self.context: Any = None


class Guard:
    """The instances of a plugin and the calls on them."""

    def __init__(self, name: str, token: str, log: logging.Logger) -> None:
        self.name, self.log = name, log
        self._token = token
        self._changed = threading.Condition()
        self._opened = 0
        self._instances: Dict[str, Instance] = {}
        self._grants: Dict[str, Grant] = {}
        self._calls: Set[Running] = set()
        self._draining = False
        self._shut = False

    # What gRPC calls.

    @contextmanager
    def call(self, method: str, context: grpc.ServicerContext) -> Iterator[Running]:
        """Lets a call in, and turns what it raises into its status."""
        running: Optional[Running] = None
        status: Optional[Status] = None
        try:
            running = self._enter(method, context)
            self._settle(running)
            yield running
        except GeneratorExit:  # gRPC has dropped the stream
            raise
        except BaseException as error:
            status = self._status(error, method, running)
        finally:
            if running is not None:
                self._leave(running)
        if status is not None:
            context.abort_with_status(status)

    def _status(self, error: BaseException, method: str, running: Optional[Running]) -> Status:
        if isinstance(error, _Refused):
            return error.status
        name = running.instance.name if running is not None and running.instance is not None else self.name
        if running is not None and running.cancelled and not isinstance(error, Unavailable):
            # A call that the plugin itself has ended says why, rather than that it was cancelled.
            error = running._cause or Cancelled("the call was cancelled")
        elif not isinstance(error, Error):
            self.log.error("exception in %s", method, exc_info=error, extra={"fields": {"component": name}})
        return to_status(error, name)

    def _enter(self, method: str, context: grpc.ServicerContext) -> Running:
        metadata = {k: v for k, v in context.invocation_metadata() or ()}
        token, id = str(metadata.get(TOKEN, "")), str(metadata.get(INSTANCE, ""))
        running = Running(method, self.log)
        running.context = context
        with self._changed:
            if not secrets.compare_digest(token.encode(), self._token.encode()):
                grant = self._grants.get(token)
                if grant is None:
                    raise _Refused(grpc.StatusCode.UNAUTHENTICATED, f"{self.name}: the token is not known: it is wrong, or its lease has ended")
                if grant.instance.id != id or method not in grant.methods:
                    raise _Refused(grpc.StatusCode.PERMISSION_DENIED, f'{self.name}: the lease of {grant.instance.id} does not allow {method} on "{id}"')
                running.grant = grant
            if method not in _FREE:
                if self._shut or (self._draining and running.grant is None):
                    raise self._ending()
                if not method.startswith(PLUGIN_SERVICE):
                    running.instance = self._find(id)
                    running.instance.held += 1
                running.counted = True
                self._calls.add(running)
                if self._draining:
                    running._draining.set()
        # Of the others too: a Drain whose caller has gone must not wait for ever.
        if not context.add_callback(running._cancel):
            running._cancel()
        return running

    def _settle(self, running: Running) -> None:
        """Waits for calls on the instance that were cancelled and are still ending, then refuses what excludes what: training excludes other calls."""
        if running.instance is None:
            return
        instance, excluding = running.instance, running.method == TRAIN
        with self._changed:
            while any(c is not running and c.instance is instance and c.cancelled for c in self._calls):
                self._changed.wait(0.1)
                running.check()
            others = [c for c in self._calls if c is not running and c.instance is instance and c.admitted]
            if not excluding:
                self._not_in_training(instance)
            elif others:
                raise invalid("instance", f"{instance.id} cannot be trained while {others[0].method} runs: training excludes other calls")
            elif instance.lent:
                raise invalid("instance", f"{instance.id} cannot be trained while its dynamics are lent: training excludes other calls")
            running.admitted = True

    def _not_in_training(self, instance: Instance) -> None:
        if any(c.instance is instance and c.admitted and c.method == TRAIN for c in self._calls):
            raise invalid("instance", f"{instance.id} is in training, which excludes other calls: wait for its end")

    def _leave(self, running: Running) -> None:
        if not running.counted:
            return
        with self._changed:
            self._calls.discard(running)
            if running.instance is not None:
                running.instance.held -= 1
            self._hush()
            self._changed.notify_all()

    def _hush(self) -> None:
        if self._draining and not self._calls:
            self._shut = True

    def _ending(self) -> Unavailable:
        return Unavailable(f"{self.name} is coming to its end")

    def _find(self, id: str) -> Instance:
        if id not in self._instances:
            raise NotFound(f'{self.name} has no instance "{id}", it may have been closed')
        return self._instances[id]

    def _end(self, running: Running, cause: Error) -> None:
        """Cancels a call for a cause of the plugin's own. One that waits for a message is cut off a little later."""
        running._cancel(cause)

        def cut() -> None:
            if running in self._calls:
                running.context.cancel()

        timer = threading.Timer(_UNBLOCK, cut)
        timer.daemon = True
        timer.start()

    # What PluginService offers.

    def add(self, value: Component) -> Instance:
        with self._changed:
            self._opened += 1
            instance = Instance(f"{value.full_name()}#{self._opened}", value)
            self._instances[instance.id] = instance
            return instance

    def close(self, id: str) -> None:
        """Ends an instance: its leases, then its calls, then itself."""
        with self._changed:
            instance = self._find(id)
            del self._instances[id]
            self._grants = {t: g for t, g in self._grants.items() if g.instance is not instance}
            ended = [c for c in self._calls if c.instance is instance]
        for c in ended:
            self._end(c, Unavailable(f"{id} has been closed"))
        with self._changed:
            while instance.held:
                self._changed.wait(1)
        instance.value.close()

    def close_all(self) -> None:
        for id in list(self._instances):
            self.close(id)

    def grant(self, id: str, methods: Sequence[str]) -> str:
        for method in methods:
            if not method.startswith("/ctdb.") or method.startswith(PLUGIN_SERVICE):
                raise invalid("methods", f'"{method}": a method of an instance is needed, e.g. /ctdb.task.v1.TaskService/Spec')
        with self._changed:
            token = secrets.token_hex(16)
            self._grants[token] = Grant(self._find(id), methods)
            return token

    def revoke(self, token: str) -> None:
        with self._changed:
            grant = self._grants.pop(token, None)
            ended = [c for c in self._calls if grant is not None and c.grant is grant]
        for c in ended:
            assert grant is not None
            self._end(c, Unavailable(f"the lease of {grant.instance.id} has ended"))

    def health(self) -> Tuple[bool, List[Running]]:
        """Whether it takes new calls, and the running ones that have reported progress."""
        with self._changed:
            return not self._draining, [c for c in self._calls if c.instance is not None and c._last is not None]

    def drain(self, patience: Optional[float], running: Call) -> None:
        """Refuses new calls and waits for the running ones, which are cancelled after patience seconds; None means never. Where its own caller has gone it ends, and the plugin still drains."""
        running._on_cancel(self._wake)
        with self._changed:
            self._draining = True
            for c in self._calls:
                c._draining.set()
            self._hush()
            self._changed.wait_for(lambda: self._shut or running.cancelled, patience)
            running.check()
            late = [] if self._shut else list(self._calls)
        for c in late:
            self._end(c, self._ending())
        with self._changed:
            while not self._shut:
                running.check()
                self._changed.wait()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # Leases of this plugin's own instances are used directly.

    @contextmanager
    def own(self, lease: Any) -> Iterator[Optional[Instance]]:
        """The instance of a lease that was granted here, kept from being closed; None where it was not."""
        with self._changed:
            grant = self._grants.get(lease.token)
            instance = grant.instance if grant is not None and grant.instance.id == lease.instance else None
            if instance is not None:
                instance.held += 1
        try:
            yield instance
        finally:
            if instance is not None:
                with self._changed:
                    instance.held -= 1
                    self._changed.notify_all()

    @contextmanager
    def lend(self, instance: Instance) -> Iterator[Any]:
        """The dynamics of an instance, which cannot be trained meanwhile."""
        with self._changed:
            self._not_in_training(instance)
            instance.lent += 1
        try:
            yield instance.dynamics()
        finally:
            with self._changed:
                instance.lent -= 1


class _Refused(Exception):
    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.status = Status(code, text, ())
