"""What a caller sends while a call goes on: the data of a training, the subjects of a comparison."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from . import _messages as m
from . import _specs
from ._client import Leased, RemoteDynamics
from ._guard import Guard, Running
from ._wire import Assembler
from .arrays import Arrays, Blocks
from .errors import Unavailable, invalid
from .model import DataSource


class CallersData(DataSource):
    """The caller's data, asked for over the stream as the model takes it, two blocks ahead."""

    _AHEAD = 2

    def __init__(self, requests: Iterator[Any], send: Callable[[Any], None], call: Running) -> None:
        self._requests, self._send, self._call = requests, send, call
        self._lock = threading.Lock()
        self._last = 0
        self._sequences: Dict[int, Tuple[Assembler, "queue.Queue[Any]"]] = {}
        self._failed: Optional[BaseException] = None

    def receive(self) -> None:
        """Takes what comes in to the sequence that it belongs to, until the stream ends."""
        try:
            for r in self._requests:
                if not r.HasField("data"):
                    raise invalid("data", "a piece of data is expected")
                with self._lock:
                    sequence = self._sequences.get(r.data.sequence)
                if sequence is None:
                    continue  # no longer wanted
                assembler, items = sequence
                try:
                    block = assembler.push(r.data.frame)
                except Exception as error:
                    items.put(error)
                    raise
                if block is not None:
                    items.put(block)
                if assembler.ended:
                    items.put(None)
            raise Unavailable("the caller sends no more data")
        except BaseException as error:
            with self._lock:
                self._failed = error
                waiting = list(self._sequences.values())
            for _, items in waiting:
                items.put(error)

    def data(self, split: str) -> Blocks:
        if split not in ("train", "valid"):
            raise invalid("split", f'"{split}": train or valid is needed')
        return self._range(_specs.to_split(split))

    def _range(self, split: int) -> Blocks:
        items: "queue.Queue[Any]" = queue.Queue()
        with self._lock:
            self._last += 1
            id = self._last
            self._sequences[id] = (Assembler(), items)
            if self._failed is not None:
                items.put(self._failed)
        finished = False
        try:
            self._want(sequence=id, split=split, blocks=self._AHEAD)
            while True:
                item = items.get()
                if isinstance(item, BaseException):
                    finished = True
                    self._call.check()
                    raise item
                if item is None:
                    return
                self._want(sequence=id, split=split, blocks=1)
                yield item
        finally:
            with self._lock:
                del self._sequences[id]
            if not finished and not self._call.cancelled:
                self._want(sequence=id, done=True)

    def _want(self, **want: Any) -> None:
        self._send(m.model.TrainResponse(want=m.model.TrainWant(**want)))


class Subjects:
    """Puts the subjects of a comparison together."""

    _SETS = ("train", "valid", "scored")

    def __init__(self, guard: Guard, call: Running, held: contextlib.ExitStack) -> None:
        self.guard, self.call, self.held = guard, call, held
        self.all: List[Any] = []
        self.sets: Dict[str, Assembler] = {}
        self.arrays: Dict[str, Arrays] = {}

    def take(self, request: Any) -> None:
        which = request.WhichOneof("request")
        if which == "subject":
            self.complete()
            self._begin(request.subject)
        elif which in self._SETS:
            if not self.all:
                raise invalid("subjects", "arrays before the first subject")
            block = self.sets[which].push(getattr(request, which))
            if block is not None:
                if which in self.arrays or len(block.trials):
                    raise invalid("subjects." + self.all[-1].label, "one set of arrays is needed, got blocks of trials")
                self.arrays[which] = block.arrays

    def _begin(self, message: Any) -> None:
        subject = _specs.from_subject(message)
        if any(s.label == subject.label for s in self.all):
            raise invalid("subjects." + subject.label, "the label is given twice")
        if message.HasField("dynamics"):
            instance = self.held.enter_context(self.guard.own(message.dynamics))
            if instance is not None:
                subject.dynamics = self.held.enter_context(self.guard.lend(instance))
            else:
                leased = Leased(message.dynamics, self.call)
                self.held.callback(leased.close)
                subject.dynamics = RemoteDynamics(leased)
        self.all.append(subject)
        self.sets, self.arrays = {name: Assembler() for name in self._SETS}, {}

    def complete(self) -> None:
        """Gives the last subject its arrays, or says that some have not arrived."""
        if not self.all:
            return
        last = self.all[-1]
        for name in self._SETS:
            if not self.sets[name].ended:
                raise invalid("subjects." + last.label, f"the set of its {name} arrays is not complete")
            setattr(last, name, self.arrays.get(name, Arrays()))
