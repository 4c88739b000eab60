package fixedpoints

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func open(t testing.TB, threads int, seed uint64, given param.Values) comparator.Comparator {
	t.Helper()
	return opened.Comparator(t, Factory(), component.Env{Seed: seed, Threads: threads}, given)
}

// sound checks what holds of every outcome: no number that is not one without a reason, figures that can be drawn, matrices that are finite and named apart.
func sound(t testing.TB, o comparator.Outcome) {
	t.Helper()
	for _, r := range o.Results {
		if _, ok := component.FindReading(Factory().Info.Readings, r.Metric); !ok {
			t.Errorf("%s has no reading", r.Metric)
		}
		if math.IsNaN(r.Value) != (r.Value-r.Value != 0) || (math.IsNaN(r.Value) && r.Reason == "") {
			t.Errorf("%+v", r)
		}
	}
	if err := o.Matrices.Check(); err != nil {
		t.Error(err)
	}
	for _, m := range o.Matrices {
		if err := m.CheckFinite(); err != nil {
			t.Error(err)
		}
		if strings.Contains(m.Name, "/") {
			t.Errorf("%q cannot be stored: an HDF5 data set's name has no slash", m.Name)
		}
	}
	names := map[string]bool{}
	for _, f := range o.Figures {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
		if names[f.Name] {
			t.Errorf("two figures are named %s", f.Name)
		}
		names[f.Name] = true
		for _, p := range f.Panels {
			for _, m := range p.Marks {
				if !finite(m.X) || !finite(m.Y) {
					t.Errorf("%s: a mark is not finite", f.Name)
				}
			}
		}
	}
}

// trainedFlipFlop is the network in testdata and what it does in trials.
func trainedFlipFlop(t testing.TB) comparator.Subject {
	t.Helper()
	_, spec := flipflopTask(t)
	return flipflopSubject(t, flipflopModel(t, spec, 64))
}

// flipflopSubject is a model with the weights in testdata, and what it does in trials.
func flipflopSubject(t testing.TB, m model.Model) comparator.Subject {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", flipflopFile))
	if err != nil {
		t.Fatal(err)
	}
	weights, _, err := tensor.ReadSafetensors(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(t.Context(), weights); err != nil {
		t.Fatal(err)
	}
	tk, _ := flipflopTask(t)
	d, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := comparator.Subject{Label: "truth", Role: comparator.Truth, InputChannels: 3, Dynamics: d}
	for _, split := range []task.Split{task.Train, task.Valid} {
		rolled, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Seed: 3, Noise: true, Split: split, Want: []string{model.Latents}}, tk.Trials(t.Context(), task.TrialRequest{Split: split})))
		if err != nil {
			t.Fatal(err)
		}
		trials, err := tensor.Collect(tk.Trials(t.Context(), task.TrialRequest{Split: split}))
		if err != nil {
			t.Fatal(err)
		}
		set := tensor.Set{rolled.Arrays.Get(model.Latents), trials.Arrays.Get(task.Inputs).Named(comparator.Inputs)}
		if split == task.Train {
			s.Train = set
		} else {
			s.Valid = set
		}
	}
	return s
}

// TestTrainedFlipFlop finds the 27 points of a trained 3-bit flip-flop, 8 memories and the saddles between them, for any seed.
func TestTrainedFlipFlop(t *testing.T) {
	if *trainFlipFlop {
		writeFlipFlop(t)
	}
	s := trainedFlipFlop(t)
	var first *tensor.Tensor
	for seed := range uint64(3) {
		began := time.Now()
		given := param.Values{"basin_steps": 20}
		if seed > 0 {
			given["basin_steps"] = 0
		}
		o, err := open(t, 2, seed, given).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{s}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("seed %d: %v", seed, time.Since(began))
		sound(t, o)
		for _, r := range o.Results {
			if seed == 0 {
				t.Logf("%s %v %s n=%d %s", r.Metric, r.Value, r.Unit, r.N, r.Reason)
			}
		}
		for metric, want := range map[string]float64{"fixed_points": 27, "stable_fixed_points": 8, "fixed_points_1_unstable": 12, "fixed_points_2_unstable": 6, "fixed_points_3_unstable": 1} {
			if r := opened.Find(t, o, metric, "truth"); r.Value != want {
				t.Errorf("seed %d: %s is %v, want %v", seed, metric, r.Value, want)
			}
		}
		points := o.Matrices.Get("truth.zero.fixed_points")
		if seed > 0 {
			if r := floats.Distance(points.F64, first.F64, math.Inf(1)); !(r < 1e-9) {
				t.Errorf("seed %d: points are %v from those of seed 0, or in another order", seed, r)
			}
			continue
		}
		first = points
		if r := opened.Find(t, o, "starts_in_basins", "truth"); r.Value < 0.99 {
			t.Errorf("%+v", r)
		}
	}
}

// TestLeaps: following slow dynamics in leaps leads where iterating for 2000 bins leads first. Some time constants of this network are longer.
func TestLeaps(t *testing.T) {
	s := trainedFlipFlop(t)
	c := open(t, 2, 0, param.Values{"starts": 100}).(*fixedPoints)
	search := Search{Dynamics: s.Dynamics, Threads: 2}
	sys, err := search.system(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := &examined{Subject: &s, system: sys}
	if err := e.visit(t.Context(), &comparator.Request{Subjects: []comparator.Subject{s}}); err != nil {
		t.Fatal(err)
	}
	starts, _, err := c.startsOf(e, 0)
	if err != nil {
		t.Fatal(err)
	}
	set, err := search.Find(t.Context(), starts)
	if err != nil {
		t.Fatal(err)
	}
	linear, err := sys.linearise(t.Context(), set.Fixed, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	starts = starts[:24*sys.size()]
	at := map[int]bool{}
	var first []int
	for _, steps := range []int{20, 2000} {
		basins, err := sys.basins(t.Context(), starts, set.Fixed, linear, steps)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range basins {
			if at[b] = true; b == nowhere || first != nil && b != first[i] {
				t.Errorf("start %d: point %d, %v", i, b, first)
			}
		}
		first = basins
	}
	if len(at) < 4 {
		t.Errorf("all starts go to %d points: that proves little", len(at))
	}
}
