package dmd

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// modes is a recording of noisy rotating modes seen through tanh and a random readout: what peers are timed on.
func modes(seed uint64, trials, bins, width int) []Trial {
	rng := random.New(seed, "dmd/modes")
	var m [4][2]float64
	for i := range m {
		w, g := 0.02+0.28*rng.Float64(), 0.95+0.045*rng.Float64()
		m[i] = [2]float64{g * math.Cos(w), g * math.Sin(w)}
	}
	read := make([]float64, 8*width)
	for i := range read {
		read[i] = rng.NormFloat64() / math.Sqrt(8)
	}
	out := make([]Trial, trials)
	for k := range out {
		x := make([]float64, bins*width)
		var z [8]float64
		for i := range z {
			z[i] = rng.NormFloat64()
		}
		for b := range bins {
			for i, r := range m {
				p, q := z[2*i], z[2*i+1]
				z[2*i], z[2*i+1] = r[0]*p-r[1]*q+0.3*rng.NormFloat64(), r[1]*p+r[0]*q+0.3*rng.NormFloat64()
			}
			for j := range width {
				sum := 0.0
				for i, v := range z {
					sum += v * read[i*width+j]
				}
				x[b*width+j] = math.Tanh(sum) + 0.01*rng.NormFloat64()
			}
		}
		out[k] = Trial{x, width}
	}
	return out
}

// TestMoments: the two ways to decompose an embedding agree, of trials of unequal length, some too short for a row.
func TestMoments(t *testing.T) {
	for _, interval := range []int{1, 3} {
		trials := modes(1, 4, 90, 5)
		trials[1].Data = trials[1].Data[:50*5]
		trials[2].Data = trials[2].Data[:5*(7*interval+1)]
		trials[3].Data = trials[3].Data[:15]
		opt := Options{Delays: 8, Interval: interval, Threads: 2}.withDefaults()
		e, err := newEmbedding("x", trials, opt)
		if err != nil {
			t.Fatal(err)
		}
		g, err := e.moments(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		h := mat.NewDense(e.rows, e.columns, nil)
		e.block(h.RawMatrix().Data, 0, e.rows)
		var want mat.Dense
		want.Mul(h.T(), h)
		got := mat.NewDense(e.columns, e.columns, nil)
		for i := range e.columns {
			g.Row(got.RawRowView(i), i)
		}
		want.Sub(&want, got)
		if d := mat.Norm(&want, 2) / mat.Norm(got, 2); d > 1e-14 {
			t.Errorf("interval %d: second moments differ by %v", interval, d)
		}
	}
}

// TestLeading: the Krylov method finds what the whole decomposition does, and with it the operator's eigenvalues.
func TestLeading(t *testing.T) {
	e, err := newEmbedding("x", modes(1, 2, 400, 20), Options{Delays: 15}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	g, err := e.moments(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	s, u, err := leading(t.Context(), g, e.columns, 20)
	if err != nil {
		t.Fatal(err)
	}
	all, v, err := everything(g, e.columns)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s {
		if math.Abs(s[i]-all[i]) > 1e-10*all[0] {
			t.Errorf("singular value %d: %v, want %v", i, s[i], all[i])
		}
	}
	var overlap mat.Dense
	overlap.Mul(u.T(), v.Slice(0, e.columns, 0, 20))
	for i := range s {
		if d := math.Abs(math.Abs(overlap.At(i, i)) - 1); d > 1e-9 {
			t.Errorf("vector %d differs by %v", i, d)
		}
	}
}

func BenchmarkFit(b *testing.B) {
	x := modes(1, 3, 500, 64)
	for b.Loop() {
		if _, err := Fit(b.Context(), x, Options{Delays: 20, Rank: Rank{Number: 50}, Ridge: 1e-8}); err != nil {
			b.Fatal(err)
		}
	}
}
