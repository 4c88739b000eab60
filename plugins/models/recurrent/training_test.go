package recurrent_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/lowrank"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

func openGRU(p gru.Params, noise, latentL2 float64, env component.Env, t model.Target) (*recurrent.Model[float32], error) {
	return recurrent.Open(gru.Design[float32](p, noise, latentL2), env, t, p, noise, latentL2)
}

func small() gru.Params {
	return gru.Params{Hidden: 16, ICNoise: 0.05, Training: recurrent.Training{Epochs: 4, BatchSize: 48, LR: 5e-3, WeightDecay: 1e-8, Clip: 1, ScoreEvery: 2, Options: train.Options{Keep: "best"}}}
}

func trained(t *testing.T, ctx context.Context, p gru.Params, env component.Env, report component.Reporter) (*recurrent.Model[float32], model.TrainResult, error) {
	t.Helper()
	k, spec := flipflop(t, 125, 40)
	env.Seed = 7
	m, err := openGRU(p, 0.01, 1e-4, env, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Train(ctx, model.TrainRequest{Task: k, CheckpointEvery: 1}, report)
	return m, r, err
}

// TestResume stops a training in the middle of every epoch and of none, and compares with one that went through.
func TestResume(t *testing.T) {
	var whole curves
	want, result, err := trained(t, t.Context(), small(), component.Env{Threads: 2, Dir: t.TempDir()}, &whole)
	if err != nil {
		t.Fatal(err)
	}
	if result.Steps != 12 || result.Epochs != 4 || result.Stopped != "epochs" {
		t.Fatalf("result is %+v", result)
	}
	dir := t.TempDir()
	var got *recurrent.Model[float32]
	var again model.TrainResult
	var last *stopping
	sessions := 0
	for err = context.Canceled; errors.Is(err, context.Canceled); sessions++ {
		ctx, cancel := context.WithCancel(t.Context())
		last = &stopping{cancel: cancel, left: 3} // three checkpoints, one after each step, then the cancelled one
		got, again, err = trained(t, ctx, small(), component.Env{Threads: 1, Dir: dir}, last)
		cancel()
		if sessions > 50 {
			t.Fatal("it does not end")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if sessions < 4 {
		t.Errorf("%d sessions: it was hardly interrupted", sessions)
	}
	same(t, "weights", save(t, want), save(t, got))
	same(t, "last weights", result.Last, again.Last)
	again.Last, result.Last = nil, nil
	if again.BestLoss != result.BestLoss || again.LastLoss != result.LastLoss || again.Steps != result.Steps || again.BestEpoch != result.BestEpoch {
		t.Errorf("result is %+v, want %+v", again, result)
	}
	for name, v := range whole.values {
		if !slices.Equal(last.values[name], v) {
			t.Errorf("%s is %v, want %v", name, last.values[name], v)
		}
	}
	// A finished training is not trained again.
	var idle curves
	if _, again, err = trained(t, t.Context(), small(), component.Env{Threads: 1, Dir: dir}, &idle); err != nil || again.Steps != result.Steps || idle.saved != 1 {
		t.Errorf("trained on: %+v, %d checkpoints, %v", again, idle.saved, err)
	}
	// Other parameters find a checkpoint that is not theirs.
	p := small()
	p.LR = 1
	if _, _, err = trained(t, t.Context(), p, component.Env{Threads: 1, Dir: dir}, nil); err == nil {
		t.Error("a checkpoint of another training was accepted")
	}
}

// stopping cancels after so many checkpoints.
type stopping struct {
	curves
	cancel context.CancelFunc
	left   int
}

func (s *stopping) Checkpoint(component.Checkpoint) {
	if s.left--; s.left == 0 {
		s.cancel()
	}
}

// TestScores: the curves of an epoch are the means of what the task says of the network with the weights of that epoch, here the last.
func TestScores(t *testing.T) {
	p := small()
	p.Epochs, p.ICNoise, p.Keep = 3, 0, "last" // scored in epochs 0 and 2
	bits, _ := flipflop(t, 125, 40)
	smooth := ice()
	smooth.Noise = 0
	for _, k := range []task.Task{bits, newPuck(smooth, 5), elsewhere(t, smooth, 5)} {
		spec, err := k.Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := openGRU(p, 0, 0, component.Env{Threads: 2, Seed: 7}, model.Target{Task: &spec})
		if err != nil {
			t.Fatal(err)
		}
		var said curves
		if _, err := m.Train(t.Context(), model.TrainRequest{Task: k}, &said); err != nil {
			t.Fatal(err)
		}
		req := model.RolloutRequest{Split: task.Valid, Noise: true, Seed: random.Key(7, "unlike the training's")}
		if loop, ok := k.(task.ClosedLoop); ok && spec.Loop != nil {
			req.Task = loop
		}
		score, err := k.Score(t.Context(), task.ScoreRequest{Split: task.Valid}, m.Rollout(t.Context(), req, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid})))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{"score/success": task.Part{Values: score.Success}.Mean()}
		for _, part := range score.ByCondition() {
			want["score/success/"+part.Name] = part.Mean()
		}
		for _, part := range score.Measured() {
			want["score/"+part.Name] = part.Mean()
		}
		for name, v := range want {
			if got := said.values[name]; len(got) != 2 || got[1] != v {
				t.Errorf("%v: %s is %v, want 2 values, the last %v", spec.Loop, name, got, v)
			}
		}
		if len(want) < 2 {
			t.Errorf("a score of %d quantities", len(want))
		}
	}
}

func TestLearns(t *testing.T) {
	k, spec := flipflop(t, 200, 60)
	p := small()
	p.Hidden, p.Epochs, p.BatchSize, p.LR = 32, 60, 32, 1e-2
	m, err := openGRU(p, 0.01, 0, component.Env{Threads: 2, Seed: 3}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	var got curves
	r, err := m.Train(t.Context(), model.TrainRequest{Task: k}, &got)
	if err != nil {
		t.Fatal(err)
	}
	// Half of the targets are 1, so an output of 1/2 throughout costs 1/4 of the unmasked part.
	if first := got.values["valid/loss"][0]; !(r.BestLoss < 0.03 && r.BestLoss < first/4) {
		t.Errorf("best validation loss is %v after %v in the first epoch", r.BestLoss, first)
	}
}

func TestDivergence(t *testing.T) {
	p := small()
	p.LR, p.Clip, p.Epochs = 1e38, 0, 50
	_, _, err := trained(t, t.Context(), p, component.Env{Threads: 2}, nil)
	var d *component.DivergedError
	if !errors.As(err, &d) || d.Quantity == "" || d.Step < 1 {
		t.Errorf("error is %v, want a DivergedError", err)
	}
}

func TestEarlyStopping(t *testing.T) {
	p := small()
	p.LR, p.Epochs, p.EarlyStopping = 1e-12, 100, 2
	_, r, err := trained(t, t.Context(), p, component.Env{Threads: 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Stopped != "early-stopping" || r.Epochs >= 100 || r.Epochs-r.BestEpoch != 3 {
		t.Errorf("result is %+v", r)
	}
}

func TestRolloutAndDynamics(t *testing.T) {
	k, spec := flipflop(t, 125, 40)
	m, err := openGRU(small(), 0.1, 0, component.Env{Threads: 2, Seed: 1}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	w := save(t, m)
	r := random.New(5, "initial")
	for i := range w.Get("latent_ics").F32 {
		w.Get("latent_ics").F32[i] = float32(r.NormFloat64())
	}
	if err := m.Load(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	run := func(req model.RolloutRequest, size int) tensor.Block {
		t.Helper()
		b, err := tensor.Collect(m.Rollout(t.Context(), req, k.Trials(t.Context(), task.TrialRequest{Split: task.All, BlockTrials: size})))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	noisy := run(model.RolloutRequest{Seed: 4, Noise: true}, 0)
	for _, size := range []int{1, 7, 40} {
		if b := run(model.RolloutRequest{Seed: 4, Noise: true}, size); !slices.Equal(b.Arrays.Get(model.Latents).F32, noisy.Arrays.Get(model.Latents).F32) {
			t.Errorf("latents depend on blocks of %d", size)
		}
	}
	if b := run(model.RolloutRequest{Seed: 5, Noise: true}, 0); slices.Equal(b.Arrays.Get(model.Latents).F32, noisy.Arrays.Get(model.Latents).F32) {
		t.Error("another seed gives the same noise")
	}
	quiet := run(model.RolloutRequest{Want: []string{model.State, model.Outputs}}, 0)
	in, err := tensor.Collect(k.Trials(t.Context(), task.TrialRequest{Split: task.All}))
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
	n, bins, units := len(in.Trials), spec.Bins, small().Hidden
	for bin := range bins {
		if h, err = d.Step(t.Context(), h, in.Arrays.Get(task.Inputs).Bin(bin)); err != nil {
			t.Fatal(err)
		}
		y, err := d.Observe(t.Context(), h, model.Outputs)
		if err != nil {
			t.Fatal(err)
		}
		for b := range n {
			for u := range units {
				if got, want := float64(quiet.Arrays.Get(model.State).F32[(b*bins+bin)*units+u]), h.F64[b*units+u]; math.Abs(got-want) > 1e-5 {
					t.Fatalf("state of trial %d, bin %d, unit %d is %v, want %v", b, bin, u, got, want)
				}
			}
			for o := range spec.Outputs {
				if got, want := float64(quiet.Arrays.Get(model.Outputs).F32[(b*bins+bin)*spec.Outputs+o]), y.F64[b*spec.Outputs+o]; math.Abs(got-want) > 1e-5 {
					t.Fatalf("output is %v, want %v", got, want)
				}
			}
		}
	}
	if b := run(model.RolloutRequest{Want: []string{model.Outputs}}, 0); len(b.Arrays) != 1 {
		t.Errorf("arrays are %v", b.Arrays.Names())
	}
	_, err = tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Want: []string{"rates"}}, tensor.Of(in)))
	if !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("error is %v", err)
	}
}

func TestLoadListsWhatDiffers(t *testing.T) {
	_, spec := flipflop(t, 125, 40)
	m, err := openGRU(small(), 0, 0, component.Env{}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	before := save(t, m)
	w := save(t, m)
	w.Get("readout.bias").Name = "readout.bia"
	w.Get("cell.weight_hh").Shape = []int{16, 48}
	w.Get("latent_ics").F32[3] = float32(math.NaN())
	err = m.Load(t.Context(), w)
	var e *component.InvalidArgumentError
	if !errors.As(err, &e) || len(e.Problems) != 4 {
		t.Errorf("error is %v, want 4 problems", err)
	}
	same(t, "weights", before, save(t, m))
}

func TestCheckRefuses(t *testing.T) {
	spec := task.Spec{Inputs: 3, Outputs: 2, Bins: 10, Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}}, TrainTrials: 1}
	closed, unknown, action, none := spec, spec, spec, spec
	none.TrainTrials = 0
	closed.Loop = &task.Loop{Actions: 6}
	unknown.Loss = task.Loss{Terms: []task.Term{{Kind: "hinge", Scale: 1, Reduction: "median"}}}
	action.Loss = task.Loss{Terms: []task.Term{{Kind: task.ActionSquare}}}
	for _, f := range all() {
		v, problems := f.Info.Params.Resolve(nil)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for name, c := range map[string]struct {
			target model.Target
			want   int
		}{
			"fits": {model.Target{Task: &spec}, 0}, "not yet known": {model.Target{}, 0}, "closed loop that does not fit": {model.Target{Task: &closed}, 2}, "unknown loss": {model.Target{Task: &unknown}, 1},
			"actions": {model.Target{Task: &action}, 1}, "no trials": {model.Target{Task: &none}, 1}, "spikes": {model.Target{Data: &model.DataSpec{}}, 1},
		} {
			if got := f.Check(v, c.target); len(got) != c.want {
				t.Errorf("%s: %s: %v", f.Info.Name, name, got)
			}
			if c.want > 0 {
				if _, err := f.Open(t.Context(), v, component.Env{}, c.target); !errors.Is(err, component.ErrInvalidArgument) {
					t.Errorf("%s: %s: opened: %v", f.Info.Name, name, err)
				}
			}
		}
	}
}

// What a training goes on beside is in its checkpoint too: the fixed connectivity of low-rank-rnn, here that of other weights, which the instance that goes on was not given.
func TestResumeWithBuffers(t *testing.T) {
	k, spec := flipflop(t, 125, 40)
	open := func(seed uint64, dir string) model.Model {
		v, problems := lowrank.Factory().Info.Params.Resolve(param.Values{"hidden": 16, "random_strength": 1.5, "epochs": 4, "batch_size": 48, "lr": 5e-3})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		m, err := lowrank.Factory().Open(t.Context(), v, component.Env{Seed: seed, Threads: 2, Dir: dir}, model.Target{Task: &spec})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	saved := func(m model.Model) tensor.Set {
		w, err := m.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	begun := func(dir string) model.Model {
		m := open(7, dir)
		if err := m.Load(t.Context(), saved(open(8, ""))); err != nil {
			t.Fatal(err)
		}
		return m
	}
	req := model.TrainRequest{Task: k, CheckpointEvery: 1}
	want := begun("")
	result, err := want.Train(t.Context(), req, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := begun(dir).Train(ctx, req, &stopping{cancel: cancel, left: 5}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	got := open(7, dir)
	again, err := got.Train(t.Context(), req, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "weights", saved(want), saved(got))
	if again.LastLoss != result.LastLoss {
		t.Errorf("the last loss is %v, want %v", again.LastLoss, result.LastLoss)
	}
}

// A learning rate that is too high ends in a model of finite weights or in an error that says where; one beyond all reason always in the error. The weights stay finite.
func TestLearningRatesThatDiverge(t *testing.T) {
	tk, spec := flipflop(t, 100, 30)
	for _, f := range all() {
		for _, lr := range []float64{1, 10, 100, 1e30} {
			v := param.Values{"epochs": 4, "batch_size": 40, "lr": lr, "clip": 0}
			for _, name := range []string{"hidden", "latent"} {
				if _, ok := f.Info.Params.Field(name); ok {
					v[name] = 9
				}
			}
			resolved, problems := f.Info.Params.Resolve(v)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			m, err := f.Open(t.Context(), resolved, component.Env{Seed: 3, Threads: 2}, model.Target{Task: &spec})
			if err != nil {
				t.Fatal(err)
			}
			r, err := m.Train(t.Context(), model.TrainRequest{Task: tk}, component.Discard{})
			var e *component.DivergedError
			switch {
			case err == nil && lr < 1e30:
				if !(r.BestLoss < 1e6) || !(r.LastLoss < 1e6) {
					t.Errorf("%s, lr %v: ended with %+v", f.Info.Name.Short, lr, r)
				}
				for _, w := range save(t, m) {
					if err := w.CheckFinite(); err != nil {
						t.Errorf("%s, lr %v: %v", f.Info.Name.Short, lr, err)
					}
				}
			case !errors.As(err, &e) || e.Step < 0 || e.Quantity == "" || e.Hint == "":
				t.Errorf("%s, lr %v: error is %v", f.Info.Name.Short, lr, err)
			default:
				t.Logf("%s, lr %v: %v", f.Info.Name.Short, lr, err)
			}
		}
	}
}

// TestRecompute: a training that computes once more what it does not keep gives the same bits, and is reckoned to need less memory; a closed loop cannot.
func TestRecompute(t *testing.T) {
	want, _, err := trained(t, t.Context(), small(), component.Env{Threads: 2}, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	p := small()
	p.Recompute = 4
	got, _, err := trained(t, t.Context(), p, component.Env{Threads: 2}, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "weights", save(t, want), save(t, got))
	_, spec := flipflop(t, 125, 40)
	spec.Bins, spec.TrainTrials = 500, 256
	loop, err := newPuck(ice(), 1).Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all() {
		bytes := map[int]int64{}
		for _, recompute := range []int{0, 16} {
			v, problems := f.Info.Params.Resolve(param.Values{"recompute": recompute})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			bytes[recompute] = f.Memory(v, model.Target{Task: &spec}, 8).Bytes
			closed := model.Target{Task: &loop}
			if problems := f.Check(v, closed); (len(problems) > 0) != (recompute > 0) || recompute > 0 && problems[0].Path != "recompute" {
				t.Errorf("%s: recompute %d in closed loop: %v", f.Info.Name, recompute, problems)
			}
			if _, err := f.Open(t.Context(), v, component.Env{}, closed); errors.Is(err, component.ErrInvalidArgument) != (recompute > 0) {
				t.Errorf("%s: recompute %d in closed loop: %v", f.Info.Name, recompute, err)
			}
		}
		if bytes[16] >= bytes[0] {
			t.Errorf("%s: %d bytes with recomputing, %d without", f.Info.Name, bytes[16], bytes[0])
		}
	}
}
