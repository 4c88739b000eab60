"""What the four kinds of component share."""

from __future__ import annotations

import hashlib
import inspect
import logging
import math
import os
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Callable, ClassVar, List, Optional, Sequence, Union

from . import _messages as m
from . import figures, params
from .errors import Cancelled, Unavailable, invalid

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")


@dataclass
class Env:
    """What every instance is opened with besides its parameters."""

    seed: int
    """All of the instance's random streams are derived from it (ctdb_sdk.random)."""
    threads: int = 1
    """Threads that the instance may keep busy."""
    dir: str = ""
    """A private folder for checkpoints; empty where the host gives none. Nothing may be written elsewhere."""
    log: "Union[logging.Logger, logging.LoggerAdapter[logging.Logger]]" = field(default_factory=lambda: logging.getLogger("ctdb_sdk"))
    """Goes to the run's log with the component's name. Further fields: log.info("fitted", extra={"fields": {"neurons": 40}})."""


@dataclass
class Memory:
    """An estimate of what an instance takes at its peak, in bytes, good to a factor of two, and the parameters that it grows with, the strongest first."""

    bytes: int
    params: Sequence[str] = ()


class Component:
    """The base of the four kinds. A subclass is one component: its class attributes describe it, its instances are what the host opens.

    The first sentence of its docstring is shown to users.
    """

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    """Lower-case letters and digits, in words joined by hyphens, e.g. "poisson-clicks"."""
    version: ClassVar[str] = "0.1.0"
    """Semantic version. It must change whenever results change."""
    source: ClassVar[str] = ""
    """Cites what defines the component; may be empty."""
    Params: ClassVar[Optional[type]] = None
    """A dataclass whose fields are made with ctdb_sdk.param."""
    deterministic: ClassVar[bool] = False
    """Promises: same parameters, seed, inputs and environment, same bytes."""

    params: Any
    env: Env

    @classmethod
    def full_name(cls) -> str:
        return f"{cls.kind}/{cls.name}"

    @classmethod
    def capabilities(cls) -> List[str]:
        """What the component can do beyond what its kind demands, as the host asks for it."""
        return ["deterministic"] if cls.deterministic else []

    @classmethod
    def doc(cls) -> str:
        """The first paragraph of the docstring."""
        return " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())

    def close(self) -> None:
        """Frees what the instance holds beyond memory."""

    @classmethod
    def _mistakes(cls) -> List[str]:
        """What the author has got wrong, found at the start."""
        out = []
        where = cls.__qualname__
        if not _NAME.match(cls.name):
            out.append(f'{where}.name is "{cls.name}": lower-case letters and digits are needed, in words joined by hyphens')
        if not _VERSION.match(cls.version):
            out.append(f'{where}.version is "{cls.version}": a semantic version such as 1.0.0 is needed')
        if not cls.doc():
            out.append(f"{where} has no docstring: its first sentence is what users are shown")
        try:
            params.schema(cls.Params)
        except TypeError as error:
            out.append(str(error))
        return out


def overrides(cls: type, base: type, method: str) -> bool:
    """Whether a subclass has a method of its own."""
    return getattr(cls, method) is not getattr(base, method)


@dataclass
class Progress:
    phase: str
    done: int
    total: int
    loss: float
    at: float = 0.0


class Call:
    """A running call: what a component says while it works, and how it learns that it should stop. Its methods may be called from any thread."""

    def __init__(self, log: Optional[logging.Logger] = None) -> None:
        self.log = log or logging.getLogger("ctdb_sdk")
        self._cancelled = threading.Event()
        self._cause: Optional[BaseException] = None
        self._draining = threading.Event()
        self._hooks: List[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._send: Optional[Callable[[Any], None]] = None
        self._last: Optional[Progress] = None
        self._said = ("", 0.0)
        self._dir = ""

    @property
    def cancelled(self) -> bool:
        """The caller has given up, or the call was ended."""
        return self._cancelled.is_set()

    @property
    def draining(self) -> bool:
        """The plugin is asked to come to its end: take a checkpoint and call stop(). A call that takes no notice is cancelled a little later."""
        return self._draining.is_set()

    def check(self) -> None:
        """Raises where the call has been cancelled. Call it in every loop that takes time."""
        if self._cancelled.is_set():
            raise self._cause or Cancelled("the call was cancelled")

    def stop(self, why: str = "the plugin is coming to its end") -> None:
        """Ends the call after a checkpoint; the host may repeat it."""
        raise Unavailable(why)

    def progress(self, phase: str, done: int, total: int = 0, loss: float = math.nan) -> None:
        """Says how far the call has come, e.g. progress("epoch", 3, 100). Cheap: it may be called at every step. Raises where the call has been cancelled."""
        self.check()
        now = time.monotonic()
        self._last = Progress(phase, int(done), int(total), float(loss), now)
        said, at = self._said
        if said == phase and (total == 0 or done < total) and now - at < 0.05:
            return
        self._said = (phase, now)
        self._event(m.plugin.Event(progress=m.plugin.Progress(phase=phase, done=int(done), total=int(total), loss=float(loss))))

    def metric(self, name: str, value: float, step: int = 0, epoch: int = 0) -> None:
        """One value of a curve over training, e.g. metric("train/loss", 0.3, step, epoch); both are counted from 0."""
        self.check()
        self._event(m.plugin.Event(metric=m.plugin.Metric(name=name, step=int(step), epoch=int(epoch), value=float(value))))

    def figure(self, f: figures.Figure) -> None:
        """A figure for the report."""
        self.check()
        self._event(m.plugin.Event(figure=figures.to_figure(f)))

    def checkpoint(self, file: str, write: Callable[[BinaryIO], None], step: int = 0, best: bool = False) -> None:
        """Writes a file of the instance's private folder, complete or not at all, and announces it."""
        if not self._dir:
            return
        if not file or file in (".", "..") or os.path.basename(file) != file:
            raise invalid("checkpoint.file", f'"{file}": the name of a file in the instance\'s folder is needed')
        # With the permissions of other files, so that who shares the host's store can go on from it.
        temporary = os.path.join(self._dir, f"{file}.{uuid.uuid4().hex}")
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with os.fdopen(handle, "w+b") as f:
                write(f)
                f.flush()
                os.fsync(f.fileno())
                f.seek(0)
                digest = hashlib.sha256()
                for piece in iter(lambda: f.read(1 << 20), b""):
                    digest.update(piece)
            os.replace(temporary, os.path.join(self._dir, file))
        except BaseException:
            os.unlink(temporary)
            raise
        self._event(m.plugin.Event(checkpoint=m.plugin.Checkpoint(file=file, sha256=digest.hexdigest(), step=int(step), best=best)))

    def _event(self, event: Any) -> None:
        if self._send is not None:
            self._send(event)

    def _cancel(self, cause: Optional[BaseException] = None) -> None:
        with self._lock:
            if self._cancelled.is_set():
                return
            self._cause = cause
            self._cancelled.set()
            hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()

    def _on_cancel(self, hook: Callable[[], None]) -> None:
        """Has hook called when the call is cancelled, at once where it has been."""
        with self._lock:
            if not self._cancelled.is_set():
                self._hooks.append(hook)
                return
        hook()
