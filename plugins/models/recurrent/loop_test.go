package recurrent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

func TestMain(m *testing.M) {
	opened.Main(m, serve.Plugin{Name: "puck-test", Version: "1.0.0", Doc: "a puck in a process of its own", Tasks: []task.Factory{puckFactory()}})
}

// elsewhere is the puck in another process.
func elsewhere(t testing.TB, p puckParams, seed uint64) task.Task {
	t.Helper()
	values := param.Values{"axes": p.Axes, "bins": p.Bins, "train": p.Train, "valid": p.Valid, "noise": p.Noise, "fault": p.Fault, "bin": p.Bin, "bounds": p.Bounds, "after": p.After, "marker": p.Marker}
	k, err := opened.Elsewhere(t).OpenTask(t.Context(), component.Name{Kind: component.Task, Short: "puck"}, values, component.Env{Seed: seed, Threads: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ice() puckParams {
	return puckParams{Axes: 2, Bins: 12, Train: 100, Valid: 40, Noise: 0.05, Fault: "none", Bin: 5, Bounds: "both"}
}

// inLoop is a small model for a task, opened and not yet trained.
func inLoop(t testing.TB, k task.Task, p gru.Params, env component.Env) *recurrent.Model[float32] {
	t.Helper()
	spec, err := k.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env.Seed = 7
	m, err := openGRU(p, 0.01, 1e-4, env, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestShortOfTheHorizon: a training that ends before the curriculum does says in the log how much of the trial it learns from; one that outlasts it has nothing to say.
func TestShortOfTheHorizon(t *testing.T) {
	for epochs, short := range map[int]bool{2: true, 4: false} {
		var log strings.Builder
		k := newPuck(ice(), 3)
		m := inLoop(t, k, gru.Params{Hidden: 6, Training: recurrent.Training{Epochs: epochs, BatchSize: 50, LR: 1e-2}}, component.Env{Threads: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if _, err := m.Train(t.Context(), model.TrainRequest{Task: k}, component.Discard{}); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "the first 4 of 12 bins in the last epoch"); said != short {
			t.Errorf("%d epochs: the log is %q", epochs, log.String())
		}
	}
}

// TestEveryModelInTheLoop trains each model on the puck and rolls it out: the puck gets nearer to its goals, whatever bounds the actions have.
func TestEveryModelInTheLoop(t *testing.T) {
	for i, f := range all() {
		t.Run(f.Info.Name.String(), func(t *testing.T) {
			p := ice()
			p.Bounds = []string{"both", "none", "low"}[i%3]
			k := newPuck(p, 3)
			spec, err := k.Spec(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !f.Info.Can(component.TrainsClosedLoop) {
				t.Error("it does not say that it trains in closed loop")
			}
			v, problems := f.Info.Params.Resolve(param.Values{"epochs": 12, "batch_size": 50, "lr": 1e-2})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if problems := f.Check(v, model.Target{Task: &spec}); len(problems) > 0 {
				t.Fatal(problems)
			}
			m, err := f.Open(t.Context(), v, component.Env{Seed: 1, Threads: 2}, model.Target{Task: &spec})
			if err != nil {
				t.Fatal(err)
			}
			distance := func() float64 {
				out := m.Rollout(t.Context(), model.RolloutRequest{Seed: 1, Noise: true, Task: k, Split: task.Valid}, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid}))
				s, err := k.Score(t.Context(), task.ScoreRequest{Split: task.Valid}, out)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for _, d := range s.Metrics[0] {
					sum += d / float64(len(s.Trials))
				}
				return sum
			}
			before := distance()
			if _, err := m.Train(t.Context(), model.TrainRequest{Task: k}, component.Discard{}); err != nil {
				t.Fatal(err)
			}
			if after := distance(); !(after < 0.9*before) {
				t.Errorf("the mean distance at the end is %v, before training %v", after, before)
			}
			if n := k.episodes.Load(); n != 0 {
				t.Errorf("%d episodes were left running", n)
			}
		})
	}
}

// TestLoopWithoutBounds trains on a puck whose actions have bounds on one side or none, in this process and in another, ends in between, and goes on to the same bits as without an
// end; a rollout gives the actions as they are where nothing bounds them.
func TestLoopWithoutBounds(t *testing.T) {
	for _, bounds := range []string{"low", "none"} {
		p := ice()
		p.Bounds = bounds
		run := func(k task.Task, ctx context.Context, dir string, report component.Reporter) (*recurrent.Model[float32], error) {
			m := inLoop(t, k, small(), component.Env{Threads: 2, Dir: dir})
			_, err := m.Train(ctx, model.TrainRequest{Task: k, CheckpointEvery: 1}, report)
			return m, err
		}
		want, err := run(newPuck(p, 5), t.Context(), t.TempDir(), component.Discard{})
		if err != nil {
			t.Fatalf("%s: %v", bounds, err)
		}
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := run(elsewhere(t, p, 5), ctx, dir, &stopping{cancel: cancel, left: 3}); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", bounds, err)
		}
		got, err := run(elsewhere(t, p, 5), t.Context(), dir, component.Discard{})
		if err != nil {
			t.Fatalf("%s: %v", bounds, err)
		}
		same(t, bounds+": weights", save(t, want), save(t, got))
		// That of a task with other bounds is another training's.
		p.Bounds = "both"
		if _, err := run(newPuck(p, 5), t.Context(), dir, component.Discard{}); !errors.Is(err, train.ErrCheckpoint) {
			t.Errorf("%s: with other bounds it goes on: %v", bounds, err)
		}
		p.Bounds = bounds
		k := newPuck(p, 5)
		w := save(t, got)
		for i := range w.Get("readout.weight").F32 {
			w.Get("readout.weight").F32[i] *= 8 // some actions pass the bounds
		}
		if err := got.Load(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		out, err := tensor.Collect(got.Rollout(t.Context(), model.RolloutRequest{Task: k, Split: task.Valid}, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid})))
		if err != nil {
			t.Fatal(err)
		}
		raw, done := out.Arrays.Get(model.Outputs).F32, out.Arrays.Get(model.Actions).F32
		for i, v := range raw {
			if bounds == "low" {
				v = max(v, -1)
			}
			if done[i] != v {
				t.Fatalf("%s: action %v of output %v", bounds, done[i], raw[i])
			}
		}
		if slices.Min(raw) >= -1 || slices.Max(raw) <= 1 {
			t.Errorf("%s: outputs from %v to %v pass no bounds", bounds, slices.Min(raw), slices.Max(raw))
		}
	}
}

// TestLoopToTheBit trains on one and two threads, on the task in this process and in another, with batches that make one party, several, and uneven ones: the weights, the
// curves and what a rollout gives are the same to the bit.
func TestLoopToTheBit(t *testing.T) {
	for _, c := range []struct{ train, batch, truncate int }{{100, 100, 0}, {70, 40, 5}, {600, 600, 0}, {2100, 2000, 0}, {20, 20, 0}} {
		p := ice()
		p.Train = c.train
		run := func(k task.Task, threads int) (tensor.Set, map[string][]float64, tensor.Block) {
			t.Helper()
			g := small()
			g.BatchSize, g.Epochs, g.Truncate = c.batch, 2, c.truncate
			m := inLoop(t, k, g, component.Env{Threads: threads})
			var said curves
			if _, err := m.Train(t.Context(), model.TrainRequest{Task: k}, &said); err != nil {
				t.Fatal(err)
			}
			out, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Seed: 2, Noise: true, Task: k.(task.ClosedLoop), Split: task.All},
				k.Trials(t.Context(), task.TrialRequest{Split: task.All})))
			if err != nil {
				t.Fatal(err)
			}
			return save(t, m), said.values, out
		}
		local := newPuck(p, 5)
		weights, said, out := run(local, 1)
		if want := []string{model.Latents, model.Outputs, model.SeenInputs, model.Actions, task.Controlled, "speed"}; !slices.Equal(out.Arrays.Names(), want) {
			t.Fatalf("a rollout gives %v, want %v", out.Arrays.Names(), want)
		}
		for name, other := range map[string]func() (tensor.Set, map[string][]float64, tensor.Block){
			"two threads":                func() (tensor.Set, map[string][]float64, tensor.Block) { return run(newPuck(p, 5), 2) },
			"two processes":              func() (tensor.Set, map[string][]float64, tensor.Block) { return run(elsewhere(t, p, 5), 1) },
			"two processes, two threads": func() (tensor.Set, map[string][]float64, tensor.Block) { return run(elsewhere(t, p, 5), 2) },
		} {
			w, s, o := other()
			same(t, fmt.Sprintf("%s, batch %d: weights", name, c.batch), weights, w)
			same(t, fmt.Sprintf("%s, batch %d: rollout", name, c.batch), out.Arrays, o.Arrays)
			for metric, values := range said {
				if !slices.Equal(values, s[metric]) {
					t.Errorf("%s, batch %d: %s is %v, want %v", name, c.batch, metric, s[metric], values)
				}
			}
		}
		if n := local.episodes.Load(); n != 0 {
			t.Errorf("%d episodes were left running", n)
		}
	}
}

