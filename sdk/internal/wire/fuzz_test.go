package wire

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	comparatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/comparator/v1"
	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	simulatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/simulator/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func seed(f *testing.F, messages ...proto.Message) {
	f.Helper()
	for _, m := range messages {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

// shown fails where text of a peer would reach a terminal as it is.
func shown(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && !component.Printable(r) }) {
			t.Errorf("%.100q is shown", s)
		}
	}
}

// FuzzSpec feeds specs of tasks, simulators and data sets, and layouts: what is let through can be sent on, and is then the same.
func FuzzSpec(f *testing.F) {
	full := &task.Spec{
		Inputs: 3, Outputs: 1, InputLabels: []string{"a", "b", "c"}, OutputUnits: []string{"m"}, Bins: 9, BinWidth: 0.01, TrainTrials: 8, ValidTrials: 2, ConditionNames: []string{"x"},
		Extra: []string{"go"}, Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll, HorizonEpochs: 2}}},
		Loop: &task.Loop{Actions: 2, StateSize: 2, FeedbackDelay: map[string]float64{"v": 0.1}}, Trim: [2]int{1, -1}, Simulation: param.Values{"a": int64(1), "b": []string{"x"}},
	}
	for _, target := range []model.Target{{Task: full}, {Data: &model.DataSpec{Neurons: 5, HeldIn: 4, Bins: 9}}} {
		m, err := ToTarget(target)
		if err != nil {
			f.Fatal(err)
		}
		seed(f, m)
	}
	source, err := ToSource(simulator.Source{Latents: 2, Bins: 9, Task: full})
	if err != nil {
		f.Fatal(err)
	}
	seed(f, source, ToComparison(comparator.Sizes{Data: &model.DataSpec{Neurons: 3}, Subjects: 2, Latents: 8}),
		ToLayout(model.Layout{Size: 3, Inputs: 1, Segments: []model.Segment{{Name: "h", Size: 3}}, Observable: map[string]int{"rates": 4}}),
		ToSimulated(simulator.Spec{Neurons: 4, HeldIn: 3, To: 9, FileName: "a.h5"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var target pluginv1.Target
		if proto.Unmarshal(raw, &target) == nil {
			if got, err := FromTarget(&target); err == nil {
				again(t, got, func(v model.Target) (*pluginv1.Target, error) { return ToTarget(v) }, FromTarget)
			}
			if got, err := FromSource(&target); err == nil && target.Target != nil {
				again(t, got, ToSource, FromSource)
			}
			if got, err := FromComparison(&target); err == nil && target.Target != nil {
				again(t, got, func(v comparator.Sizes) (*pluginv1.Target, error) { return ToComparison(v), nil }, FromComparison)
			}
		}
		var layout modelv1.LayoutResponse
		if proto.Unmarshal(raw, &layout) == nil {
			if l, err := FromLayout(&layout); err == nil {
				n := 0
				for _, s := range l.Segments {
					n += s.Size
				}
				if l.Size < 0 || l.Inputs < 0 || (len(l.Segments) > 0 && n != l.Size) || !(l.BinWidth >= 0) {
					t.Errorf("layout %+v", l)
				}
			}
		}
		var simulated simulatorv1.SpecResponse
		if proto.Unmarshal(raw, &simulated) == nil {
			if s, err := FromSimulated(&simulated); err == nil && (s.HeldIn > s.Neurons || s.From > s.To || s.From < 0 || strings.ContainsAny(s.FileName, "/\\\x00")) {
				t.Errorf("spec %+v", s)
			}
		}
	})
}

// again sends a value on and reads it: NaN apart, it must be the same.
func again[V, M any](t *testing.T, v V, to func(V) (M, error), from func(M) (V, error)) {
	t.Helper()
	m, err := to(v)
	if err != nil {
		// A parameter of a kind that this side does not know cannot be sent on.
		if !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%+v: %v", v, err)
		}
		return
	}
	got, err := from(m)
	if err != nil {
		t.Errorf("%+v: %v", v, err)
	} else if !reflect.DeepEqual(got, v) && !holdsNaN(reflect.ValueOf(v)) {
		t.Errorf("got %+v, want %+v", got, v)
	}
}

