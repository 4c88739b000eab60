package train

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// straight is y = w x + b on trials with x and y, the smallest network there is. In its epoch poison the target is NaN.
type straight[F kernel.Float] struct {
	params *nn.Params[F]
	poison int64
}

func newStraight[F kernel.Float]() *straight[F] {
	p := nn.NewParams[F](1)
	p.Linear("line", 2, 1)
	return &straight[F]{p, -1}
}

func (s *straight[F]) Params() *nn.Params[F] { return s.params }

func (s *straight[F]) Build(g *nn.Graph[F], d *Data[F]) (Program[F], error) {
	x, y := g.Data("x", 2), g.Data("y", 1)
	l := g.SquaredError(g.LinearOf("line", x), y, nil, nn.Scale{Factor: 1})
	return Program[F]{Losses: []*nn.Loss{l}, Fill: func(d *Data[F], rows []int, p nn.Pass) error {
		d.Gather(g.Array(x), "x", rows)
		d.Gather(g.Array(y), "y", rows)
		if p.Epoch == s.poison {
			g.Array(y)[0] = F(math.NaN())
		}
		return nil
	}}, nil
}

func points(first, n int) tensor.Block {
	b := tensor.Block{}
	x, y, g := tensor.New64("x", n, 2), tensor.New64("y", n, 1), tensor.NewInt("group", n)
	for i := range n {
		a := float64((first+i)%7) - 3
		x.F64[2*i], x.F64[2*i+1] = a, a*a/9
		y.F64[i] = 0.5*a - 2*a*a/9 + 1
		g.I64[i] = int64(i % 3)
		b.Trials = append(b.Trials, int64(first+i))
	}
	b.Arrays = tensor.Set{x, y, g}
	return b
}

