package multitask

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

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
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTrialsDependOnSeedAndNumberAlone generates the same trials in other numbers, block sizes and threads.
func TestTrialsDependOnSeedAndNumberAlone(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, compat := range []bool{false, true} {
		values := param.Values{"n_trials": 10, "compat": compat}
		all := collect(t, open(t, 3, 1, values).Trials(t.Context(), task.TrialRequest{Split: task.All}))
		values["n_trials"] = 14
		k := open(t, 3, 4, values)
		more := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.All, BlockTrials: 3, Pass: 5}))
		for i, a := range all.Arrays {
			if got := more.Arrays[i].Slice(0, 150); !reflect.DeepEqual(got, a) {
				t.Errorf("%s differs", a.Name)
			}
		}
		other := collect(t, open(t, 4, 1, values).Trials(t.Context(), task.TrialRequest{Split: task.All}))
		if slices.Equal(other.Arrays.Get(task.Inputs).F32, more.Arrays.Get(task.Inputs).F32) {
			t.Error("another seed gives the same inputs")
		}
		train := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Train}))
		valid := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid, BlockTrials: 5}))
		spec, err := k.Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if spec.TrainTrials != 15*12 || len(train.Trials) != 15*12 || len(valid.Trials) != 15*2 || spec.ValidTrials != 15*2 {
			t.Errorf("%d and %d trials, spec %d and %d", len(train.Trials), len(valid.Trials), spec.TrainTrials, spec.ValidTrials)
		}
		both := slices.Concat(train.Trials, valid.Trials)
		slices.Sort(both)
		for i, n := range both {
			if int64(i) != n {
				t.Fatalf("the splits are not a partition: %v", both)
			}
		}
		at := int(valid.Trials[3])
		if !reflect.DeepEqual(more.Arrays.Get(task.Inputs).Slice(at, at+1).F32, valid.Arrays.Get(task.Inputs).Slice(3, 4).F32) {
			t.Error("a trial of the validation split is not the one of that number")
		}
	}
}

// TestNoise checks it to 5 standard errors within the trial, and that there is none after it.
func TestNoise(t *testing.T) {
	b := collect(t, open(t, 1, 2, param.Values{"n_trials": 20}).Trials(t.Context(), task.TrialRequest{Split: task.All}))
	x, truth, lengths := b.Arrays.Get(task.Inputs).F32, b.Arrays.Get(task.TrueInputs).F32, b.Arrays.Get(task.Lengths).I64
	var n, s, ss float64
	for i := range x {
		d := float64(x[i]) - float64(truth[i])
		if int64(i%(320*inputs)/inputs) >= lengths[i/(320*inputs)] {
			if x[i] != 0 {
				t.Fatalf("input %v after the end", x[i])
			}
			continue
		}
		n, s, ss = n+1, s+d, ss+d*d
	}
	if math.Abs(s/n) > 5*0.3/math.Sqrt(n) || math.Abs(ss/n-0.09) > 5*0.09*math.Sqrt(2/n) {
		t.Errorf("noise: mean %v, variance %v", s/n, ss/n)
	}
	if quiet := collect(t, open(t, 1, 2, param.Values{"n_trials": 20, "noise": 0}).Trials(t.Context(), task.TrialRequest{Split: task.All})); !slices.Equal(quiet.Arrays.Get(task.Inputs).F32, truth) {
		t.Error("without noise the inputs are not the true ones")
	}
}

// rounding of targets to float32 leaves less than this loss in a trial.
const rounding = 1e-12