func holdsNaN(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && holdsNaN(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if holdsNaN(v.Field(i)) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if holdsNaN(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if holdsNaN(v.MapIndex(k)) {
				return true
			}
		}
	case reflect.Float64:
		return math.IsNaN(v.Float())
	}
	return false
}

// FuzzValues feeds parameters: what is read can be resolved or refused, and sent on.
func FuzzValues(f *testing.F) {
	given := param.Values{"on": true, "n": 3, "x": 0.5, "s": "text", "i": []int{1, 2}, "f": []float64{0.5}, "t": []string{"a"}, "e": []string{}}
	m, err := ToValues(given)
	if err != nil {
		f.Fatal(err)
	}
	seed(f, &pluginv1.OpenRequest{Params: m})
	type params struct {
		On bool      `param:"on" default:"true" doc:"x"`
		N  int       `param:"n" default:"1" min:"1" doc:"x"`
		X  float64   `param:"x" default:"1" doc:"x"`
		S  string    `param:"s" default:"a" choices:"a,text" doc:"x"`
		I  []int     `param:"i" default:"" doc:"x"`
		F  []float64 `param:"f" default:"" doc:"x"`
		T  []string  `param:"t" default:"" doc:"x"`
		E  []string  `param:"e" default:"" doc:"x"`
	}
	schema := param.MustOf(params{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m pluginv1.OpenRequest
		if proto.Unmarshal(raw, &m) != nil {
			return
		}
		values := FromValues(m.GetParams())
		resolved, problems := schema.Resolve(values)
		if len(problems) > 0 {
			return
		}
		var p params
		if err := param.Decode(resolved, &p); err != nil {
			t.Error(err)
		}
		if p.N < 1 || math.IsNaN(p.X) {
			t.Errorf("let through: %+v", p)
		}
		sent, err := ToValues(resolved)
		if err != nil {
			t.Fatal(err)
		}
		if got, problems := schema.Resolve(FromValues(sent)); len(problems) > 0 || !reflect.DeepEqual(got, resolved) {
			t.Errorf("got %v, %v, want %v", got, problems, resolved)
		}
	})
}

// recorder notes what reached it.
type recorder struct {
	component.Discard
	texts   []string
	figures []component.Figure
	files   []string
}

func (r *recorder) Progress(p component.Progress)     { r.texts = append(r.texts, p.Phase) }
func (r *recorder) Metric(m component.Metric)         { r.texts = append(r.texts, m.Name) }
func (r *recorder) Figure(f component.Figure)         { r.figures = append(r.figures, f) }
func (r *recorder) Checkpoint(c component.Checkpoint) { r.files = append(r.files, c.File) }

