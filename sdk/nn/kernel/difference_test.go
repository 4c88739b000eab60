package kernel

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// slope is the derivative of f by *x: two central differences, extrapolated to the fourth order.
func slope(x *float64, f func() float64) float64 { return slopeWithin(1e-3, x, f) }

// slopeWithin is the same from within h of *x: a small h for what has kinks.
func slopeWithin(h float64, x *float64, f func() float64) float64 {
	x0 := *x
	at := func(h float64) float64 {
		*x = x0 + h
		up := f()
		*x = x0 - h
		down := f()
		*x = x0
		return (up - down) / (2 * h)
	}
	return (4*at(h/2) - at(h)) / 3
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// Every gradient of every cell against differences of its own outputs, noise and all cotangents included.
func TestSequenceDifferences(t *testing.T) {
	eachCell(t, 3, 6, func(t *testing.T, c SequenceConfig) {
		if c.H > 8 {
			c.T = 2
		}
		for _, c.Reverse = range []bool{false, true} {
			k := newCase[float64](c, 11)
			k.in.Noise = Noise[float64]{SD: 0.3, Key: 1}
			k.in.InitNoise = Noise[float64]{SD: 0.3, Key: 2}
			_, grad := k.run(t, c)
			g, err := NewSequence[float64](c)
			must(t, err)
			value := func() float64 {
				o := k.output()
				must(t, g.Forward(k.w, k.in, o))
				return dot(k.cot.Y, o.Y) + dot(k.cot.States, o.States) + dot(k.cot.Clean, o.Clean) + dot(k.cot.Final, o.Final)
			}
			h, tolerance := 1e-3, 1e-8
			if c.Cell == CellReLU || c.Cell == CellNODE {
				h, tolerance = 1e-6, 1e-6
			}
			check := func(name string, got, at []float64) {
				want := make([]float64, len(at))
				for i := range at {
					want[i] = slopeWithin(h, &at[i], value)
				}
				near(t, name, got, want, tolerance)
			}
			check("X", grad.X, k.in.X)
			check("H0", grad.H0, k.in.H0)
			compareWeights(grad.Weights, k.w, check)
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
	ends := []float64{3, 0, 1, 2, 3}
	for name, f := range map[string]func(grad []float64) (float64, error){
		"squared error":          func(g []float64) (float64, error) { return SquaredError(s, y, target, nil, 0.3, g) },
		"weighted squared error": func(g []float64) (float64, error) { return SquaredError(s, y, target, weights, 0.3, g) },
		"poisson": func(g []float64) (float64, error) {
			return PoissonNLL(s, y, target, PoissonOptions[float64]{BinMask: mask, TrialWeights: trials, Full: true}, 0.3, g)
		},
		"latent norm":                    func(g []float64) (float64, error) { return LatentNorm(s, y, nil, 0.3, g, false) },
		"latent norm of trials that end": func(g []float64) (float64, error) { return LatentNorm(s, y, ends, 0.3, g, false) },
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

// A map's Jacobians against differences of its step, and its products against its Jacobians.
func TestStepMapDerivatives(t *testing.T) {
	for _, c := range someCells() {
		t.Run(c.String(), func(t *testing.T) {
			const N = 4
			c.B, c.T = N, 1
			k := newCase[float64](c, 12)
			cell, err := NewStepMap(c, k.w)
			must(t, err)
			I, S := c.I, c.StateSize()
			x, h := k.in.X, k.in.H0
			jx, jh := make([]float64, N*S*I), make([]float64, N*S*S)
			must(t, cell.Jacobians(x, h, jx, jh))
			next := make([]float64, N*S)
			r := rand.New(rand.NewPCG(5, 5))
			dx, dh, cot := fill[float64](r, N*I, 1), fill[float64](r, N*S, 1), fill[float64](r, N*S, 1)
			forward, wantForward := make([]float64, N*S), make([]float64, N*S)
			gx, gh, wantX, wantH := make([]float64, N*I), make([]float64, N*S), make([]float64, N*I), make([]float64, N*S)
			diffX, diffH := make([]float64, len(jx)), make([]float64, len(jh))
			for p := range N {
				for j := range S {
					value := func() float64 {
						must(t, cell.Step(x, h, next))
						return next[p*S+j]
					}
					for i := range I {
						at := (p*S+j)*I + i
						diffX[at] = slopeWithin(1e-4, &x[p*I+i], value)
						wantForward[p*S+j] += jx[at] * dx[p*I+i]
						wantX[p*I+i] += cot[p*S+j] * jx[at]
					}
					for i := range S {
						at := (p*S+j)*S + i
						diffH[at] = slopeWithin(1e-4, &h[p*S+i], value)
						wantForward[p*S+j] += jh[at] * dh[p*S+i]
						wantH[p*S+i] += cot[p*S+j] * jh[at]
					}
				}
			}
			near(t, "jx", jx, diffX, 1e-8)
			near(t, "jh", jh, diffH, 1e-8)
			must(t, cell.JVP(x, h, dx, dh, forward))
			near(t, "jvp", forward, wantForward, 1e-12)
			must(t, cell.VJP(x, h, cot, gx, gh))
			near(t, "vjp x", gx, wantX, 1e-12)
			near(t, "vjp h", gh, wantH, 1e-12)
			must(t, cell.JVP(x, h, nil, nil, forward))
			near(t, "jvp of nothing", forward, make([]float64, N*S), 0)
			must(t, cell.Step(x, h, next))
			must(t, cell.Step(x, h, h))
			same(t, "a step in place", h, next)
			if err := cell.Step(x, h[1:], next); err == nil {
				t.Error("states of a wrong size")
			}
		})
	}
	if _, err := NewStepMap(SequenceConfig{}, SequenceWeights[float64]{}); err == nil {
		t.Error("a cell without units")
	}
}

// The kernels take the steps of the maps, and go back by their derivatives.
func TestSequenceIsItsStepMap(t *testing.T) {
	eachCell(t, 37, 5, func(t *testing.T, c SequenceConfig) {
		k := newCase[float64](c, 13)
		k.cot.Y, k.cot.Clean = nil, nil
		o, g := k.run(t, c)
		m, err := NewStepMap(c, k.w)
		must(t, err)
		S := c.StateSize()
		x := func(bin int) []float64 {
			var out []float64
			for b := range c.B {
				out = append(out, k.in.X[(b*c.T+bin)*c.I:(b*c.T+bin+1)*c.I]...)
			}
			return out
		}
		states := [][]float64{k.in.H0}
		for bin := range c.T {
			next := make([]float64, c.B*S)
			must(t, m.Step(x(bin), states[bin], next))
			states = append(states, next)
		}
		want, wantX := k.output(), make([]float64, len(k.in.X))
		cot, before := append([]float64(nil), k.cot.Final...), make([]float64, c.B*S)
		for bin := c.T - 1; bin >= 0; bin-- {
			for b := range c.B {
				for j := range c.H {
					want.States[(b*c.T+bin)*c.H+j] = states[bin+1][b*S+j]
					cot[b*S+j] += k.cot.States[(b*c.T+bin)*c.H+j]
				}
			}
			gx := make([]float64, c.B*c.I)
			must(t, m.VJP(x(bin), states[bin], cot, gx, before))
			for b := range c.B {
				copy(wantX[(b*c.T+bin)*c.I:], gx[b*c.I:(b+1)*c.I])
			}
			copy(cot, before)
		}
		near(t, "States", o.States, want.States, 1e-12)
		near(t, "Final", o.Final, states[c.T], 1e-12)
		near(t, "grad X", g.X, wantX, 1e-11)
		near(t, "grad H0", g.H0, cot, 1e-11)
	})
}

// Results and gradients in float32 are those in float64, to what float32 can tell apart.
func TestCellsInFloat32(t *testing.T) {
	eachCell(t, 37, 12, func(t *testing.T, c SequenceConfig) {
		single, double := newCase[float32](c, 13), newCase[float64](c, 13)
		single.in.Noise, double.in.Noise = Noise[float32]{SD: 0.1, Key: 5}, Noise[float64]{SD: 0.1, Key: 5}
		o32, g32 := single.run(t, c)
		o, g := double.run(t, c)
		var arrays [][]float32
		compare(o32, o32, g32, g32, func(_ string, a, _ []float32) { arrays = append(arrays, a) })
		k := 0
		compare(o, o, g, g, func(name string, want, _ []float64) {
			tolerance := 2e-5
			if strings.HasPrefix(name, "grad") {
				tolerance = 1e-4
			}
			got := make([]float64, len(arrays[k]))
			for i, v := range arrays[k] {
				got[i] = float64(v)
			}
			near(t, name, got, want, tolerance)
			k++
		})
	})
}

// Threads, a bin at a time, and no tape: all the same to the bit, in shards of any size; and of one size and another what is a trial's own is, and gradients of weights but for rounding.
func TestCellsToTheBit(t *testing.T) {
	eachCell(t, 70, 7, func(t *testing.T, c SequenceConfig) {
		k := newCase[float32](c, 14)
		k.in.Noise = Noise[float32]{SD: 0.1, Key: 5}
		o0, g0 := k.run(t, c)
		for _, rows := range []int{2 * ShardRows, MaxShardRows} {
			c.ShardRows = rows
			o1, g1 := k.run(t, c)
			compare(o1, o0, SequenceGradient[float32]{X: g1.X, H0: g1.H0}, SequenceGradient[float32]{X: g0.X, H0: g0.H0}, func(name string, got, want []float32) { same(t, name, got, want) })
			compare(o1, o0, g1, g0, func(name string, got, want []float32) { near(t, name, got, want, 1e-5) })
			if c.Dopri5 {
				continue
			}
			again := c
			again.Recompute = 4
			o2, g2 := k.run(t, again)
			compare(o2, o1, g2, g1, func(name string, got, want []float32) { same(t, "recomputed: "+name, got, want) })
		}
		o1, g1 := k.run(t, c)
		c.Threads = 3
		o2, g2 := k.run(t, c)
		compare(o2, o1, g2, g1, func(name string, got, want []float32) { same(t, "threads: "+name, got, want) })

		g, err := NewSequence[float32](c)
		must(t, err)
		o2, g2 = k.output(), k.gradient()
		bin := func(s []float32, b, width int) []float32 {
			var out []float32
			for r := range c.B {
				out = append(out, s[(r*c.T+b)*width:(r*c.T+b+1)*width]...)
			}
			return out
		}
		back := func(dst, src []float32, b, width int) {
			for r := range c.B {
				copy(dst[(r*c.T+b)*width:], src[r*width:(r+1)*width])
			}
		}
		must(t, g.Begin(k.w, k.in))
		for b := range c.T {
			o := SequenceBin[float32]{Y: make([]float32, c.B*c.O), State: make([]float32, c.B*c.H), Clean: make([]float32, c.B*c.H)}
			must(t, g.StepForward(b, bin(k.in.X, b, c.I), o))
			back(o2.Y, o.Y, b, c.O)
			back(o2.States, o.State, b, c.H)
			back(o2.Clean, o.Clean, b, c.H)
		}
		must(t, g.BeginBackward(k.cot.Final))
		for b := c.T - 1; b >= 0; b-- {
			dx := make([]float32, c.B*c.I)
			must(t, g.StepBackward(b, SequenceBin[float32]{Y: bin(k.cot.Y, b, c.O), State: bin(k.cot.States, b, c.H), Clean: bin(k.cot.Clean, b, c.H)}, dx))
			back(g2.X, dx, b, c.I)
		}
		gx := g2.X
		g2.X = nil
		must(t, g.EndBackward(g2))
		g2.X, o2.Final = gx, o1.Final
		compare(o2, o1, g2, g1, func(name string, got, want []float32) { same(t, "bins: "+name, got, want) })
		must(t, g.Close())

		c.Inference = true
		g, err = NewSequence[float32](c)
		must(t, err)
		o2 = k.output()
		must(t, g.Forward(k.w, k.in, o2))
		same(t, "inference: Y", o2.Y, o1.Y)
		same(t, "inference: Final", o2.Final, o1.Final)
		must(t, g.Close())
	})
}
