package serve_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// buffer may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// peer is a plugin that is served in this process.
type peer struct {
	*client.Plugin
	probe *probe
	log   *buffer
	conn  *grpc.ClientConn
	stop  func()
}

// serveOn serves the test plugin on a listener, with a token.
func serveOn(t testing.TB, l net.Listener, address string, dial ...grpc.DialOption) *peer {
	t.Helper()
	p := &peer{probe: &probe{}, log: &buffer{}}
	s := grpc.NewServer(serve.ServerOptions()...)
	serve.Register(s, testPlugin(p.probe), serve.Options{Token: "secret", Log: slog.New(serve.NewLogHandler(p.log, "boundary-test"))})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	target := address
	if target == "" {
		target = "passthrough:///bufconn"
	}
	conn, err := grpc.NewClient(target, append(client.DialOptions(), dial...)...)
	if err != nil {
		t.Fatal(err)
	}
	p.conn = conn
	p.stop = sync.OnceFunc(func() {
		s.Stop()
		<-done
	})
	t.Cleanup(func() {
		_ = conn.Close()
		p.stop()
	})
	p.Plugin = client.New(conn, address, "secret")
	return p
}

// inMemory serves the test plugin over a pipe in memory.
func inMemory(t testing.TB) *peer {
	l := bufconn.Listen(1 << 20)
	return serveOn(t, l, "", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
}

// onSocket serves the test plugin on a socket that other plugins can dial.
func onSocket(t testing.TB) *peer {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, "unix://"+path)
}

// opener opens components, wherever they are.
type opener struct {
	task       func(short string, v param.Values) (task.Task, error)
	model      func(short string, v param.Values, target model.Target) (model.Model, error)
	simulator  func(short string, v param.Values, source simulator.Source) (simulator.Simulator, error)
	comparator func(short string) (comparator.Comparator, error)
}

var testEnv = component.Env{Seed: 11, Threads: 1, Log: slog.New(slog.DiscardHandler)}

func local() opener {
	p := testPlugin(&probe{})
	ctx := context.Background()
	resolve := func(info component.Info, v param.Values) (param.Values, error) {
		out, problems := info.Params.Resolve(v)
		if len(problems) > 0 {
			return nil, &component.InvalidArgumentError{Problems: problems}
		}
		return out, nil
	}
	return opener{
		task: func(short string, v param.Values) (task.Task, error) {
			f := p.Tasks[0]
			if short == "wave" {
				f = p.Tasks[1]
			}
			v, err := resolve(f.Info, v)
			if err != nil {
				return nil, err
			}
			return f.Open(ctx, v, testEnv)
		},
		model: func(_ string, v param.Values, target model.Target) (model.Model, error) {
			v, err := resolve(p.Models[0].Info, v)
			if err != nil {
				return nil, err
			}
			return p.Models[0].Open(ctx, v, testEnv, target)
		},
		simulator: func(_ string, v param.Values, source simulator.Source) (simulator.Simulator, error) {
			v, err := resolve(p.Simulators[0].Info, v)
			if err != nil {
				return nil, err
			}
			return p.Simulators[0].Open(ctx, v, testEnv, source)
		},
		comparator: func(string) (comparator.Comparator, error) { return p.Comparators[0].Open(ctx, nil, testEnv) },
	}
}

// remote opens tasks and models each in a plugin of their own, comparators in the tasks', simulators in the models'.
func remote(tasks, models *client.Plugin) opener {
	ctx := context.Background()
	return opener{
		task: func(short string, v param.Values) (task.Task, error) {
			return tasks.OpenTask(ctx, name(component.Task, short), v, testEnv)
		},
		model: func(short string, v param.Values, target model.Target) (model.Model, error) {
			return models.OpenModel(ctx, name(component.Model, short), v, testEnv, target)
		},
		simulator: func(short string, v param.Values, source simulator.Source) (simulator.Simulator, error) {
			return models.OpenSimulator(ctx, name(component.Simulator, short), v, testEnv, source)
		},
		comparator: func(short string) (comparator.Comparator, error) {
			return tasks.OpenComparator(ctx, name(component.Comparator, short), nil, testEnv)
		},
	}
}

// script is a list of everything that came out of a study, to the bit.
type script struct {
	strings.Builder
}

func (s *script) tensor(t *tensor.Tensor) {
	if t == nil {
		s.WriteString("nil\n")
		return
	}
	fmt.Fprintf(s, "%q %v %q %v %x %x %v\n", t.Name, t.Axes, t.Unit, t.Shape, t.F32, t.F64, t.I64)
}

func (s *script) set(set tensor.Set) {
	for _, t := range set {
		s.tensor(t)
	}
}