// TestScore scores right answers, wrong ones, and ones that are wild where nothing counts.
func TestScore(t *testing.T) {
	k := open(t, 0, 2, param.Values{"n_trials": 25})
	b := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid}))
	targets, weights, lengths := b.Arrays.Get(task.Targets), b.Arrays.Get(task.Weights).F32, b.Arrays.Get(task.Lengths).I64
	score := func(y *tensor.Tensor) task.Score {
		s, err := k.Score(t.Context(), task.ScoreRequest{Split: task.Valid}, tensor.Of(tensor.Block{Trials: b.Trials, Arrays: tensor.Set{y.Named("outputs")}}))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := score(targets); !slices.Equal(s.Trials, b.Trials) || !slices.Equal(s.Condition, b.Arrays.Get(task.Conditions).I64) || s.ConditionNames[14] != "MatchCatAnti" ||
		slices.Max(s.Loss) > rounding || slices.Min(s.Success) != 1 || slices.Min(s.Metrics[0]) != 1 {
		t.Errorf("perfect outputs: %+v", s)
	}
	y := targets.Clone()
	y64 := tensor.New64("outputs", y.Shape...)
	for i, w := range weights {
		if w == 0 {
			for c := range outputs {
				y.F32[i*outputs+c] = 100
			}
		}
	}
	for i, v := range y.F32 {
		y64.F64[i] = float64(v)
	}
	for _, outs := range []*tensor.Tensor{y, y64} {
		if s := score(outs); slices.Max(s.Loss) > rounding || slices.Min(s.Success) != 1 || slices.Min(s.Metrics[0]) != 1 {
			t.Errorf("outputs where nothing counts change the score: %+v", s)
		}
	}
	// A response that is turned by a right angle in the last bin, or made where none is due, and fixation lost for one bin.
	y = targets.Clone()
	at := func(trial, bin int) []float32 { return y.F32[(trial*320+bin)*outputs:][:outputs] }
	for i, n := range lengths {
		end := at(i, int(n)-1)
		end[1], end[2] = -end[2], end[1]
		if end[1] == 0 && end[2] == 0 {
			end[1] = 0.5
		}
		at(i, 7)[0] = 0.4
	}
	s := score(y)
	extra := b.Arrays.Get(task.Extra)
	for i := range s.Trials {
		responds, response := extra.F32[i*11+10] == 1, float64(extra.F32[i*11+4])
		want := 0.36 / 3
		if responds {
			want += 5 * 2 / 3.0
		} else {
			want += 5 * 0.25 / 3
		}
		if s.Success[i] != 0 || math.Abs(s.Loss[i]-want) > 1e-5 || math.Abs(s.Metrics[0][i]-(1-1/(response-settleBins))) > 1e-12 {
			t.Errorf("trial %d: success %v, loss %v, want %v, fixation %v", i, s.Success[i], s.Loss[i], want, s.Metrics[0][i])
		}
	}
}

