package reach

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// trace is what one trial of an episode gave: inputs of every bin and after the last, actions, positions of the hand, and what was recorded; rows are bins.
type trace struct {
	inputs, actions, state [][]float64
	recorded               map[string][][]float64
}

// policy gives the actions of a bin of a trial from its inputs.
type policy func(k int64, t int, x, a []float64)

// reflex is a fixed linear feedback with an offset of its own for each trial and bin: a closed loop whose actions are now below 0, now above 1.
func reflex(k int64, t int, x, a []float64) {
	r := random.New(9, "reflex", uint64(k), uint64(t/7))
	for i := range a {
		a[i] = 0.6*r.Float64() - 0.1
		for j, v := range x {
			a[i] += 0.1 * math.Sin(float64(3*i+5*j)) * v
		}
	}
}

func rowOf(a *tensor.Tensor, row int) []float64 {
	return slices.Clone(a.Slice(row, row+1).Float64s())
}

// run runs an episode to its horizon and gives what each trial got.
func run(t testing.TB, k *reach, req task.EpisodeRequest, act policy) map[int64]*trace {
	t.Helper()
	e, o, err := k.Begin(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if o.State != nil || o.Recorded != nil {
		t.Error("there is a state before the first step")
	}
	out := map[int64]*trace{}
	for _, n := range req.Trials {
		out[n] = &trace{recorded: map[string][][]float64{}}
	}
	horizon := req.Horizon
	if horizon == 0 {
		horizon = k.bins()
	}
	b := len(req.Trials)
	for bin := range horizon + 1 {
		if err := errors.Join(o.Inputs.Check(), o.Recorded.Check()); err != nil {
			t.Fatal(err)
		}
		y := tensor.New64("actions", b, k.muscles)
		for row, n := range req.Trials {
			x := rowOf(o.Inputs, row)
			out[n].inputs = append(out[n].inputs, x)
			if bin < horizon {
				a := y.F64[row*k.muscles : (row+1)*k.muscles]
				act(n, bin, x, a)
				out[n].actions = append(out[n].actions, slices.Clone(a))
			}
		}
		if bin == horizon {
			break
		}
		if !req.Float64 {
			y = tensor.From32("actions", y.Float32s(), b, k.muscles)
		}
		if o, err = e.Step(t.Context(), bin, y); err != nil {
			t.Fatal(err)
		}
		for row, n := range req.Trials {
			out[n].state = append(out[n].state, rowOf(o.State, row))
			for _, r := range o.Recorded {
				out[n].recorded[r.Name] = append(out[n].recorded[r.Name], rowOf(r, row))
			}
		}
	}
	if err := e.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out
}

func numbers(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

func same(a, b *trace) bool {
	equal := func(a, b [][]float64) bool { return slices.EqualFunc(a, b, slices.Equal[[]float64]) }
	for name, r := range a.recorded {
		if !equal(r, b.recorded[name]) {
			return false
		}
	}
	return len(a.recorded) == len(b.recorded) && equal(a.inputs, b.inputs) && equal(a.actions, b.actions) && equal(a.state, b.state)
}

// TestTrialsDoNotDependOnEachOther runs a batch whole, in shards, in another order and with a trial given twice: each trial gets the same to the bit, in both precisions and behaviours.
func TestTrialsDoNotDependOnEachOther(t *testing.T) {
	for _, compat := range []bool{false, true} {
		for _, double := range []bool{false, true} {
			k := open(t, 3, 2, param.Values{"n_trials": 50, "n_timesteps": 70, "compat": compat})
			req := task.EpisodeRequest{Split: task.All, Trials: numbers(37), Seed: 4, Pass: 2, Float64: double}
			whole := run(t, k, req, reflex)
			for _, shard := range [][]int64{{0}, {36, 5, 17}, numbers(33), {8, 8}} {
				req.Trials = shard
				for n, got := range run(t, k, req, reflex) {
					if len(shard) == 2 {
						got.actions, got.inputs, got.state = got.actions[:0], got.inputs[:0], got.state[:0]
						continue // its two rows are in one trace
					}
					if !same(got, whole[n]) {
						t.Errorf("compat %v, double %v: trial %d in %v differs", compat, double, n, shard)
					}
				}
			}
			// A shorter horizon is the beginning of a longer one; the split does not matter.
			train := task.EpisodeRequest{Split: task.Train, Trials: k.splits().Train[:3], Seed: 4, Pass: 2, Float64: double, Horizon: 40}
			for n, got := range run(t, k, train, reflex) {
				if want := whole[n]; want != nil && (!slices.EqualFunc(got.inputs, want.inputs[:41], slices.Equal[[]float64]) || !slices.EqualFunc(got.state, want.state[:40], slices.Equal[[]float64])) {
					t.Errorf("compat %v, double %v: trial %d to a shorter horizon differs", compat, double, n)
				}
			}
		}
	}
}

// difference is the mean squared difference of the first inputs.
func difference(a, b map[int64]*trace, from, to int) float64 {
	var sum, n float64
	for k := range a {
		for bin := range a[k].inputs {
			for i := from; i < to; i++ {
				sum, n = sum+square(a[k].inputs[bin][i]-b[k].inputs[bin][i]), n+1
			}
		}
	}
	return sum / n
}

// TestNoise compares episodes that differ in seed, pass and noise alone, and the sizes of all noise with the parameters.
func TestNoise(t *testing.T) {
	still := func(_ int64, _ int, _, a []float64) { clear(a) }
	for _, compat := range []bool{false, true} {
		values := param.Values{"n_trials": 60, "n_timesteps": 100, "compat": compat, "action_noise": 0, "bump_prob": 0}
		k := open(t, 3, 1, values)
		req := task.EpisodeRequest{Split: task.All, Trials: numbers(60), Seed: 4, Float64: true}
		noisy := run(t, k, req, still)
		other := req
		other.Seed = 5
		pass := req
		pass.Pass = 1
		off := req
		off.NoiseOff = true
		quiet := run(t, k, off, still)
		for name, r := range map[string]task.EpisodeRequest{"seed": other, "pass": pass} {
			if d := difference(noisy, run(t, k, r, still), 0, 14); math.Abs(d-2*square(0.005)) > 0.1*square(0.005) {
				t.Errorf("compat %v: another %s gives a mean squared difference of %v", compat, name, d)
			}
		}
		if d := difference(noisy, quiet, 0, 14); math.Abs(d-square(0.005)) > 0.05*square(0.005) {
			t.Errorf("compat %v: sensory noise has a variance of %v", compat, d)
		}
		if difference(noisy, quiet, 14, 17) != 0 {
			t.Errorf("compat %v: the noise on what is shown depends on the episode", compat)
		}
		// What is shown is the target, hidden before and after, with noise.
		var sum, n float64
		for i, tr := range quiet {
			plan := k.plan(i)
			for bin := range k.bins() {
				want := plan.Context(bin, k.bins(), k.GoCue, compat)
				for j, x := range tr.inputs[bin][14:] {
					sum, n = sum+square(x-want[j]), n+1
				}
			}
		}
		if v := sum / n; math.Abs(v-square(0.04)) > 0.05*square(0.04) {
			t.Errorf("compat %v: the noise on what is shown has a variance of %v", compat, v)
		}
		// Under compat all features of a modality have one noise, else each its own.
		shared := 0
		for i, tr := range noisy {
			for bin, x := range tr.inputs {
				z := func(j int) float64 { return x[j] - quiet[i].inputs[bin][j] }
				if math.Abs(z(0)-z(1)) < 1e-12 && math.Abs(z(2)-z(13)) < 1e-12 && math.Abs(z(0)-z(2)) > 1e-12 {
					shared++
				}
			}
		}
		if want := map[bool]int{true: 60 * 101}[compat]; shared != want {
			t.Errorf("compat %v: noise is shared in %d of %d bins", compat, shared, 60*101)
		}
	}

	// The noise on actions is seen in what they do, and is what excites muscles at rest.
	values := param.Values{"n_trials": 10, "n_timesteps": 40, "sensory_noise": 0, "action_noise": 0.1, "bump_prob": 0}
	k := open(t, 3, 1, values)
	req := task.EpisodeRequest{Split: task.All, Trials: numbers(10), Seed: 4, Float64: true}
	moved := run(t, k, req, still)
	req.NoiseOff = true
	for n, tr := range run(t, k, req, still) {
		if tr.recorded[Activation][39][0] != 0 || slices.Max(moved[n].recorded[Activation][39]) < 1e-3 {
			t.Errorf("trial %d: activations %v without noise, %v with it", n, tr.recorded[Activation][39], moved[n].recorded[Activation][39])
		}
	}
}

// TestDelays holds what is observed against what was recorded.
func TestDelays(t *testing.T) {
	for _, c := range []struct{ vision, proprio float64 }{{0.05, 0.02}, {0.01, 0.01}, {0.12, 0.03}} {
		k := open(t, 3, 1, param.Values{"n_trials": 4, "n_timesteps": 50, "vision_delay": c.vision, "proprioception_delay": c.proprio})
		req := task.EpisodeRequest{Split: task.All, Trials: numbers(4), Float64: true, NoiseOff: true}
		lag := int(math.Round(c.vision/0.01)) - 1
		felt := int(math.Round(c.proprio/0.01)) - 1
		prompt := run(t, open(t, 3, 1, param.Values{"n_trials": 4, "n_timesteps": 50, "vision_delay": 0.01, "proprioception_delay": 0.01}), req, scripted)
		for n, tr := range run(t, k, req, scripted) {
			for bin := range tr.inputs {
				want := prompt[n].inputs[max(0, bin-lag)][:2]
				if bin-lag > 0 && !slices.Equal(want, tr.state[bin-lag-1]) {
					t.Fatalf("trial %d: what is seen without a delay in bin %d is not where the hand is", n, bin-lag)
				}
				if !slices.Equal(tr.inputs[bin][:2], want) || !slices.Equal(tr.inputs[bin][2:14], prompt[n].inputs[max(0, bin-felt)][2:14]) {
					t.Errorf("delays %v: trial %d observes %v in bin %d", c, n, tr.inputs[bin], bin)
				}
			}
			for bin, goal := range tr.recorded[Goal] {
				plan := k.plan(n)
				if g := plan.Goal(bin); !slices.Equal(goal, g[:]) || !slices.Equal(tr.recorded[Fingertip][bin], tr.state[bin]) {
					t.Errorf("trial %d: goal %v and hand %v in bin %d", n, goal, tr.recorded[Fingertip][bin], bin)
				}
			}
		}
	}
}

// scripted does not depend on what is observed.
func scripted(k int64, t int, _, a []float64) {
	r := random.New(9, "script", uint64(k), uint64(t))
	for i := range a {
		a[i] = 0.05 + 0.5*r.Float64()
	}
}

// TestGradient compares the gradient of a scalar of everything that all steps of an episode return, by all actions, with central differences.
func TestGradient(t *testing.T) {
	for _, values := range []param.Values{
		{},
		{"compat": true, "vision_delay": 0.08},
		{"vision_delay": 0.01, "proprioception_delay": 0.04, "dt": 0.005, "proprioception_noise": nil},
	} {
		delete(values, "proprioception_noise")
		const b, bins = 3, 45
		values["n_trials"], values["n_timesteps"], values["bump_prob"] = 10, bins, 1.0
		k := open(t, 6, 1, values)
		req := task.EpisodeRequest{Split: task.All, Trials: numbers(b), Seed: 7, Float64: true, Tape: true}
		actions := make([]float64, b*bins*6)
		for row := range b {
			for bin := range bins {
				scripted(int64(row), bin, nil, actions[(row*bins+bin)*6:][:6])
			}
		}
		r := random.New(1, "cotangents")
		byInputs, byState := make([]float64, bins*b*17), make([]float64, bins*b*2)
		for i := range byInputs {
			byInputs[i] = r.NormFloat64()
		}
		for i := range byState {
			byState[i] = r.NormFloat64()
		}
		// value is the scalar, of trial row alone.
		value := func(e task.Episode, row int) float64 {
			sum := 0.0
			for bin := range bins {
				y := tensor.New64("actions", b, 6)
				for i := range b {
					copy(y.F64[i*6:], actions[(i*bins+bin)*6:][:6])
				}
				o, err := e.Step(t.Context(), bin, y)
				if err != nil {
					t.Fatal(err)
				}
				for i, c := range byInputs[(bin*b+row)*17:][:17] {
					sum += c * o.Inputs.F64[row*17+i]
				}
				for i, c := range byState[(bin*b+row)*2:][:2] {
					sum += c * o.State.F64[row*2+i]
				}
			}
			return sum
		}
		begin := func() task.Episode {
			e, _, err := k.Begin(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.End(t.Context()) })
			return e
		}
		e := begin()
		value(e, 0)
		grad := make([]float64, len(actions))
		for bin := bins - 1; bin >= 0; bin-- {
			g, err := e.VJP(t.Context(), bin, tensor.From64("inputs", byInputs[bin*b*17:][:b*17], b, 17), tensor.From64("state", byState[bin*b*2:][:b*2], b, 2))
			if err != nil {
				t.Fatal(err)
			}
			for row := range b {
				copy(grad[(row*bins+bin)*6:], g.F64[row*6:][:6])
			}
		}
		for _, at := range []int{0, 5*6 + 2, 20*6 + 4, 43*6 + 1, 44*6 + 3, bins*6 + 17*6 + 5, bins*6 + 30*6, 2*bins*6 + 8, 2*bins*6 + 33*6 + 3} {
			const h = 1e-5
			was := actions[at]
			at1 := func(d float64) float64 {
				actions[at] = was + d
				return value(begin(), at/(bins*6))
			}
			want := (8*(at1(h)-at1(-h)) - (at1(2*h) - at1(-2*h))) / (12 * h)
			actions[at] = was
			if math.Abs(grad[at]-want) > 1e-6*max(math.Abs(want), 1e-3) {
				t.Errorf("%v: gradient by action %d of bin %d of trial %d is %v, want %v", values, at%6, at/6%bins, at/6/bins, grad[at], want)
			}
		}
	}
}

// TestTruncated goes back over the second half of an episode alone, goes on, and goes back over the rest: the gradients are those of an episode that began there, and the trials are not disturbed.
func TestTruncated(t *testing.T) {
	k := open(t, 6, 1, param.Values{"n_trials": 10, "n_timesteps": 60})
	req := task.EpisodeRequest{Split: task.All, Trials: numbers(4), Seed: 7, Float64: true, Tape: true}
	plain := run(t, k, req, scripted)
	e, _, err := k.Begin(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer e.End(t.Context())
	step := func(e task.Episode, bin int) []float64 {
		y := tensor.New64("actions", 4, 6)
		for row := range 4 {
			scripted(int64(row), bin, nil, y.F64[row*6:][:6])
		}
		o, err := e.Step(t.Context(), bin, y)
		if err != nil {
			t.Fatal(err)
		}
		for row := range 4 {
			if !slices.Equal(rowOf(o.State, row), plain[int64(row)].state[bin]) || !slices.Equal(rowOf(o.Inputs, row), plain[int64(row)].inputs[bin+1]) {
				t.Fatalf("bin %d: trial %d is disturbed", bin, row)
			}
		}
		return slices.Clone(o.State.F64)
	}
	back := func(e task.Episode, bin int) []float64 {
		g, err := e.VJP(t.Context(), bin, nil, tensor.From64("state", []float64{1, 2, 3, 4, 5, 6, 7, 8}, 4, 2))
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(g.F64)
	}
	for bin := range 30 {
		step(e, bin)
	}
	for bin := 29; bin >= 10; bin-- {
		back(e, bin)
	}
	if err := e.DropTape(t.Context(), 30); err != nil {
		t.Fatal(err)
	}
	for bin := 30; bin < 60; bin++ {
		step(e, bin)
	}
	var got [][]float64
	for bin := 59; bin >= 30; bin-- {
		got = append(got, back(e, bin))
	}
	whole, _, err := k.Begin(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.End(t.Context())
	for bin := range 60 {
		step(whole, bin)
	}
	for bin := 59; bin >= 30; bin-- {
		if !slices.Equal(back(whole, bin), got[59-bin]) {
			t.Fatalf("bin %d: the gradient depends on what was done before", bin)
		}
	}
	if _, err := e.VJP(t.Context(), 29, nil, nil); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a step that was dropped: %v", err)
	}
}

// TestStepsAllocateLittle counts what steps allocate: a few small things each, whatever the number of trials.
func TestStepsAllocateLittle(t *testing.T) {
	const bins = 60
	perRun := func(b int) float64 {
		k := open(t, 0, 1, param.Values{"n_trials": b, "n_timesteps": bins})
		y := tensor.New32("actions", b, 6)
		e, _, err := k.Begin(t.Context(), task.EpisodeRequest{Split: task.All, Trials: numbers(b)})
		if err != nil {
			t.Fatal(err)
		}
		defer e.End(t.Context())
		bin := 0
		return testing.AllocsPerRun(bins-1, func() {
			if _, err := e.Step(t.Context(), bin, y); err != nil {
				t.Fatal(err)
			}
			bin++
		})
	}
	few, many := perRun(4), perRun(256)
	t.Logf("a step allocates %v times for 4 trials, %v times for 256", few, many)
	if many > few+1 || many > 12 {
		t.Errorf("a step allocates %v times for 4 trials, %v times for 256", few, many)
	}
}

func BenchmarkEpisode(b *testing.B) {
	for _, rows := range []int{32, 256, 1000} {
		k := open(b, 0, 1, param.Values{"n_trials": 1000})
		y, x, s := tensor.New32("actions", rows, 6), tensor.New32("inputs", rows, 17), tensor.New32("state", rows, 2)
		for i := range y.F32 {
			y.F32[i] = 0.1
		}
		for _, tape := range []bool{false, true} {
			b.Run(fmt.Sprintf("rows=%d/tape=%v", rows, tape), func(b *testing.B) {
				for b.Loop() {
					e, _, err := k.Begin(b.Context(), task.EpisodeRequest{Split: task.All, Trials: numbers(rows), Tape: tape})
					if err != nil {
						b.Fatal(err)
					}
					for bin := range k.bins() {
						if _, err := e.Step(b.Context(), bin, y); err != nil {
							b.Fatal(err)
						}
					}
					for bin := k.bins() - 1; bin >= 0 && tape; bin-- {
						if _, err := e.VJP(b.Context(), bin, x, s); err != nil {
							b.Fatal(err)
						}
					}
					if err := e.End(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows*k.bins()), "ns/trial-step")
			})
		}
	}
}
