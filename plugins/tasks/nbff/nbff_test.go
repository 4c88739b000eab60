package nbff

import (
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestGoldenFlipFlop checks pulses, inputs, targets, masks and losses against the published reference, from its own uniform draws.
func TestGoldenFlipFlop(t *testing.T) {
	for _, c := range golden.Read(t, "nbff.json") {
		t.Run(c.Name, func(t *testing.T) {
			var p struct {
				N, T       int
				SwitchProb float64 `json:"switch_prob"`
				Blind      int     `json:"transition_blind"`
				Stim       bool
				NoiseSD    float64 `json:"noise_sd"`
			}
			c.Decode(t, &p)
			n := p.N * p.T
			trials := c.Tensors["u"].Rows()
			u, noise, outputs := c.Floats(t, "u"), c.Floats(t, "noise"), c.Floats(t, "outputs")
			var losses [2]float64
			var allTargets, compatMask []float64
			for k := range trials {
				of := func(name string) []float64 { return c.Floats(t, name)[k*n : (k+1)*n] }
				x, targets, mask := make([]float64, n), make([]float64, n), make([]float64, n)
				Pulses(x, u[k*n:(k+1)*n], p.N, p.SwitchProb)
				if p.Stim {
					AddStimulus(x, p.N, int(c.Ints(t, "stim_bit")[k]), c.Floats(t, "stim_size")[k])
				}
				if !slices.Equal(x, of("true_inputs")) {
					t.Errorf("trial %d: true inputs differ", k)
				}
				for i := range x {
					if got, want := x[i]+noise[k*n+i], of("inputs")[i]; math.Abs(got-want) > 1e-12 {
						t.Fatalf("trial %d: input %d is %v, want %v", k, i, got, want)
					}
				}
				Targets(targets, x, p.N)
				if !slices.Equal(targets, of("targets")) {
					t.Errorf("trial %d: targets differ", k)
				}
				for i, name := range []string{"compat", "default"} {
					Mask(mask, targets, p.N, p.Blind, name == "compat")
					if !slices.Equal(mask, of("mask_"+name)) {
						t.Errorf("trial %d: %s mask differs", k, name)
					}
					if name == "compat" {
						allTargets, compatMask = append(allTargets, targets...), append(compatMask, mask...)
					}
					losses[i] += SquaredError(outputs[k*n:(k+1)*n], targets, mask) / float64(trials)
				}
			}
			checkGradient(t, c, kernel.Shape{B: trials, T: p.T, C: p.N, Threads: 1}, allTargets, compatMask)
			for i, name := range []string{"loss_compat", "loss_default"} {
				if want := c.Floats(t, name)[0]; math.Abs(losses[i]-want) > 1e-12*want {
					t.Errorf("%s is %v, want %v", name, losses[i], want)
				}
			}
		})
	}
}

// checkGradient holds the loss as the models compute it from what the task declares, mean squared error with the mask as weights, against the golden value and
// gradient: in float64 at the golden tolerance, in float32 at its own.
func checkGradient(t *testing.T, c golden.Case, s kernel.Shape, targets, mask []float64) {
	t.Helper()
	scale := 1 / float64(s.B*s.T*s.C)
	outputs, want, loss := c.Floats(t, "outputs"), c.Floats(t, "grad_outputs_compat"), c.Floats(t, "loss_compat")[0]
	largest := 0.0
	for _, g := range want {
		largest = max(largest, math.Abs(g))
	}
	grad := make([]float64, len(want))
	got, err := kernel.SquaredError(s, outputs, targets, mask, scale, grad)
	if err != nil || math.Abs(got-loss) > 1e-12*loss {
		t.Errorf("the models' loss is %v (%v), want %v", got, err, loss)
	}
	narrow := make([]float32, len(want))
	if got, err := kernel.SquaredError(s, to32(outputs), to32(targets), to32(mask), scale, narrow); err != nil || math.Abs(got-loss) > 1e-6*loss {
		t.Errorf("the models' loss in float32 is %v (%v), want %v", got, err, loss)
	}
	for i, w := range want {
		if math.Abs(grad[i]-w) > 1e-12*largest || math.Abs(float64(narrow[i])-w) > 1e-5*largest {
			t.Fatalf("gradient of output %d is %v, in float32 %v, want %v", i, grad[i], narrow[i], w)
		}
	}
}

func to32(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

func open(t testing.TB, seed uint64, threads int, values param.Values) task.Task {
	t.Helper()
	f := Factory()
	v, problems := f.Info.Params.Resolve(values)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	k, err := f.Open(t.Context(), v, component.Env{Seed: seed, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func collect(t testing.TB, blocks tensor.Blocks) tensor.Block {
	t.Helper()
	b, err := tensor.Collect(blocks)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTrialsDependOnSeedAndNumberAlone generates the same trials in other numbers, block sizes and threads.
func TestTrialsDependOnSeedAndNumberAlone(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, stimulus := range []bool{false, true} {
		values := param.Values{"n_trials": 50, "n_timesteps": 40, "stimulus": stimulus, "switch_prob": 0.1}
		all := collect(t, open(t, 3, 1, values).Trials(t.Context(), task.TrialRequest{Split: task.All}))
		if err := all.Check(); err != nil {
			t.Fatal(err)
		}
		values["n_trials"] = 70
		more := collect(t, open(t, 3, 4, values).Trials(t.Context(), task.TrialRequest{Split: task.All, BlockTrials: 3, Pass: 5}))
		for i, a := range all.Arrays {
			if got := more.Arrays[i].Slice(0, 50); !reflect.DeepEqual(got, a) {
				t.Errorf("%s differs", a.Name)
			}
		}
		other := collect(t, open(t, 4, 1, values).Trials(t.Context(), task.TrialRequest{Split: task.All}))
		if slices.Equal(other.Arrays.Get(task.Inputs).F32, more.Arrays.Get(task.Inputs).F32) {
			t.Error("another seed gives the same inputs")
		}

		k := open(t, 3, 2, values)
		train := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Train}))
		valid := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid, BlockTrials: 5}))
		spec, err := k.Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if spec.TrainTrials != 56 || len(train.Trials) != 56 || len(valid.Trials) != 14 {
			t.Errorf("%d and %d trials, spec %d and %d", len(train.Trials), len(valid.Trials), spec.TrainTrials, spec.ValidTrials)
		}
		both := slices.Concat(train.Trials, valid.Trials)
		slices.Sort(both)
		for i, n := range both {
			if int64(i) != n {
				t.Fatalf("the splits are not a partition: %v", both)
			}
		}
		if !reflect.DeepEqual(more.Arrays.Get(task.Targets).Slice(int(valid.Trials[3]), int(valid.Trials[3])+1).F32, valid.Arrays.Get(task.Targets).Slice(3, 4).F32) {
			t.Error("a trial of the validation split is not the one of that number")
		}
	}
}

