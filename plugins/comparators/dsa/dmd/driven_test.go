package dmd

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// markov are C A^k B, row after row, k after k.
func markov(d *Driven, n int) []float64 {
	var out []float64
	b := mat.DenseCopyOf(d.B)
	for range n {
		var m, next mat.Dense
		m.Mul(d.C, b)
		r, _ := m.Dims()
		for i := range r {
			out = append(out, m.RawRowView(i)...)
		}
		next.Mul(d.A, b)
		b = &next
	}
	return out
}

func TestGoldenSubspace(t *testing.T) {
	for _, c := range golden.Select(t, "input_dsa.json", func(c golden.Case) bool { return strings.HasPrefix(c.Name, "n4sid_") }) {
		var p struct {
			Delays int `json:"n_delays"`
			Rank   int
			Noise  float64
		}
		c.Decode(t, &p)
		d, err := Subspace(t.Context(), trialsOf(c.Tensors["y"]), trialsOf(c.Tensors["u"]), SubspaceOptions{Horizon: p.Delays, Rank: Rank{Number: p.Rank}})
		if err != nil {
			t.Fatal(err)
		}
		against, tolerance := "true_", 1e-9
		if p.Noise > 0 {
			against, tolerance = "", 1e-2
		}
		for i, want := range c.Floats(t, against+"markov") {
			if got := markov(d, 4)[i]; math.Abs(got-want) > tolerance {
				t.Errorf("%s: Markov parameter %d: %v, want %v", c.Name, i, got, want)
			}
		}
		left := eigenvalues(d.A)
		ev := c.Floats(t, against+"eig")
		for i := 0; i < len(ev); i += 2 {
			at := slices.IndexFunc(left, func(x complex128) bool { return math.Hypot(real(x)-ev[i], imag(x)-ev[i+1]) < tolerance })
			if at < 0 {
				t.Errorf("%s: eigenvalue %v %v is not among ours, %v", c.Name, ev[i], ev[i+1], left)
				continue
			}
			left = slices.Delete(left, at, at+1)
		}
	}
}

func eigenvalues(a mat.Matrix) []complex128 {
	var e mat.Eigen
	e.Factorize(a, mat.EigenNone)
	return e.Values(nil)
}

// linear simulates a noise-free driven system, trials of unequal length.
func linear(trials, bins int) (a, b *mat.Dense, x, u []Trial) {
	rng := random.New(1, "dmd/linear")
	a = mat.NewDense(4, 4, []float64{0.9, -0.3, 0, 0, 0.3, 0.9, 0.1, 0, 0, 0, 0.7, 0.2, 0, 0, -0.2, 0.7})
	b = mat.NewDense(4, 2, []float64{1, 0, 0, 1, 0.5, 0, 0, -1})
	for k := range trials {
		n := bins - 3*k
		xs, us := make([]float64, n*4), make([]float64, n*2)
		for i := range us {
			us[i] = rng.NormFloat64()
		}
		for i := range 4 {
			xs[i] = rng.NormFloat64()
		}
		for i := 1; i < n; i++ {
			var next, in mat.VecDense
			next.MulVec(a, mat.NewVecDense(4, xs[(i-1)*4:i*4]))
			in.MulVec(b, mat.NewVecDense(2, us[(i-1)*2:i*2]))
			for j := range 4 {
				xs[i*4+j] = next.AtVec(j) + in.AtVec(j)
			}
		}
		x, u = append(x, Trial{xs, 4}), append(u, Trial{us, 2})
	}
	return a, b, x, u
}

