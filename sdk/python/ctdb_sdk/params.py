"""Parameters: a dataclass whose fields carry their units, ranges and docs.

    @dataclass
    class Params:
        rate: float = param(20.0, above=0, unit="1/s", doc="clicks a second on both sides together")
        n_trials: int = param(500, min=10, doc="number of trials")
        kind: str = param("poisson", choices=["poisson", "regular"], doc="how clicks are spaced")

It is their only description: validation, help, the generated pages and the host all read it.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import _messages as m
from .errors import Problem

_KEY = "ctdb"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_TYPES = {"bool": "BOOL", "int": "INT", "float": "FLOAT", "string": "STRING", "list of int": "INTS", "list of float": "FLOATS", "list of string": "STRINGS"}
_REQUIRED = dataclasses.MISSING


def param(
    default: Any = _REQUIRED, *, doc: str, unit: str = "", min: Optional[float] = None, max: Optional[float] = None,
    above: Optional[float] = None, below: Optional[float] = None, choices: Optional[Sequence[str]] = None,
) -> Any:
    """A field of a parameter dataclass. Without a default it is required. min and max are inclusive, above and below exclusive bounds, of each element of a list."""
    described = {"doc": doc, "unit": unit, "min": min, "max": max, "above": above, "below": below, "choices": list(choices or [])}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata={_KEY: described})
    return dataclasses.field(default=default, metadata={_KEY: described})


@dataclasses.dataclass
class Field:
    """The description of one parameter."""

    name: str
    type: str
    default: Any
    unit: str
    min: Optional[float]
    max: Optional[float]
    above: Optional[float]
    below: Optional[float]
    choices: List[str]
    doc: str

    def range(self) -> str:
        """The allowed values in words, e.g. "1..16"; empty where anything goes."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.min is not None and self.max is not None:
            return f"{self.min:.15g}..{self.max:.15g}"
        bounds = ((">=", self.min), (">", self.above), ("<=", self.max), ("<", self.below))
        return " and ".join(f"{sign} {b:.15g}" for sign, b in bounds if b is not None)

    def want(self) -> str:
        """What is needed, in words."""
        text = ("an " if self.type == "int" else "a ") + self.type
        if self.range():
            text += " " + self.range()
        return f"{text} ({self.unit})" if self.unit else text

    def convert(self, value: Any) -> Tuple[Any, bool]:
        """The value as the field's type has it, and whether it can be."""
        if self.type.startswith("list of "):
            if not isinstance(value, (list, tuple)):
                return None, False
            each = [_convert(self.type[len("list of ") :], v) for v in value]
            return [v for v, _ in each], all(ok for _, ok in each)
        return _convert(self.type, value)

    def wrong(self, value: Any) -> Tuple[str, str]:
        """What is wrong with a value of the right type and what may have been meant; empty where nothing is. Of a list of choices it is the first entry that is none."""
        for v in value if isinstance(value, list) else [value]:
            if isinstance(v, str):
                bad = bool(self.choices) and v not in self.choices
            elif isinstance(v, bool):
                bad = False
            else:
                bad = (
                    not math.isfinite(v) or (self.min is not None and v < self.min) or (self.max is not None and v > self.max)
                    or (self.above is not None and v <= self.above) or (self.below is not None and v >= self.below)
                )
            if bad:
                shown, hint = (v, did_you_mean(v, self.choices)) if isinstance(v, str) else (value, "")
                return f"{_show(shown)} is not allowed: {self.range() or 'a finite number'}", hint
        return "", ""


def _convert(kind: str, v: Any) -> Tuple[Any, bool]:
    if kind == "bool":
        return v, isinstance(v, bool)
    if kind == "string":
        return v, isinstance(v, str)
    if isinstance(v, bool) or not isinstance(v, (int, float)):
        return None, False
    if kind == "float":
        return float(v), True
    if isinstance(v, float):
        return (int(v), True) if v.is_integer() and abs(v) < 1 << 53 else (None, False)
    return v, -(1 << 63) <= v < 1 << 63


def _show(v: Any) -> str:
    text = '"' + v + '"' if isinstance(v, str) else str(v).lower() if isinstance(v, bool) else str(v)
    return text if len(text) <= 120 else text[:120] + "..."


