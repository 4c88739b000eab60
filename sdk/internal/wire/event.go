package wire

import (
	"strings"

	"google.golang.org/protobuf/proto"

	comparatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/comparator/v1"
	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
)

// ToProgress returns the message of a progress.
func ToProgress(p component.Progress) *pluginv1.Progress {
	return &pluginv1.Progress{Phase: p.Phase, Done: p.Done, Total: p.Total, Loss: p.Loss}
}

// FromProgress reads a progress.
func FromProgress(m *pluginv1.Progress) component.Progress {
	return component.Progress{Phase: line(m.GetPhase()), Done: m.GetDone(), Total: m.GetTotal(), Loss: m.GetLoss()}
}

// ProgressEvent, MetricEvent, CheckpointEvent and FigureEvent return the messages of events.
func ProgressEvent(p component.Progress) *pluginv1.Event {
	return &pluginv1.Event{Event: &pluginv1.Event_Progress{Progress: ToProgress(p)}}
}

// MetricEvent returns the message of a metric.
func MetricEvent(m component.Metric) *pluginv1.Event {
	return &pluginv1.Event{Event: &pluginv1.Event_Metric{Metric: &pluginv1.Metric{Name: m.Name, Step: m.Step, Epoch: m.Epoch, Value: m.Value}}}
}

// CheckpointEvent returns the message of a checkpoint.
func CheckpointEvent(c component.Checkpoint) *pluginv1.Event {
	return &pluginv1.Event{Event: &pluginv1.Event_Checkpoint{Checkpoint: &pluginv1.Checkpoint{File: c.File, Sha256: c.SHA256, Step: c.Step, Best: c.Best}}}
}

// FigureEvent returns the message of a figure, as [ToFigure].
func FigureEvent(f component.Figure) (*pluginv1.Event, error) {
	m, err := ToFigure(f)
	return &pluginv1.Event{Event: &pluginv1.Event_Figure{Figure: m}}, err
}

// Report gives an event to a reporter. A figure that cannot be drawn and a checkpoint outside of the folder are an InvalidArgumentError; an event of a kind that this side does not know is passed over.
func Report(m *pluginv1.Event, to component.Reporter) error {
	switch e := m.GetEvent().(type) {
	case *pluginv1.Event_Progress:
		to.Progress(FromProgress(e.Progress))
	case *pluginv1.Event_Metric:
		to.Metric(component.Metric{Name: line(e.Metric.GetName()), Step: e.Metric.GetStep(), Epoch: e.Metric.GetEpoch(), Value: e.Metric.GetValue()})
	case *pluginv1.Event_Figure:
		f, err := FromFigure(e.Figure)
		if err != nil {
			return err
		}
		to.Figure(f)
	case *pluginv1.Event_Checkpoint:
		c := e.Checkpoint
		if f := c.GetFile(); f == "" || f == "." || f == ".." || strings.ContainsAny(f, "/\\\x00") {
			return component.Invalid("checkpoint.file", "%.100q: the name of a file in the instance's folder is needed", f)
		}
		to.Checkpoint(component.Checkpoint{File: c.GetFile(), SHA256: c.GetSha256(), Step: c.GetStep(), Best: c.GetBest()})
	}
	return nil
}

var marks = pairs[component.MarkKind, pluginv1.MarkKind]{
	{component.Line, pluginv1.MarkKind_MARK_KIND_LINE},
	{component.Scatter, pluginv1.MarkKind_MARK_KIND_SCATTER},
	{component.Bars, pluginv1.MarkKind_MARK_KIND_BARS},
	{component.Raster, pluginv1.MarkKind_MARK_KIND_RASTER},
	{component.HeatMap, pluginv1.MarkKind_MARK_KIND_HEATMAP},
	{component.Image, pluginv1.MarkKind_MARK_KIND_IMAGE},
}

// ToFigure returns the message of a figure. One that cannot be drawn or is too large is an InvalidArgumentError.
func ToFigure(f component.Figure) (*pluginv1.Figure, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	axis := func(a component.Axis) *pluginv1.Axis {
		return &pluginv1.Axis{Label: a.Label, Unit: a.Unit, Log: a.Log, Min: a.Min, Max: a.Max, Ticks: a.Ticks}
	}
	out := &pluginv1.Figure{Name: f.Name, Title: f.Title, Caption: f.Caption, Columns: int64(f.Columns)}
	for _, p := range f.Panels {
		panel := &pluginv1.Panel{Title: p.Title, X: axis(p.X), Y: axis(p.Y), Equal: p.Equal}
		for _, k := range p.Marks {
			kind, _ := marks.to(k.Kind)
			panel.Marks = append(panel.Marks, &pluginv1.Mark{
				Kind: kind, Label: k.Label, Group: k.Group, Dashed: k.Dashed, Faint: k.Faint, X: k.X, Y: k.Y, Low: k.Low, High: k.High,
				Rows: int64(k.Rows), Cols: int64(k.Cols), Z: k.Z, ZLabel: k.ZLabel, ZUnit: k.ZUnit,
			})
		}
		out.Panels = append(out.Panels, panel)
	}
	if n := proto.Size(out); n > FigureBytes {
		return nil, component.Invalid("figure."+f.Name, "%d bytes: at most %d are allowed; show fewer trials or points", n, FigureBytes)
	}
	return out, nil
}

