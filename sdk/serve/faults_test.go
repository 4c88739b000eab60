package serve_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func targetOf(s task.Spec) model.Target { return model.Target{Task: &s} }

func trainOn(t task.Task) model.TrainRequest { return model.TrainRequest{Task: t} }

func openWave(t testing.TB, p *client.Plugin, v param.Values) client.Task {
	t.Helper()
	w, err := p.OpenTask(context.Background(), name(component.Task, "wave"), v, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func openPoint(t testing.TB, p *client.Plugin, v param.Values) client.Task {
	t.Helper()
	w, err := p.OpenTask(context.Background(), name(component.Task, "point-mass"), v, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func openLinear(t testing.TB, p *client.Plugin, v param.Values) client.Model {
	t.Helper()
	m, err := p.OpenModel(context.Background(), name(component.Model, "linear"), v, testEnv, model.Target{Data: &model.DataSpec{Neurons: 400}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func paths(problems []param.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Path)
	}
	return out
}

func TestInvalidParametersHavePaths(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	_, err := p.OpenTask(ctx, name(component.Task, "point-mass"), param.Values{"dim": 3, "bins": 0, "mode": "clam"}, testEnv)
	var invalid *component.InvalidArgumentError
	if !errors.As(err, &invalid) || !errors.Is(err, component.ErrInvalidArgument) {
		t.Fatalf("bad parameters give %v", err)
	}
	if got, want := paths(invalid.Problems), []string{"params.bins", "params.mode", "params.dim"}; !slices.Equal(got, want) {
		t.Errorf("paths are %v, want %v", got, want)
	}
	if h := invalid.Problems[1].Hint; h != `did you mean "calm"?` {
		t.Errorf("the hint is %q", h)
	}
	v, err := p.Validate(ctx, client.ValidateRequest{Name: name(component.Task, "point-mass"), Params: param.Values{"dims": 3}})
	if err != nil || !slices.Equal(paths(v.Problems), []string{"params.gains"}) {
		t.Errorf("validation gives %v, %v", v, err)
	}
	v, err = p.Validate(ctx, client.ValidateRequest{Name: name(component.Model, "linear"), Params: param.Values{"size": 9}, Data: &model.DataSpec{Neurons: 4}})
	if err != nil || !slices.Equal(paths(v.Problems), []string{"params.size"}) {
		t.Errorf("validation gives %v, %v", v, err)
	}
	v, err = p.Validate(ctx, client.ValidateRequest{Name: name(component.Simulator, "scale"), Source: &simulator.Source{Latents: 3, Bins: 10}, Threads: 2})
	if err != nil || len(v.Problems) != 0 || v.MemoryBytes != 2*8*6*10 || !slices.Equal(v.MemoryParams, []string{"neurons"}) {
		t.Errorf("validation gives %v, %v", v, err)
	}
	sizes := comparator.Sizes{Data: &model.DataSpec{Bins: math.MaxInt, TrainTrials: 3}, Subjects: 2, Latents: 5}
	v, err = p.Validate(ctx, client.ValidateRequest{Name: name(component.Comparator, "jacobian"), Sizes: &sizes})
	if err != nil || v.MemoryBytes != math.MaxInt64 || v.MemoryParams != nil {
		t.Errorf("validation gives %v, %v", v, err)
	}
	v, err = p.Validate(ctx, client.ValidateRequest{Name: name(component.Comparator, "jacobian"), Sizes: &comparator.Sizes{Subjects: 2}})
	if err != nil || v.MemoryBytes != 0 {
		t.Errorf("validation without a data set's spec gives %v, %v", v, err)
	}
	v, err = p.Validate(ctx, client.ValidateRequest{Name: name(component.Task, "point-mass"), Threads: -1})
	if err != nil || !slices.Equal(paths(v.Problems), []string{"threads"}) {
		t.Errorf("validation gives %v, %v", v, err)
	}
	_, err = p.Validate(ctx, client.ValidateRequest{Name: name(component.Simulator, "scale"), Source: &simulator.Source{}, Sizes: &comparator.Sizes{}})
	if !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("two targets give %v", err)
	}
	if _, err := p.OpenTask(ctx, name(component.Task, "point-mass"), param.Values{"dims": map[string]int{}}, testEnv); !errors.As(err, &invalid) ||
		!slices.Equal(paths(invalid.Problems), []string{"params.dims"}) {
		t.Errorf("a map as a parameter gives %v", err)
	}
}

func TestErrorsKeepTheirTypes(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	drain := func(v param.Values) error {
		_, err := tensor.Collect(openWave(t, p.Plugin, v).Trials(ctx, task.TrialRequest{Split: task.Train}))
		return err
	}
	var diverged *component.DivergedError
	if err := drain(param.Values{"failure": "diverge"}); !errors.As(err, &diverged) || diverged.Step != 7 || !math.IsNaN(diverged.Value) || diverged.Hint != "less wind" {
		t.Errorf("divergence arrives as %v", err)
	}
	var internal *component.InternalError
	if err := drain(param.Values{"failure": "plain"}); !errors.As(err, &internal) || internal.Component != "task/wave" || internal.Message != "wave: out of water" {
		t.Errorf("a plain error arrives as %#v", err)
	}
	if err := drain(param.Values{"failure": "panic"}); !errors.As(err, &internal) || !strings.Contains(internal.Message, "in the middle") {
		t.Errorf("a panic arrives as %v", err)
	}
	if err := drain(param.Values{"failure": "aside"}); !errors.As(err, &internal) || internal.Component != "task/wave" || internal.Message != "panic: on a goroutine" {
		t.Errorf("a panic on a goroutine arrives as %v", err)
	}
	for _, stack := range []string{`"panic":"in the middle"`, `"panic":"on a goroutine"`, "components_test.go"} {
		if !strings.Contains(p.log.String(), stack) {
			t.Errorf("%s is not in the log", stack)
		}
	}
	if _, err := p.OpenTask(ctx, name(component.Task, "wave"), param.Values{"failure": "open"}, testEnv); !errors.As(err, &internal) {
		t.Errorf("a panic at opening arrives as %v", err)
	}
	if _, err := p.OpenTask(ctx, name(component.Task, "wav"), nil, testEnv); !errors.Is(err, component.ErrNotFound) {
		t.Errorf("an unknown component gives %v", err)
	}
	if _, err := p.OpenModel(ctx, name(component.Model, "linear"), nil, testEnv, model.Target{}); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a model without a target gives %v", err)
	}
	m := openLinear(t, p.Plugin, nil)
	var invalid *component.InvalidArgumentError
	if err := m.Load(ctx, tensor.Set{tensor.New64("c", 1)}); !errors.As(err, &invalid) || !slices.Equal(paths(invalid.Problems), []string{"weights.a", "weights.b"}) {
		t.Errorf("wrong weights give %v", err)
	}
	d, err := m.Dynamics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Observe(ctx, tensor.New64("x", 1, 3), "nothing"); !errors.Is(err, component.ErrNotFound) {
		t.Errorf("an unknown role gives %v", err)
	}
	if _, err := d.Step(ctx, tensor.New64("x", 1, 5), nil); !errors.Is(err, tensor.ErrShape) {
		t.Errorf("a wrong shape gives %v", err)
	}
	w := openWave(t, p.Plugin, nil)
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Spec(ctx); !errors.Is(err, component.ErrNotFound) {
		t.Errorf("a call on a closed instance gives %v", err)
	}
	if _, err := m.Train(ctx, trainOn(&wave{}), nil); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a task of this process gives %v", err)
	}
}

func TestEpisodeOutOfOrder(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	loop := openPoint(t, p.Plugin, nil).(task.ClosedLoop)
	e, _, err := loop.Begin(ctx, task.EpisodeRequest{Split: task.All, Trials: []int64{1}})
	if err != nil {
		t.Fatal(err)
	}
	a := tensor.New64("actions", 1, 2)
	if _, err := e.Step(ctx, 1, a); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a step out of order gives %v", err)
	}
	if _, err := e.Step(ctx, 0, a); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("an episode that has failed gives %v", err)
	}
	if err := e.End(ctx); err != nil {
		t.Error(err)
	}
	if _, _, err := loop.Begin(ctx, task.EpisodeRequest{Split: task.All}); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("an episode of no trials gives %v", err)
	}
	if e, _, err = loop.Begin(ctx, task.EpisodeRequest{Split: task.All, Trials: []int64{1}}); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.Step(short, 0, a); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled step gives %v", err)
	}
	if err := e.End(ctx); err != nil {
		t.Error(err)
	}
	waitFor(t, func() bool { return p.probe.episodes.Load() == 0 })
}