// TestLoopRollout: what was seen, done and controlled belongs together, bin by bin.
func TestLoopRollout(t *testing.T) {
	p := ice()
	p.Noise = 0
	k := newPuck(p, 5)
	m := inLoop(t, k, small(), component.Env{Threads: 2})
	w := save(t, m)
	for i := range w.Get("readout.weight").F32 {
		w.Get("readout.weight").F32[i] *= 8 // some actions pass the bounds
	}
	if err := m.Load(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	out, err := tensor.Collect(m.Rollout(ctx, model.RolloutRequest{Task: k, Split: task.Valid}, k.Trials(ctx, task.TrialRequest{Split: task.Valid})))
	if err != nil {
		t.Fatal(err)
	}
	get := func(name string, width int) func(trial, bin, c int) float64 {
		a := out.Arrays.Get(name)
		if err := a.Expect(p.Valid, p.Bins, width); err != nil {
			t.Fatal(err)
		}
		v := a.Float64s()
		return func(trial, bin, c int) float64 { return v[(trial*p.Bins+bin)*width+c] }
	}
	seen, raw, done, place, speed := get(model.SeenInputs, 6), get(model.Outputs, 2), get(model.Actions, 2), get(task.Controlled, 2), get("speed", 2)
	beyond := 0
	for trial := range p.Valid {
		for bin := range p.Bins {
			for c := range 2 {
				if done(trial, bin, c) != min(max(raw(trial, bin, c), -1), 1) {
					t.Fatalf("action %v of output %v", done(trial, bin, c), raw(trial, bin, c))
				}
				if raw(trial, bin, c) != done(trial, bin, c) {
					beyond++
				}
				wantSeen, before := 0.0, 0.0
				if bin > puckDelay {
					wantSeen = place(trial, bin-puckDelay-1, c)
				}
				if bin > 0 {
					before = speed(trial, bin-1, c)
				}
				if seen(trial, bin, c) != wantSeen || seen(trial, bin, 2+c) != before {
					t.Fatalf("trial %d, bin %d: saw %v and %v, want %v and %v", trial, bin, seen(trial, bin, c), seen(trial, bin, 2+c), wantSeen, before)
				}
				if want := before + puckDT*(done(trial, bin, c)-before); math.Abs(speed(trial, bin, c)-want) > 1e-6 {
					t.Fatalf("trial %d, bin %d: the speed is %v, want %v", trial, bin, speed(trial, bin, c), want)
				}
			}
		}
	}
	if beyond == 0 {
		t.Error("no output passed the bounds")
	}
	// Over what it saw it gives the same in an open loop.
	open, err := tensor.Collect(m.Rollout(ctx, model.RolloutRequest{}, tensor.Of(tensor.Block{Trials: out.Trials, Arrays: tensor.Set{out.Arrays.Get(model.SeenInputs).Named(task.Inputs)}})))
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{model.Latents, model.Outputs} {
		if !slices.Equal(open.Arrays.Get(role).F32, out.Arrays.Get(role).F32) {
			t.Errorf("%s of the open loop differ", role)
		}
	}
	// Noise is the seed's, and can be switched off.
	p.Noise = 0.1
	k = newPuck(p, 5)
	roll := func(seed uint64, noise bool) []float32 {
		b, err := tensor.Collect(m.Rollout(ctx, model.RolloutRequest{Seed: seed, Noise: noise, Task: k, Split: task.Valid, Want: []string{model.SeenInputs}},
			k.Trials(ctx, task.TrialRequest{Split: task.Valid})))
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Arrays) != 1 {
			t.Errorf("asked for one array: %v", b.Arrays.Names())
		}
		return b.Arrays[0].F32
	}
	if one := roll(1, true); !slices.Equal(one, roll(1, true)) || slices.Equal(one, roll(2, true)) || slices.Equal(one, roll(1, false)) || !slices.Equal(roll(1, false), roll(2, false)) {
		t.Error("noise does not follow the seed")
	}
}

