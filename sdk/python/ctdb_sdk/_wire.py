"""Between numpy arrays and the protocol's tensors and frames. Checks every limit before it believes a header, allocates only as data arrives, and verifies each checksum."""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _messages as m
from ._checksum import crc32c
from .arrays import Array, Arrays, Block
from .errors import Damaged, WrongShape, invalid

CHUNK = 1 << 20
MESSAGE = 4 << 20
FIGURE = 8 << 20
RECEIVE = 16 << 20
MAX_TRIALS = 1_000_000
MAX_ARRAYS = 1 << 16
MAX_AXES = 32
MAX_NAME = 1024
MAX_EMPTY_AXIS = 1 << 20
_FIRST = 16 << 20  # allocated for an array at once; more only when so much has arrived

_F32: "np.dtype[Any]" = np.dtype("<f4")
_F64: "np.dtype[Any]" = np.dtype("<f8")
_I64: "np.dtype[Any]" = np.dtype("<i8")
_NUMBERS: "Dict[np.dtype[Any], int]" = {_F32: m.tensor.Header.DESCRIPTOR.fields_by_name["dtype"].enum_type.values_by_name["DATA_TYPE_FLOAT32"].number}
_NUMBERS[_F64] = _NUMBERS[_F32] + 1
_NUMBERS[_I64] = _NUMBERS[_F32] + 2
_DTYPES = {n: d for d, n in _NUMBERS.items()}


def wired(name: str, value: Any) -> Array:
    """The value as an array that can be sent: contiguous float32, float64 or int64, little-endian. Whatever numpy can read is taken, e.g. JAX's arrays and PyTorch's tensors."""
    if hasattr(value, "detach"):  # a tensor of PyTorch's that records gradients, or is on another device
        value = value.detach().cpu().numpy()
    a = np.asarray(value)
    kind = a.dtype.kind
    if kind in "bi" or (kind == "u" and (a.dtype.itemsize < 8 or not a.size or a.max() <= np.iinfo(np.int64).max)):
        to = _I64
    elif kind == "f" and a.dtype.itemsize <= 4:
        to = _F32
    elif kind == "f" and a.dtype.itemsize == 8:
        to = _F64
    elif a.dtype.name == "bfloat16":
        to = _F32
    else:
        raise WrongShape(f'"{name}" has type {a.dtype}: float32, float64 or an integer type is needed')
    if a.dtype != to or not a.flags.c_contiguous:
        a = np.ascontiguousarray(a, to).reshape(a.shape)  # ascontiguousarray makes a scalar an array of one axis
    return a


def _bytes(a: Array) -> memoryview:
    return a.reshape(-1).view(np.uint8).data if a.size else memoryview(b"")


def header(name: str, a: Array, unit: str = "", axes: Sequence[str] = ()) -> Any:
    if len(name.encode()) > MAX_NAME or len(unit.encode()) > MAX_NAME:
        raise invalid("header.name", f"{len(name)} characters of name, {len(unit)} of unit: at most {MAX_NAME} bytes are allowed")
    if a.ndim > MAX_AXES:
        raise invalid("header.shape", f'"{name}": {a.ndim} axes: at most {MAX_AXES} are allowed')
    if axes and len(axes) != a.ndim:
        raise invalid("header.axes", f'"{name}": {len(axes)} axes named for shape {list(a.shape)}')
    return m.tensor.Header(name=name, dtype=_NUMBERS[a.dtype], shape=a.shape, axes=axes, unit=unit)


def _from_header(h: Any) -> Tuple[np.dtype, Tuple[int, ...], int]:
    dtype = _DTYPES.get(h.dtype)
    if dtype is None:
        raise invalid("header.dtype", f'"{h.name[:100]}": {h.dtype}: float32, float64 or int64 is needed')
    if len(h.name.encode()) > MAX_NAME or len(h.unit.encode()) > MAX_NAME:
        raise invalid("header.name", f"{len(h.name)} characters of name, {len(h.unit)} of unit: at most {MAX_NAME} bytes are allowed")
    shape = tuple(h.shape)
    if len(shape) > MAX_AXES:
        raise invalid("header.shape", f'"{h.name}": {len(shape)} axes: at most {MAX_AXES} are allowed')
    if h.axes and len(h.axes) != len(shape):
        raise invalid("header.axes", f'"{h.name}": {len(h.axes)} axes named for shape {list(shape)}')
    elements = math.prod(shape)
    if any(s < 0 for s in shape) or elements > (1 << 63) // 8 or (elements == 0 and max(shape) > MAX_EMPTY_AXIS):
        raise invalid("header.shape", f'"{h.name}": shape {list(shape)}')
    return dtype, shape, elements


