package main

import (
	"context"
	"log/slog"
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa"
	"github.com/ctdb-host/ctdb/plugins/comparators/shape"
	"github.com/ctdb-host/ctdb/plugins/comparators/spectra"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/plugintest"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func env(seed uint64) component.Env {
	return component.Env{Seed: seed, Threads: 2, Log: slog.New(slog.DiscardHandler)}
}

func openTask(t *testing.T, params param.Values) (task.Task, task.Spec) {
	t.Helper()
	f := freeRun()
	values, problems := f.Info.Params.Resolve(params)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	tk, err := f.Open(t.Context(), values, env(3))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := tk.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tk, spec
}

func openModel(t *testing.T, spec task.Spec, seed uint64, params param.Values) model.Model {
	t.Helper()
	f := known()
	values, problems := f.Info.Params.Resolve(params)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if problems := f.Check(values, model.Target{Task: &spec}); len(problems) > 0 {
		t.Fatal(problems)
	}
	m, err := f.Open(t.Context(), values, env(seed), model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// subject runs a system on the task's trials; noise is drawn by noiseSeed.
func subject(t *testing.T, tk task.Task, spec task.Spec, label string, seed, noiseSeed uint64, params param.Values) comparator.Subject {
	t.Helper()
	m := openModel(t, spec, seed, params)
	if _, err := m.Train(t.Context(), model.TrainRequest{Task: tk}, component.Discard{}); err != nil {
		t.Fatal(err)
	}
	s := comparator.Subject{Label: label, Role: comparator.Fitted, InputChannels: places}
	if label == "truth" {
		s.Role = comparator.Truth
	}
	for split, into := range map[task.Split]*tensor.Set{task.Train: &s.Train, task.Valid: &s.Valid} {
		trials, err := tensor.Collect(tk.Trials(t.Context(), task.TrialRequest{Split: split}))
		if err != nil {
			t.Fatal(err)
		}
		out, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Seed: noiseSeed, Noise: true, Want: []string{model.Latents, model.State}}, tensor.Of(trials)))
		if err != nil {
			t.Fatal(err)
		}
		*into = tensor.Set{out.Arrays.Get(model.Latents), trials.Arrays.Get(task.Inputs), trials.Arrays.Get(task.Conditions)}
		if z, x := out.Arrays.Get(model.Latents), out.Arrays.Get(model.State); z.Shape[2] < x.Shape[2] {
			*into = append(*into, x)
		}
	}
	d, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Dynamics = d
	return s
}