// TestManyTrials: that there are very many trials is told at once, before any is drawn: an order of so many would take 800 MB.
func TestManyTrials(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := open(t, 1, 1, param.Values{"n_trials": 100_000_000}).Spec(t.Context())
	runtime.ReadMemStats(&after)
	if err != nil || s.TrainTrials != 80_000_000 || s.ValidTrials != 20_000_000 || after.TotalAlloc-before.TotalAlloc > 1<<20 {
		t.Errorf("%d and %d trials after %d bytes, error %v", s.TrainTrials, s.ValidTrials, after.TotalAlloc-before.TotalAlloc, err)
	}
}

// TestStatistics checks pulse rates and noise against their parameters, to 5 standard errors.
func TestStatistics(t *testing.T) {
	b := collect(t, open(t, 1, 2, param.Values{"n_trials": 400, "switch_prob": 0.05, "noise": 0.3}).Trials(t.Context(), task.TrialRequest{Split: task.All}))
	inputs, truth := b.Arrays.Get(task.Inputs), b.Arrays.Get(task.TrueInputs)
	var up, down, quiet, ss, s float64
	for i, x := range truth.F32 {
		switch {
		case i%1500 < quietBins*3:
			quiet += math.Abs(float64(x))
		case x == 1:
			up++
		case x == -1:
			down++
		}
		d := float64(inputs.F32[i] - x)
		s, ss = s+d, ss+d*d
	}
	n, m := float64(len(truth.F32)), float64(len(truth.F32)-400*9)
	se := math.Sqrt(0.05*0.95/m) * 5
	if math.Abs(up/m-0.05) > se || math.Abs(down/m-0.05) > se || quiet != 0 {
		t.Errorf("pulses: %v up, %v down, %v in quiet bins", up/m, down/m, quiet)
	}
	if math.Abs(s/n) > 5*0.3/math.Sqrt(n) || math.Abs(ss/n-0.09) > 5*0.09*math.Sqrt(2/n) {
		t.Errorf("noise: mean %v, variance %v", s/n, ss/n)
	}
}