// TestDrivenIsRecovered: without noise, the operator's eigenvalues and the gains from inputs to outputs are those of the system, to rounding.
func TestDrivenIsRecovered(t *testing.T) {
	a, b, x, u := linear(3, 80)
	d, err := FitDriven(t.Context(), x, u, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range eigenvalues(a) {
		if !slices.ContainsFunc(eigenvalues(d.A), func(z complex128) bool { return math.Hypot(real(z-want), imag(z-want)) < 1e-10 }) {
			t.Errorf("eigenvalue %v is not among %v", want, eigenvalues(d.A))
		}
	}
	// Singular values of B in coordinates that are whitened: S^-1 U^T B.
	e, _ := newEmbedding("x", x, Options{}.withDefaults())
	basis, err := e.basis(t.Context(), Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	var want, diff mat.Dense
	want.Mul(basis.encode.T(), b)
	diff.Sub(&want, d.B)
	if n := mat.Norm(&diff, 2); n > 1e-10 {
		t.Errorf("B differs by %v", n)
	}
}

// TestResampleDriven: weights of 1 give the fitted system back, and weights that drop trials that fitted to the others, up to a rotation of states.
func TestResampleDriven(t *testing.T) {
	rng := random.New(8, "dmd/driven")
	_, _, x, u := linear(6, 60)
	for k := range x {
		for i := range x[k].Data {
			x[k].Data[i] += 0.3 * rng.NormFloat64()
		}
	}
	opt := Options{Delays: 2, Rank: Rank{Number: 5}, Ridge: 1e-8}
	all, err := FitDriven(t.Context(), x, u, opt)
	if err != nil {
		t.Fatal(err)
	}
	half, err := FitDriven(t.Context(), x[:3], u[:3], opt)
	if err != nil {
		t.Fatal(err)
	}
	opt.Spare = 3
	d, err := ResampleDriven(t.Context(), x, u, opt, [][]float64{{1, 1, 1, 1, 1, 1}, {1, 1, 1, 0, 0, 0}})
	if err != nil {
		t.Fatal(err)
	}
	if !mat.EqualApprox(d[0].A, all.A, 1e-9) || !mat.EqualApprox(d[0].B, all.B, 1e-9) {
		t.Errorf("with weights of 1: %v, want %v", mat.Formatted(d[0].A), mat.Formatted(all.A))
	}
	for i, pair := range [][2]*mat.Dense{{d[1].A, half.A}, {d[1].B, half.B}} {
		if x, y := mat.Norm(pair[0], 2), mat.Norm(pair[1], 2); math.Abs(x-y) > 1e-5*y {
			t.Errorf("matrix %d: norm %v of half the trials by weights, %v fitted", i, x, y)
		}
	}
	if x, y := mat.Trace(d[1].A), mat.Trace(half.A); math.Abs(x-y) > 1e-5 {
		t.Errorf("trace %v of half the trials by weights, %v fitted", x, y)
	}
	if _, err := ResampleDriven(t.Context(), x, u, opt, [][]float64{make([]float64, 6)}); !errors.Is(err, ErrData) {
		t.Errorf("no trials at all: error %v", err)
	}
	if _, err := ResampleDriven(t.Context(), x, u, opt, [][]float64{{1}}); !errors.Is(err, ErrOption) {
		t.Errorf("one weight: error %v", err)
	}
}

// TestLinearIsRecovered: eigenvalues of a noise-free linear system to 1e-8, with delays and without.
func TestLinearIsRecovered(t *testing.T) {
	a, _, _, _ := linear(1, 10)
	rng := random.New(2, "dmd/linear")
	var x []Trial
	for range 3 {
		xs := make([]float64, 60*4)
		for i := range 4 {
			xs[i] = rng.NormFloat64()
		}
		for i := 1; i < 60; i++ {
			var next mat.VecDense
			next.MulVec(a, mat.NewVecDense(4, xs[(i-1)*4:i*4]))
			copy(xs[i*4:], next.RawVector().Data)
		}
		x = append(x, Trial{xs, 4})
	}
	for _, o := range []Options{{}, {Delays: 5, Rank: Rank{Number: 4}}, {Delays: 3, Interval: 2, Rank: Rank{Number: 4}, ReducedRank: true}} {
		m, err := Fit(t.Context(), x, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range eigenvalues(a) {
			if !slices.ContainsFunc(eigenvalues(m.A), func(z complex128) bool { return math.Hypot(real(z-want), imag(z-want)) < 1e-8 }) {
				t.Errorf("%+v: eigenvalue %v is not among %v", o, want, eigenvalues(m.A))
			}
		}
		p, err := m.Predict(t.Context(), x, 0)
		if err != nil || p.MASE > 1e-8 || p.R2 < 1-1e-8 {
			t.Errorf("%+v: prediction %+v, error %v", o, p, err)
		}
		// From bin 10 on whatever the past: 49 bins of 60 have one before them that is scored.
		if p, err := m.Predict(t.Context(), x, 10); err != nil || p.N != len(x)*49*4 || len(p.Errors) != len(x) {
			t.Errorf("%+v: from bin 10 prediction of %d numbers, error %v", o, p.N, err)
		}
	}
}
