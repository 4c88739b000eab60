"""Between the messages of specs, targets, scores and results and this package's dataclasses."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np

from . import _messages as m
from . import params
from .arrays import Arrays
from .comparator import Result, Sizes, Subject
from .errors import WrongShape, invalid
from .model import DataSpec, Layout, Target, TrainResult
from .simulator import SimulatorSpec, Source
from .task import Loop, Score, TaskSpec, Term

_SPLITS = {1: "train", 2: "valid", 3: "all"}
_TERMS = ["", "squared-error", "poisson-nll", "action-square", "latent-square", "custom"]
_REDUCTIONS = ["", "mean", "sum-time"]
_ROLES = {1: "truth", 2: "recording", 3: "fitted"}
_BETTER = {"higher": 1, "lower": 2, "neither": 3}


def from_split(number: int, needed: bool = True) -> str:
    if number == 0 and not needed:
        return ""
    if number not in _SPLITS:
        raise invalid("split", "none is given: train, valid or all is needed" if number == 0 else f"{number}: train, valid or all is needed")
    return _SPLITS[number]


def to_split(split: str) -> int:
    for number, name in _SPLITS.items():
        if name == split:
            return number
    raise invalid("split", f'"{split}": train, valid or all is needed')


def _index(path: str, value: str, names: Any) -> int:
    if value not in names or not value:
        raise invalid(path, f'"{value}": one of {", ".join(n for n in names if n)} is needed')
    return int(names.index(value))


def to_spec(s: TaskSpec) -> Any:
    if not isinstance(s, TaskSpec):
        raise WrongShape(f"spec gave {type(s).__name__}: a TaskSpec is needed")
    out = m.plugin.TaskSpec(
        inputs=s.inputs, outputs=s.outputs, input_labels=s.input_labels, output_labels=s.output_labels, input_units=s.input_units, output_units=s.output_units,
        bins=s.bins, bin_width=s.bin_width, train_trials=s.train_trials, valid_trials=s.valid_trials, condition_names=s.condition_names, extra=s.extra,
        extra_units=s.extra_units, fresh_noise=s.fresh_noise, group_batches=s.group_batches, trim_from=s.trim[0], trim_to=s.trim[1],
    )
    for i, t in enumerate(s.loss):
        out.loss.add(
            kind=_index(f"spec.loss[{i}].kind", t.kind, _TERMS), scale=t.scale, reduction=_index(f"spec.loss[{i}].reduction", t.reduction, _REDUCTIONS),
            horizon_epochs=t.horizon_epochs,
        )
    if s.loop is not None:
        loop = s.loop
        out.loop.CopyFrom(m.plugin.Loop(
            actions=loop.actions, action_low=loop.action_low, action_high=loop.action_high, state_size=loop.state_size, state_labels=loop.state_labels,
            feedback_delay=loop.feedback_delay, recorded=loop.recorded,
        ))
    for name, v in s.simulation.items():
        out.simulation[name].CopyFrom(params.to_value(v))
    return out


def from_spec(s: Any) -> TaskSpec:
    loop = None
    if s.HasField("loop"):
        l = s.loop
        loop = Loop(
            actions=l.actions, state_size=l.state_size, action_low=l.action_low, action_high=l.action_high, state_labels=list(l.state_labels),
            feedback_delay=dict(l.feedback_delay), recorded=list(l.recorded),
        )
    terms = []
    for i, t in enumerate(s.loss):
        if not 0 < t.kind < len(_TERMS):
            raise invalid(f"spec.loss[{i}].kind", f"{t.kind} is not a kind of loss term")
        if not 0 < t.reduction < len(_REDUCTIONS):
            raise invalid(f"spec.loss[{i}].reduction", f"{t.reduction} is not a reduction")
        terms.append(Term(_TERMS[t.kind], t.scale, _REDUCTIONS[t.reduction], t.horizon_epochs))
    for name in ("inputs", "outputs", "bins", "train_trials", "valid_trials"):
        if getattr(s, name) < 0:
            raise invalid("spec." + name, f"{getattr(s, name)}: a number of at least 0 is needed")
    return TaskSpec(
        inputs=s.inputs, outputs=s.outputs, bins=s.bins, train_trials=s.train_trials, valid_trials=s.valid_trials, loss=terms, bin_width=s.bin_width,
        input_labels=list(s.input_labels), output_labels=list(s.output_labels), input_units=list(s.input_units), output_units=list(s.output_units),
        condition_names=list(s.condition_names), extra=list(s.extra), extra_units=list(s.extra_units), fresh_noise=s.fresh_noise, group_batches=s.group_batches, loop=loop,
        trim=(s.trim_from, s.trim_to), simulation=params.from_values(s.simulation),
    )


def _data(d: Any) -> DataSpec:
    return DataSpec(
        neurons=d.neurons, held_in=d.held_in, inputs=d.inputs, bins=d.bins, bin_width=d.bin_width, train_trials=d.train_trials, valid_trials=d.valid_trials
    )


def from_target(t: Any, kind: str) -> Any:
    """What an instance must fit: a Target for a model, a Source for a simulator, Sizes for a comparator; nothing is known of one that is absent."""
    which = t.WhichOneof("target")
    if kind == "model":
        if which in ("source", "comparison"):
            raise invalid("target", "a simulator's or a comparator's target is given to a model")
        return Target(
            task=from_spec(t.task) if which == "task" else None, data=_data(t.data) if which == "data" else None, distant=which == "task" and t.distant
        )
    if kind == "simulator":
        if which not in ("source", None):
            raise invalid("target", "another kind's target is given to a simulator")
        return Source(latents=t.source.latents, bins=t.source.bins, task=from_spec(t.source.task) if t.source.HasField("task") else None)
    if which not in ("comparison", None):
        raise invalid("target", f"a target is given to a {kind}")
    c = t.comparison
    return Sizes(data=_data(c.data) if c.HasField("data") else None, subjects=c.subjects, latents=c.latents)


def to_score(s: Score) -> Tuple[Any, Arrays]:
    if not isinstance(s, Score):
        raise WrongShape(f"score gave {type(s).__name__}: a Score is needed")
    names = m.task.ScoreNames(conditions=s.condition_names, metrics=list(s.metrics), units=[s.units.get(n, "") for n in s.metrics])
    arrays = Arrays({
        "trials": np.asarray(s.trials, np.int64), "success": np.asarray(s.success, np.float64), "loss": np.asarray(s.loss, np.float64),
    })
    if s.condition is not None:
        arrays["condition"] = np.asarray(s.condition, np.int64)
    for name, values in s.metrics.items():
        arrays["metric:" + name] = np.asarray(values, np.float64)
    for name, a in arrays.items():
        if a.shape != arrays["trials"].shape or a.ndim != 1:
            raise WrongShape(f"score.{name} has shape {list(a.shape)}: one value for each of the {len(arrays['trials'])} trials is needed")
    return names, arrays


def from_score(names: Any, arrays: Arrays) -> Score:
    for name in ("trials", "success", "loss"):
        if name not in arrays or arrays[name].shape != arrays["trials"].shape:
            raise invalid("score." + name, "one value for each trial is needed")
    metrics = {name: arrays.need("metric:" + name) for name in names.metrics}
    return Score(
        arrays["trials"], arrays["success"], arrays["loss"], arrays.get("condition"), list(names.conditions), metrics, dict(zip(names.metrics, names.units))
    )


def to_layout(l: Layout) -> Any:
    out = m.model.LayoutResponse(size=l.size, inputs=l.inputs, bin_width=l.bin_width, float64=l.float64, observable=l.observable)
    for name, size in l.segments or [("state", l.size)]:
        out.segments.add(name=name, size=size)
    return out


def from_layout(l: Any) -> Layout:
    return Layout(
        size=l.size, inputs=l.inputs, segments=[(s.name, s.size) for s in l.segments], observable=dict(l.observable), bin_width=l.bin_width, float64=l.float64
    )


def to_simulated(s: SimulatorSpec) -> Any:
    out = m.simulator.SpecResponse(neurons=s.neurons, held_in=s.held_in, to=s.last, file_name=s.file_name, counts=s.counts)
    setattr(out, "from", s.first)
    return out


def to_trained(r: TrainResult) -> Any:
    if not isinstance(r, TrainResult):
        raise WrongShape(f"train gave {type(r).__name__}: a TrainResult is needed")
    return m.model.TrainResult(
        steps=r.steps, epochs=r.epochs, best_epoch=r.best_epoch, best_loss=r.best_loss, kept_best=r.kept_best, last_loss=r.last_loss, stopped=r.stopped,
        has_last=r.last is not None,
    )


def from_subject(s: Any) -> Subject:
    if s.role not in _ROLES:
        raise invalid(f"subjects.{s.label}.role", f"{s.role}: truth, recording or fitted is needed")
    return Subject(s.label, _ROLES[s.role], s.held_in, s.input_channels, Arrays(), Arrays(), Arrays(), None, s.why)


def to_result(r: Result) -> Any:
    if r.better not in _BETTER:
        raise invalid("result.better", f'"{r.better}": higher, lower or neither is needed')
    return m.comparator.Result(
        metric=r.metric, subject=r.subject, reference=r.reference, value=r.value, low=r.low, high=r.high, null=r.null, unit=r.unit, better=_BETTER[r.better],
        n=r.n, reason=r.reason,
    )
