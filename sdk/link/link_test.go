package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// echo is a task in closed loop whose inputs are the trial's number plus the last action, its state twice the action.
type echo struct {
	task.Task
	mu    sync.Mutex
	log   []string
	begun []task.EpisodeRequest
	wait  time.Duration                    // of a step
	does  func(t int, o *task.Observation) // with what a step gives; nil nothing
	ends  func()                           // at the end; nil nothing
}

func (e *echo) say(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log = append(e.log, fmt.Sprintf(format, args...))
}

// far is echo in another process, as far as a link can tell.
type far struct{ *echo }

func (far) Distant() string { return "task/far" }

type echoing struct {
	e   *echo
	req task.EpisodeRequest
}

func (e *echo) Begin(_ context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	e.mu.Lock()
	e.begun = append(e.begun, req)
	e.mu.Unlock()
	r := &echoing{e, req}
	return r, r.observe(make([]float64, len(req.Trials))), nil
}

func (r *echoing) observe(a []float64) task.Observation {
	o := task.Observation{Inputs: tensor.New64(task.Inputs, len(a), 1), State: tensor.New64("state", len(a), 1)}
	for i, v := range a {
		o.Inputs.F64[i], o.State.F64[i] = float64(r.req.Trials[i])+v, 2*v
	}
	return o
}

func (r *echoing) Step(ctx context.Context, t int, actions *tensor.Tensor) (task.Observation, error) {
	r.e.say("step %d of %d", t, len(r.req.Trials))
	if r.e.wait > 0 {
		select {
		case <-time.After(r.e.wait):
		case <-ctx.Done():
			return task.Observation{}, ctx.Err()
		}
	}
	o := r.observe(actions.Float64s())
	if r.e.does != nil {
		r.e.does(t, &o)
	}
	return o, nil
}

func (r *echoing) VJP(_ context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	r.e.say("vjp %d of %d", t, len(r.req.Trials))
	out := tensor.New64("actions", len(r.req.Trials), 1)
	for i := range out.F64 {
		out.F64[i] = 2 * state.F64[i]
		if inputs != nil {
			out.F64[i] += inputs.F64[i]
		}
	}
	return out, nil
}

func (r *echoing) DropTape(context.Context, int) error { return nil }

func (r *echoing) End(context.Context) error {
	r.e.say("end")
	if r.e.ends != nil {
		r.e.ends()
	}
	return nil
}

const bins = 3

func spec() task.Spec {
	return task.Spec{Inputs: 1, Outputs: 1, Bins: bins, Loop: &task.Loop{Actions: 1, StateSize: 1}}
}

