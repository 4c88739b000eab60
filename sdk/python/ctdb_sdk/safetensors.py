"""Weights as safetensors: a header of JSON, then the arrays' bytes. What PyTorch's package of that name reads and writes."""

from __future__ import annotations

import json
from typing import Any, BinaryIO, Dict, Mapping, Optional, Tuple

import numpy as np

from ._wire import wired
from .arrays import Arrays
from .errors import Damaged

_NAMES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "F16": "<f2", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}
_OURS = {np.dtype("<f4"): "F32", np.dtype("<f8"): "F64", np.dtype("<i8"): "I64"}
_MAX_HEADER = 100 << 20


def write(f: BinaryIO, arrays: Mapping[str, Any], metadata: Optional[Mapping[str, str]] = None) -> None:
    """Writes arrays to an open file, in the order of their names."""
    made = {name: wired(name, arrays[name]) for name in sorted(arrays)}
    head: Dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, a in made.items():
        head[name] = {"dtype": _OURS[a.dtype], "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    f.write(len(text).to_bytes(8, "little") + text)
    for a in made.values():
        f.write(a.tobytes())


def read(f: BinaryIO) -> Tuple[Arrays, Dict[str, str]]:
    """The arrays of an open file, and its metadata."""
    raw = f.read(8)
    size = int.from_bytes(raw, "little")
    if len(raw) < 8 or size > _MAX_HEADER:
        raise Damaged("safetensors: the file is cut short, or is none")
    try:
        head = json.loads(f.read(size))
        metadata = head.pop("__metadata__", {})
        data = f.read()
        out = Arrays()
        for name, d in sorted(head.items(), key=lambda item: item[1]["data_offsets"]):
            first, last = d["data_offsets"]
            dtype = np.dtype(_NAMES[d["dtype"]])
            if not 0 <= first <= last <= len(data):
                raise ValueError(f"{name} is outside of the file")
            out[name] = np.frombuffer(data[first:last], dtype).reshape(d["shape"]).copy()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"safetensors: {error}") from error
    return out, metadata
