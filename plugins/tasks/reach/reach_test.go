package reach

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestTrialsDependOnSeedAndNumberAlone generates the same trials in other numbers, block sizes and threads.
func TestTrialsDependOnSeedAndNumberAlone(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, simulation := range []bool{false, true} {
		values := mode(simulation)
		values["n_trials"] = 50
		all := collect(t, open(t, 3, 1, values).Trials(t.Context(), task.TrialRequest{Split: task.All}))
		values["n_trials"] = 70
		k := open(t, 3, 4, values)
		more := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.All, BlockTrials: 3, Pass: 5}))
		for i, a := range all.Arrays {
			if got := more.Arrays[i].Slice(0, 50); !reflect.DeepEqual(got, a) {
				t.Errorf("%s differs", a.Name)
			}
		}
		other := collect(t, open(t, 4, 1, values).Trials(t.Context(), task.TrialRequest{Split: task.All}))
		if slices.Equal(other.Arrays.Get(task.Targets).F32, more.Arrays.Get(task.Targets).F32) {
			t.Error("another seed gives the same goals")
		}
		train := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Train}))
		valid := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid, BlockTrials: 5}))
		spec, err := k.Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if spec.TrainTrials != 56 || spec.ValidTrials != 14 || len(train.Trials) != 56 || len(valid.Trials) != 14 {
			t.Errorf("%d and %d trials, spec %d and %d", len(train.Trials), len(valid.Trials), spec.TrainTrials, spec.ValidTrials)
		}
		both := slices.Concat(train.Trials, valid.Trials)
		slices.Sort(both)
		if !slices.Equal(both, numbers(70)) {
			t.Fatalf("the splits are not a partition: %v", both)
		}
		at := int(valid.Trials[3])
		if !reflect.DeepEqual(more.Arrays.Get(task.Targets).Slice(at, at+1).F32, valid.Arrays.Get(task.Targets).Slice(3, 4).F32) {
			t.Error("a trial of the validation split is not the one of that number")
		}
	}
}

// TestBlocks holds the arrays of trials against their plans.
func TestBlocks(t *testing.T) {
	k := open(t, 3, 1, param.Values{"n_trials": 200})
	b := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.All}))
	goal, force, extra := b.Arrays.Get(task.Targets).F32, b.Arrays.Get(task.EnvInputs).F32, b.Arrays.Get(task.Extra).F32
	start, target := b.Arrays.Get(StartJoints).F32, b.Arrays.Get(TargetJoints).F32
	catches := 0
	for i := range b.Trials {
		on, goes, bump, end := int(extra[i*4]), int(extra[i*4+1]), int(extra[i*4+2]), int(extra[i*4+3])
		place := func(q []float32) [2]float32 {
			h := k.body.Hand([2]float64{float64(q[0]), float64(q[1])})
			return [2]float32{float32(h[0]), float32(h[1])}
		}
		from, to := place(start[i*2:]), place(target[i*2:])
		if (goes < 0) != (b.Arrays.Get(task.Conditions).I64[i] == 1) || on < 10 || on > 29 || (bump < 0) != (end < 0) {
			t.Fatalf("trial %d: condition %d, extra %v", i, b.Arrays.Get(task.Conditions).I64[i], extra[i*4:i*4+4])
		}
		if goes < 0 {
			catches++
		}
		for bin := range k.bins() {
			at := (i*k.bins() + bin) * 2
			want := from
			if goes >= 0 && bin >= goes {
				want = to
			}
			if math.Abs(float64(goal[at]-want[0])) > 1e-6 || math.Abs(float64(goal[at+1]-want[1])) > 1e-6 {
				t.Fatalf("trial %d, bin %d: goal %v, want %v", i, bin, goal[at:at+2], want)
			}
			pushed := math.Hypot(float64(force[at]), float64(force[at+1]))
			if in := bump >= 0 && bin >= bump && bin < end; in != (pushed > 0) || in && (pushed < 5-1e-5 || pushed > 10+1e-5) {
				t.Fatalf("trial %d, bin %d: a push of %v N, of one in bins %d to %d", i, bin, pushed, bump, end)
			}
		}
	}
	if catches < 20 || catches > 60 {
		t.Errorf("%d of 200 trials are catches", catches)
	}
}