func TestScore(t *testing.T) {
	k := open(t, 0, 2, param.Values{"n_trials": 20, "switch_prob": 0.05, "n_timesteps": 60})
	b := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid}))
	targets, weights := b.Arrays.Get(task.Targets), b.Arrays.Get(task.Weights)
	score := func(y *tensor.Tensor) task.Score {
		s, err := k.Score(t.Context(), task.ScoreRequest{Split: task.Valid}, tensor.Of(tensor.Block{Trials: b.Trials, Arrays: tensor.Set{y.Named("outputs")}}))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := score(targets)
	for i := range s.Trials {
		if s.Success[i] != 1 || s.Loss[i] != 0 || s.Metrics[0][i] != 1 {
			t.Errorf("perfect outputs: trial %d has success %v, loss %v, bits %v", s.Trials[i], s.Success[i], s.Loss[i], s.Metrics[0][i])
		}
	}
	// The first bit of the first trial is wrong in the last bin in which it counts, by 0.8; masked outputs are wild and count for nothing.
	y := targets.Clone()
	last := 59 * 3
	for weights.F32[last] == 0 {
		last -= 3
	}
	for i, w := range weights.F32 {
		if w == 0 {
			y.F32[i] = 100
		}
	}
	y.F32[last] = 0.8
	if targets.F32[last] == 1 {
		y.F32[last] = 0.2
	}
	s = score(y)
	var sum float64
	for bin := range 60 {
		if weights.F32[3*bin]+weights.F32[3*bin+1]+weights.F32[3*bin+2] > 0 {
			sum++
		}
	}
	if want := 1 - 1/sum; math.Abs(s.Success[0]-want) > 1e-12 {
		t.Errorf("success is %v, want %v", s.Success[0], want)
	}
	if want := 0.64 / 180; math.Abs(s.Loss[0]-want) > 1e-7 {
		t.Errorf("loss is %v, want %v", s.Loss[0], want)
	}
	if s.Success[1] != 1 || s.Loss[1] != 0 {
		t.Errorf("masked outputs count: success %v, loss %v", s.Success[1], s.Loss[1])
	}
}

func TestBadInput(t *testing.T) {
	f := Factory()
	for _, c := range []struct {
		values param.Values
		path   string
	}{
		{param.Values{"n_bits": 0}, "n_bits"},
		{param.Values{"n_timesteps": 5}, "n_timesteps"},
		{param.Values{"switch_prob": 0.6}, "switch_prob"},
		{param.Values{"noise": -1}, "noise"},
		{param.Values{"noise": 1e39}, "noise"},
		{param.Values{"n_trials": 1}, "n_trials"},
		{param.Values{"n_timesteps": 10, "transition_blind": 10}, "transition_blind"},
	} {
		v, problems := f.Info.Params.Resolve(c.values)
		if len(problems) == 0 {
			problems = f.Check(v)
			if _, err := f.Open(t.Context(), v, component.Env{}); !errors.Is(err, component.ErrInvalidArgument) {
				t.Errorf("%v: opened with error %v", c.values, err)
			}
		}
		if len(problems) != 1 || problems[0].Path != c.path {
			t.Errorf("%v: problems %v", c.values, problems)
		}
	}

	k := open(t, 0, 1, param.Values{"n_trials": 10, "n_timesteps": 20})
	for name, req := range map[string]task.TrialRequest{"split": {Split: "test"}, "block size": {Split: task.All, BlockTrials: -1}} {
		if _, err := tensor.Collect(k.Trials(t.Context(), req)); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	nan := tensor.New32("outputs", 1, 20, 3)
	nan.F32[7] = float32(math.NaN())
	ok := tensor.New32("outputs", 1, 20, 3)
	for name, b := range map[string]tensor.Block{
		"no outputs":  {Trials: []int64{0}, Arrays: tensor.Set{ok.Named("latents")}},
		"shape":       {Trials: []int64{0}, Arrays: tensor.Set{tensor.New32("outputs", 1, 20, 2)}},
		"type":        {Trials: []int64{0}, Arrays: tensor.Set{tensor.NewInt("outputs", 1, 20, 3)}},
		"rows":        {Trials: []int64{0, 1}, Arrays: tensor.Set{ok}},
		"not finite":  {Trials: []int64{0}, Arrays: tensor.Set{nan}},
		"no trial":    {Trials: []int64{10}, Arrays: tensor.Set{ok}},
		"given twice": {Trials: []int64{0, 0}, Arrays: tensor.Set{tensor.New32("outputs", 2, 20, 3)}},
	} {
		if _, err := k.Score(t.Context(), task.ScoreRequest{Split: task.All}, tensor.Of(b)); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func BenchmarkTrials(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(map[int]string{1: "1thread", 2: "2threads"}[threads], func(b *testing.B) {
			k := open(b, 0, threads, nil)
			for b.Loop() {
				for _, err := range k.Trials(b.Context(), task.TrialRequest{Split: task.All}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
