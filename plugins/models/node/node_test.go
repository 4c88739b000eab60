package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/plugins/tasks/nbff"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func flipflop(t *testing.T, trials, bins int) (task.Task, task.Spec) {
	t.Helper()
	k, err := nbff.Open(t.Context(), nbff.Params{Bits: 2, Bins: bins, SwitchProb: 0.05, Noise: 0.1, Blind: 4, Trials: trials}, component.Env{Seed: 1, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := k.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k, s
}

func resolve(t *testing.T, given param.Values) param.Values {
	t.Helper()
	v, problems := Factory().Info.Params.Resolve(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return v
}

// adaptive are parameters with which trials need several steps in a bin.
func adaptive(gradient string) param.Values {
	return param.Values{"integrator": "dopri5", "gradient": gradient, "dt": 1, "latent": 4, "hidden": 9, "layers": 2, "epochs": 5, "batch_size": 40, "lr": 5e-3, "noise": 0.02,
		"rtol": 1e-5, "atol": 1e-5}
}

// Training with steps that each trial chooses gives the same bits with any threads and an interruption in between, and learns; so does the adjoint, along nearly the same curve.
func TestAdaptiveTraining(t *testing.T) {
	k, spec := flipflop(t, 100, 20)
	losses := map[string][]float64{}
	for _, gradient := range []string{"discretise", "adjoint"} {
		fit := func(threads int, dir string, stopAt int64) (tensor.Set, []float64) {
			m, err := Factory().Open(t.Context(), resolve(t, adaptive(gradient)), component.Env{Seed: 7, Threads: threads, Dir: dir}, model.Target{Task: &spec})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			c := &curve{at: func(epoch int64) {
				if epoch == stopAt {
					stop()
				}
			}}
			if _, err := m.Train(ctx, model.TrainRequest{Task: k}, c); (err != nil) != (stopAt >= 0) {
				t.Fatal(err)
			}
			w, err := m.Save(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return w, c.losses
		}
		one, curve := fit(1, "", -1)
		losses[gradient] = curve
		dir := t.TempDir()
		fit(2, dir, 2)
		two, _ := fit(3, dir, -1)
		for i, w := range one {
			if !slices.Equal(w.F32, two[i].F32) {
				t.Errorf("%s: %s depends on threads or interruptions", gradient, w.Name)
			}
		}
		if !(curve[len(curve)-1] < curve[0]) {
			t.Errorf("%s: losses are %v", gradient, curve)
		}
	}
	for i, v := range losses["discretise"] {
		if math.Abs(v-losses["adjoint"][i]) > 2e-3*v {
			t.Errorf("epoch %d: loss %v, with the adjoint %v", i, v, losses["adjoint"][i])
		}
	}
}

type curve struct {
	component.Discard
	losses []float64
	at     func(epoch int64)
}

func (c *curve) Metric(m component.Metric) {
	if m.Name == "train/loss" {
		c.losses = append(c.losses, m.Value)
		c.at(m.Epoch)
	}
}

// The states of a rollout are steps of the Dynamics, to single precision's rounding, and Jacobians are those of the steps taken.
func TestAdaptiveDynamics(t *testing.T) {
	k, spec := flipflop(t, 40, 10)
	v := adaptive("discretise")
	v["rtol"], v["atol"] = 1e-10, 1e-10
	m, err := Factory().Open(t.Context(), resolve(t, v), component.Env{Seed: 7, Threads: 2}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	w, err := m.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.Get("generator.vf_net.2.weight").F32 {
		w.Get("generator.vf_net.2.weight").F32[i] *= 5
	}
	if err := m.Load(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	in, err := tensor.Collect(k.Trials(t.Context(), task.TrialRequest{Split: task.All}))
	if err != nil {
		t.Fatal(err)
	}
	out, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Want: []string{model.Latents}}, tensor.Of(in)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.InitialState(t.Context(), tensor.Block{Trials: in.Trials})
	if err != nil {
		t.Fatal(err)
	}
	n := len(in.Trials)
	var x *tensor.Tensor
	for bin := range spec.Bins {
		x = in.Arrays.Get(task.Inputs).Bin(bin)
		if h, err = d.Step(t.Context(), h, x); err != nil {
			t.Fatal(err)
		}
		for b := range n {
			for u := range 4 {
				if got, want := float64(out.Arrays.Get(model.Latents).F32[(b*spec.Bins+bin)*4+u]), h.F64[b*4+u]; math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
					t.Fatalf("trial %d, bin %d, latent %d: %v by rollout, %v by steps", b, bin, u, got, want)
				}
			}
		}
	}
	js, jx, err := d.Jacobians(t.Context(), h, x)
	if err != nil {
		t.Fatal(err)
	}
	step := func(a *tensor.Tensor, i int, by float64) []float64 {
		for b := range n {
			a.F64[b*a.Shape[1]+i] += by
		}
		out, err := d.Step(t.Context(), h, x)
		for b := range n {
			a.F64[b*a.Shape[1]+i] -= by
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.F64
	}
	off := 0
	for _, j := range []struct{ jacobian, at *tensor.Tensor }{{js, h}, {jx, x}} {
		width := j.at.Shape[1]
		for i := range width {
			const by = 1e-5
			up, down := step(j.at, i, by), step(j.at, i, -by)
			for k := range up {
				// A rectified unit may switch between the two.
				if got, want := j.jacobian.F64[k*width+i], (up[k]-down[k])/(2*by); math.Abs(got-want) > 1e-5*max(1, math.Abs(want)) {
					off++
				}
			}
		}
	}
	if off > n/4 {
		t.Errorf("%d derivatives differ from differences", off)
	}
}

// A trial that cannot be integrated ends training, rollout and steps with its number and bin.
func TestAdaptiveDiverges(t *testing.T) {
	k, spec := flipflop(t, 100, 20)
	v := adaptive("discretise")
	v["max_steps"], v["rtol"], v["atol"] = 2, 1e-12, 1e-12
	m, err := Factory().Open(t.Context(), resolve(t, v), component.Env{Seed: 7, Threads: 2}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	var d *component.DivergedError
	_, err = m.Train(t.Context(), model.TrainRequest{Task: k}, nil)
	if !errors.As(err, &d) || !strings.Contains(d.Quantity, "of trial ") || !strings.Contains(d.Quantity, "bin 0") || d.Value != 2 || !strings.Contains(d.Hint, "max_steps") {
		t.Errorf("training: %v", err)
	}
	_, err = tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{}, k.Trials(t.Context(), task.TrialRequest{Split: task.All})))
	if !errors.As(err, &d) || !strings.Contains(d.Quantity, "of trial ") {
		t.Errorf("rollout: %v", err)
	}
	dyn, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dyn.Step(t.Context(), tensor.New64(model.State, 3, 4), tensor.New64(model.Inputs, 3, spec.Inputs)); !errors.As(err, &d) {
		t.Errorf("step: %v", err)
	}
}

func TestProblems(t *testing.T) {
	_, spec := flipflop(t, 20, 10)
	for _, c := range []struct {
		given   param.Values
		resolve string // the field that the schema refuses
		check   string // the one that the model does
	}{
		{given: param.Values{"integrator": "dopri5", "gradient": "adjoint"}},
		{given: param.Values{"gradient": "adjoint"}, check: "gradient"},
		{given: param.Values{"gradient": "adjoint", "integrator": "rk4"}, check: "gradient"},
		{given: param.Values{"recompute": 8, "integrator": "rk4"}},
		{given: param.Values{"recompute": 8, "integrator": "dopri5"}, check: "recompute"},
		{given: param.Values{"integrator": "dopri8"}, resolve: "integrator"},
		{given: param.Values{"atol": 0}, resolve: "atol"},
		{given: param.Values{"rtol": math.NaN()}, resolve: "rtol"},
		{given: param.Values{"max_steps": 0}, resolve: "max_steps"},
		{given: param.Values{"dt": 0}, resolve: "dt"},
		{given: param.Values{"layers": 17}, resolve: "layers"},
	} {
		f := Factory()
		v, problems := f.Info.Params.Resolve(c.given)
		want := c.resolve
		if want == "" {
			if len(problems) > 0 {
				t.Errorf("%v: %v", c.given, problems)
				continue
			}
			want, problems = c.check, f.Check(v, model.Target{Task: &spec})
			if _, err := f.Open(t.Context(), v, component.Env{}, model.Target{Task: &spec}); (err == nil) != (want == "") || err != nil && !errors.Is(err, component.ErrInvalidArgument) {
				t.Errorf("%v: opened: %v", c.given, err)
			}
		}
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || problems[0].Path != want) {
			t.Errorf("%v: %v, want a problem of %q", c.given, problems, want)
		}
	}
}

// The estimate of memory against what a training takes.
func TestMemory(t *testing.T) {
	for _, gradient := range []string{"discretise", "adjoint"} {
		v := adaptive(gradient)
		v["latent"], v["hidden"], v["epochs"], v["layers"], v["dt"], v["max_steps"], v["latent_l2"] = 40, 64, 1, 3, 0.1, 20, 1e-6
		values := resolve(t, v)
		k, spec := flipflop(t, 330, 200)
		target := model.Target{Task: &spec}
		footprint.Check(t, fmt.Sprintf("dopri5 %s", gradient), Factory().Memory(values, target, 2).Bytes, func() error {
			m, err := Factory().Open(context.Background(), values, component.Env{Seed: 1, Threads: 2}, target)
			if err != nil {
				return err
			}
			if _, err := m.Train(context.Background(), model.TrainRequest{Task: k}, nil); err != nil {
				return err
			}
			return nil
		})
	}
}