def schema(cls: Optional[type]) -> List[Field]:
    """The description of a parameter dataclass; none for None. A mistake of the author's is a TypeError that names the field."""
    if cls is None:
        return []
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__qualname__}: parameters are a dataclass: @dataclass is missing")
    hints = typing.get_type_hints(cls)
    out = []
    for f in dataclasses.fields(cls):
        where = f"{cls.__qualname__}.{f.name}"
        if _KEY not in f.metadata:
            raise TypeError(f"{where}: a parameter is made with param(default, doc=...)")
        if not _NAME.match(f.name):
            raise TypeError(f"{where}: at most 64 lower-case letters, digits and underscores are needed, a letter first")
        kind = _kind(hints[f.name])
        if kind is None:
            raise TypeError(f"{where}: {hints[f.name]} cannot be a parameter: bool, int, float, str or a list of int, float or str can")
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        field = Field(name=f.name, type=kind, default=None, **f.metadata[_KEY])
        if not field.doc:
            raise TypeError(f"{where}: doc is missing")
        if default is not dataclasses.MISSING:
            value, ok = field.convert(default)
            problem = "" if ok and value is not None else f"{_show(default)}: {field.want()} is needed"
            problem = problem or field.wrong(value)[0]
            if problem:
                raise TypeError(f"{where}: default {problem}")
            field.default = value
        out.append(field)
    return out


def _kind(hint: Any) -> Optional[str]:
    simple = {bool: "bool", int: "int", float: "float", str: "string"}
    if hint in simple:
        return simple[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is list and len(args) == 1 and args[0] in (int, float, str):
        return "list of " + simple[args[0]]
    return None


def did_you_mean(given: str, valid: Sequence[str]) -> str:
    """A hint at the nearest valid name, or else at the only one that begins with what was given, whatever the case of letters; empty where there is none."""
    lower = given.lower()
    close = difflib.get_close_matches(lower, [name.lower() for name in valid], 1, 0.6)
    near = [name for name in valid if name.lower() in close]
    if not near and len(given) >= 3:
        longer = [name for name in valid if name.lower().startswith(lower)]
        near = longer if len(longer) == 1 else []
    return f'did you mean "{near[0]}"?' if near else ""


def resolve(fields: Sequence[Field], given: Mapping[str, Any]) -> Tuple[Dict[str, Any], List[Problem]]:
    """The values with defaults filled in, and all that is wrong, with paths "params.NAME"."""
    values: Dict[str, Any] = {}
    problems: List[Problem] = []
    for f in fields:
        path = "params." + f.name
        if f.name not in given:
            if f.default is None:
                problems.append(Problem(path, f"is required: {f.want()}", f.doc))
            else:
                values[f.name] = list(f.default) if isinstance(f.default, list) else f.default
            continue
        value, ok = f.convert(given[f.name])
        if not ok:
            problems.append(Problem(path, f"{_show(given[f.name])}: {f.want()} is needed"))
            continue
        wrong, hint = f.wrong(value)
        if wrong:
            problems.append(Problem(path, wrong, hint))
            continue
        values[f.name] = value
    names = [f.name for f in fields]
    for name in sorted(set(given) - set(names)):
        hint = did_you_mean(name, names) or ("parameters are " + ", ".join(names) if names else "")
        problems.append(Problem("params." + name, "no such parameter", hint))
    return values, problems


def to_fields(fields: Sequence[Field]) -> List[Any]:
    """The messages of a schema."""
    out = []
    for f in fields:
        message = m.plugin.Field(
            name=f.name, type=m.plugin.number("Type", "TYPE_" + _TYPES[f.type]), unit=f.unit, choices=f.choices, doc=f.doc,
            min=f.min, max=f.max, above=f.above, below=f.below,
        )
        if f.default is not None:
            message.default.CopyFrom(to_value(f.default, f.type))
        out.append(message)
    return out


def to_value(v: Any, kind: str = "") -> Any:
    """The message of a value; `kind` says what an empty list is of, and what a number is."""
    if isinstance(v, bool):
        return m.plugin.Value(bool=v)
    if isinstance(v, (list, tuple)):
        if kind == "list of string" or (not kind and v and isinstance(v[0], str)):
            return m.plugin.Value(strings=m.plugin.Strings(values=v))
        if kind == "list of int" or (not kind and all(isinstance(x, int) for x in v)):
            return m.plugin.Value(ints=m.plugin.Ints(values=v))
        return m.plugin.Value(floats=m.plugin.Floats(values=v))
    if isinstance(v, str):
        return m.plugin.Value(string=v)
    if isinstance(v, int) and kind != "float":
        return m.plugin.Value(int=v)
    return m.plugin.Value(float=v)


def from_value(message: Any) -> Any:
    """The value of a message; None where it is of a kind that this version does not know."""
    which = message.WhichOneof("value")
    if which is None:
        return None
    v = getattr(message, which)
    return list(v.values) if which in ("ints", "floats", "strings") else v


def from_values(messages: Mapping[str, Any]) -> Dict[str, Any]:
    """The values of a map of messages."""
    return {name: from_value(v) for name, v in messages.items()}