// TestLoopResume ends a training in the middle of each epoch, and goes on with it.
func TestLoopResume(t *testing.T) {
	run := func(ctx context.Context, dir string, threads int, report component.Reporter) (*recurrent.Model[float32], error) {
		k := newPuck(ice(), 5)
		m := inLoop(t, k, small(), component.Env{Threads: threads, Dir: dir})
		_, err := m.Train(ctx, model.TrainRequest{Task: k, CheckpointEvery: 1}, report)
		return m, err
	}
	want, err := run(t.Context(), t.TempDir(), 2, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var got *recurrent.Model[float32]
	sessions := 0
	for err = context.Canceled; errors.Is(err, context.Canceled) && sessions < 50; sessions++ {
		ctx, cancel := context.WithCancel(t.Context())
		got, err = run(ctx, dir, 1, &stopping{cancel: cancel, left: 3})
		cancel()
	}
	if err != nil || sessions < 3 {
		t.Fatalf("after %d sessions: %v", sessions, err)
	}
	same(t, "weights", save(t, want), save(t, got))
}

// TestLoopFaults: whatever a task does wrong in an episode is an error that names it and says what happened, and the training goes on from its checkpoint.
func TestLoopFaults(t *testing.T) {
	want := func() tensor.Set {
		k := newPuck(ice(), 5)
		m := inLoop(t, k, small(), component.Env{Threads: 2})
		if _, err := m.Train(t.Context(), model.TrainRequest{Task: k}, component.Discard{}); err != nil {
			t.Fatal(err)
		}
		return save(t, m)
	}()
	for _, c := range []struct {
		fault string
		says  []string
		is    error
	}{
		{"nan", []string{"bin 5", `"inputs" is NaN at [0 1]`}, nil},
		{"shape", []string{"bin 5", "observation", "has shape"}, nil},
		{"int", []string{"bin 5", "int64"}, nil},
		{"nothing", []string{"bin 5", "gave no state"}, nil},
		{"cotangent", []string{"bin 5", "cotangent of the actions", "+Inf"}, nil},
		{"error", []string{"step of bin 5", "ice", "is broken"}, component.ErrInvalidArgument},
		// Shards that are at other bins, or at their beginning, lose the process too, and any of them may say so first.
		{"die", []string{"unavailable"}, component.ErrUnavailable},
		{"late", []string{"step of bin 5", "no answer within"}, component.ErrUnavailable},
	} {
		for _, remote := range []bool{false, true} {
			if !remote && (c.fault == "die" || c.fault == "late") {
				continue
			}
			t.Run(fmt.Sprintf("%s remote=%v", c.fault, remote), func(t *testing.T) {
				p := ice()
				p.Fault, p.After = c.fault, 9
				p.Marker = filepath.Join(t.TempDir(), "done")
				dir := t.TempDir()
				open := func() task.Task {
					if remote {
						return elsewhere(t, p, 5)
					}
					return newPuck(p, 5)
				}
				fit := func() (*recurrent.Model[float32], error) {
					k := open()
					m := inLoop(t, k, small(), component.Env{Threads: 2, Dir: dir})
					m.SetPatience(2 * time.Second)
					_, err := m.Train(t.Context(), model.TrainRequest{Task: k, CheckpointEvery: 1}, component.Discard{})
					return m, err
				}
				if c.fault == "cotangent" {
					p.Marker = "" // it has none
				}
				_, err := fit()
				if err == nil {
					t.Fatal("nothing went wrong")
				}
				name := "the task"
				if remote {
					name = "task/puck"
				}
				for _, s := range append(c.says, name) {
					if !strings.Contains(err.Error(), s) {
						t.Errorf("the error does not say %q: %v", s, err)
					}
				}
				if c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("the error is %v, want %v", err, c.is)
				}
				if strings.Count(err.Error(), "\n") > 0 {
					t.Errorf("the error is of several lines: %v", err)
				}
				p.Fault = "none"
				m, err := fit()
				if err != nil {
					t.Fatal(err)
				}
				same(t, "weights", want, save(t, m))
			})
		}
	}
}

