package wire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// over sends a message through its bytes.
func over[M proto.Message](t *testing.T, m M) M {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := m.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestValues(t *testing.T) {
	given := param.Values{
		"bool": true, "int": uint8(3), "float": float32(0.5), "string": "x", "ints": []int{1, 2}, "floats": []any{1, 2.5}, "strings": []any{"a", "b"},
		"none": []any{}, "no_floats": []float64{}, "no_strings": []string{},
	}
	m, err := ToValues(given)
	if err != nil {
		t.Fatal(err)
	}
	want := param.Values{
		"bool": true, "int": int64(3), "float": 0.5, "string": "x", "ints": []int64{1, 2}, "floats": []float64{1, 2.5}, "strings": []string{"a", "b"},
		"none": []int64{}, "no_floats": []float64{}, "no_strings": []string{},
	}
	got := FromValues(over(t, &pluginv1.OpenRequest{Params: m}).GetParams())
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	_, err = ToValues(param.Values{"b": nil, "a": []any{1, "x"}, "c": 1, "d": uint64(math.MaxUint64), "e": []bool{true}})
	var invalid *component.InvalidArgumentError
	if !errors.As(err, &invalid) {
		t.Fatalf("what cannot be sent gives %v", err)
	}
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	if want := []string{"params.a", "params.b", "params.d", "params.e"}; !reflect.DeepEqual(paths, want) {
		t.Errorf("paths are %v, want %v", paths, want)
	}
}

func TestManifest(t *testing.T) {
	type params struct {
		A int       `param:"a" default:"3" min:"1" unit:"bin" doc:"a"`
		B float64   `param:"b" above:"0" below:"1" doc:"b"`
		C string    `param:"c" default:"x" choices:"x,y" doc:"c"`
		D []float64 `param:"d" default:"" doc:"d"`
		E []int     `param:"e" default:"1,2" doc:"e"`
		F []string  `param:"f" default:"u,v" doc:"f"`
		G bool      `param:"g" default:"true" doc:"g"`
	}
	want := component.Manifest{
		Name: "p", Version: "1.0.0", Doc: "d", Protocol: 3, Language: "go", Build: "x", Numerics: map[string]string{"a": "b"},
		Components: []component.Info{{
			Name: component.Name{Kind: component.Model, Short: "m"}, Version: "2.0.0", Doc: "e", Source: "s", Params: param.MustOf(params{}),
			Capabilities: []component.Capability{component.HasDynamics, "of tomorrow"},
			Readings:     []component.Reading{{Metric: "r2", Text: "how well", Source: "t"}},
		}},
	}
	got, err := FromManifest(over(t, ToManifest(want)))
	if err != nil {
		t.Fatal(err)
	}
	// NaN, no bound, differs from itself: compared as text.
	if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); g != w {
		t.Errorf("got\n%s, want\n%s", g, w)
	}
	bad := over(t, ToManifest(want))
	bad.Components[0].Name = "model/../../x"
	if _, err := FromManifest(bad); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a malformed name gives %v", err)
	}
}

func TestSpecsAndTargets(t *testing.T) {
	spec := &task.Spec{
		Inputs: 3, Outputs: 2, InputLabels: []string{"a", "b", "c"}, OutputLabels: []string{"d", "e"}, InputUnits: []string{"m"}, OutputUnits: []string{"N"},
		Bins: 7, BinWidth: 0.01, TrainTrials: 8, ValidTrials: 2, ConditionNames: []string{"x"}, Extra: []string{"go", "angle"}, ExtraUnits: []string{task.InBins, "rad"},
		Loss:       task.Loss{Terms: []task.Term{{Kind: task.LatentSquare, Scale: 0.5, Reduction: task.SumTime, HorizonEpochs: 4}}},
		FreshNoise: true, GroupBatches: true,
		Loop:       &task.Loop{Actions: 2, ActionLow: -1, ActionHigh: 1, StateSize: 2, StateLabels: []string{"x", "y"}, FeedbackDelay: map[string]float64{"v": 0.1}, Recorded: []string{"q"}},
		Trim:       [2]int{3, -2},
		Simulation: param.Values{"mode": "s", "n": int64(3)},
	}
	for _, want := range []model.Target{{}, {Task: spec}, {Task: spec, Distant: true}, {Data: &model.DataSpec{Neurons: 5, HeldIn: 4, Inputs: 1, Bins: 9, BinWidth: 0.02, TrainTrials: 3, ValidTrials: 1}}} {
		m, err := ToTarget(want)
		if err != nil {
			t.Fatal(err)
		}
		if m != nil {
			m = over(t, m)
		}
		if got, err := FromTarget(m); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	m, err := ToSource(simulator.Source{Latents: 4, Bins: 9, Task: spec})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := FromSource(over(t, m)); err != nil || !reflect.DeepEqual(got, simulator.Source{Latents: 4, Bins: 9, Task: spec}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := FromTarget(m); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a source for a model gives %v", err)
	}
	for _, bad := range []func(*pluginv1.TaskSpec){
		func(s *pluginv1.TaskSpec) { s.Bins = -1 },
		func(s *pluginv1.TaskSpec) { s.Loss[0].Kind = 99 },
		func(s *pluginv1.TaskSpec) { s.Loss[0].Reduction = 99 },
	} {
		m, err := ToSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		bad(m)
		if _, err := FromSpec(m); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("a bad spec gives %v", err)
		}
	}
}