// FuzzEvent feeds events, figures, results and scores.
func FuzzEvent(f *testing.F) {
	figure, err := FigureEvent(component.Figure{Name: "f", Panels: []component.Panel{{Marks: []component.Mark{
		{Kind: component.Line, X: []float64{1, 2}, Y: []float64{3, math.NaN()}}, {Kind: component.HeatMap, Rows: 1, Cols: 2, Z: []float64{1, 2}},
	}}}})
	if err != nil {
		f.Fatal(err)
	}
	result, err := ToResult(component.Result{Metric: "m", Subject: "s", Value: 1, Reason: "r"})
	if err != nil {
		f.Fatal(err)
	}
	seed(f, figure, ProgressEvent(component.Progress{Phase: "epoch", Done: 1, Total: 2, Loss: 0.5}), MetricEvent(component.Metric{Name: "train/loss", Value: 1}),
		CheckpointEvent(component.Checkpoint{File: "checkpoint", SHA256: "00"}), result, ToTrained(model.TrainResult{Steps: 1, Stopped: "epochs"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var event pluginv1.Event
		if proto.Unmarshal(raw, &event) == nil {
			var r recorder
			if err := Report(&event, &r); err != nil && !errors.Is(err, component.ErrInvalidArgument) {
				t.Errorf("error %v", err)
			}
			shown(t, r.texts...)
			for _, g := range r.figures {
				if g.Check() != nil || g.Columns < 0 {
					t.Errorf("figure %+v", g)
				}
			}
			for _, file := range r.files {
				if file == "" || file == ".." || strings.ContainsAny(file, "/\\\x00") {
					t.Errorf("file %q", file)
				}
			}
		}
		var result comparatorv1.Result
		if proto.Unmarshal(raw, &result) == nil {
			r := FromResult(&result)
			shown(t, r.Metric, r.Subject, r.Reference, r.Unit, r.Reason)
		}
		var trained modelv1.TrainResult
		if proto.Unmarshal(raw, &trained) == nil {
			if r, err := FromTrained(&trained); err == nil && (r.Steps < 0 || r.Epochs < 0) {
				t.Errorf("result %+v", r)
			}
		}
		var names taskv1.ScoreNames
		if proto.Unmarshal(raw, &names) == nil {
			set := tensor.Set{tensor.NewInt(scoreTrials, 2), tensor.New64(scoreSuccess, 2), tensor.New64(scoreLoss, 2), tensor.FromInt(scoreCondition, []int64{0, int64(len(raw)) % 7}, 2)}
			if s, err := FromScore(&names, set); err == nil && len(s.ConditionNames) > 0 && s.Condition[1] >= int64(len(s.ConditionNames)) {
				t.Errorf("score %+v", s)
			}
		}
	})
}

// FuzzManifest feeds manifests: what is read can be sent on, and is then the same.
func FuzzManifest(f *testing.F) {
	type params struct {
		N int      `param:"n" default:"3" min:"1" max:"9" unit:"bit" doc:"a number"`
		S string   `param:"s" default:"a" choices:"a,b" doc:"a choice"`
		L []string `param:"l" default:"x,y" doc:"a list"`
	}
	seed(f, ToManifest(component.Manifest{
		Name: "p", Version: "1.0.0", Doc: "d", Protocol: 1, Language: "go", Build: "linux", Numerics: map[string]string{"kernel": "avx2"},
		Components: []component.Info{{Name: component.Name{Kind: component.Task, Short: "a"}, Version: "0.1.0", Doc: "x", Params: param.MustOf(params{}), Capabilities: []component.Capability{component.ClosedLoop}}},
	}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m pluginv1.DescribeResponse
		if proto.Unmarshal(raw, &m) != nil {
			return
		}
		got, err := FromManifest(&m)
		if err != nil {
			if !errors.Is(err, component.ErrInvalidArgument) {
				t.Errorf("error %v", err)
			}
			return
		}
		for _, c := range got.Components {
			if n, err := component.ParseName(c.Name.String()); err != nil || n != c.Name {
				t.Errorf("name %q", c.Name)
			}
			// Whether it can be used is found by looking, not by using it.
			if len(c.Params.Check()) == 0 {
				if _, problems := c.Params.Resolve(nil); len(problems) > len(c.Params) {
					t.Errorf("%v: %v", c.Params, problems)
				}
			}
		}
		sent := ToManifest(got)
		back, err := FromManifest(sent)
		if err != nil || len(back.Components) != len(got.Components) || back.Name != got.Name {
			t.Errorf("got %+v, %v, want %+v", back, err, got)
		}
	})
}

// FuzzFailure feeds the details of failed calls: an error always comes back, and its text can be shown.
func FuzzFailure(f *testing.F) {
	seed(f, &pluginv1.Failure{Kind: pluginv1.FailureKind_FAILURE_KIND_INVALID_ARGUMENT, Component: "task/x", Message: "m", Problems: []*pluginv1.Problem{{Path: "p", Message: "m", Hint: "h"}}},
		&pluginv1.Failure{Kind: pluginv1.FailureKind_FAILURE_KIND_DIVERGED, Diverged: &pluginv1.Diverged{Step: 1, Quantity: "loss", Value: math.NaN(), Hint: "h"}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m pluginv1.Failure
		if proto.Unmarshal(raw, &m) != nil {
			return
		}
		for _, code := range []codes.Code{codes.InvalidArgument, codes.Internal, codes.Unavailable, codes.Canceled, codes.Code(len(raw) + 1)} {
			s, err := status.New(code, m.GetMessage()).WithDetails(&m)
			if err != nil {
				continue
			}
			got := FromStatus(s.Err())
			if got == nil {
				t.Fatal("no error")
			}
			shown(t, got.Error())
			if ToStatus(got, "task/x") == nil {
				t.Errorf("%v: lost on its way on", got)
			}
		}
	})
}