// otherLoop is the puck with a specification of its own.
type otherLoop struct {
	puck
	spec task.Spec
}

func (k otherLoop) Spec(context.Context) (task.Spec, error) { return k.spec, nil }

// TestLoopOfAnotherTask: a training on a loop that is not the one that the model was opened for is refused before anything begins.
func TestLoopOfAnotherTask(t *testing.T) {
	k := newPuck(ice(), 5)
	m := inLoop(t, k, small(), component.Env{Threads: 2})
	for name, change := range map[string]func(l *task.Loop){"actions": func(l *task.Loop) { l.Actions = 1 }, "state": func(l *task.Loop) { l.StateSize = 4 }} {
		spec, err := k.Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		change(spec.Loop)
		_, err = m.Train(t.Context(), model.TrainRequest{Task: otherLoop{k, spec}}, component.Discard{})
		if !errors.Is(err, component.ErrInvalidArgument) || !strings.Contains(err.Error(), "in its loop; the model was opened for 2 and 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := k.begun.Load(); n != 0 {
		t.Errorf("%d episodes began", n)
	}
}

// TestLateRollout: a task that hangs is missed in a rollout as in a training.
func TestLateRollout(t *testing.T) {
	p := ice()
	p.Fault, p.Marker = "late", filepath.Join(t.TempDir(), "done")
	k := elsewhere(t, p, 5)
	m := inLoop(t, k, small(), component.Env{Threads: 2})
	m.SetPatience(time.Second)
	_, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Task: k.(task.ClosedLoop), Split: task.Valid}, k.Trials(t.Context(), task.TrialRequest{Split: task.Valid})))
	if !errors.Is(err, component.ErrUnavailable) || !strings.Contains(err.Error(), "task/puck: step of bin 5 of an episode: no answer within 1s") {
		t.Errorf("the error is %v", err)
	}
}
