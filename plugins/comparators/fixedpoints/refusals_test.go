package fixedpoints

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestInputs: the mean input, those of conditions, and those that are held.
func TestInputs(t *testing.T) {
	s := subject(t, "truth", tanhNet([]float64{2}, []float64{0}), 4, 40)
	for _, set := range []*tensor.Set{&s.Train, &s.Valid} {
		u := tensor.New64(comparator.TrueInputs, 4, 40, 1)
		for k := range 4 {
			for bin := 20; bin < 40; bin++ {
				u.F64[k*40+bin] = float64(k%2) * 0.2
			}
		}
		*set = append(*set, u, tensor.FromInt(comparator.Conditions, []int64{0, 1, 0, 1}, 4))
	}
	for inputs, want := range map[string]map[string]float64{
		"mean":       {"mean": 0.05},
		"conditions": {"condition 0": 0, "condition 1": 0.1},
		"phases":     {"condition 0 phase 1": 0, "condition 1 phase 1": 0, "condition 1 phase 2": 0.2},
	} {
		// A model of the data, which infers no inputs, is driven by the same ones.
		driven := subject(t, "driven", tanhNet([]float64{2}, []float64{0}), 4, 40)
		// Another has no inputs at all: its points are under others than the truth's.
		closed := tanhNet([]float64{2}, []float64{0})
		step, jacobian := closed.step, closed.jacobian
		closed.inputs, closed.step = 0, func(x, _, next []float64) { step(x, []float64{0}, next) }
		closed.jacobian = func(x, _, js, _ []float64) { jacobian(x, []float64{0}, js, make([]float64, 1)) }
		o, err := open(t, 1, 1, param.Values{"starts": 50, "inputs": inputs, "continuation": 4}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{s, driven, subject(t, "closed", closed, 4, 40)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sound(t, o)
		for name := range want {
			metric := matchDistance
			if len(want) > 1 {
				metric += "/" + name
			}
			if r := opened.Find(t, o, metric, "closed"); !strings.Contains(r.Reason, fmt.Sprintf("%q, which those of closed are not (zero)", name)) {
				t.Errorf("%+v", r)
			}
		}
		// Points are followed from phase to phase of a condition, not from the last phase of one condition to the first of the next.
		followed := map[string]int{"conditions": 2, "phases": 2}[inputs]
		for _, r := range o.Results {
			if strings.HasPrefix(r.Metric, "continued_points/") {
				followed--
				if inputs == "phases" && r.Metric != "continued_points/condition 1 phase 1 to condition 1 phase 2" {
					t.Errorf("%+v", r)
				}
			}
		}
		if followed != 0 {
			t.Errorf("%s: %d ways are missing", inputs, followed)
		}
		for name, u := range want {
			for _, label := range []string{"truth", "driven"} {
				if m := o.Matrices.Get(label + "." + name + ".input"); m == nil || math.Abs(m.F64[0]-u) > 1e-12 {
					t.Errorf("%s: %s of %s is %+v, want %v", inputs, name, label, m, u)
				}
			}
		}
	}
}

// TestRunWithoutPadding: a model whose states nobody recorded is run through the inputs that are known, of each trial as far as it goes: what is behind its end may be anything.
func TestRunWithoutPadding(t *testing.T) {
	const trials, bins = 4, 40
	d := tanhNet([]float64{2}, []float64{0})
	s := comparator.Subject{Label: "truth", Role: comparator.Truth, Dynamics: d}
	for _, set := range []*tensor.Set{&s.Train, &s.Valid} {
		u, lengths := tensor.New64(comparator.TrueInputs, trials, bins, 1), make([]int64, trials)
		for k := range trials {
			lengths[k] = int64(10 + 5*k)
			for bin := range bins {
				if u.F64[k*bins+bin] = float64(k%2*2-1) * 0.2; bin >= int(lengths[k]) {
					u.F64[k*bins+bin] = math.NaN()
				}
			}
		}
		*set = tensor.Set{u, tensor.FromInt(comparator.Lengths, lengths, trials)}
	}
	o, err := open(t, 2, 1, param.Values{"starts": 50, "inputs": "zero"}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{s}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, o)
	if r := opened.Find(t, o, "fixed_points", "truth"); r.Value != 3 || !strings.Contains(r.Reason, "no whole states are recorded") {
		t.Errorf("%+v", r)
	}
}

// TestRefuses: what cannot be computed says why, what is wrong is an error that names it, and a call ends when it is told to.
func TestRefuses(t *testing.T) {
	d := tanhNet([]float64{2, 0, 0, 1.5}, []float64{0, 0})
	good := subject(t, "a", d, 3, 5)
	run := func(ctx context.Context, given param.Values, subjects ...comparator.Subject) (comparator.Outcome, error) {
		return open(t, 2, 1, given).Compare(ctx, comparator.Request{Subjects: subjects}, nil)
	}
	var invalid *component.InvalidArgumentError
	if _, err := run(t.Context(), nil); !errors.As(err, &invalid) {
		t.Errorf("no subjects: %v", err)
	}
	if _, err := run(t.Context(), nil, good, good); !errors.As(err, &invalid) || invalid.Problems[0].Path != "subjects[1].label" {
		t.Errorf("a label twice: %v", err)
	}
	// Inputs that are not as many as a model takes are of no use to that model, and do no harm to the others.
	wide := subject(t, "wide", tanhNet([]float64{1.5, 0, 0, 0, 1.5, 0, 0, 0, 1.5}, []float64{0, 0, 0}), 3, 5)
	o, err := run(t.Context(), param.Values{"starts": 20, "inputs": "given", "input_values": []float64{0, 0}}, wide, good)
	if err != nil {
		t.Fatal(err)
	}
	if why := opened.Find(t, o, "fixed_points", "wide").Reason; !strings.Contains(why, "input_values has 2 values, and the dynamics of wide take 3 inputs") {
		t.Errorf("two values for three inputs: %q", why)
	}
	if r := opened.Find(t, o, "fixed_points", "a"); !(r.Value > 0) || r.Reason != "" {
		t.Errorf("beside a model of other inputs: %+v", r)
	}
	if p := Factory().Check(mustResolve(t, param.Values{"inputs": "given"})); len(p) != 1 || p[0].Path != "input_values" {
		t.Errorf("%v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run(ctx, nil, good); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	wrong := d
	wrong.jacobian = func(_, _, js, _ []float64) { js[0] = math.NaN() }
	for name, s := range map[string]comparator.Subject{
		"no inputs":      {Label: "a", Dynamics: d, Train: good.Train},
		"NaN states":     {Label: "a", Dynamics: d, Train: tensor.Set{tensor.From64(comparator.Latents, slices.Repeat([]float64{math.NaN()}, 8), 2, 2, 2)}},
		"another width":  {Label: "a", Dynamics: d, Train: tensor.Set{tensor.New64(comparator.State, 2, 2, 5)}},
		"NaN Jacobians":  {Label: "a", Dynamics: wrong, Train: good.Train},
		"constant":       {Label: "a", Dynamics: d, Train: tensor.Set{tensor.New64(comparator.Latents, 2, 1, 2)}},
		"no states":      {Label: "a", Dynamics: d},
		"no dynamics":    {Label: "a"},
		"no trials here": {Label: "a", Dynamics: d, Train: tensor.Set{tensor.New64(comparator.Latents, 0, 4, 2)}},
	} {
		given := param.Values{"starts": 20}
		if name == "no inputs" {
			given["inputs"] = "mean"
		}
		o, err := run(t.Context(), given, s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sound(t, o)
		if name != "constant" && name != "NaN Jacobians" && opened.Find(t, o, "fixed_points", "a").Reason == "" {
			t.Errorf("%s: no reason", name)
		}
	}
	// A panic of a model on a goroutine is an error.
	panics := d
	panics.step = func(_, _, _ []float64) { panic("no") }
	if _, err := run(t.Context(), nil, comparator.Subject{Label: "a", Dynamics: panics, Train: good.Train}); err == nil {
		t.Error("a panic is no error")
	}
}

func mustResolve(t testing.TB, given param.Values) param.Values {
	t.Helper()
	f := Factory()
	v, problems := f.Info.Params.Resolve(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return v
}
