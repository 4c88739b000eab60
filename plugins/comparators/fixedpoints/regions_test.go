package fixedpoints

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/plugins/models/rnn"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// rectified is x' = A x + c + sum over kinks of gain relu(w x + offset).
func rectified(p *pieces) toy {
	d := p.size
	return toy{size: d, step: func(x, _, next []float64) { p.step(x, next) }, jacobian: func(x, _, js, _ []float64) {
		for i := range d {
			for j := range d {
				js[i*d+j] = p.a.At(i, j)
			}
		}
		for k := range p.kinks {
			if t := &p.kinks[k]; t.at(x) > 0 {
				for i := range d {
					for j := range d {
						js[i*d+j] += t.gain[i] * t.w[j]
					}
				}
			}
		}
	}}
}

// drawn are random pieces: a leaky network of units whose recurrent weights have standard deviation strength / sqrt(units), clipped at 1 from above where clip is set.
func drawn(seed uint64, d int, leak, strength float64, clip bool) *pieces {
	r := random.New(seed, "test/pieces")
	p := &pieces{size: d, a: mat.NewDense(d, d, nil), c: make([]float64, d)}
	for i := range d {
		p.a.Set(i, i, 1-leak)
		w, gain := make([]float64, d), make([]float64, d)
		for j := range w {
			w[j] = strength * r.NormFloat64() / math.Sqrt(float64(d))
		}
		gain[i] = leak
		offset := 0.3 * r.NormFloat64()
		p.kinks = append(p.kinks, kink{w, gain, offset})
		if clip {
			down := make([]float64, d)
			down[i] = -leak
			p.kinks = append(p.kinks, kink{w, down, offset - 1})
		}
	}
	return p
}

// byBruteForce solves for the point of each combination of active kinks, and keeps those that lie where they are.
func byBruteForce(p *pieces) [][]float64 {
	var out [][]float64
	d := p.size
	for pattern := range 1 << len(p.kinks) {
		a, b := mat.NewDense(d, d, nil), mat.NewVecDense(d, slices.Clone(p.c))
		a.Scale(-1, p.a)
		for i := range d {
			a.Set(i, i, 1+a.At(i, i))
		}
		for k, t := range p.kinks {
			if pattern>>k&1 == 1 {
				a.RankOne(a, -1, mat.NewVecDense(d, t.gain), mat.NewVecDense(d, t.w))
				b.AddScaledVec(b, t.offset, mat.NewVecDense(d, t.gain))
			}
		}
		var x mat.VecDense
		if x.SolveVec(a, b) != nil {
			continue
		}
		good := true
		for k := range p.kinks {
			good = good && (p.kinks[k].at(x.RawVector().Data) > 0) == (pattern>>k&1 == 1)
		}
		if good {
			out = append(out, x.RawVector().Data)
		}
	}
	return out
}

// TestExactAgainstBruteForce: of networks of rectified units, plain, leaky and clipped, the search finds the points that going through all patterns finds, no more and no fewer, and says that they are all.
func TestExactAgainstBruteForce(t *testing.T) {
	total := 0
	for _, c := range []struct {
		d              int
		leak, strength float64
		clip           bool
	}{{4, 1, 3, false}, {9, 1, 3, false}, {9, 0.2, 4, false}, {5, 1, 6, true}, {6, 0.3, 8, true}} {
		for seed := range uint64(4) {
			p := drawn(seed, c.d, c.leak, c.strength, c.clip)
			want := byBruteForce(p)
			set, err := Search{Dynamics: rectified(p), Threads: 2, Outlier: 1e4}.Find(t.Context(), box(seed, 30, c.d, 1))
			if err != nil {
				t.Fatal(err)
			}
			if set.Exact == nil || !set.Exact.Complete || set.Exact.Kinks != len(p.kinks) || len(set.Fixed) != len(want) {
				t.Errorf("%+v, seed %d: %d points, want %d: %+v", c, seed, len(set.Fixed), len(want), set.Exact)
			}
			for _, x := range want {
				if !slices.ContainsFunc(set.Fixed, func(p Point) bool { return distance(p.X, x) < 1e-9*(1+math.Abs(x[0])) }) {
					t.Errorf("%+v, seed %d: %v was not found", c, seed, x)
				}
			}
			total += len(want)
		}
	}
	if total < 25 {
		t.Errorf("%d points in all", total)
	}
}

// TestExactGrid: five bistable units that do not see each other have 3^5 points, and more starts than one are not needed; where the grid ends is known from the reach.
func TestExactGrid(t *testing.T) {
	const d = 5
	p := &pieces{size: d, a: mat.NewDense(d, d, nil), c: slices.Repeat([]float64{-1}, d)}
	for i := range d {
		w, up, down := make([]float64, d), make([]float64, d), make([]float64, d)
		w[i], up[i], down[i] = 1, 2, -2
		// x' = -1 + 2 relu(x + 1/2) - 2 relu(x - 1/2): 2 x, clipped at -1 and 1.
		p.kinks = append(p.kinks, kink{w, up, 0.5}, kink{w, down, -0.5})
	}
	set, err := Search{Dynamics: rectified(p), Rounds: -1}.Find(t.Context(), box(1, 12, d, 1.2))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Fixed) != 243 || set.Exact == nil || !set.Exact.Complete {
		t.Errorf("%d points, %+v", len(set.Fixed), set.Exact)
	}
	for _, x := range set.Fixed {
		for _, v := range x.X {
			if math.Abs(math.Abs(v)-math.Round(math.Abs(v))) > 1e-12 {
				t.Errorf("%v", x.X)
			}
		}
	}
	without, err := Search{Dynamics: rectified(p), Rounds: -1, Inexact: true}.Find(t.Context(), box(1, 12, d, 1.2))
	if err != nil {
		t.Fatal(err)
	}
	if len(without.Fixed) >= 100 || without.Exact != nil {
		t.Errorf("%d points from 12 starts without it", len(without.Fixed))
	}
}