func TestBadInput(t *testing.T) {
	f := Factory()
	for _, c := range []struct {
		values param.Values
		path   string
	}{
		{param.Values{"tasks": []string{}}, "tasks"},
		{param.Values{"tasks": []string{"DelayPro", "Reach"}}, "tasks"},
		{param.Values{"tasks": []string{"DelayPro", "DelayPro"}}, "tasks"},
		{param.Values{"weights": []float64{1, 2}}, "weights"},
		{param.Values{"noise": 101}, "noise"},
		{param.Values{"latent_l2_wt": 1e300}, "latent_l2_wt"},
		{param.Values{"tasks": []string{"DelayPro", "IntMod1"}, "weights": []float64{1, -2}}, "weights"},
		{param.Values{"tasks": []string{"DelayPro", "IntMod1"}, "weights": []float64{0, 0}}, "weights"},
		{param.Values{"tasks": []string{"DelayPro", "IntMod1"}, "weights": []float64{1, 0.001}}, "n_trials"},
		{param.Values{"n_trials": 4}, "n_trials"},
		{param.Values{"n_timesteps": 313}, "n_timesteps"},
		{param.Values{"n_timesteps": 141, "tasks": []string{"DelayPro"}}, "n_timesteps"},
		{param.Values{"noise": -0.1}, "noise"},
		{param.Values{"noise": math.Inf(1)}, "noise"},
		{param.Values{"match_prob": 1.1}, "match_prob"},
		{param.Values{"match_prob": -0.1}, "match_prob"},
		{param.Values{"latent_l2_wt": -1}, "latent_l2_wt"},
		{param.Values{"delay_bins": []int{15, 34, 10}}, "delay_bins"},
		{param.Values{"memory_bins": []int{34, 15, 10, 79, 10, 79, 15, 34}}, "memory_bins"},
		{param.Values{"react_bins": []int{0, 124, 15, 84}}, "react_bins"},
		{param.Values{"match_bins": []int{10, 29, 10, 79, 10, 79, 5, 34}}, "match_bins"},
		{param.Values{"mode": "testing"}, "mode"},
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
	for _, values := range []param.Values{
		{"n_timesteps": 314, "n_trials": 5}, {"n_timesteps": 142, "tasks": []string{"DelayPro"}, "n_trials": 5},
		// What is never shown need not fit.
		{"n_timesteps": 142, "tasks": []string{"DelayPro", "MemoryPro"}, "weights": []float64{1, 0}, "n_trials": 5}, {"n_trials": 5}, {"n_trials": 5, "decision_bins": []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6, 6}},
	} {
		collect(t, open(t, 1, 1, values).Trials(t.Context(), task.TrialRequest{Split: task.Valid}))
	}

	k := open(t, 0, 1, param.Values{"n_trials": 5, "tasks": []string{"DelayPro"}, "n_timesteps": 150})
	for name, req := range map[string]task.TrialRequest{"split": {Split: "test"}, "block size": {Split: task.All, BlockTrials: -1}} {
		if _, err := tensor.Collect(k.Trials(t.Context(), req)); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	nan := tensor.New32("outputs", 1, 150, 3)
	nan.F32[7] = float32(math.NaN())
	ok := tensor.New32("outputs", 1, 150, 3)
	for name, b := range map[string]tensor.Block{
		"no outputs":  {Trials: []int64{0}, Arrays: tensor.Set{ok.Named("latents")}},
		"shape":       {Trials: []int64{0}, Arrays: tensor.Set{tensor.New32("outputs", 1, 150, 2)}},
		"type":        {Trials: []int64{0}, Arrays: tensor.Set{tensor.NewInt("outputs", 1, 150, 3)}},
		"rows":        {Trials: []int64{0, 1}, Arrays: tensor.Set{ok}},
		"not finite":  {Trials: []int64{0}, Arrays: tensor.Set{nan}},
		"no trial":    {Trials: []int64{5}, Arrays: tensor.Set{ok}},
		"given twice": {Trials: []int64{0, 0}, Arrays: tensor.Set{tensor.New32("outputs", 2, 150, 3)}},
	} {
		if _, err := k.Score(t.Context(), task.ScoreRequest{Split: task.All}, tensor.Of(b)); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := k.Score(t.Context(), task.ScoreRequest{Split: "test"}, tensor.Of()); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("split: error %v", err)
	}
}

// TestNames holds the names that parameters, conditions and inputs share.
func TestNames(t *testing.T) {
	field, ok := Factory().Info.Params.Field("tasks")
	if !ok || !slices.Equal(field.Choices, ruleNames()) || !reflect.DeepEqual(field.Default, ruleNames()) {
		t.Errorf("tasks are %v", field)
	}
	spec, err := open(t, 0, 1, param.Values{"latent_l2_wt": 0.5}).Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(spec.InputLabels) != spec.Inputs || len(spec.OutputLabels) != spec.Outputs || !slices.Equal(spec.InputLabels[ruleInput:], spec.ConditionNames) || !spec.GroupBatches {
		t.Errorf("spec %+v", spec)
	}
	if n := len(spec.Loss.Terms); n != 2 || spec.Loss.Terms[1] != (task.Term{Kind: task.LatentSquare, Scale: 0.5, Reduction: task.SumTime}) {
		t.Errorf("loss %+v", spec.Loss)
	}
	if Rule(-1).String() != "no rule" || Phase(Phases).String() != "no phase" || !strings.HasPrefix(Rule(0).String(), "Delay") {
		t.Error("names of what is none")
	}
}

// BenchmarkTrials generates the published training set: 15,000 trials of 320 bins and 20 inputs.
func BenchmarkTrials(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(map[int]string{1: "threads=1", 2: "threads=2"}[threads], func(b *testing.B) {
			k := open(b, 0, threads, nil)
			b.ReportAllocs()
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