def to_tensor(name: str, value: Any, unit: str = "") -> Any:
    """The message of a small array."""
    a = wired(name, value)
    if a.nbytes > MESSAGE:
        raise invalid(name, f"{a.nbytes} bytes in one message: at most {MESSAGE} are allowed")
    raw = a.tobytes()
    return m.tensor.Tensor(header=header(name, a, unit), data=raw, crc32c=crc32c(raw))


def from_tensor(message: Any) -> Array:
    """The array of a message. It may not be written to."""
    h = message.header
    dtype, shape, elements = _from_header(h)
    raw = message.data
    if len(raw) != elements * dtype.itemsize:
        raise invalid("tensor.data", f'"{h.name}": {len(raw)} bytes for {dtype.name} of shape {list(shape)}')
    got = crc32c(raw)
    if got != message.crc32c:
        raise Damaged(f'"{h.name}": checksum mismatch: {got:08x}, sent as {message.crc32c:08x}')
    return np.frombuffer(raw, dtype).reshape(shape)


def by_rows(arrays: Sequence[Optional[Array]]) -> Iterator[Tuple[int, int, bool]]:
    """Runs of rows [from, to) that fit one message each, and whether more follow; at least one."""
    given = [a for a in arrays if a is not None]
    for a in given:
        if a.ndim == 0 or len(a) != len(given[0]):
            raise WrongShape(f"an array of shape {list(a.shape)} beside one of {list(given[0].shape)}: as many rows are needed")
    rows = len(given[0]) if given else 0
    total = sum(a.nbytes for a in given)
    room = MESSAGE - (1 << 16)
    step = max(1, rows if total <= room else room // -(-total // rows))
    at = 0
    while True:
        to = min(at + step, rows)
        yield at, to, to < rows
        if to == rows:
            return
        at = to


class Rows:
    """The rows of an array that comes in several messages, no more than are expected."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.parts: List[Array] = []
        self.count = 0

    def add(self, part: Array, name: str) -> None:
        if part.ndim == 0:
            raise WrongShape(f'"{name}" has no rows: {self.expected} are expected')
        if self.count + len(part) > self.expected:
            raise WrongShape(f'"{name}" has more than the {self.expected} rows that are expected')
        if self.parts and (part.shape[1:] != self.parts[0].shape[1:] or part.dtype != self.parts[0].dtype):
            raise WrongShape(f'"{name}": rows of {part.dtype} {list(part.shape)} after {self.parts[0].dtype} {list(self.parts[0].shape)}')
        self.parts.append(part)
        self.count += len(part)

    def take(self, name: str) -> Optional[Array]:
        parts, count = self.parts, self.count
        self.parts, self.count = [], 0
        if not parts:
            return None
        if count != self.expected:
            raise WrongShape(f'"{name}" has {count} rows: {self.expected} are expected')
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _set_frames(trials: Union[Array, Sequence[int]], arrays: Mapping[str, Any]) -> Iterator[Any]:
    if len(trials) > MAX_TRIALS:
        raise invalid("block.trials", f"{len(trials)} trials in a block: at most {MAX_TRIALS} are allowed")
    if len(arrays) > MAX_ARRAYS:
        raise invalid("block.arrays", f"{len(arrays)} arrays in a block: at most {MAX_ARRAYS} are allowed")
    frame = m.tensor.Frame(start=m.tensor.BlockStart(trials=trials, arrays=len(arrays)))
    units, axes = getattr(arrays, "units", {}), getattr(arrays, "axes", {})
    for name, value in arrays.items():
        a = wired(name, value)
        if len(trials) and (a.ndim == 0 or len(a) != len(trials)):
            raise WrongShape(f'"{name}" has shape {list(a.shape)} in a block of {len(trials)} trials')
        frame.header.CopyFrom(header(name, a, units.get(name, ""), axes.get(name, ())))
        raw = _bytes(a)
        at, crc = 0, 0
        while True:
            piece = bytes(raw[at : at + CHUNK])
            at += len(piece)
            crc = crc32c(piece, crc)
            frame.data = piece
            if at == len(raw):
                frame.crc32c = crc
            yield frame
            frame = m.tensor.Frame()
            if at == len(raw):
                break
    if not arrays:
        yield frame


def block_frames(blocks: Iterable[Block]) -> Iterator[Any]:
    """The frames of a sequence of blocks, its end included."""
    sent = 0
    for b in blocks:
        if not isinstance(b, Block):
            raise WrongShape(f"{type(b).__name__} where a Block is needed")
        yield from _set_frames(b.trials, b.arrays)
        sent += 1
    yield m.tensor.Frame(end=m.tensor.BlocksEnd(blocks=sent))


def set_frames(arrays: Mapping[str, Any]) -> Iterator[Any]:
    """The frames of a set of arrays, its end included."""
    yield from _set_frames((), arrays)
    yield m.tensor.Frame(end=m.tensor.BlocksEnd(blocks=1))


class Assembler:
    """Puts a sequence together from its frames. After an error it is of no more use."""

    def __init__(self) -> None:
        self.ended = False
        self._open = False  # a block has begun
        self._left = 0  # arrays still to come in it
        self._trials: Array = np.empty(0, np.int64)
        self._arrays = Arrays()
        self._head: Any = None  # of the array that is arriving
        self._done = 0

    def push(self, f: Any) -> Optional[Block]:
        """Takes the next frame, and returns the block that it completes."""
        if self.ended:
            raise invalid("frame", "a frame after the end of the sequence")
        if f.HasField("start"):
            self._begin_block(f.start)
        if f.HasField("header"):
            self._begin(f.header)
        data = f.data
        if data:
            self._data(data)
        if f.HasField("crc32c"):
            self._finish(f.crc32c)
        out = None
        if self._open and self._left == 0 and self._head is None:
            out = Block(self._trials, self._arrays)
            self._open, self._arrays = False, Arrays()
            self._done += 1
        if f.HasField("end"):
            if self._open:
                raise Damaged("checksum mismatch: the sequence ends inside a block")
            if f.end.blocks != self._done:
                raise Damaged(f"checksum mismatch: {self._done} blocks arrived, {f.end.blocks} were sent")
            self.ended = True
        return out

    def _begin_block(self, start: Any) -> None:
        if self._open:
            raise invalid("frame.start", "a block begins before the one before is complete")
        if len(start.trials) > MAX_TRIALS:
            raise invalid("frame.start", f"{len(start.trials)} trials in a block: at most {MAX_TRIALS} are allowed")
        if start.arrays > MAX_ARRAYS:
            raise invalid("frame.start", f"{start.arrays} arrays in a block: at most {MAX_ARRAYS} are allowed")
        self._open, self._left = True, start.arrays
        self._trials, self._arrays = np.array(start.trials, np.int64), Arrays()

    def _begin(self, h: Any) -> None:
        if not self._open or self._head is not None or self._left == 0:
            raise invalid("frame.header", f'"{h.name[:100]}": an array where none is expected')
        dtype, shape, elements = _from_header(h)
        if len(self._trials) and (not shape or shape[0] != len(self._trials)):
            raise invalid("frame.header.shape", f'"{h.name}" has shape {list(shape)} in a block of {len(self._trials)} trials')
        if h.name in self._arrays:
            raise invalid("frame.header.name", f'"{h.name}" comes twice')
        self._head, self._dtype, self._shape, self._bytes = h, dtype, shape, elements * dtype.itemsize
        self._to = np.empty(min(self._bytes, _FIRST), np.uint8)
        self._filled, self._crc = 0, 0

    def _data(self, data: bytes) -> None:
        if self._head is None:
            raise invalid("frame.data", f"{len(data)} bytes where none are expected")
        name, end = self._head.name, self._filled + len(data)
        if len(data) > CHUNK:
            raise invalid("frame.data", f'"{name}": {len(data)} bytes in a frame: at most {CHUNK} are allowed')
        if end > self._bytes:
            raise invalid("frame.data", f'"{name}": more than the {self._bytes} bytes of shape {list(self._shape)}')
        if end > len(self._to):
            grown = np.empty(min(self._bytes, 2 * len(self._to)), np.uint8)
            grown[: self._filled] = self._to[: self._filled]
            self._to = grown
        self._to[self._filled : end] = np.frombuffer(data, np.uint8)
        self._filled = end
        self._crc = crc32c(data, self._crc)

    def _finish(self, crc: int) -> None:
        if self._head is None:
            raise invalid("frame.crc32c", "a checksum where none is expected")
        h = self._head
        if self._filled != self._bytes:
            raise Damaged(f'"{h.name}": checksum mismatch: {self._filled} bytes of {self._bytes}')
        if crc != self._crc:
            raise Damaged(f'"{h.name}": checksum mismatch: {self._crc:08x}, sent as {crc:08x}')
        self._arrays[h.name] = self._to.view(self._dtype).reshape(self._shape)
        if h.unit:
            self._arrays.units[h.name] = h.unit
        if h.axes:
            self._arrays.axes[h.name] = tuple(h.axes)
        self._head = None
        self._left -= 1


def receive(frames: Iterable[Any]) -> Iterator[Block]:
    """The blocks of a sequence of frames."""
    assembler = Assembler()
    for f in frames:
        block = assembler.push(f)
        if block is not None:
            yield block
        if assembler.ended:
            return
    raise Damaged("checksum mismatch: the stream stops before the end of the sequence")


def receive_set(frames: Iterable[Any]) -> Arrays:
    """One set of arrays."""
    out: Optional[Arrays] = None
    for block in receive(frames):
        if out is not None or len(block.trials):
            raise invalid("frame.start", "one set of arrays is needed, got blocks of trials")
        out = block.arrays
    if out is None:
        raise invalid("frame.end", "one set of arrays is needed, got none")
    return out