func (s *script) blocks(blocks tensor.Blocks) error {
	for b, err := range blocks {
		if err != nil {
			return err
		}
		fmt.Fprintln(s, "block", b.Trials)
		s.set(b.Arrays)
	}
	return nil
}

// script is a reporter too; progress may be thinned out on the way, and a figure that cannot be drawn is left out.
func (s *script) Progress(component.Progress)       {}
func (s *script) Metric(m component.Metric)         { fmt.Fprintf(s, "%+v\n", m) }
func (s *script) Checkpoint(c component.Checkpoint) { fmt.Fprintf(s, "%+v\n", c) }
func (s *script) observation(o task.Observation) {
	s.tensor(o.Inputs)
	s.tensor(o.State)
	s.set(o.Recorded)
}
func (s *script) say(what string, v any)              { fmt.Fprintf(s, "%s %+v\n", what, v) }
func (s *script) failed(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }
func (s *script) Figure(f component.Figure) {
	if f.Check() == nil {
		fmt.Fprintf(s, "%+v\n", f)
	}
}

// spikes is a data set of a few blocks.
type spikes struct{}

func (spikes) Data(ctx context.Context, split task.Split) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for i := range 5 {
			x := tensor.New32(model.Encoded, 2, 3, 4)
			for k := range x.F32 {
				x.F32[k] = float32(k*i) + float32(len(split))
			}
			if !yield(tensor.Block{Trials: []int64{int64(2 * i), int64(2*i + 1)}, Arrays: tensor.Set{x}}, ctx.Err()) {
				return
			}
		}
	}
}

// study puts every method of every kind to use.
func study(o opener) (string, error) {
	s := &script{}
	ctx := context.Background()
	t, err := o.task("point-mass", param.Values{"bins": 7, "gains": []any{1, 2.5}})
	if err != nil {
		return "", s.failed("open task", err)
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return "", s.failed("spec", err)
	}
	loop := *spec.Loop
	spec.Loop = nil
	s.say("spec", spec)
	s.say("loop", loop)
	spec.Loop = &loop
	for _, split := range []task.Split{task.Train, task.Valid, task.All} {
		if err := s.blocks(t.Trials(ctx, task.TrialRequest{Split: split, Pass: 3})); err != nil {
			return "", s.failed("trials", err)
		}
	}
	for range t.Trials(ctx, task.TrialRequest{Split: task.All, BlockTrials: 1}) {
		break
	}
	if err := s.episodes(ctx, t.(task.ClosedLoop)); err != nil {
		return "", s.failed("episode", err)
	}
	for _, target := range []model.Target{{Task: &spec}, {Data: &model.DataSpec{Neurons: 4, HeldIn: 3, Bins: 3}}} {
		if err := s.model(ctx, o, t, target); err != nil {
			return "", err
		}
	}
	if err := s.simulator(ctx, o, &spec); err != nil {
		return "", s.failed("simulator", err)
	}
	return s.String(), nil
}

func (s *script) episodes(ctx context.Context, t task.ClosedLoop) error {
	e, o, err := t.Begin(ctx, task.EpisodeRequest{Split: task.Train, Trials: []int64{3, 1}, Tape: true, Float64: true})
	if err != nil {
		return err
	}
	s.observation(o)
	for k := range 3 {
		if o, err = e.Step(ctx, k, tensor.From64("actions", []float64{1, 2, 3, float64(k)}, 2, 2)); err != nil {
			return err
		}
		s.observation(o)
	}
	for k := 2; k >= 0; k-- {
		inputs := o.Inputs
		if k == 1 {
			inputs = nil
		}
		c, err := e.VJP(ctx, k, inputs, o.State)
		if err != nil {
			return err
		}
		s.tensor(c)
	}
	if err := e.DropTape(ctx, 2); err != nil {
		return err
	}
	return e.End(ctx)
}