// open is a link to a task in this process or, as far as it can tell, in another.
func open(t *testing.T, e *echo, distant bool, threads int) *Link {
	t.Helper()
	var k task.ClosedLoop = e
	if distant {
		k = far{e}
	}
	l, err := New(t.Context(), k, spec(), Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// together takes a batch through environments, a goroutine for each shard, as a trainer does.
func together(l *Link, batch int, f func(shard, rows int) error) []error {
	l.Reset()
	shards := shardCount(batch)
	errs := make([]error, shards)
	var wg sync.WaitGroup
	for s := range shards {
		wg.Go(func() {
			l.Enter()
			defer l.Leave()
			if errs[s] = f(s, min(ShardRows(batch), batch-ShardRows(batch)*s)); errs[s] != nil && !errors.Is(errs[s], ErrElsewhere) {
				l.Fail(errs[s])
			}
		})
	}
	wg.Wait()
	return errs
}

func TestShardsStepTogether(t *testing.T) {
	const batch = 3*kernel.ShardRows + 4
	for _, c := range []struct{ options, parties int }{{1, 4}, {2, 2}, {3, 2}, {4, 1}, {9, 1}} {
		e := &echo{}
		l, err := New(t.Context(), far{e}, spec(), Options{Threads: 2, Together: c.options * kernel.ShardRows})
		if err != nil {
			t.Fatal(err)
		}
		// A batch is shared out among two parties where there are enough shards.
		parties := max(c.parties, 2)
		errs := together(l, batch, func(shard, rows int) error {
			env := Environment[float64](l, rows, task.Train, func(nn.Pass) uint64 { return 9 })
			x, y, s := make([]float64, rows*bins), make([]float64, rows*bins), make([]float64, rows*bins)
			var trials []uint64
			for r := range rows {
				trials = append(trials, uint64(1000+kernel.ShardRows*shard+r))
			}
			if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: batch, Shard: shard, Trials: trials, Seed: 1}, Tape: true, Truncate: 2}, x); err != nil {
				return err
			}
			for b := range bins {
				for r := range rows {
					y[r*bins+b] = float64(shard + 10*b)
				}
				if err := env.Forward(b, b+1, nil, y, s, x); err != nil {
					return err
				}
				for r := range rows {
					want := float64(trials[r])
					if b > 0 {
						want += y[r*bins+b-1]
					}
					if x[r*bins+b] != want || s[r*bins+b] != 2*y[r*bins+b] {
						return fmt.Errorf("shard %d, row %d, bin %d: saw %v, state %v", shard, r, b, x[r*bins+b], s[r*bins+b])
					}
				}
			}
			d := make([]float64, rows*bins)
			for b := bins - 1; b >= 0; b-- {
				if err := env.Backward(b, b+1, nil, y, x, d); err != nil {
					return err
				}
				for r := range rows {
					want := 2 * y[r*bins+b]
					if b+1 < bins {
						want += x[r*bins+b+1]
					}
					if d[r*bins+b] != want {
						return fmt.Errorf("shard %d, row %d, bin %d: cotangent %v, want %v", shard, r, b, d[r*bins+b], want)
					}
				}
			}
			return env.End()
		})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if len(e.begun) != parties || len(e.log) != parties*(2*bins+1) {
			t.Errorf("shards %d: %d episodes, %d calls: %v", c.options, len(e.begun), len(e.log), e.log)
		}
		var all []int64
		for _, r := range e.begun {
			if !r.Tape || r.Truncate != 2 || r.Pass != 9 || r.Split != task.Train || !r.Float64 || r.Seed == 0 {
				t.Errorf("began with %+v", r)
			}
			all = append(all, r.Trials...)
		}
		slices.Sort(all)
		if len(all) != batch || all[0] != 1000 || all[batch-1] != 1000+batch-1 || len(slices.Compact(all)) != batch {
			t.Errorf("the trials are %v", all)
		}
		l.Close()
	}
}

// steps takes a batch through all bins on the way there, and gives what each shard met with.
func steps(l *Link, batch int) []error {
	return together(l, batch, func(shard, rows int) error {
		env := Environment[float32](l, rows, task.Valid, nil)
		x := make([]float32, rows*bins)
		var trials []uint64
		for r := range rows {
			trials = append(trials, uint64(1000+ShardRows(batch)*shard+r))
		}
		if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: batch, Shard: shard, Trials: trials}}, x); err != nil {
			return err
		}
		defer func() { _ = env.End() }()
		for b := range bins {
			if err := env.Forward(b, b+1, nil, make([]float32, rows*bins), x, x); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestBinByBin: where each bin is a call of its own, nobody waits for others in this process.
func TestBinByBin(t *testing.T) {
	const batch = 300
	for _, c := range []struct{ distant, alone bool }{{false, true}, {false, false}, {true, true}} {
		e := &echo{}
		l := open(t, e, c.distant, 2)
		errs := together(l, batch, func(shard, rows int) error {
			env := Environment[float32](l, rows, task.Train, nil)
			if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: batch, Shard: shard}, BinByBin: c.alone}, make([]float32, rows*bins)); err != nil {
				return err
			}
			return env.End()
		})
		parties := (shardCount(batch) + l.shards(batch) - 1) / l.shards(batch)
		if c.alone && !c.distant {
			parties = shardCount(batch)
		}
		if err := errors.Join(errs...); err != nil || len(e.begun) != parties {
			t.Errorf("%+v: %d episodes, want %d: %v", c, len(e.begun), parties, err)
		}
		l.Close()
	}
}

