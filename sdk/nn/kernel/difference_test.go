package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// slope is the derivative of f by *x: two central differences, extrapolated to the fourth order.
func slope(x *float64, f func() float64) float64 {
	x0 := *x
	at := func(h float64) float64 {
		*x = x0 + h
		up := f()
		*x = x0 - h
		down := f()
		*x = x0
		return (up - down) / (2 * h)
	}
	const h = 1e-3
	return (4*at(h/2) - at(h)) / 3
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// Every gradient of the GRU against differences of its own outputs, noise and all cotangents included.
func TestGRUDifferences(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		for _, reverse := range []bool{false, true} {
			c := GRUConfig{B: 3, T: 6, I: 2, H: 5, O: 2, Variant: variant, Reverse: reverse}
			k := newGRUCase[float64](c, 11)
			k.in.Noise = Noise[float64]{SD: 0.3, Key: 1}
			k.in.InitNoise = Noise[float64]{SD: 0.3, Key: 2}
			_, grad := k.run(t, c)
			g, err := NewGRU[float64](c)
			must(t, err)
			value := func() float64 {
				o := k.output()
				must(t, g.Forward(k.w, k.in, o))
				return dot(k.cot.Y, o.Y) + dot(k.cot.States, o.States) + dot(k.cot.Clean, o.Clean) + dot(k.cot.Final, o.Final)
			}
			for _, p := range []struct {
				name    string
				at, got []float64
			}{{"X", k.in.X, grad.X}, {"H0", k.in.H0, grad.H0}, {"Wih", k.w.Wih, grad.Weights.Wih}, {"Whh", k.w.Whh, grad.Weights.Whh}, {"Bih", k.w.Bih, grad.Weights.Bih},
				{"Bhh", k.w.Bhh, grad.Weights.Bhh}, {"Wout", k.w.Wout, grad.Weights.Wout}, {"Bout", k.w.Bout, grad.Weights.Bout}} {
				want := make([]float64, len(p.at))
				for i := range p.at {
					want[i] = slope(&p.at[i], value)
				}
				near(t, p.name, p.got, want, 1e-9)
			}
			must(t, g.Close())
		}
	})
}

func TestLossDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := Shape{B: 5, T: 3, C: 7, Threads: 2}
	n := s.B * s.T * s.C
	y, target, weights := fill[float64](r, n, 1), fill[float64](r, n, 1), fill[float64](r, n, 1)
	mask, trials := fill[float64](r, s.B*s.T, 1), fill[float64](r, s.B, 1)
	mask[4] = 0
	for name, f := range map[string]func(grad []float64) (float64, error){
		"squared error":          func(g []float64) (float64, error) { return SquaredError(s, y, target, nil, 0.3, g) },
		"weighted squared error": func(g []float64) (float64, error) { return SquaredError(s, y, target, weights, 0.3, g) },
		"poisson": func(g []float64) (float64, error) {
			return PoissonNLL(s, y, target, PoissonOptions[float64]{BinMask: mask, TrialWeights: trials, Full: true}, 0.3, g)
		},
		"latent norm": func(g []float64) (float64, error) { return LatentNorm(s, y, 0.3, g, false) },
	} {
		grad, want := make([]float64, n), make([]float64, n)
		_, err := f(grad)
		must(t, err)
		for i := range y {
			want[i] = slope(&y[i], func() float64 {
				v, err := f(nil)
				must(t, err)
				return v
			})
		}
		near(t, name, grad, want, 1e-9)
	}
}

// The cell's Jacobians against differences of its step, and its products against its Jacobians.
func TestGRUCellDerivatives(t *testing.T) {
	const I, H, N = 3, 5, 4
	k := newGRUCase[float64](GRUConfig{B: N, T: 1, I: I, H: H}, 12)
	cell := GRUCell[float64]{I: I, H: H, W: k.w}
	x, h := k.in.X, k.in.H0
	jx, jh := make([]float64, N*H*I), make([]float64, N*H*H)
	must(t, cell.Jacobians(x, h, jx, jh))
	next := make([]float64, N*H)
	r := rand.New(rand.NewPCG(5, 5))
	dx, dh, cot := fill[float64](r, N*I, 1), fill[float64](r, N*H, 1), fill[float64](r, N*H, 1)
	forward, wantForward := make([]float64, N*H), make([]float64, N*H)
	gx, gh, wantX, wantH := make([]float64, N*I), make([]float64, N*H), make([]float64, N*I), make([]float64, N*H)
	diffX, diffH := make([]float64, len(jx)), make([]float64, len(jh))
	for p := range N {
		for j := range H {
			value := func() float64 {
				must(t, cell.Step(x, h, next))
				return next[p*H+j]
			}
			for i := range I {
				at := (p*H+j)*I + i
				diffX[at] = slope(&x[p*I+i], value)
				wantForward[p*H+j] += jx[at] * dx[p*I+i]
				wantX[p*I+i] += cot[p*H+j] * jx[at]
			}
			for i := range H {
				at := (p*H+j)*H + i
				diffH[at] = slope(&h[p*H+i], value)
				wantForward[p*H+j] += jh[at] * dh[p*H+i]
				wantH[p*H+i] += cot[p*H+j] * jh[at]
			}
		}
	}
	near(t, "jx", jx, diffX, 1e-9)
	near(t, "jh", jh, diffH, 1e-9)
	must(t, cell.JVP(x, h, dx, dh, forward))
	must(t, cell.VJP(x, h, cot, gx, gh))
	near(t, "jvp", forward, wantForward, 1e-13)
	near(t, "vjp x", gx, wantX, 1e-13)
	near(t, "vjp h", gh, wantH, 1e-13)
	must(t, cell.Step(x, h, h))
	if err := cell.Step(x[1:], h, next); err == nil {
		t.Error("x of a wrong size")
	}
	if err := (GRUCell[float64]{}).Step(nil, nil, nil); err == nil {
		t.Error("a cell without units")
	}
	if math.IsNaN(h[0]) {
		t.Error("a step in place")
	}
}
