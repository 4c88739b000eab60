package metrics

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// simulated is a truth with nLatents smooth latents, and a model "model" with wide latents that are a noisy mixture of them. Rates of both are exp of mixtures.
func simulated(trials, validTrials, bins, nLatents, wide, neurons, heldIn int) comparator.Request {
	truth := comparator.Subject{Label: "truth", Role: comparator.Truth, HeldIn: heldIn, InputChannels: 2}
	model := comparator.Subject{Label: "model", Role: comparator.Fitted}
	rng := random.New(1, "test")
	matrix := func(rows, cols int, scale float64) []float64 {
		out := make([]float64, rows*cols)
		for i := range out {
			out[i] = scale * rng.NormFloat64()
		}
		return out
	}
	read, mix := matrix(nLatents, neurons, 0.5/math.Sqrt(float64(nLatents))), matrix(nLatents, wide, 1)
	readWide := matrix(wide, neurons, 0.3/float64(wide))
	for split, n := range []int{trials, validTrials} {
		z, rates, spikes := tensor.New32(comparator.Latents, n, bins, nLatents), tensor.New32(comparator.Rates, n, bins, neurons), tensor.New32(comparator.Spikes, n, bins, neurons)
		zi, ratesI := tensor.New32(comparator.Latents, n, bins, wide), tensor.New32(comparator.Rates, n, bins, neurons)
		x, targets, xi := tensor.New32(comparator.TrueInputs, n, bins, 2), tensor.New32(comparator.Targets, n, bins, 2), tensor.New32(comparator.Inputs, n, bins, 3)
		state := make([]float64, nLatents)
		for row := range n * bins {
			for d := range nLatents {
				state[d] = 0.9*state[d] + 0.4*rng.NormFloat64()
				z.F32[row*nLatents+d] = float32(state[d])
			}
			for w := range wide {
				v := 0.2 * rng.NormFloat64()
				for d, s := range state {
					v += s * mix[d*wide+w]
				}
				zi.F32[row*wide+w] = float32(v)
			}
			for i := range neurons {
				a, b := 0.0, 0.0
				for d, s := range state {
					a += s * read[d*neurons+i]
				}
				for w := range wide {
					b += float64(zi.F32[row*wide+w]) * readWide[w*neurons+i]
				}
				rates.F32[row*neurons+i], ratesI.F32[row*neurons+i] = float32(math.Exp(a)), float32(math.Exp(0.9*a+0.1*b))
				for u := rng.ExpFloat64(); u < math.Exp(a); u += rng.ExpFloat64() {
					spikes.F32[row*neurons+i]++
				}
			}
			for c := range 2 {
				i := row*2 + c
				if row%bins > 0 {
					targets.F32[i] = targets.F32[i-2]
					switch rng.IntN(10) {
					case 0:
						x.F32[i], targets.F32[i] = 1, 1
					case 1:
						x.F32[i], targets.F32[i] = -1, 0
					}
					if targets.F32[i] != targets.F32[i-2] {
						xi.F32[row*3+c] = 2 * x.F32[i]
					}
				}
			}
		}
		if split == 0 {
			truth.Train, model.Train = tensor.Set{z, rates, spikes, x, targets}, tensor.Set{zi, ratesI, xi}
		} else {
			truth.Valid, model.Valid = tensor.Set{z, rates, spikes, x, targets}, tensor.Set{zi, ratesI, xi}
		}
	}
	truth.Scored = tensor.Set{tensor.From64(comparator.Success, []float64{1, 0.5, 1, 0.5}, 4), tensor.From64(comparator.Loss, []float64{0.1, 0.3, 0.2, 0.2}, 4)}
	return comparator.Request{Subjects: []comparator.Subject{truth, model}}
}