func (s *script) model(ctx context.Context, o opener, t task.Task, target model.Target) error {
	m, err := o.model("linear", param.Values{}, target)
	if err != nil {
		return s.failed("open model", err)
	}
	req := model.TrainRequest{}
	if target.Task != nil {
		req.Task = t
	} else {
		req.Data = spikes{}
	}
	result, err := m.Train(ctx, req, s)
	if err != nil {
		return s.failed("train", err)
	}
	s.set(result.Last)
	result.Last = nil
	s.say("trained", result)
	outputs := m.Rollout(ctx, model.RolloutRequest{Noise: true, Seed: 5}, spikes{}.Data(ctx, task.Valid))
	kept, err := tensor.Collect(outputs)
	if err != nil {
		return s.failed("rollout", err)
	}
	s.set(kept.Arrays)
	score, err := t.Score(ctx, task.ScoreRequest{Split: task.Valid, Pass: 2}, tensor.Of(kept))
	if err != nil {
		return s.failed("score", err)
	}
	s.say("score", score)
	value, cotangent, err := t.(task.CustomLoss).Loss(ctx, task.ScoreRequest{Split: task.Valid}, kept.Trials, kept.Arrays[0])
	if err != nil {
		return s.failed("loss", err)
	}
	s.say("loss", value)
	s.tensor(cotangent)
	if err := s.blocks(m.Rollout(ctx, model.RolloutRequest{Task: t.(task.ClosedLoop), Split: task.Valid}, tensor.Of())); err != nil {
		return s.failed("rollout in closed loop", err)
	}
	weights, err := m.Save(ctx)
	if err != nil {
		return s.failed("save", err)
	}
	for i := range weights[0].F64 {
		weights[0].F64[i] *= 2
	}
	if err := m.Load(ctx, weights); err != nil {
		return s.failed("load", err)
	}
	d, err := m.Dynamics(ctx)
	if err != nil {
		return s.failed("dynamics", err)
	}
	if err := s.dynamics(ctx, d); err != nil {
		return s.failed("dynamics", err)
	}
	c, err := o.comparator("jacobian")
	if err != nil {
		return s.failed("open comparator", err)
	}
	found, err := c.Compare(ctx, comparator.Request{Subjects: []comparator.Subject{
		{Label: "truth", Role: comparator.Truth, Dynamics: d, Train: weights, Valid: tensor.Set{weights[0]}, Scored: weights},
		{Label: "fit", Role: comparator.Fitted, Why: "it is asleep", HeldIn: 3},
	}}, s)
	if err != nil {
		return s.failed("compare", err)
	}
	s.set(found.Matrices)
	s.say("results", found.Results)
	s.say("figures", found.Figures)
	return nil
}

func (s *script) dynamics(ctx context.Context, d model.Dynamics) error {
	l, err := d.Layout(ctx)
	if err != nil {
		return err
	}
	s.say("layout", l)
	x0, err := d.InitialState(ctx, tensor.Block{})
	if err != nil {
		return err
	}
	s.tensor(x0)
	x, u := tensor.New64("x", 4, l.Size), tensor.New64("u", 4, l.Inputs)
	for i := range x.F64 {
		x.F64[i] = math.Sin(float64(i))
	}
	for i := range u.F64 {
		u.F64[i] = math.Cos(float64(i))
	}
	for _, f := range []func() (*tensor.Tensor, error){
		func() (*tensor.Tensor, error) { return d.Step(ctx, x, u) },
		func() (*tensor.Tensor, error) { return d.Step(ctx, x, nil) },
		func() (*tensor.Tensor, error) { return d.Observe(ctx, x, model.Latents) },
		func() (*tensor.Tensor, error) { return d.JVP(ctx, x, u, x, nil) },
	} {
		y, err := f()
		if err != nil {
			return err
		}
		s.tensor(y)
	}
	a, b, err := d.VJP(ctx, x, u, x)
	if err != nil {
		return err
	}
	s.tensor(a)
	s.tensor(b)
	if a, b, err = d.Jacobians(ctx, x, u); err != nil {
		return err
	}
	s.tensor(a)
	s.tensor(b)
	return nil
}

func (s *script) simulator(ctx context.Context, o opener, spec *task.Spec) error {
	m, err := o.simulator("scale", param.Values{"neurons": 5}, simulator.Source{Latents: 4, Bins: 3, Task: spec})
	if err != nil {
		return err
	}
	says, err := m.Spec(ctx)
	if err != nil {
		return err
	}
	s.say("simulator", says)
	latents := func(yield func(tensor.Block, error) bool) {
		for b, err := range (spikes{}).Data(ctx, task.Train) {
			b.Arrays[0] = b.Arrays[0].Named(simulator.Latents)
			if !yield(b, err) {
				return
			}
		}
	}
	set, err := m.Fit(ctx, latents)
	if err != nil {
		return err
	}
	s.set(set)
	return s.blocks(m.Simulate(ctx, latents))
}

func TestRemoteIsLikeLocal(t *testing.T) {
	want, err := study(local())
	if err != nil {
		t.Fatal(err)
	}
	one := inMemory(t)
	a, b := onSocket(t), onSocket(t)
	for _, tt := range []struct {
		name string
		o    opener
	}{
		{"one plugin", remote(one.Plugin, one.Plugin)},
		{"two plugins", remote(a.Plugin, b.Plugin)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := study(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Error(firstDifference(got, want))
			}
		})
	}
	if n := a.probe.episodes.Load() + one.probe.episodes.Load(); n != 0 {
		t.Errorf("%d episodes have not ended", n)
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}