func TestErrors(t *testing.T) {
	invalid := &component.InvalidArgumentError{Problems: []param.Problem{{Path: "params.x", Message: "m", Hint: "h"}, {Path: "y"}}}
	// A hint may name a file, whole, in a folder deep down.
	diverged := &component.DivergedError{Step: 3, Quantity: "loss", Value: math.Inf(1), Hint: "the best weights are in /" + strings.Repeat("long/", 90) + "best.safetensors"}
	for _, tt := range []struct {
		name string
		err  error
		is   error
		as   error
	}{
		{"invalid", fmt.Errorf("a: %w", invalid), component.ErrInvalidArgument, invalid},
		{"diverged", fmt.Errorf("a: %w", diverged), component.ErrDiverged, diverged},
		{"not found", fmt.Errorf("a: %w", component.ErrNotFound), component.ErrNotFound, nil},
		{"unavailable", fmt.Errorf("a: %w", component.ErrUnavailable), component.ErrUnavailable, nil},
		{"unsupported", fmt.Errorf("a: %w", component.ErrUnsupported), component.ErrUnsupported, nil},
		{"checksum", fmt.Errorf("a: %w", component.ErrChecksum), component.ErrChecksum, nil},
		{"shape", fmt.Errorf("a: %w", tensor.ErrShape), tensor.ErrShape, nil},
		{"cancelled", fmt.Errorf("a: %w", context.Canceled), context.Canceled, nil},
		{"deadline", fmt.Errorf("a: %w", context.DeadlineExceeded), context.DeadlineExceeded, nil},
		{"bare", component.ErrInvalidArgument, component.ErrInvalidArgument, nil},
		{"internal", errors.New("boom"), nil, &component.InternalError{Component: "model/x", Message: "boom"}},
		{"of another", &component.InternalError{Component: "model/y", Message: "boom"}, nil, &component.InternalError{Component: "model/y", Message: "boom"}},
		{"code alone", status.Error(codes.NotFound, "gone"), component.ErrNotFound, nil},
		{"code of no kind", status.Error(codes.ResourceExhausted, "too much"), nil, &component.InternalError{Component: "plugin", Message: "ResourceExhausted: too much"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := FromStatus(ToStatus(tt.err, "model/x"))
			if tt.is != nil && !errors.Is(got, tt.is) {
				t.Errorf("%v is not %v", got, tt.is)
			}
			switch want := tt.as.(type) {
			case nil:
				if s, ok := status.FromError(tt.err); !ok || s.Code() == codes.OK {
					if got.Error() != tt.err.Error() {
						t.Errorf("the message is %q, want %q", got, tt.err)
					}
				}
			case *component.InvalidArgumentError:
				var is *component.InvalidArgumentError
				if !errors.As(got, &is) || !reflect.DeepEqual(is, want) {
					t.Errorf("got %#v", got)
				}
			case *component.DivergedError:
				var is *component.DivergedError
				if !errors.As(got, &is) || !reflect.DeepEqual(is, want) {
					t.Errorf("got %#v", got)
				}
			default:
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got %#v, want %#v", got, want)
				}
			}
		})
	}
}

// TestErrorsFitIntoAHeader cuts what other languages' gRPC would refuse.
func TestErrorsFitIntoAHeader(t *testing.T) {
	e := &component.InvalidArgumentError{}
	for i := range 1000 {
		e.Problems = append(e.Problems, param.Problem{Path: fmt.Sprintf("weights.%d", i), Message: strings.Repeat("ä", 300)})
	}
	for _, err := range []error{e, errors.New(strings.Repeat("日本", 100_000)), &component.DivergedError{Quantity: strings.Repeat("x", 1e6)}} {
		s, _ := status.FromError(ToStatus(err, "model/x"))
		raw, marshalErr := proto.Marshal(s.Proto())
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		if size := len(raw)*4/3 + 3*len(s.Message()); size > 8<<10 {
			t.Errorf("%T takes %d bytes", err, size)
		}
	}
	var got *component.InvalidArgumentError
	if !errors.As(FromStatus(ToStatus(e, "x")), &got) || !strings.HasPrefix(got.Problems[len(got.Problems)-1].Message, "and 99") {
		t.Errorf("what is left out is not told: %v", got)
	}
}

func TestFigures(t *testing.T) {
	want := component.Figure{
		Name: "f", Title: "t", Caption: "c", Columns: 2,
		Panels: []component.Panel{{
			Title: "p", X: component.Axis{Label: "x", Unit: "s", Log: true, Min: 1, Max: 2}, Y: component.Axis{Ticks: []string{"a"}}, Equal: true,
			Marks: []component.Mark{
				{Kind: component.Line, Label: "l", Group: "g", Dashed: true, Faint: true, X: []float64{1, 2}, Y: []float64{3, 4}, Low: []float64{1, 1}, High: []float64{5, 5}},
				{Kind: component.HeatMap, Rows: 1, Cols: 2, Z: []float64{1, 2}, ZLabel: "z", ZUnit: "u"},
			},
		}},
	}
	m, err := ToFigure(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := FromFigure(over(t, m)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	m.Panels[0].Marks[0].Kind = 77
	if _, err := FromFigure(m); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("an unknown kind of mark gives %v", err)
	}
	want.Panels[0].Marks[1] = component.Mark{Kind: component.Image, Rows: 2000, Cols: 1000, Z: make([]float64, 2_000_000)}
	if _, err := ToFigure(want); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a figure of 16 MB gives %v", err)
	}
}