// measured runs a comparator and returns its results by metric and subject.
func measured(t *testing.T, f comparator.Factory, params param.Values, subjects ...comparator.Subject) map[[2]string]component.Result {
	t.Helper()
	values, problems := f.Info.Params.Resolve(params)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c, err := f.Open(t.Context(), values, env(1))
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Compare(context.Background(), comparator.Request{Subjects: subjects}, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[[2]string]component.Result{}
	for _, r := range out.Results {
		found[[2]string{r.Metric, r.Subject}] = r
	}
	return found
}

func value(t *testing.T, found map[[2]string]component.Result, metric, subject string) float64 {
	t.Helper()
	r, ok := found[[2]string{metric, subject}]
	if !ok || math.IsNaN(r.Value) {
		t.Fatalf("no %s of %s: %q", metric, subject, r.Reason)
	}
	return r.Value
}

// TestRings makes the point of Ostrow et al. 2023 and of Galgali, Sahani & Mante 2023: trajectories of one shape may come of different dynamics. Two rings have the same average
// trajectories, one because it turns by itself, the other because it is led; a third is the first one in coordinates that are stretched. Shape takes the first two for alike and the third
// for another, dynamics the other way about.
func TestRings(t *testing.T) {
	tk, spec := openTask(t, param.Values{"n_trials": 160, "n_timesteps": 200, "bin_width": 0.02, "conditions": 8})
	noise := 0.05
	ring := subject(t, tk, spec, "truth", 1, 11, param.Values{"system": "ring", "coordinates": "own", "noise": noise})
	led := subject(t, tk, spec, "led", 1, 12, param.Values{"system": "led-ring", "coordinates": "own", "noise": noise})
	stretched := subject(t, tk, spec, "stretched", 2, 13, param.Values{"system": "ring", "noise": noise, "coordinates": "sheared"})

	// The averages of the conditions are alike: the rest is noise.
	if d := averages(ring, led); d > 0.05 {
		t.Errorf("averages of conditions differ by %.3f of the ring's radius", d)
	}
	shapes := measured(t, shape.Factory(), param.Values{"bootstrap": 0, "null_shuffles": 0}, averaged(ring), averaged(led), averaged(stretched))
	dynamics := measured(t, dsa.Factory(), param.Values{"n_delays": 3, "rank": 6, "bootstrap": 20}, ring, led, stretched)
	t.Logf("procrustes: led %.3f, stretched %.3f; dsa: led %.3f, stretched %.3f, floor %.3f", value(t, shapes, "procrustes_angular", "led"), value(t, shapes, "procrustes_angular", "stretched"),
		value(t, dynamics, "dsa", "led"), value(t, dynamics, "dsa", "stretched"), value(t, dynamics, "dsa_split_half", "truth"))
	if led, stretched := value(t, shapes, "procrustes_angular", "led"), value(t, shapes, "procrustes_angular", "stretched"); led > stretched/3 {
		t.Errorf("procrustes: the led ring is at %.3f, the stretched one at %.3f: it should take the led one for alike", led, stretched)
	}
	if led, stretched := value(t, dynamics, "dsa", "led"), value(t, dynamics, "dsa", "stretched"); led < 3*stretched {
		t.Errorf("dsa: the led ring is at %.3f, the stretched one at %.3f: it should take the stretched one for alike", led, stretched)
	}
}

// averaged has the averages over the trials of each condition, training and validation trials apart, in place of trials.
func averaged(s comparator.Subject) comparator.Subject {
	out := s
	out.Dynamics, out.Why = nil, "averages have no dynamics"
	for _, set := range []*tensor.Set{&out.Train, &out.Valid} {
		z, conds := set.Get(comparator.Latents), set.Get(comparator.Conditions).I64
		size := z.Len() / z.Shape[0]
		mean, n := tensor.New32(comparator.Latents, 8, z.Shape[1], z.Shape[2]), make([]float32, 8)
		for _, c := range conds {
			n[c]++
		}
		for i, c := range conds {
			for j, v := range z.F32[i*size : (i+1)*size] {
				mean.F32[int(c)*size+j] += v / n[c]
			}
		}
		*set = tensor.Set{mean}
	}
	return out
}

// averages is the mean distance between two subjects' averages of conditions, over all bins.
func averages(a, b comparator.Subject) float64 {
	x, y := averaged(a).Train.Get(comparator.Latents).F32, averaged(b).Train.Get(comparator.Latents).F32
	sum := 0.0
	for i := 0; i < len(x); i += 2 {
		sum += math.Hypot(float64(x[i]-y[i]), float64(x[i+1]-y[i+1]))
	}
	return 2 * sum / float64(len(x))
}

// TestLorenz has Lorenz's system against itself in other coordinates, and against Roessler's; and its Lyapunov exponents, published as 0.906, 0 and -14.57 (Wolf et al. 1985; Sprott 2003).
func TestLorenz(t *testing.T) {
	tk, spec := openTask(t, param.Values{"n_trials": 60, "n_timesteps": 1500})
	lorenz := subject(t, tk, spec, "truth", 1, 1, param.Values{"system": "lorenz", "coordinates": "own"})
	turned := subject(t, tk, spec, "turned", 2, 1, param.Values{"system": "lorenz", "coordinates": "sheared"})
	other := subject(t, tk, spec, "roessler", 1, 1, param.Values{"system": "roessler"})
	found := measured(t, dsa.Factory(), param.Values{"n_delays": 20, "rank": 15, "bootstrap": 0, "null": false}, lorenz, turned, other)
	t.Logf("dsa: in other coordinates %.4f, Roessler %.4f, floor %.4f", value(t, found, "dsa", "turned"), value(t, found, "dsa", "roessler"), value(t, found, "dsa_split_half", "truth"))
	if same, different := value(t, found, "dsa", "turned"), value(t, found, "dsa", "roessler"); same > different/5 {
		t.Errorf("dsa: in other coordinates %.4f, Roessler %.4f: the first should be far smaller", same, different)
	}
	exponents := measured(t, spectra.Factory(), param.Values{"trials": 12, "bootstrap": 0, "null": false, "operator_rank": 0, "segment": 128}, lorenz, turned, other)
	for subject, want := range map[string][]float64{"truth": {0.9056, 0, -14.5723}, "turned": {0.9056, 0, -14.5723}} {
		for i, w := range want {
			got := value(t, exponents, []string{"lyapunov/1", "lyapunov/2", "lyapunov/3"}[i], subject)
			// Two minutes of trajectories tell the first one to a few percent; the tests of comparator/spectra run longer.
			if math.Abs(got-w) > 0.05*math.Max(math.Abs(w), 0.5) {
				t.Errorf("%s: exponent %d is %.4f, published %.4f", subject, i+1, got, w)
			}
		}
	}
}

// TestConformance has the plugin pass what every plugin must: among it, derivatives against central differences.
func TestConformance(t *testing.T) {
	plugintest.Plugin(t, plugin(), plugintest.Options{})
}