func TestSpec(t *testing.T) {
	for _, c := range []struct {
		values param.Values
		bins   int
		terms  []task.Term
	}{
		{param.Values{"pos_weight": 2.0, "act_weight": 0.5}, 300, []task.Term{
			{Kind: task.SquaredError, Scale: 2, Reduction: task.MeanAll, HorizonEpochs: 200}, {Kind: task.ActionSquare, Scale: 0.5, Reduction: task.MeanAll},
		}},
		{param.Values{"mode": "simulation", "act_weight": 0.0, "horizon_epochs": 0}, 155, []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}},
	} {
		k := open(t, 0, 1, c.values)
		s, err := k.Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Bins != c.bins || s.Inputs != 17 || s.Outputs != 6 || len(s.InputLabels) != 17 || len(s.InputUnits) != 17 || len(s.OutputLabels) != 6 ||
			s.Trim != [2]int{4, -1} || !reflect.DeepEqual(s.Loss.Terms, c.terms) || s.Simulation["mode"] != "simulation" {
			t.Errorf("spec %+v", s)
		}
		l := s.Loop
		if l == nil || l.Actions != 6 || l.ActionLow != 0 || l.ActionHigh != 1 || l.StateSize != 2 || len(l.StateLabels) != 2 || l.FeedbackDelay["vision"] != 0.05 || l.FeedbackDelay["proprioception"] != 0.02 {
			t.Errorf("loop %+v", l)
		}
		e, _, err := k.Begin(t.Context(), task.EpisodeRequest{Split: task.All, Trials: []int64{0}})
		if err != nil {
			t.Fatal(err)
		}
		o, err := e.Step(t.Context(), 0, tensor.New32("actions", 1, 6))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(o.Recorded.Names(), l.Recorded) {
			t.Errorf("recorded are %v, declared %v", o.Recorded.Names(), l.Recorded)
		}
		if err := e.End(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// minimumJerk is how far a reach of a duration has come after a time, of 1 (Flash & Hogan 1985).
func minimumJerk(time, duration float64) float64 {
	s := min(1, max(0, time/duration))
	return s * s * s * (10 - 15*s + 6*s*s)
}

// TestScore judges hands that reach the target by minimum jerk, and some that do not.
func TestScore(t *testing.T) {
	k := open(t, 0, 2, param.Values{"n_trials": 300, "pos_weight": 3.0, "act_weight": 2.0})
	b := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid}))
	n, bins := len(b.Trials), k.bins()
	actions, tip := tensor.New64("outputs", n, bins, 6), tensor.New32(Fingertip, n, bins, 2)
	const late, duration = 0.12, 0.5
	miss := [2]float64{0.03, -0.04}
	want := make([]float64, n)
	for row, number := range b.Trials {
		p := k.plan(number)
		for i := range 6 * bins {
			actions.F64[row*6*bins+i] = 0.1 * float64(row%3)
		}
		for bin := range bins {
			s := 0.0
			if !p.Catch() {
				s = minimumJerk(float64(bin-p.Go)*0.01-late, duration)
			}
			for j := range 2 {
				x := p.From[j] + s*(p.To[j]-p.From[j])
				if row%4 == 1 && bin == bins-1 {
					x += miss[j]
				}
				tip.F32[(row*bins+bin)*2+j] = float32(x)
				want[row] += 3 * square(x-p.Goal(bin)[j]) / float64(2*bins)
			}
		}
		want[row] += 2 * square(0.1*float64(row%3))
	}
	block := tensor.Block{Trials: b.Trials, Arrays: tensor.Set{tip, actions}}
	s, err := k.Score(t.Context(), task.ScoreRequest{Split: task.Valid}, tensor.Of(block))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Trials, b.Trials) || !slices.Equal(s.Condition, b.Arrays.Get(task.Conditions).I64) || !slices.Equal(s.ConditionNames, []string{"reach", "catch"}) {
		t.Errorf("trials %v, conditions %v of %v", s.Trials, s.Condition, s.ConditionNames)
	}
	metric := func(name string) []float64 { return s.Metrics[slices.Index(s.MetricNames, name)] }
	reaches := 0
	for row, number := range b.Trials {
		p := k.plan(number)
		if math.Abs(s.Loss[row]-want[row]) > 1e-6*want[row]+1e-12 {
			t.Errorf("trial %d: loss %v, want %v", number, s.Loss[row], want[row])
		}
		left := p.Catch() || float64(bins-1-p.Go)*0.01 > late+duration
		final := metric("final_distance")[row]
		if p.BumpOn >= 0 {
			if !math.IsNaN(final) {
				t.Errorf("trial %d is pushed and has a final distance", number)
			}
			final = metric("final_distance_bump")[row]
		}
		if wrong := row%4 == 1; wrong && left && math.Abs(final-0.05) > 1e-6 || !wrong && left && final > 1e-6 || left && (s.Success[row] == 0) != wrong {
			t.Errorf("trial %d: final distance %v, success %v", number, final, s.Success[row])
		}
		timed := !p.Catch() && p.BumpOn < 0 && p.Go <= bins-80
		for _, name := range []string{"reach_distance", "reaction_time", "peak_speed"} {
			if v := metric(name)[row]; math.IsNaN(v) == timed {
				t.Errorf("trial %d: %s is %v", number, name, v)
			}
		}
		if timed && row%4 != 1 {
			reaches++
			far := math.Hypot(p.To[0]-p.From[0], p.To[1]-p.From[1])
			// The fastest of minimum jerk is 1.875 of the mean.
			if v := metric("peak_speed")[row]; math.Abs(v-1.875*far/duration) > 0.01*v {
				t.Errorf("trial %d: peak speed %v of a reach of %v m", number, v, far)
			}
			// A tenth of the peak is where 30 s^2 (1-s)^2 is 0.1875: s = 0.0877.
			if v := metric("reaction_time")[row]; math.Abs(v-late-0.0877*duration) > 0.011 {
				t.Errorf("trial %d: reaction time %v", number, v)
			}
		}
	}
	if reaches < 10 {
		t.Errorf("only %d reaches were timed", reaches)
	}

	nan := tip.Clone()
	nan.F32[7] = float32(math.NaN())
	one := func(arrays ...*tensor.Tensor) tensor.Block {
		b := tensor.Block{Trials: b.Trials[:1]}
		for _, a := range arrays {
			b.Arrays = append(b.Arrays, a.Slice(0, 1))
		}
		return b
	}
	twice := one(tip, actions)
	other := one(tip, actions)
	other.Trials = k.splits().Train[:1]
	for name, blocks := range map[string]tensor.Blocks{
		"no outputs":  tensor.Of(one(tip)),
		"no hand":     tensor.Of(one(actions)),
		"shape":       tensor.Of(one(tip, tensor.New64("outputs", 1, bins, 5))),
		"bins":        tensor.Of(one(actions, tensor.New64(Fingertip, 1, bins-1, 2))),
		"type":        tensor.Of(one(actions, tensor.NewInt(Fingertip, 1, bins, 2))),
		"not finite":  tensor.Of(one(actions, nan)),
		"rows":        tensor.Of(tensor.Block{Trials: b.Trials[:2], Arrays: one(tip, actions).Arrays}),
		"given twice": tensor.Of(twice, twice),
		"no trial":    tensor.Of(other),
	} {
		if _, err := k.Score(t.Context(), task.ScoreRequest{Split: task.Valid}, blocks); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := k.Score(t.Context(), task.ScoreRequest{Split: "test"}, tensor.Of(twice)); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("split: error %v", err)
	}
}

