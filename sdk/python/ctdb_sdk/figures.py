"""Declarative pictures: what to show, not how. The host draws every figure alike, whoever it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, List, Sequence

import numpy as np

from . import _messages as m
from ._wire import FIGURE
from .errors import invalid

_FORM = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_KINDS = ("line", "scatter", "bars", "raster", "heatmap", "image")


@dataclass
class Axis:
    """One axis. `ticks` names the positions 0, 1, ... of a categorical one; min < max fixes the range."""

    label: str = ""
    unit: str = ""
    log: bool = False
    min: float = 0.0
    max: float = 0.0
    ticks: Sequence[str] = ()


@dataclass
class Mark:
    """One series. kind is "line", "scatter" or "bars" of (x, y), with low and high around y where they are given; "raster", ticks at time x in row y; "heatmap", colours of a grid
    z (rows, columns), the first row at the bottom; or "image", grey values in [0, 1], the first row at the top."""

    kind: str
    x: Any = ()
    y: Any = ()
    z: Any = None
    low: Any = ()
    high: Any = ()
    label: str = ""
    group: str = ""
    dashed: bool = False
    faint: bool = False
    z_label: str = ""
    z_unit: str = ""


@dataclass
class Panel:
    """One pair of axes."""

    marks: Sequence[Mark] = ()
    title: str = ""
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    equal: bool = False


@dataclass
class Figure:
    """Panels, row by row in so many columns. name is a short file name of lower-case letters, digits and hyphens; caption says what is shown, n, and how to read it."""

    name: str
    panels: Sequence[Panel]
    title: str = ""
    caption: str = ""
    columns: int = 0


def _numbers(values: Any) -> List[float]:
    a = np.asarray(values, np.float64)
    return a.reshape(-1).tolist()


def _mark(k: Mark, path: str) -> Any:
    if k.kind not in _KINDS:
        raise invalid(path, f'kind "{k.kind}": {", ".join(_KINDS)} are the kinds')
    out = m.plugin.Mark(
        kind=m.plugin.number("MarkKind", "MARK_KIND_" + k.kind.upper()), label=k.label, group=k.group, dashed=k.dashed, faint=k.faint,
        x=_numbers(k.x), y=_numbers(k.y), low=_numbers(k.low), high=_numbers(k.high), z_label=k.z_label, z_unit=k.z_unit,
    )
    if k.kind in ("heatmap", "image"):
        z = np.asarray(k.z if k.z is not None else [], np.float64)
        if z.ndim != 2 or z.size == 0:
            raise invalid(path, f"z has shape {list(z.shape)}: (rows, columns) is needed")
        if k.kind == "heatmap" and ((out.x and len(out.x) != z.shape[1]) or (out.y and len(out.y) != z.shape[0])):
            raise invalid(path, f"{len(out.y)} x {len(out.x)} centres for a grid of {z.shape[0]} x {z.shape[1]}")
        out.rows, out.cols = z.shape
        out.z.extend(z.reshape(-1).tolist())
    else:
        if len(out.x) != len(out.y):
            raise invalid(path, f"{len(out.x)} values of x for {len(out.y)} of y")
        for band in (out.low, out.high):
            if band and len(band) != len(out.y):
                raise invalid(path, f"a band of {len(band)} values for {len(out.y)} of y")
    return out


def to_figure(f: Figure) -> Any:
    """The message of a figure. One that cannot be drawn is InvalidArgument."""
    if not _FORM.match(f.name):
        raise invalid("figure.name", f'"{f.name}": lower-case letters, digits and hyphens are needed')
    if not f.panels:
        raise invalid("figure.panels", f'figure "{f.name}" has none')

    def axis(a: Axis) -> Any:
        return m.plugin.Axis(label=a.label, unit=a.unit, log=a.log, min=a.min, max=a.max, ticks=a.ticks)

    out = m.plugin.Figure(name=f.name, title=f.title, caption=f.caption, columns=f.columns)
    for i, p in enumerate(f.panels):
        marks = [_mark(k, f"figure.panels[{i}].marks[{n}]") for n, k in enumerate(p.marks)]
        out.panels.append(m.plugin.Panel(title=p.title, x=axis(p.x), y=axis(p.y), equal=p.equal, marks=marks))
    if out.ByteSize() > FIGURE:
        raise invalid("figure." + f.name, f"{out.ByteSize()} bytes: at most {FIGURE} are allowed; show fewer trials or points")
    return out