func compare(t testing.TB, values param.Values, req comparator.Request) comparator.Outcome {
	t.Helper()
	o, err := open(t, 2, values).Compare(t.Context(), req, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestCompare(t *testing.T) {
	o := compare(t, param.Values{"bootstrap": 200}, simulated(20, 12, 60, 4, 6, 15, 10))
	var names []string
	for _, r := range o.Results {
		names = append(names, r.Metric)
		if r.Reason != "" || math.IsNaN(r.Value) || !(r.Low <= r.Value && r.Value <= r.High) || r.High-r.Low > 0.5 {
			t.Errorf("%+v", r)
		}
		if r.Subject == "truth" {
			continue
		}
		// A shuffled R2 has no lower bound, but nothing is explained by chance beyond what a fit of this size can.
		if r.N != 12 || !(r.Null < r.Value) || (!strings.HasPrefix(r.Metric, "cycle") && r.Null > 0.1) {
			t.Errorf("%+v", r)
		}
		if want := !strings.HasPrefix(r.Metric, "cycle"); (r.Reference == "truth") != want {
			t.Errorf("%s is against %q", r.Metric, r.Reference)
		}
	}
	want := []string{"performance", "performance_loss", "rate_r2", "state_r2", "state_r2_reverse", "input_r2", "effective_input_r2", "cycle_con", "cycle_con_whitened", "co_bps", "heldin_bps", "few_shot_co_bps/4", "few_shot_co_bps/16"}
	if !slices.Equal(names, want) {
		t.Errorf("metrics %v, want %v", names, want)
	}
	if r := opened.Find(t, o, "performance", "truth"); r.Value != 0.75 || r.N != 4 || r.Better != component.Higher || !math.IsNaN(r.Null) {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, "performance_loss", "truth"); math.Abs(r.Value-0.2) > 1e-15 || r.Better != component.Lower {
		t.Errorf("%+v", r)
	}
	// Another network that was trained on the task has a score of its own, and what is measured of every model.
	other := simulated(20, 12, 60, 4, 6, 15, 10)
	other.Subjects[1].Scored = tensor.Set{tensor.From64(comparator.Success, []float64{1, 0}, 2), tensor.From64(comparator.Loss, []float64{0.5, 0.7}, 2),
		tensor.From64(comparator.Measured+"bit_accuracy", []float64{0.9, 0.7}, 2).With("", tensor.Trial)}
	both := compare(t, param.Values{"bootstrap": 20}, other)
	for metric, want := range map[string]float64{"performance": 0.5, "performance_loss": 0.6, "bit_accuracy": 0.8} {
		if r := opened.Find(t, both, metric, "model"); math.Abs(r.Value-want) > 1e-15 || r.N != 2 || r.Reference != "" || r.Reason != "" {
			t.Errorf("%+v, want %v", r, want)
		}
	}
	if r := opened.Find(t, both, "state_r2", "model"); r.Value != opened.Find(t, o, "state_r2", "model").Value {
		t.Errorf("%+v differs with a score", r)
	}
	req := simulated(20, 12, 60, 4, 6, 15, 10)
	req.Subjects[0].Scored = append(req.Subjects[0].Scored, tensor.From64(comparator.SuccessOf+"Pro", []float64{1, 1, 0}, 3), tensor.From64(comparator.SuccessOf+"Anti", []float64{1}, 1),
		tensor.From64(comparator.Measured+"final_distance", []float64{0.01, 0.03}, 2).With("m", tensor.Trial), tensor.New64(comparator.Measured+"nothing", 0))
	of := compare(t, param.Values{"bootstrap": 20}, req)
	if r := opened.Find(t, of, "performance/Pro", "truth"); math.Abs(r.Value-2.0/3) > 1e-15 || r.N != 3 || r.Better != component.Higher {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, of, "performance/Anti", "truth"); r.Value != 1 || r.N != 1 {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, of, "final_distance", "truth"); math.Abs(r.Value-0.02) > 1e-15 || r.Unit != "m" || r.Better != component.Neither {
		t.Errorf("%+v", r)
	}
	if n := len(of.Results) - len(o.Results); n != 3 {
		t.Errorf("%d more results, want 3", n)
	}
	if r := opened.Find(t, o, "effective_input_r2", "model"); math.Abs(r.Value-1) > 1e-9 {
		t.Errorf("inputs that are the effective pulses: %+v", r)
	}
	if r := opened.Find(t, o, "input_r2", "model"); r.Value > 0.95 {
		t.Errorf("inputs that are the effective pulses are not all pulses: %+v", r)
	}
	for _, f := range o.Figures {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
	}
	if len(o.Figures) != 3 || len(o.Figures[0].Panels) != len(want) || len(o.Figures[1].Panels[0].Marks[0].Y) != 15 || len(o.Figures[2].Panels[0].Marks[0].Y) != 6 {
		t.Errorf("figures %+v", o.Figures)
	}
}

// TestSameWhateverTheThreads compares results bit by bit.
func TestSameWhateverTheThreads(t *testing.T) {
	req := simulated(21, 9, 30, 3, 4, 8, 5)
	for _, interval := range []string{"percentile", "bca"} {
		var first comparator.Outcome
		for i, threads := range []int{1, 2, 5} {
			o, err := open(t, threads, param.Values{"bootstrap": 50, "interval": interval}).Compare(t.Context(), req, nil)
			if err != nil {
				t.Fatal(err)
			}
			// NaN differs from itself: a truth's metrics have no null.
			for k := range o.Results {
				if math.IsNaN(o.Results[k].Null) {
					o.Results[k].Null = 0
				}
			}
			if i == 0 {
				first = o
			} else if !reflect.DeepEqual(o, first) {
				t.Errorf("%d threads give other results", threads)
			}
		}
	}
}

// TestInventedAndRescaledLatents holds the metrics to what they are for.
func TestInventedAndRescaledLatents(t *testing.T) {
	values := param.Values{"bootstrap": 0, "null_shuffles": 0}
	req := simulated(20, 10, 60, 4, 4, 15, 10)
	plain := compare(t, values, req)
	if r := plain.Results[3]; !math.IsNaN(r.Low) || !math.IsNaN(r.Null) {
		t.Errorf("an interval or null that was not asked for: %+v", r)
	}

	changed := func(width int, f func(to, from []float32)) comparator.Outcome {
		again := req
		again.Subjects = slices.Clone(req.Subjects)
		m := &again.Subjects[1]
		for _, set := range []*tensor.Set{&m.Train, &m.Valid} {
			*set = slices.Clone(*set)
			z := (*set)[0]
			w := tensor.New32(z.Name, z.Shape[0], z.Shape[1], width)
			for row := range z.Shape[0] * z.Shape[1] {
				f(w.F32[row*width:(row+1)*width], z.F32[row*4:(row+1)*4])
			}
			(*set)[0] = w
		}
		return compare(t, values, again)
	}
	get := func(o comparator.Outcome, name string) float64 { return opened.Find(t, o, name, "model").Value }

	scaled := changed(4, func(to, from []float32) {
		for i, x := range from {
			to[i] = x*float32(math.Pow(8, float64(i))) + float32(i)
		}
	})
	for _, name := range []string{"cycle_con_whitened", "state_r2_reverse", "rate_r2"} {
		if a, b := get(plain, name), get(scaled, name); math.Abs(a-b) > 1e-5 {
			t.Errorf("%s goes from %v to %v when latents are rescaled", name, a, b)
		}
	}
	if a, b := get(plain, "cycle_con"), get(scaled, "cycle_con"); math.Abs(a-b) < 1e-3 {
		t.Errorf("cycle_con stays at %v when latents are rescaled", a)
	}

	rng := random.New(3, "invented")
	invented := changed(8, func(to, from []float32) {
		copy(to, from)
		for i := range 4 {
			to[4+i] = float32(2 * rng.NormFloat64())
		}
	})
	for _, name := range []string{"state_r2", "cycle_con", "cycle_con_whitened"} {
		if a, b := get(plain, name), get(invented, name); !(b < a-0.1) {
			t.Errorf("%s goes from %v to %v when dimensions are invented", name, a, b)
		}
	}
	if a, b := get(plain, "state_r2_reverse"), get(invented, "state_r2_reverse"); math.Abs(a-b) > 0.02 {
		t.Errorf("state_r2_reverse goes from %v to %v when dimensions are invented", a, b)
	}

	// Columns that are copies of others, or constant, leave everything defined.
	redundant := changed(7, func(to, from []float32) {
		copy(to, from)
		to[4], to[5], to[6] = from[0], from[1]+from[2], 3
	})
	for _, name := range []string{"state_r2_reverse", "cycle_con_whitened"} {
		if a, b := get(plain, name), get(redundant, name); math.Abs(a-b) > 1e-4 {
			t.Errorf("%s goes from %v to %v when latents are copied", name, a, b)
		}
	}
	if r := opened.Find(t, redundant, "cycle_con", "model"); math.IsNaN(r.Value) || r.Value < 0.5 {
		t.Errorf("%+v", r)
	}
}

// TestWeights: a bootstrap.Statistic over weighted trials is the bootstrap.Statistic of the trials so repeated, bits per spike against the same null.
func TestWeights(t *testing.T) {
	req := simulated(10, 5, 20, 3, 4, 6, 4)
	weights := []int{2, 0, 1, 3, 0}
	repeated := req
	repeated.Subjects = slices.Clone(req.Subjects)
	for i := range repeated.Subjects {
		s := &repeated.Subjects[i]
		var set tensor.Set
		for _, a := range s.Valid {
			b := tensor.New32(a.Name, 6, a.Shape[1], a.Shape[2])
			b.F32 = b.F32[:0]
			for k, w := range weights {
				for range w {
					b.F32 = append(b.F32, a.Slice(k, k+1).F32...)
				}
			}
			set = append(set, b)
		}
		s.Valid = set
	}
	statistics := func(req comparator.Request) map[string]bootstrap.Statistic {
		c, err := newComparison(&metrics{Params: Params{CycleV: 0.01}, threads: 1}, req)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bootstrap.Statistic{}
		for _, q := range c.measures(1) {
			if out[q.metric], err = q.compute(t.Context(), asTheyAre); err != nil {
				t.Fatal(q.metric, err)
			}
		}
		return out
	}
	of := statistics(req)
	for name, s := range statistics(repeated) {
		if b, ok := s.(bitsPerSpike); ok {
			b.null = of[name].(bitsPerSpike).null
			s = b
		}
		if got, want := of[name].Value([]float64{2, 0, 1, 3, 0}), s.Value(bootstrap.Ones(6)); math.Abs(got-want) > 1e-10 {
			t.Errorf("%s is %v over weights, %v over repeated trials", name, got, want)
		}
	}
}

// TestMoments: R2 from the moments of rows is the R2 of the rows, of every metric that is scored so under shuffles.
func TestMoments(t *testing.T) {
	for _, ragged := range []bool{false, true} {
		req := simulated(10, 5, 20, 3, 4, 6, 4)
		if ragged {
			truth := &req.Subjects[0]
			truth.Train = append(truth.Train, tensor.FromInt(comparator.Lengths, []int64{20, 3, 7, 8, 1, 0, 20, 20, 11, 6}, 10))
			truth.Valid = append(truth.Valid, tensor.FromInt(comparator.Lengths, []int64{2, 3, 20, 8, 1}, 5))
		}
		c, err := newComparison(&metrics{Params: Params{CycleV: 0.01}, threads: 2}, req)
		if err != nil {
			t.Fatal(err)
		}
		// A pairing of each trial with itself under the name of a shuffle.
		c.nulls, c.shuffle = 1, 0
		for _, q := range c.measures(1) {
			rows, err := q.compute(t.Context(), asTheyAre)
			if err != nil {
				t.Fatal(q.metric, err)
			}
			moments, err := q.compute(t.Context(), 0)
			if err != nil {
				t.Fatal(q.metric, err)
			}
			if a, b := rows.Value(bootstrap.Ones(5)), moments.Value(bootstrap.Ones(5)); math.Abs(a-b) > 1e-9 {
				t.Errorf("ragged %v: %s is %v from rows, %v from moments", ragged, q.metric, a, b)
			}
		}
	}
}

func TestOmissions(t *testing.T) {
	edit := func(f func(truth, model *comparator.Subject)) comparator.Request {
		req := simulated(8, 4, 20, 3, 3, 6, 4)
		f(&req.Subjects[0], &req.Subjects[1])
		return req
	}
	drop := func(s *comparator.Subject, names ...string) {
		without := func(a *tensor.Tensor) bool { return slices.Contains(names, a.Name) }
		s.Train, s.Valid = slices.DeleteFunc(s.Train, without), slices.DeleteFunc(s.Valid, without)
	}
	all := []string{"rate_r2", "state_r2", "state_r2_reverse", "input_r2", "effective_input_r2", "cycle_con", "cycle_con_whitened", "co_bps", "heldin_bps", "few_shot_co_bps/4", "few_shot_co_bps/8"}
	truthful := []string{"rate_r2", "state_r2", "state_r2_reverse"}
	for name, c := range map[string]struct {
		req     comparator.Request
		omitted []string
		why     string
	}{
		"a recording": {edit(func(truth, _ *comparator.Subject) {
			truth.Role = comparator.Recording
			drop(truth, comparator.Latents, comparator.Rates, comparator.TrueInputs, comparator.Targets)
		}), []string{"rate_r2", "state_r2", "state_r2_reverse", "input_r2", "effective_input_r2"}, ""},
		"no held-out neurons": {edit(func(truth, _ *comparator.Subject) { truth.HeldIn = 6 }), []string{"co_bps", "few_shot_co_bps"}, "no held-out neurons"},
		"no held-in neurons":  {edit(func(truth, _ *comparator.Subject) { truth.HeldIn = 0 }), []string{"heldin_bps"}, "no held-in neurons"},
		"no inferred inputs":  {edit(func(_, model *comparator.Subject) { drop(model, comparator.Inputs) }), []string{"input_r2", "effective_input_r2"}, "infers no inputs"},
		"no targets":          {edit(func(truth, _ *comparator.Subject) { drop(truth, comparator.Targets) }), []string{"effective_input_r2"}, "no targets"},
		"no latents":          {edit(func(_, model *comparator.Subject) { drop(model, comparator.Latents) }), []string{"state_r2", "state_r2_reverse", "cycle_con", "cycle_con_whitened", "few_shot_co_bps"}, "no latents"},
		"no training trials":  {edit(func(truth, model *comparator.Subject) { truth.Train, model.Train = nil, nil }), []string{"state_r2", "state_r2_reverse", "input_r2", "effective_input_r2", "cycle_con", "cycle_con_whitened", "few_shot_co_bps"}, "training trials"},
		"other neurons": {edit(func(_, model *comparator.Subject) {
			model.Valid[1] = tensor.New32(comparator.Rates, 4, 20, 5)
		}), []string{"rate_r2", "co_bps", "heldin_bps"}, "5"},
		"constant latents": {edit(func(_, model *comparator.Subject) {
			clear(model.Train[0].F32)
			clear(model.Valid[0].F32)
		}), []string{"state_r2", "cycle_con", "cycle_con_whitened", "few_shot_co_bps"}, "not vary"},
		"constant true latents": {edit(func(truth, _ *comparator.Subject) {
			clear(truth.Train[0].F32)
			clear(truth.Valid[0].F32)
		}), []string{"state_r2", "state_r2_reverse"}, "true latents do not vary"},
		"constant true rates": {edit(func(truth, _ *comparator.Subject) { clear(truth.Valid[1].F32) }), []string{"rate_r2"}, "not vary"},
		"no spikes":           {edit(func(truth, _ *comparator.Subject) { clear(truth.Valid[2].F32) }), []string{"co_bps", "heldin_bps", "few_shot_co_bps"}, "no spike"},
		"not counts":          {edit(func(truth, _ *comparator.Subject) { truth.Valid[2].F32[5] = 0.5 }), []string{"co_bps", "heldin_bps", "few_shot_co_bps"}, "counts"},
		"rates of 0":          {edit(func(_, model *comparator.Subject) { model.Train[1].F32[7] = 0 }), []string{"cycle_con", "cycle_con_whitened"}, "logarithm"},
		"constant rates": {edit(func(_, model *comparator.Subject) {
			for i := range model.Train[1].F32 {
				model.Train[1].F32[i] = 1
			}
		}), []string{"cycle_con", "cycle_con_whitened"}, "do not depend"},
		"rates not finite": {edit(func(_, model *comparator.Subject) { model.Valid[1].F32[13] = float32(math.NaN()) }), []string{"rate_r2", "co_bps", "heldin_bps"}, "row 0, bin 2, channel 1"},
		"not a flip-flop":  {edit(func(truth, _ *comparator.Subject) { truth.Train[4].F32[3]++ }), []string{"effective_input_r2"}, "without an input"},
		"nothing flips":    {edit(func(truth, _ *comparator.Subject) { clear(truth.Valid[4].F32) }), []string{"effective_input_r2"}, "no input changes"},
		"model alone":      {comparator.Request{Subjects: edit(func(_, _ *comparator.Subject) {}).Subjects[1:]}, []string{"rate_r2", "state_r2", "state_r2_reverse", "input_r2", "effective_input_r2", "co_bps", "heldin_bps", "few_shot_co_bps"}, "there"},
		"no lengths left": {edit(func(truth, _ *comparator.Subject) {
			truth.Valid = append(truth.Valid, tensor.NewInt(comparator.Lengths, 4))
		}), all, "holds nothing"},
		"too large": {edit(func(_, model *comparator.Subject) {
			z := tensor.From64(comparator.Latents, model.Train[0].Float64s(), model.Train[0].Shape...)
			z.F64[0] = 1e200
			model.Train[0] = z
		}), []string{"state_r2", "state_r2_reverse", "cycle_con", "cycle_con_whitened", "few_shot_co_bps"}, ""},
		"nothing is wrong": {edit(func(_, _ *comparator.Subject) {}), nil, ""},
		"truth has no latents": {edit(func(truth, _ *comparator.Subject) {
			drop(truth, comparator.Latents, comparator.Rates)
		}), truthful, "truth has no"},
	} {
		o := compare(t, param.Values{"bootstrap": 5, "null_shuffles": 1, "few_shots": []int{4, 8}}, c.req)
		for _, metric := range all {
			r := opened.Find(t, o, metric, "model")
			stem, _, _ := strings.Cut(metric, "/")
			omitted := slices.Contains(c.omitted, metric) || slices.Contains(c.omitted, stem)
			if math.IsNaN(r.Value) != omitted || omitted != (r.Reason != "") {
				t.Errorf("%s: %s is %v for the reason %q", name, metric, r.Value, r.Reason)
			}
			if omitted && !strings.Contains(r.Reason, c.why) {
				t.Errorf("%s: %s is omitted for the reason %q", name, metric, r.Reason)
			}
		}
		for _, f := range o.Figures {
			if err := f.Check(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}

	one := compare(t, nil, simulated(8, 1, 20, 3, 3, 6, 4))
	if r := opened.Find(t, one, "state_r2", "model"); math.IsNaN(r.Value) || !math.IsNaN(r.Low) || !math.IsNaN(r.Null) || r.Reason == "" {
		t.Errorf("one validation trial: %+v", r)
	}
	unscored := edit(func(truth, _ *comparator.Subject) { truth.Scored = nil })
	if r := opened.Find(t, compare(t, param.Values{"bootstrap": 5}, unscored), "performance", "truth"); !math.IsNaN(r.Value) || r.Reason == "" {
		t.Errorf("no score: %+v", r)
	}
}

func TestBadRequests(t *testing.T) {
	for name, f := range map[string]func(r *comparator.Request){
		"no subjects":  func(r *comparator.Request) { r.Subjects = nil },
		"no label":     func(r *comparator.Request) { r.Subjects[1].Label = "" },
		"same label":   func(r *comparator.Request) { r.Subjects[1].Label = "truth" },
		"no role":      func(r *comparator.Request) { r.Subjects[1].Role = "" },
		"two truths":   func(r *comparator.Request) { r.Subjects[1].Role = comparator.Truth },
		"negative":     func(r *comparator.Request) { r.Subjects[0].HeldIn = -1 },
		"other trials": func(r *comparator.Request) { r.Subjects[1].Valid[0] = tensor.New32(comparator.Latents, 5, 20, 3) },
		"other bins":   func(r *comparator.Request) { r.Subjects[1].Train[0] = tensor.New32(comparator.Latents, 8, 19, 3) },
		"axes":         func(r *comparator.Request) { r.Subjects[1].Train[0] = tensor.New32(comparator.Latents, 8, 60) },
		"wrong data":   func(r *comparator.Request) { r.Subjects[1].Train[0].Shape[2] = 4 },
		"other widths": func(r *comparator.Request) { r.Subjects[1].Train[0] = tensor.New32(comparator.Latents, 8, 20, 4) },
		"length too long": func(r *comparator.Request) {
			r.Subjects[0].Train = append(r.Subjects[0].Train, tensor.FromInt(comparator.Lengths, []int64{1, 1, 1, 1, 1, 1, 1, 21}, 8))
		},
		"too few lengths": func(r *comparator.Request) {
			r.Subjects[0].Train = append(r.Subjects[0].Train, tensor.FromInt(comparator.Lengths, []int64{1}, 1))
		},
		"lengths' type": func(r *comparator.Request) {
			r.Subjects[0].Train = append(r.Subjects[0].Train, tensor.New32(comparator.Lengths, 8))
		},
		"score's data": func(r *comparator.Request) { r.Subjects[0].Scored[0].Shape[0] = 5 },
	} {
		req := simulated(8, 4, 20, 3, 3, 6, 4)
		f(&req)
		if _, err := open(t, 1, param.Values{"bootstrap": 5}).Compare(t.Context(), req, nil); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, 1, nil).Compare(ctx, simulated(8, 4, 20, 3, 3, 6, 4), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// BenchmarkCompare takes the benchmark's usual size: 800 + 200 trials of 500 bins, 64 latents on both sides, 60 neurons, with intervals and nulls.
func BenchmarkCompare(b *testing.B) {
	req := simulated(800, 200, 500, 64, 64, 60, 50)
	for _, threads := range []int{1, 2} {
		b.Run(map[int]string{1: "1thread", 2: "2threads"}[threads], func(b *testing.B) {
			c := open(b, threads, nil)
			for b.Loop() {
				if _, err := c.Compare(b.Context(), req, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