func TestBadInput(t *testing.T) {
	f := Factory()
	for _, c := range []struct {
		values param.Values
		path   string
	}{
		{param.Values{"n_trials": 1}, "n_trials"},
		{param.Values{"n_timesteps": 5}, "n_timesteps"},
		{param.Values{"n_timesteps": 34}, "n_timesteps"},
		{param.Values{"n_timesteps": 100, "reach_bins": 67}, "n_timesteps"},
		{param.Values{"n_timesteps": 100, "go_gap": 71}, "n_timesteps"},
		{param.Values{"target_on": []int{20, 10}}, "target_on"},
		{param.Values{"target_on": []int{20}}, "target_on"},
		{param.Values{"target_on": []int{-1, 10}}, "target_on"},
		{param.Values{"target_on": []int{10, 296}}, "n_timesteps"},
		{param.Values{"catch_prob": 1.1}, "catch_prob"},
		{param.Values{"bump_prob": -0.1}, "bump_prob"},
		{param.Values{"catch_prob": math.NaN()}, "catch_prob"},
		{param.Values{"sim_timesteps": 71}, "sim_go"},
		{param.Values{"sim_go": 155}, "sim_go"},
		{param.Values{"sim_target_on": 70}, "sim_target_on"},
		{param.Values{"sim_go": 3, "sim_target_on": 1}, "sim_go"},
		{param.Values{"bump_bins": []int{30, 15}}, "bump_bins"},
		{param.Values{"bump_bins": []int{0, 15}}, "bump_bins"},
		{param.Values{"bump_bins": []int{15, 299}}, "bump_bins"},
		{param.Values{"bump_force": []float64{10, 5}}, "bump_force"},
		{param.Values{"bump_force": []float64{5}}, "bump_force"},
		{param.Values{"start_joints": []float64{30, 105, 30}}, "start_joints"},
		{param.Values{"start_joints": []float64{-1, 105, 30, 125}}, "start_joints"},
		{param.Values{"start_joints": []float64{30, 136, 30, 125}}, "start_joints"},
		{param.Values{"target_joints": []float64{30, 105, 30, 156}}, "target_joints"},
		{param.Values{"target_joints": []float64{105, 30, 30, 125}}, "target_joints"},
		{param.Values{"vision_delay": 0.055}, "vision_delay"},
		{param.Values{"vision_delay": 0.004}, "vision_delay"},
		{param.Values{"proprioception_delay": 0.0201}, "proprioception_delay"},
		{param.Values{"proprioception_delay": 0}, "proprioception_delay"},
		{param.Values{"dt": 0.02, "effector": "compliant"}, "vision_delay"},
		{param.Values{"dt": 0.02, "vision_delay": 0.04}, "dt"},
		{param.Values{"dt": 0.0125, "vision_delay": 0.05, "proprioception_delay": 0.025, "effector": "thelen"}, "dt"},
		{param.Values{"dt": 0.1}, "dt"},
		{param.Values{"dt": 1e-7}, "dt"},
		{param.Values{"dt": 1e-300}, "dt"},
		{param.Values{"dt": 1e-4, "vision_delay": 0.1001}, "vision_delay"},
		{param.Values{"proprioception_delay": 10, "dt": 5e-3}, "proprioception_delay"},
		{param.Values{"noise": -0.1}, "noise"},
		{param.Values{"sensory_noise": -1}, "sensory_noise"},
		{param.Values{"effector": "leg"}, "effector"},
		{param.Values{"pos_weight": 0, "act_weight": 0}, "pos_weight"},
		{param.Values{"mode": "test"}, "mode"},
		{param.Values{"success_distance": 0}, "success_distance"},
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
		for _, p := range problems {
			t.Log(p)
		}
	}
	// So are steps that no parameter may have, where a caller has them all the same.
	for _, dt := range []float64{0, -0.01, 1e-300, math.NaN()} {
		p := open(t, 0, 1, nil).Params
		p.DT = dt
		if _, err := Open(t.Context(), p, component.Env{}); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("dt %v: opened with error %v", dt, err)
		}
	}
	// What is at its limits is allowed.
	for _, values := range []param.Values{
		{"n_timesteps": 35, "bump_bins": []int{15, 33}},
		{"n_timesteps": 6, "target_on": []int{0, 0}, "bump_prob": 0},
		{"start_joints": []float64{0, 135, 0, 155}, "target_joints": []float64{90, 90, 90, 90}},
		{"sim_timesteps": 72, "sim_target_on": 69},
		{"sim_go": 4, "sim_target_on": 3, "mode": "simulation", "bump_window": 1000},
		{"dt": 0.02, "vision_delay": 0.04, "effector": "compliant"},
		{"dt": 0.0025, "vision_delay": 0.0075, "proprioception_delay": 0.0025},
		{"dt": 1e-4, "vision_delay": 0.1, "proprioception_delay": 1e-4},
		{"proprioception_delay": 10},
		{"catch_prob": 1, "bump_prob": 1, "bump_force": []float64{0, 0}},
	} {
		k := open(t, 0, 1, values)
		collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.All}))
		if e, _, err := k.Begin(t.Context(), task.EpisodeRequest{Split: task.All, Trials: numbers(20)}); err != nil {
			t.Errorf("%v: %v", values, err)
		} else if err := e.End(t.Context()); err != nil {
			t.Error(err)
		}
	}

	k := open(t, 0, 1, param.Values{"n_trials": 10})
	for name, req := range map[string]task.TrialRequest{"split": {Split: "test"}, "block size": {Split: task.All, BlockTrials: -1}} {
		if _, err := tensor.Collect(k.Trials(t.Context(), req)); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := k.Begin(canceled, task.EpisodeRequest{Split: task.All, Trials: []int64{0}}); !errors.Is(err, context.Canceled) {
		t.Errorf("begun after the end of its context: %v", err)
	}
}

// TestEffectors holds the parameter's choices against what package arm has.
func TestEffectors(t *testing.T) {
	field, ok := Factory().Info.Params.Field("effector")
	if !ok || !slices.Equal(field.Choices, arm.Effectors()) {
		t.Errorf("choices %v, effectors %v", field.Choices, arm.Effectors())
	}
	for _, effector := range arm.Effectors() {
		k := open(t, 0, 1, param.Values{"effector": effector, "n_trials": 10})
		spec, err := k.Spec(t.Context())
		if err != nil || len(spec.OutputLabels) != spec.Outputs || len(spec.InputLabels) != spec.Inputs || len(spec.InputUnits) != spec.Inputs {
			t.Errorf("%s: labels do not fit, error %v: %+v", effector, err, spec)
		}
		if err := forthAndBack(k, 5); err != nil {
			t.Errorf("%s: %v", effector, err)
		}
	}
}
