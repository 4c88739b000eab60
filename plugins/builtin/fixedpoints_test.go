package builtin

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/comparators/fixedpoints"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestFixedPointsOfEveryModel searches in every model with dynamics, with the weights that a training begins from, under an input: what is found stays where it is when the model itself takes a step,
// and where iterating from everywhere ends in one state, that state is found, and nothing else.
func TestFixedPointsOfEveryModel(t *testing.T) {
	const iterated, starts = 4000, 60
	_, spec := flipflop(t, 125, 8)
	data := record(125, 8)
	searched, ended := 0, 0
	for _, s := range settings(t, func(s setting) model.Target { return s.target(spec, data.spec) }) {
		if s.varied || !s.factory.Info.Can(component.HasDynamics) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			e := examined{T: t, setting: s, d: dynamics(t, s.open(t, 1, spec, data))}
			var err error
			if e.layout, err = e.d.Layout(t.Context()); err != nil {
				t.Fatal(err)
			}
			r := random.New(2, s.name)
			input := e.random(r, model.Inputs, 1, e.layout.Inputs)
			from := e.random(r, model.State, starts, e.layout.Size)
			set, err := fixedpoints.Search{Dynamics: e.d, Input: input.F64, Threads: 2}.Find(t.Context(), from.F64)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range set.Fixed {
				next := e.step(tensor.From64(model.State, p.X, 1, e.layout.Size), input)
				if r := apart(next.F64, p.X); !(r < 1e-10) || p.Q > 1e-12 {
					t.Errorf("a point with q %v moves by %v", p.Q, r)
				}
			}
			x, inputs := tensor.From64(model.State, from.F64[:4*e.layout.Size], 4, e.layout.Size), tensor.New64(model.Inputs, 4, e.layout.Inputs)
			for i := range 4 {
				copy(inputs.F64[i*e.layout.Inputs:], input.F64)
			}
			for range iterated {
				x = e.step(x, inputs)
			}
			searched++
			d, spread := e.layout.Size, 0.0
			for i := range 4 {
				spread = math.Max(spread, apart(x.F64[i*d:(i+1)*d], x.F64[:d]))
			}
			t.Logf("%d points, %d slow, %d without; 4 states end %.2g apart", len(set.Fixed), len(set.Slow), set.Unfinished, spread)
			if !(spread < 1e-8) {
				return
			}
			ended++
			if len(set.Fixed) != 1 || !(apart(set.Fixed[0].X, x.F64[:d]) < 1e-7) {
				t.Errorf("%d points, want the one that all states end in", len(set.Fixed))
			}
		})
	}
	if searched < 12 || ended < 10 {
		t.Errorf("%d models have dynamics, in %d of them all states end in one", searched, ended)
	}
}

// apart is the Euclidean distance.
func apart(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += (v - y[i]) * (v - y[i])
	}
	return math.Sqrt(sum)
}
