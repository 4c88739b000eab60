package train

import (
	"errors"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// deep is y = b(a(x)) of linear maps whose sizes are no whole vectors.
type deep[F kernel.Float] struct{ params *nn.Params[F] }

func newDeep[F kernel.Float]() deep[F] {
	p := nn.NewParams[F](3)
	p.Linear("a", 2, 5)
	p.Linear("b", 5, 1)
	return deep[F]{p}
}

func (n deep[F]) Params() *nn.Params[F] { return n.params }

func (n deep[F]) Build(g *nn.Graph[F], _ *Data[F]) (Program[F], error) {
	x, y := g.Data("x", 2), g.Data("y", 1)
	l := g.SquaredError(g.LinearOf("b", g.LinearOf("a", x)), y, nil, nn.Scale{Factor: 1})
	return Program[F]{Losses: []*nn.Loss{l}, Fill: func(d *Data[F], rows []int, _ nn.Pass) error {
		d.Gather(g.Array(x), "x", rows)
		d.Gather(g.Array(y), "y", rows)
		return nil
	}}, nil
}

// Each parameter takes the steps that an optimiser of its own would take with the same gradients.
func TestParamGroups(t *testing.T) {
	n := newDeep[float32]()
	all := make([]int, 40)
	for i := range all {
		all[i] = i
	}
	d := loaded[float32](t, points(0, 40))
	c := Config{Optimiser: Adam(0.02, 0.1, false), Clip: 0.3, ParamGroups: []ParamGroup{{Match: "a.weight"}, {Match: "*.weight", LR: 0.5, WeightDecay: 3, Decoupled: true}, {Match: "b.*", LR: 2}}}
	s, err := NewStepper(n, 1, c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	type alone struct {
		adam                      kernel.Adam
		value, grad, mean, square []float32
	}
	frozen := slices.Clone(n.params.Get("a.weight"))
	own := map[string]*alone{"a.bias": {adam: Adam(0.02, 0.1, false)}, "b.weight": {adam: Adam(0.01, 0.3, true)}, "b.bias": {adam: Adam(0.04, 0, false)}}
	own["b.weight"].adam.WeightDecay = 0.1 * 3.0
	for name, a := range own {
		v := n.params.Get(name)
		a.value, a.grad, a.mean, a.square = slices.Clone(v), make([]float32, len(v)), make([]float32, len(v)), make([]float32, len(v))
	}
	for step := range 20 {
		grad := make([]float32, len(n.params.Flat()))
		if _, _, err := s.Runner.Run(d, all, nn.Pass{}, grad); err != nil {
			t.Fatal(err)
		}
		_, norm, err := s.Step(d, all, nn.Pass{})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range n.params.All() {
			if q.Name == "a.weight" {
				clear(grad[q.Offset : q.Offset+len(q.Value)])
			}
		}
		if want := kernel.GlobalNorm(grad); norm != want {
			t.Fatalf("step %d: the norm is %v, of what is not frozen %v", step, norm, want)
		}
		kernel.Scale(grad, kernel.ClipFactor(norm, c.Clip))
		for _, q := range n.params.All() {
			a := own[q.Name]
			if a == nil {
				continue
			}
			copy(a.grad, grad[q.Offset:])
			if err := kernel.AdamStep(a.adam, step+1, a.value, a.grad, a.mean, a.square); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(q.Value, a.value) {
				t.Fatalf("step %d: %s is %v, alone %v", step, q.Name, q.Value, a.value)
			}
		}
	}
	if !slices.Equal(n.params.Get("a.weight"), frozen) {
		t.Error("frozen parameters changed")
	}
}

// Groups that say what holds anyway change no bit, under a schedule too; a checkpoint of other groups is refused.
func TestParamGroupsOfTheDefault(t *testing.T) {
	c := config()
	c.Epochs, c.Optimiser, c.Env.Dir = 5, Adam(0.05, 0.01, true), t.TempDir()
	c.Schedule = func(epoch int64, _ []float64) Rates { return Rates{0.05 / float64(epoch+1), 0.01 * float64(epoch)} }
	plain, grouped := newDeep[float32](), newDeep[float32]()
	if _, err := Fit(t.Context(), plain, source[float32](t), c, nil); err != nil {
		t.Fatal(err)
	}
	first := c.Env.Dir
	c.Env.Dir, c.ParamGroups = t.TempDir(), []ParamGroup{{Match: "a.*", LR: 1, WeightDecay: 1, Decoupled: true}, {Match: "b.bias", LR: 1, WeightDecay: 1, Decoupled: true}}
	if _, err := Fit(t.Context(), grouped, source[float32](t), c, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(plain.params.Flat(), grouped.params.Flat()) {
		t.Error("groups of the default change the result")
	}
	c.Env.Dir = first
	if _, err := Fit(t.Context(), newDeep[float32](), source[float32](t), c, nil); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a checkpoint without groups: %v", err)
	}
}

func TestParamGroupsAreChecked(t *testing.T) {
	c := config()
	c.ParamGroups = []ParamGroup{{Match: "c.*", LR: 1}, {Match: "[", LR: 1}, {Match: "a.*", LR: -1, WeightDecay: -1}}
	_, err := Fit(t.Context(), newDeep[float32](), source[float32](t), c, nil)
	var e *component.InvalidArgumentError
	if !errors.As(err, &e) || len(e.Problems) != 4 || e.Problems[0].Path != "param_groups[0].match" {
		t.Errorf("error is %v, want 4 problems", err)
	}
}
