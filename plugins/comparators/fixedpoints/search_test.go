package fixedpoints

import (
	"math"
	"math/cmplx"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/transport"
	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// network is a built-in GRU in float64 with the given weights of its cell.
func network(t testing.TB, cell tensor.Set) model.Dynamics {
	t.Helper()
	const outputs = 3
	units, inputs := cell.Get("weight_hh").Shape[1], cell.Get("weight_ih").Shape[1]
	spec := task.Spec{Inputs: inputs, Outputs: outputs, Bins: 10, TrainTrials: 1, ValidTrials: 1,
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}}}
	training := recurrent.Training{Epochs: 1, BatchSize: 1, LR: 1e-3, Options: train.Options{Keep: "last"}}
	m, err := recurrent.Open(gru.Design[float64](gru.Params{Hidden: units, Training: training}, 0, 0), component.Env{Threads: 2}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	weights := tensor.Set{tensor.New64("latent_ics", 1, units), tensor.New64("readout.weight", outputs, units), tensor.New64("readout.bias", outputs)}
	own, err := m.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	weights[0].Shape = own.Get("latent_ics").Shape
	for _, w := range cell {
		weights = append(weights, w.Named("cell."+w.Name))
	}
	if err := m.Load(t.Context(), weights); err != nil {
		t.Fatal(err)
	}
	d, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// box draws starts from a cube around 0.
func box(seed uint64, n, size int, half float64) []float64 {
	r := random.New(seed, "test")
	out := make([]float64, n*size)
	for i := range out {
		out[i] = half * (2*r.Float64() - 1)
	}
	return out
}

// TestGoldenGRU finds every point of the golden networks from 1024 starts, whatever the seed, and no others, with their eigenvalues, Jacobians and unstable directions.
func TestGoldenGRU(t *testing.T) {
	prefixes := map[string]string{"gru_flipflop": "ff", "gru_flipflop_input": "ff", "gru_random": "rand"}
	for _, c := range golden.Select(t, "fixed_points.json", func(c golden.Case) bool { return prefixes[c.Name] != "" }) {
		d := network(t, golden.Weights(t, "fixed_points_gru.safetensors", prefixes[c.Name]))
		want := c.Tensors["points"]
		size := want.Shape[1]
		hits := c.Ints(t, "hits")
		for seed := range uint64(3) {
			began := time.Now()
			set, err := Search{Dynamics: d, Input: c.Floats(t, "input"), Threads: 2}.Find(t.Context(), box(seed, 1024, size, 1))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, seed %d: %d fixed, %d slow, %d outliers, %d unfinished, %v", c.Name, seed, len(set.Fixed), len(set.Slow), set.Outliers, set.Unfinished, time.Since(began))
			for i := range want.Shape[0] {
				x := want.F64[i*size : (i+1)*size]
				best := math.Inf(1)
				for _, p := range set.Fixed {
					best = min(best, distance(p.X, x))
				}
				if best > 1e-9 && hits[i] >= 5 {
					t.Errorf("%s: point %d (%d hits) is %v from the nearest found", c.Name, i, hits[i], best)
				}
			}
			if len(set.Fixed) != want.Shape[0] {
				t.Errorf("%s: %d points, want %d", c.Name, len(set.Fixed), want.Shape[0])
			}
			if seed == 0 {
				goldenSpectra(t, c, d, set)
			}
		}
	}
}

// goldenSpectra compares what is said of each point of a golden network.
func goldenSpectra(t *testing.T, c golden.Case, d model.Dynamics, set *Set) {
	t.Helper()
	sys, err := Search{Dynamics: d, Input: c.Floats(t, "input")}.system(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	linear, err := sys.linearise(t.Context(), set.Fixed, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	h, in := sys.size(), len(c.Floats(t, "input"))
	points, unstable, values, moduli := c.Floats(t, "points"), c.Ints(t, "unstable_directions"), c.Floats(t, "eigenvalues"), c.Floats(t, "max_modulus")
	index, jacobians, inputs := c.Ints(t, "jacobian_index"), c.Floats(t, "jacobians"), c.Floats(t, "input_jacobians")
	if c.Name == "gru_random" {
		// Its one point is left by all: where starts come to no point, that is not for want of looking, which the index agrees with.
		u := &under{Set: set, fixed: linear}
		e := &examined{Subject: &comparator.Subject{Label: "random"}, system: sys, found: []under{*u}}
		if r := e.results()[0]; linear[0].Unstable != 2 || u.index() != 1 || 2*set.Unfinished < set.Starts || !strings.Contains(r.Reason, "on a cycle") {
			t.Errorf("%d unstable directions, index %d, %d of %d starts unfinished: %q", linear[0].Unstable, u.index(), set.Unfinished, set.Starts, r.Reason)
		}
	}
	of := make([]Linear, len(unstable))
	for i := range of {
		k := slices.IndexFunc(set.Fixed, func(p Point) bool { return distance(p.X, points[i*h:(i+1)*h]) < 1e-9 })
		if k < 0 {
			t.Errorf("%s: point %d was not found", c.Name, i)
			return
		}
		l := linear[k]
		of[i] = l
		if set.Fixed[k].Q > 1e-24 || l.Unstable != int(unstable[i]) || math.Abs(cmplx.Abs(l.Eigenvalues[0])-moduli[i]) > 1e-7 {
			t.Errorf("%s: point %d: q %v, %d unstable directions, largest modulus %v, want %d and %v", c.Name, i, set.Fixed[k].Q, l.Unstable, cmplx.Abs(l.Eigenvalues[0]), unstable[i], moduli[i])
		}
		// Eigenvalues of one modulus have no order: they are paired.
		theirs := make([]complex128, h)
		for j := range theirs {
			theirs[j] = complex(values[(i*h+j)*2], values[(i*h+j)*2+1])
			if j > 0 && cmplx.Abs(l.Eigenvalues[j]) > cmplx.Abs(l.Eigenvalues[j-1])+1e-12 {
				t.Errorf("%s: point %d: eigenvalue %d is larger than the one before", c.Name, i, j)
			}
		}
		for j, k := range transport.Assign(h, h, func(j, k int) float64 { return cmplx.Abs(l.Eigenvalues[j] - theirs[k]) }) {
			if cmplx.Abs(l.Eigenvalues[j]-theirs[k]) > 1e-7 {
				t.Errorf("%s: point %d: eigenvalue %v, want %v", c.Name, i, l.Eigenvalues[j], theirs[k])
			}
		}
	}
	for i, k := range index {
		if r := floats.Distance(of[k].Jacobian, jacobians[i*h*h:(i+1)*h*h], math.Inf(1)); !(r < 1e-8) {
			t.Errorf("%s: the Jacobian of point %d is off by %v", c.Name, k, r)
		}
		if r := floats.Distance(of[k].InputJacobian, inputs[i*h*in:(i+1)*h*in], math.Inf(1)); !(r < 1e-8) {
			t.Errorf("%s: the input Jacobian of point %d is off by %v", c.Name, k, r)
		}
	}
}