// TestExactOfOthers: of a smooth step nothing is said; of a line of points that they are one; of two layers of kinks that the points may not be all; a linear step has one.
func TestExactOfOthers(t *testing.T) {
	set, err := Search{Dynamics: tanhNet([]float64{2, 0.1, -0.1, 2}, []float64{0, 0})}.Find(t.Context(), box(1, 50, 2, 1))
	if err != nil || set.Exact != nil {
		t.Errorf("a smooth step: %+v, %v", set, err)
	}
	set, err = Search{Dynamics: linearNet([]float64{0.5, 0.1, 0, 1.2}, 2), Input: []float64{0.1, 0.1}}.Find(t.Context(), box(1, 50, 2, 1))
	if err != nil || set.Exact == nil || !set.Exact.Complete || set.Exact.Kinks != 0 || len(set.Fixed) != 1 {
		t.Errorf("a linear step: %+v, %v", set.Exact, err)
	}
	// Two units that keep their sum where both are active.
	line := &pieces{size: 2, a: mat.NewDense(2, 2, nil), c: make([]float64, 2)}
	line.kinks = []kink{{[]float64{0.6, 0.4}, []float64{1, 0}, 0}, {[]float64{0.4, 0.6}, []float64{0, 1}, 0}}
	shifted := box(1, 50, 2, 1)
	for i := range shifted {
		shifted[i] += 2
	}
	set, err = Search{Dynamics: rectified(line)}.Find(t.Context(), shifted)
	if err != nil || set.Exact == nil || set.Exact.Continua != 1 {
		t.Errorf("a line: %+v, %v", set.Exact, err)
	}
	// x' = |2 |x| - 1| / 2 + x / 4 has two layers.
	deep := toy{size: 1, step: func(x, _, next []float64) { next[0] = math.Abs(2*math.Abs(x[0])-1)/2 + x[0]/4 }, jacobian: func(x, _, js, _ []float64) {
		js[0] = 0.25 + math.Copysign(1, 2*math.Abs(x[0])-1)*math.Copysign(1, x[0])
	}}
	if set, err = (Search{Dynamics: deep}).Find(t.Context(), box(1, 50, 1, 2)); err != nil || set.Exact == nil || len(set.Fixed) == 0 {
		t.Errorf("two layers: %+v, %v", set, err)
	}
}

// TestExactOfRectifiedNetwork: the built-in network of rectified units is gone through under an input, and its points are those of its weights.
func TestExactOfRectifiedNetwork(t *testing.T) {
	const units, inputs = 10, 2
	spec := task.Spec{Inputs: inputs, Outputs: 1, Bins: 5, TrainTrials: 1, ValidTrials: 1, Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}}}
	training := recurrent.Training{Epochs: 1, BatchSize: 1, LR: 1e-3, Options: train.Options{Keep: "last"}}
	m, err := recurrent.Open(rnn.Design[float64](rnn.Params{Hidden: units, Activation: "relu", Training: training}), component.Env{Threads: 2}, model.Target{Task: &spec}, "vanilla-rnn", "test", rnn.Params{})
	if err != nil {
		t.Fatal(err)
	}
	r := random.New(7, "test/network")
	weights, err := m.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range weights {
		drawn := tensor.New64(w.Name, w.Shape...)
		for k := range drawn.F64 {
			drawn.F64[k] = 0.7 * r.NormFloat64()
		}
		weights[i] = drawn
	}
	if err := m.Load(t.Context(), weights); err != nil {
		t.Fatal(err)
	}
	d, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	input := []float64{0.5, -1}
	set, err := Search{Dynamics: d, Input: input, Threads: 2, Outlier: 1e3}.Find(t.Context(), box(1, 40, units, 1))
	if err != nil {
		t.Fatal(err)
	}
	p := &pieces{size: units, a: mat.NewDense(units, units, nil), c: make([]float64, units)}
	hh, ih, b, bi := weights.Get("cell.weight_hh").F64, weights.Get("cell.weight_ih").F64, weights.Get("cell.bias_hh").F64, weights.Get("cell.bias_ih").F64
	for i := range units {
		gain := make([]float64, units)
		gain[i] = 1
		p.kinks = append(p.kinks, kink{hh[i*units : (i+1)*units], gain, b[i] + bi[i] + ih[i*inputs]*input[0] + ih[i*inputs+1]*input[1]})
	}
	want := byBruteForce(p)
	if set.Exact == nil || !set.Exact.Complete || set.Exact.Kinks != units || len(set.Fixed) != len(want) || len(want) != 1 {
		t.Errorf("%d points, want %d: %+v", len(set.Fixed), len(want), set.Exact)
	}
}