func loaded[F kernel.Float](t testing.TB, blocks ...tensor.Block) *Data[F] {
	t.Helper()
	d, err := Load[F](t.Context(), tensor.Of(blocks...), 0, Column{Name: "x", Shape: []int{2}}, Column{Name: "y", Shape: []int{1}}, Column{Name: "group", Integer: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func source[F kernel.Float](t testing.TB) Source[F] {
	d, v := loaded[F](t, points(0, 40), points(40, 30)), loaded[F](t, points(70, 20))
	return Source[F]{Train: func(context.Context, uint64) (*Data[F], error) { return d, nil }, Valid: func(context.Context) (*Data[F], error) { return v, nil }}
}

func config() Config {
	return Config{Epochs: 60, BatchSize: 16, Optimiser: Adam(0.05, 0, false), Clip: 10, Env: component.Env{Seed: 4, Threads: 2}}
}

type metrics struct {
	component.Discard
	names  map[string][]component.Metric
	points []component.Checkpoint
	step   int64
}

func (m *metrics) Metric(x component.Metric) {
	if m.names == nil {
		m.names = map[string][]component.Metric{}
	}
	m.names[x.Name] = append(m.names[x.Name], x)
}

func (m *metrics) Checkpoint(c component.Checkpoint) { m.points = append(m.points, c) }

func (m *metrics) Progress(p component.Progress) { m.step = p.Done }

func TestFit(t *testing.T) {
	n := newStraight[float64]()
	c := config()
	c.Epochs, c.Env.Dir = 400, t.TempDir()
	var m metrics
	r, err := Fit(t.Context(), n, source[float64](t), c, &m)
	if err != nil {
		t.Fatal(err)
	}
	if w := n.params.Flat(); math.Abs(n.params.Get("line.weight")[0]-0.5) > 1e-3 || math.Abs(n.params.Get("line.weight")[1]+2) > 1e-2 || math.Abs(n.params.Get("line.bias")[0]-1) > 1e-2 {
		t.Errorf("weights are %v", w[:17])
	}
	if r.Epochs != 400 || r.Steps != 400*5 || r.Stopped != "epochs" || !r.KeptBest || len(r.Last) != 2 || m.step != r.Steps {
		t.Errorf("result is %+v", r)
	}
	for _, name := range []string{"train/loss", "valid/loss", "train/gradient_norm", "train/learning_rate"} {
		if v := m.names[name]; len(v) != 400 || v[7].Epoch != 7 || v[7].Step != 8*5-1 {
			t.Errorf("%s has %d values, %v", name, len(v), v[min(7, len(v)-1)])
		}
	}
	if len(m.points) != 1 || m.points[0].File != CheckpointFile || m.points[0].Step != r.Steps {
		t.Errorf("checkpoints are %v", m.points)
	}
	if best := m.names["valid/loss"][r.BestEpoch].Value; best != r.BestLoss {
		t.Errorf("best loss is %v, reported as %v", r.BestLoss, best)
	}
	if left, err := filepath.Glob(filepath.Join(c.Env.Dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("files are %v, %v", left, err)
	}
}

func TestSchedule(t *testing.T) {
	c := config()
	c.Epochs = 5
	var seen [][]float64
	c.Schedule = func(epoch int64, valid []float64) Rates {
		seen = append(seen, slices.Clone(valid))
		return Rates{LR: 0.1 / float64(epoch+1)}
	}
	var m metrics
	if _, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, &m); err != nil {
		t.Fatal(err)
	}
	for epoch, v := range seen {
		if len(v) != epoch || (epoch > 0 && v[epoch-1] != m.names["valid/loss"][epoch-1].Value) {
			t.Errorf("epoch %d saw %v", epoch, v)
		}
		if m.names["train/learning_rate"][epoch].Value != 0.1/float64(epoch+1) {
			t.Errorf("learning rate of epoch %d is %v", epoch, m.names["train/learning_rate"][epoch])
		}
	}
}

func TestFreshTrials(t *testing.T) {
	s := source[float64](t)
	var passes []uint64
	s.Fresh = true
	inner := s.Train
	s.Train = func(ctx context.Context, pass uint64) (*Data[float64], error) {
		passes = append(passes, pass)
		return inner(ctx, pass)
	}
	s.Valid = nil
	c := config()
	c.Epochs, c.KeepLast, c.Group = 3, true, "group"
	var m metrics
	r, err := Fit(t.Context(), newStraight[float64](), s, c, &m)
	if err != nil || !slices.Equal(passes, []uint64{0, 1, 2}) || r.KeptBest || r.Last != nil || m.names["valid/loss"] != nil {
		t.Errorf("passes %v, result %+v, %v", passes, r, err)
	}
}

func TestDiverged(t *testing.T) {
	n := newStraight[float64]()
	n.poison = 3
	c := config()
	c.Env.Dir = t.TempDir()
	_, err := Fit(t.Context(), n, source[float64](t), c, nil)
	var d *component.DivergedError
	if !errors.As(err, &d) || d.Step != 15 || !math.IsNaN(d.Value) || !strings.Contains(d.Quantity, "line.") {
		t.Errorf("error is %v", err)
	}
	if slices.ContainsFunc(n.params.Flat(), func(x float64) bool { return math.IsNaN(x) }) {
		t.Error("the weights are spoilt")
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := config()
	c.Env.Dir = t.TempDir()
	if _, err := Fit(ctx, newStraight[float64](), source[float64](t), c, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Stat(filepath.Join(c.Env.Dir, CheckpointFile)); err != nil {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for path, spoil := range map[string]func(*Config, *Source[float64]){
		"lr":           func(c *Config, _ *Source[float64]) { c.Optimiser.LR = math.Inf(1) },
		"weight_decay": func(c *Config, _ *Source[float64]) { c.Optimiser.WeightDecay = -5 },
		"group":        func(c *Config, _ *Source[float64]) { c.Group = "condition" },
		"source.train": func(_ *Config, s *Source[float64]) { s.Train = nil },
		"trials": func(_ *Config, s *Source[float64]) {
			s.Train = func(context.Context, uint64) (*Data[float64], error) { return nil, nil }
		},
		"param_groups[0].lr": func(c *Config, _ *Source[float64]) { c.ParamGroups = []ParamGroup{{Match: "line.*", LR: math.Inf(1)}} },
	} {
		c, s := config(), source[float64](t)
		spoil(&c, &s)
		_, err := Fit(t.Context(), newStraight[float64](), s, c, nil)
		var e *component.InvalidArgumentError
		if !errors.As(err, &e) || len(e.Problems) != 1 || e.Problems[0].Path != path || e.Problems[0].Message == "" {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := Fit(t.Context(), newStraight[float64](), source[float64](t), Config{Clip: math.NaN(), Patience: -1}, nil)
	var e *component.InvalidArgumentError
	if !errors.As(err, &e) || len(e.Problems) != 5 {
		t.Errorf("error is %v, want 5 problems", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	short, nan, missing := points(0, 3), points(0, 3), points(0, 3)
	short.Arrays[1].Shape = []int{3}
	nan.Arrays[0].F64[4] = math.NaN()
	missing.Arrays = missing.Arrays[:1]
	huge := points(0, 3)
	huge.Arrays[0].F64[4] = -1e39
	_, err := Load[float32](t.Context(), tensor.Of(points(5, 3), huge), 0, Column{Name: "x", Shape: []int{2}})
	var e *component.InvalidArgumentError
	if !errors.As(err, &e) || e.Problems[0].Path != "x" || !strings.Contains(e.Problems[0].Message, "-1e+39 of trial 2 ") {
		t.Errorf("beyond single precision: %v", err)
	}
	if _, err := Load[float64](t.Context(), tensor.Of(huge), 0, Column{Name: "x", Shape: []int{2}}); err != nil {
		t.Errorf("within double precision: %v", err)
	}
	broken := errors.New("broken")
	for name, blocks := range map[string]tensor.Blocks{"nothing": tensor.Of(), "shape": tensor.Of(points(0, 3), short), "nan": tensor.Of(nan), "missing": tensor.Of(missing),
		"later": tensor.Of(points(0, 3), missing), "broken": tensor.Fail(broken), "type": tensor.Of(tensor.Block{Trials: []int64{0}, Arrays: tensor.Set{tensor.New32("x", 1, 2), tensor.New32("y", 1, 1), tensor.New32("group", 1)}})} {
		_, err := Load[float32](t.Context(), blocks, 0, Column{Name: "x", Shape: []int{2}}, Column{Name: "y", Shape: []int{1}}, Column{Name: "group", Integer: true})
		if err == nil || (name == "broken") != errors.Is(err, broken) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestBatches(t *testing.T) {
	flat := func(b [][]int) []int { return slices.Sorted(slices.Values(slices.Concat(b...))) }
	all := make([]int, 103)
	groups := make([]int64, 103)
	for i := range all {
		all[i], groups[i] = i, int64(i%4)*10
	}
	a, b := Batches(1, 0, 103, 20, nil), Batches(1, 1, 103, 20, nil)
	if !slices.Equal(flat(a), all) || len(a) != 6 || len(a[5]) != 3 || slices.Equal(a[0], b[0]) || !slices.Equal(a[3], Batches(1, 0, 103, 20, nil)[3]) {
		t.Errorf("batches are %v", a)
	}
	c := Batches(1, 0, 103, 20, groups)
	if !slices.Equal(flat(c), all) || len(c) != 8 {
		t.Errorf("grouped batches are %v", c)
	}
	mixed := 0
	for i, x := range c {
		for _, k := range x {
			if groups[k] != groups[x[0]] {
				t.Errorf("batch %d holds two groups", i)
			}
		}
		if i > 0 && groups[x[0]] != groups[c[i-1][0]] {
			mixed++
		}
	}
	if mixed < 4 {
		t.Error("the groups are not mixed")
	}
	// Every trial comes first about as often as another.
	counts := make([]int, 5)
	for seed := range uint64(5000) {
		counts[Batches(seed, 0, 5, 5, nil)[0][0]]++
	}
	for _, n := range counts {
		if math.Abs(float64(n)-1000) > 5*math.Sqrt(800) {
			t.Errorf("counts are %v", counts)
			break
		}
	}
}

// given is a network of one parameter whose gradient is given by the target: the loss is y times the target, summed.
type given[F kernel.Float] struct{ params *nn.Params[F] }

func (g given[F]) Params() *nn.Params[F] { return g.params }

func (n given[F]) Build(g *nn.Graph[F], d *Data[F]) (Program[F], error) {
	// With all inputs 1, the bias of a linear map has the gradient that Custom hands out.
	x, y := g.Data("x", 1), g.Data("g", len(n.params.Get("p.bias")))
	zero := g.Variable("zero", len(n.params.Get("p.bias")), 1)
	l := g.Custom("given", g.Linear(x, zero, g.Param("p.bias")), 1, func(_ nn.Pass, _, grad []F) (float64, error) {
		copy(grad, g.Array(y))
		return 0, nil
	})
	return Program[F]{Losses: []*nn.Loss{l}, Fill: func(d *Data[F], rows []int, _ nn.Pass) error {
		d.Gather(g.Array(y), "g", rows)
		return nil
	}}, nil
}

// goldenCases are the cases of nn.json whose names begin with prefix. Other cases have parameters of other types, so only these are decoded.
func goldenCases[C any](t *testing.T, prefix string) []C {
	t.Helper()
	dir := os.Getenv("CTDB_GOLDEN")
	if dir == "" {
		dir = "testdata"
	}
	b, err := os.ReadFile(filepath.Join(dir, "nn.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []json.RawMessage }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	var cases []C
	for _, raw := range all.Cases {
		var head struct{ Name string }
		if err := json.Unmarshal(raw, &head); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(head.Name, prefix) {
			continue
		}
		var c C
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

func TestGoldenOptimisers(t *testing.T) {
	type optimiserCase struct {
		Name   string
		Params struct {
			LR          float64 `json:"lr"`
			WeightDecay float64 `json:"weight_decay"`
			Betas       []float64
			Eps         float64
		}
		Tensors map[string]struct{ Data []float64 }
	}
	cases := goldenCases[optimiserCase](t, "opt_adam")
	if len(cases) < 8 {
		t.Fatalf("%d cases, want 8", len(cases))
	}
	for _, c := range cases {
		a := Adam(c.Params.LR, c.Params.WeightDecay, strings.HasPrefix(c.Name, "opt_adamw/"))
		if c.Params.Betas != nil {
			a.Beta1, a.Beta2 = c.Params.Betas[0], c.Params.Betas[1]
		}
		if c.Params.Eps != 0 {
			a.Eps = c.Params.Eps
		}
		if strings.HasSuffix(c.Name, "float32") {
			optimise[float32](t, c.Name, a, c.Tensors["p0"].Data, c.Tensors["grads"].Data, c.Tensors["after"].Data, 1e-6)
		} else {
			optimise[float64](t, c.Name, a, c.Tensors["p0"].Data, c.Tensors["grads"].Data, c.Tensors["after"].Data, 1e-10)
		}
	}
}

func optimise[F kernel.Float](t *testing.T, name string, a kernel.Adam, p0, grads, after []float64, tolerance float64) {
	t.Helper()
	p := nn.NewParams[F](0)
	p.Zeros("p.bias", len(p0))
	for i, v := range p0 {
		p.Get("p.bias")[i] = F(v)
	}
	s, err := NewStepper[F](given[F]{p}, 1, Config{Optimiser: a})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for step := range len(grads) / len(p0) {
		d, err := Load[F](t.Context(), tensor.Of(tensor.Block{Trials: []int64{0}, Arrays: tensor.Set{tensor.From64("g", grads[step*len(p0):(step+1)*len(p0)], 1, len(p0))}}), 1, Column{Name: "g", Shape: []int{-1}})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Step(d, []int{0}, nn.Pass{}); err != nil {
			t.Fatal(err)
		}
		for i, got := range p.Get("p.bias") {
			if want := after[step*len(p0)+i]; math.Abs(float64(got)-want) > tolerance*max(1, math.Abs(want)) {
				t.Fatalf("%s: step %d: parameter %d is %v, want %v", name, step, i, got, want)
			}
		}
	}
}

// TestValidationDiverges has validation trials that overflow while training goes well: no epoch could be the best.
func TestValidationDiverges(t *testing.T) {
	s := source[float64](t)
	far := points(70, 20)
	far.Arrays[1].F64[0] = 1e300
	v := loaded[float64](t, far)
	s.Valid = func(context.Context) (*Data[float64], error) { return v, nil }
	_, err := Fit(t.Context(), newStraight[float64](), s, config(), nil)
	var e *component.DivergedError
	if !errors.As(err, &e) || !strings.HasPrefix(e.Quantity, "validation loss (largest gradient: ") {
		t.Errorf("error is %v", err)
	}
}