// TestCallsLeaveTheThread: while one party waits for a task in another process another computes, on one thread too.
func TestCallsLeaveTheThread(t *testing.T) {
	const batch = 2 * kernel.ShardRows
	var calls sync.WaitGroup
	calls.Add(2)
	e := &echo{does: func(b int, _ *task.Observation) {
		if b == 0 {
			calls.Done()
			calls.Wait() // for the other party's
		}
	}}
	l := open(t, e, true, 1)
	defer l.Close()
	done := make(chan error, 1)
	go func() { done <- errors.Join(steps(l, batch)...) }()
	select {
	case err := <-done:
		if err != nil || len(e.begun) != 2 {
			t.Errorf("%d episodes: %v", len(e.begun), err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("one party waits for its answer and keeps the other from making its call")
	}
}

// TestRecordedIsFinite: what a task records goes into data sets, so it is checked as the rest.
func TestRecordedIsFinite(t *testing.T) {
	for _, bad := range []float64{0, math.NaN(), math.Inf(1)} {
		e := &echo{does: func(t int, o *task.Observation) {
			a := tensor.New64("angle", o.Inputs.Shape[0], 2)
			if t == 1 && len(a.F64) > 9 {
				a.F64[9] = bad
			}
			o.Recorded = tensor.Set{a}
		}}
		s := spec()
		s.Loop.Recorded = []string{"angle"}
		l, err := New(t.Context(), e, s, Options{Record: true})
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(steps(l, 20)...)
		if bad == 0 && err != nil {
			t.Error(err)
		}
		if says := fmt.Sprintf(`bin 1 of an episode: recorded "angle" is %v in trial 1004, channel 1`, bad); bad != 0 && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("the error is %v, want %s", err, says)
		}
		l.Close()
	}
}

// TestRecordedByName: what is recorded comes in the order of the specification, in whichever a task gives it; what the specification does not name, or names and is not there, is refused.
func TestRecordedByName(t *testing.T) {
	for _, c := range []struct {
		given []string
		wrong bool
	}{{[]string{"angle", "speed"}, false}, {[]string{"speed", "angle"}, false}, {[]string{"speed"}, true}, {[]string{"speed", "angle", "more"}, true}, {[]string{"speed", "more"}, true}} {
		e := &echo{does: func(_ int, o *task.Observation) {
			for i, name := range c.given {
				o.Recorded = append(o.Recorded, tensor.New64(name, o.Inputs.Shape[0], 1+i))
			}
		}}
		s := spec()
		s.Loop.Recorded = []string{"angle", "speed"}
		l, err := New(t.Context(), e, s, Options{Record: true})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		errs := together(l, 5, func(shard, rows int) error {
			env := Environment[float32](l, rows, task.Valid, nil)
			if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: 5}}, make([]float32, rows*bins)); err != nil {
				return err
			}
			for k := range bins {
				if err := env.Forward(k, k+1, nil, make([]float32, rows*bins), nil, make([]float32, rows*bins)); err != nil {
					return err
				}
			}
			names = env.Recorded().Names()
			return env.End()
		})
		err = errors.Join(errs...)
		if (err != nil) != c.wrong || err == nil && !slices.Equal(names, s.Loop.Recorded) || err != nil && !strings.Contains(err.Error(), `its specification says ["angle" "speed"]`) {
			t.Errorf("of %v are kept %v: %v", c.given, names, err)
		}
		l.Close()
	}
}

// TestWorkers: memory is reckoned with as many workers as a link has, whole parties for all threads.
func TestWorkers(t *testing.T) {
	for _, distant := range []bool{false, true} {
		for _, threads := range []int{1, 2, 40} {
			l := open(t, &echo{}, distant, threads)
			for _, batch := range []int{1, 32, 33, 100, 256, 300, 512, 1000, 5000} {
				got := Workers(batch, threads, distant)
				if want := l.Workers(batch); got != want || got < min(threads, shardCount(batch)) || got > shardCount(batch) || got < l.shards(batch) {
					t.Errorf("distant %v, %d threads, batch %d: %d workers are reckoned with, there are %d, in parties of %d", distant, threads, batch, got, want, l.shards(batch))
				}
			}
			l.Close()
		}
	}
	for _, c := range []struct{ batch, near, far int }{{16, 1, 1}, {64, 1, 2}, {256, 4, 8}, {1000, 4, 8}, {10000, 4, 4}} {
		if near, far := shared(c.batch, 0, 2, false), shared(c.batch, 0, 2, true); near != c.near || far != c.far {
			t.Errorf("batch %d: parties of %d shards in this process and %d in another, want %d and %d", c.batch, near, far, c.near, c.far)
		}
	}
}

// TestShardRows: shards are larger where enough of them are left.
func TestShardRows(t *testing.T) {
	for _, c := range []struct{ batch, rows int }{{1, 16}, {256, 16}, {992, 16}, {993, 32}, {1000, 32}, {1984, 32}, {1985, 64}, {100000, 64}} {
		if got := ShardRows(c.batch); got != c.rows {
			t.Errorf("batch %d: shards of %d trials, want %d", c.batch, got, c.rows)
		}
	}
}