// FromFigure reads a figure and checks it.
func FromFigure(m *pluginv1.Figure) (component.Figure, error) {
	axis := func(a *pluginv1.Axis) component.Axis {
		return component.Axis{Label: a.GetLabel(), Unit: a.GetUnit(), Log: a.GetLog(), Min: a.GetMin(), Max: a.GetMax(), Ticks: a.GetTicks()}
	}
	var n sizes
	out := component.Figure{Name: m.GetName(), Title: m.GetTitle(), Caption: m.GetCaption(), Columns: n.int("figure.columns", m.GetColumns())}
	for _, p := range m.GetPanels() {
		panel := component.Panel{Title: p.GetTitle(), X: axis(p.GetX()), Y: axis(p.GetY()), Equal: p.GetEqual()}
		for _, k := range p.GetMarks() {
			kind, _ := marks.from(k.GetKind())
			panel.Marks = append(panel.Marks, component.Mark{
				Kind: kind, Label: k.GetLabel(), Group: k.GetGroup(), Dashed: k.GetDashed(), Faint: k.GetFaint(), X: k.GetX(), Y: k.GetY(), Low: k.GetLow(), High: k.GetHigh(),
				Rows: n.int("figure.rows", k.GetRows()), Cols: n.int("figure.cols", k.GetCols()), Z: k.GetZ(), ZLabel: k.GetZLabel(), ZUnit: k.GetZUnit(),
			})
		}
		out.Panels = append(out.Panels, panel)
	}
	if n.err != nil {
		return out, n.err
	}
	return out, out.Check()
}

var betters = pairs[component.Better, comparatorv1.Better]{
	{component.Higher, comparatorv1.Better_BETTER_HIGHER},
	{component.Lower, comparatorv1.Better_BETTER_LOWER},
	{component.Neither, comparatorv1.Better_BETTER_NEITHER},
}

// ToResult returns the message of a result.
func ToResult(r component.Result) (*comparatorv1.Result, error) {
	better, ok := betters.to(r.Better)
	if !ok {
		return nil, component.Invalid("result.better", "%s: %q: higher, lower or neither is needed", r.Metric, r.Better)
	}
	return &comparatorv1.Result{
		Metric: r.Metric, Subject: r.Subject, Reference: r.Reference, Value: r.Value, Low: r.Low, High: r.High, Null: r.Null, Unit: r.Unit,
		Better: better, N: r.N, Reason: r.Reason,
	}, nil
}

// FromResult reads a result. A direction that this side does not know is neither.
func FromResult(m *comparatorv1.Result) component.Result {
	better, ok := betters.from(m.GetBetter())
	if !ok {
		better = component.Neither
	}
	return component.Result{
		Metric: line(m.GetMetric()), Subject: line(m.GetSubject()), Reference: line(m.GetReference()), Value: m.GetValue(), Low: m.GetLow(), High: m.GetHigh(), Null: m.GetNull(), Unit: line(m.GetUnit()),
		Better: better, N: m.GetN(), Reason: Clean(m.GetReason()),
	}
}

var roles = pairs[comparator.Role, comparatorv1.Role]{
	{comparator.Truth, comparatorv1.Role_ROLE_TRUTH},
	{comparator.Recording, comparatorv1.Role_ROLE_RECORDING},
	{comparator.Fitted, comparatorv1.Role_ROLE_FITTED},
}

// ToSubject returns the message of a subject without its arrays and lease.
func ToSubject(s comparator.Subject) (*comparatorv1.Subject, error) {
	role, ok := roles.to(s.Role)
	if !ok {
		return nil, component.Invalid("subjects."+s.Label+".role", "%q: truth, recording or fitted is needed", s.Role)
	}
	return &comparatorv1.Subject{Label: s.Label, Role: role, HeldIn: int64(s.HeldIn), InputChannels: int64(s.InputChannels), Why: s.Why}, nil
}

// FromSubject reads a subject without its arrays and lease.
func FromSubject(m *comparatorv1.Subject) (comparator.Subject, error) {
	role, ok := roles.from(m.GetRole())
	if !ok {
		return comparator.Subject{}, component.Invalid("subjects."+m.GetLabel()+".role", "%d: truth, recording or fitted is needed", m.GetRole())
	}
	var n sizes
	s := comparator.Subject{Label: m.GetLabel(), Role: role, HeldIn: n.int("subject.held_in", m.GetHeldIn()), InputChannels: n.int("subject.input_channels", m.GetInputChannels()), Why: m.GetWhy()}
	return s, n.err
}

// ToTrained returns the message of a training's result without its weights.
func ToTrained(r model.TrainResult) *modelv1.TrainResult {
	return &modelv1.TrainResult{
		Steps: r.Steps, Epochs: r.Epochs, BestEpoch: r.BestEpoch, BestLoss: r.BestLoss, KeptBest: r.KeptBest, LastLoss: r.LastLoss, Stopped: r.Stopped,
		HasLast: r.Last != nil,
	}
}

// FromTrained reads a training's result without its weights.
func FromTrained(m *modelv1.TrainResult) (model.TrainResult, error) {
	if m.GetSteps() < 0 || m.GetEpochs() < 0 || m.GetBestEpoch() < 0 {
		return model.TrainResult{}, component.Invalid("result", "%d steps, %d epochs, best epoch %d: numbers of at least 0 are needed", m.GetSteps(), m.GetEpochs(), m.GetBestEpoch())
	}
	return model.TrainResult{
		Steps: m.GetSteps(), Epochs: m.GetEpochs(), BestEpoch: m.GetBestEpoch(), BestLoss: m.GetBestLoss(), KeptBest: m.GetKeptBest(), LastLoss: m.GetLastLoss(), Stopped: line(m.GetStopped()),
	}, nil
}