// waitFor waits for something that another goroutine is about to bring about.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it has not happened in 10 s")
		}
	}
}

// TestLargeEpisode runs more trials than go into a message.
func TestLargeEpisode(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	const n = 200_000
	trials := make([]int64, n)
	for i := range trials {
		trials[i] = int64(i)
	}
	run := func(loop task.ClosedLoop) string {
		e, o, err := loop.Begin(ctx, task.EpisodeRequest{Split: task.All, Trials: trials})
		if err != nil {
			t.Fatal(err)
		}
		a := tensor.New64("actions", n, 2)
		for i := range a.F64 {
			a.F64[i] = float64(i) + o.Inputs.F64[i]
		}
		o, err = e.Step(ctx, 0, a)
		if err != nil {
			t.Fatal(err)
		}
		c, err := e.VJP(ctx, 0, o.Inputs, o.State)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.End(ctx); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i, x := range c.F64 {
			sum += x * float64(i%7)
		}
		return fmt.Sprintf("%x %v %v %v", sum, o.Inputs.Shape, o.State.Shape, o.Recorded[0].Shape)
	}
	mine, err := local().task("point-mass", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := run(mine.(task.ClosedLoop))
	if got := run(openPoint(t, p.Plugin, nil).(task.ClosedLoop)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLargeDynamics hands the dynamics more states than go into a message, and asks for observations wider than the states.
func TestLargeDynamics(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	m := openLinear(t, p.Plugin, param.Values{"size": 3})
	d, err := m.Dynamics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w, err := m.Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	truth := &linearDynamics{w[0], w[1]}
	x, u := tensor.New64("x", 100_000, 3), tensor.New64("u", 100_000, 2)
	for i := range x.F64 {
		x.F64[i] = float64(i % 101)
	}
	got, err := d.Step(ctx, x, u)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := truth.Step(ctx, x, u)
	if !slices.Equal(got.F64, want.F64) || !slices.Equal(got.Shape, want.Shape) {
		t.Error("the steps of a large batch differ")
	}
	few := x.Slice(0, 3000)
	rates, err := d.Observe(ctx, few, model.Rates)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := truth.Observe(ctx, few, model.Rates); !slices.Equal(rates.F64, want.F64) {
		t.Error("the rates of a large batch differ")
	}
	js, ju, err := d.Jacobians(ctx, x, u)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(js.Expect(100_000, 3, 3), ju.Expect(100_000, 3, 2)); err != nil || js.F64[len(js.F64)-1] != w[0].F64[8] {
		t.Errorf("the Jacobians of a large batch differ: %v", err)
	}
}

func TestCancelAndDeadline(t *testing.T) {
	p := inMemory(t)
	w := openWave(t, p.Plugin, param.Values{"failure": "hang"})
	ctx, cancel := context.WithCancel(context.Background())
	var last error
	for _, err := range w.Trials(ctx, task.TrialRequest{Split: task.Train}) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a cancelled stream gives %v", last)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := tensor.Collect(w.Trials(ctx, task.TrialRequest{Split: task.Train}))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stream past its deadline gives %v", err)
	}
	// Both have reached the other side: nothing runs any more.
	if err := p.Drain(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestCloseAndDrain(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	start := func(p *peer, failure string) (client.Task, chan error) {
		w := openWave(t, p.Plugin, param.Values{"failure": failure})
		began, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			var last error
			for _, err := range w.Trials(ctx, task.TrialRequest{Split: task.Train}) {
				if last = err; err == nil {
					close(began)
				}
			}
			ended <- last
		}()
		<-began
		return w, ended
	}
	w, ended := start(p, "hang")
	if err := w.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, component.ErrUnavailable) {
		t.Errorf("a call on an instance that is closed gives %v", err)
	}
	_, ended = start(p, "hang")
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if err := p.Drain(short); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, component.ErrUnavailable) {
		t.Errorf("a call that is drained gives %v", err)
	}
	if _, err := p.OpenTask(ctx, name(component.Task, "wave"), nil, testEnv); !errors.Is(err, component.ErrUnavailable) {
		t.Errorf("a plugin that has drained gives %v", err)
	}
	h, err := p.Health(ctx)
	if err != nil || h.Ready {
		t.Errorf("health of a plugin that has drained is %+v, %v", h, err)
	}

	// One that is held up in sending, since nobody reads what it sends, is ended too.
	clogged := inMemory(t)
	w = openWave(t, clogged.Plugin, param.Values{"blocks": 64, "trials": 1024, "bins": 1024})
	next, stop := iter.Pull2(w.Trials(ctx, task.TrialRequest{Split: task.Train}))
	defer stop()
	if _, err, _ := next(); err != nil {
		t.Fatal(err)
	}
	limited, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()
	if err := clogged.Drain(limited); err != nil {
		t.Errorf("Drain while nobody reads: %v", err)
	}
	for {
		_, err, more := next()
		if !more {
			t.Error("a call that is drained while nobody reads ends as if it had sent all")
			break
		}
		if err != nil {
			if !errors.Is(err, component.ErrUnavailable) {
				t.Errorf("a call that is drained while nobody reads gives %v", err)
			}
			break
		}
	}

	// A call that heeds the request ends by itself, and is waited for.
	patient := inMemory(t)
	_, ended = start(patient, "drain")
	if err := patient.Drain(ctx); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, component.ErrUnavailable) || err.Error() != "wave: to be continued: unavailable" {
		t.Errorf("a call that heeds the request gives %v", err)
	}
}

func TestHealthShowsProgress(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	m := openLinear(t, p.Plugin, nil)
	release := make(chan struct{})
	var h component.Health
	_, err := m.Train(ctx, model.TrainRequest{Data: asked(func() {
		select {
		case <-release:
		default:
			var err error
			if h, err = p.Health(ctx); err != nil {
				t.Error(err)
			}
			close(release)
		}
	})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Ready || len(h.Last) != 1 {
		t.Fatalf("health while training is %+v", h)
	}
	for id, last := range h.Last {
		if last.Phase != "epoch" || last.Total != 2 || !math.IsNaN(last.Loss) || h.Age[id] < 0 {
			t.Errorf("the progress of %s is %+v", id, last)
		}
	}
	if h, err = p.Health(ctx); err != nil || len(h.Last) != 0 {
		t.Errorf("health after training is %+v, %v", h, err)
	}
}

// asked is a data source that tells when it is asked.
type asked func()

func (f asked) Data(ctx context.Context, split task.Split) tensor.Blocks {
	f()
	return spikes{}.Data(ctx, split)
}
