package kernel

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// rotation is dh/dt = A h + b x for A = [[-0.1, 2], [-2, -0.1]], a NODE of one map: its solution is known.
func rotation() (SequenceConfig, SequenceWeights[float64]) {
	c := SequenceConfig{Cell: CellNODE, B: 1, T: 1, I: 1, H: 2, Layers: 1, DT: 1}
	return c, SequenceWeights[float64]{Maps: []LinearWeights[float64]{{Weight: []float64{-.1, 2, .5, -2, -.1, 0}}}}
}

// exactRotation is the rotation's state at time t for an input x that is held.
func exactRotation(h []float64, x, t float64) []float64 {
	// h = e^{At} (h + A^-1 b) - A^-1 b
	const a, w = -.1, 2.0
	det := a*a + w*w
	p := []float64{(a*.5*x - w*0) / det, (w*.5*x + a*0) / det}
	u, v := h[0]+p[0], h[1]+p[1]
	e, s, k := math.Exp(a*t), math.Sin(w*t), math.Cos(w*t)
	return []float64{e*(k*u+s*v) - p[0], e*(-s*u+k*v) - p[1]}
}

// finalState takes one trial through a plan.
func finalState(t *testing.T, c SequenceConfig, w SequenceWeights[float64], in SequenceInput[float64]) []float64 {
	t.Helper()
	c.Inference = true
	g, err := NewSequence[float64](c)
	must(t, err)
	out := make([]float64, c.B*c.H)
	must(t, g.Forward(w, in, SequenceOutput[float64]{Final: out}))
	must(t, g.Close())
	return out
}

func distance(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += (v - b[i]) * (v - b[i])
	}
	return math.Sqrt(sum)
}

// Each method converges with its order to the known solution; that of Dormand and Prince is held to steps of equal length by a tolerance that all of them meet.
func TestOrderOfConvergence(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		for name, m := range map[string]struct {
			order  float64
			config func(*SequenceConfig)
			steps  int
		}{
			"euler":  {1, func(*SequenceConfig) {}, 64},
			"rk4":    {4, func(c *SequenceConfig) { c.RK4 = true }, 8},
			"dopri5": {5, func(c *SequenceConfig) { c.Dopri5, c.ATol, c.RTol = true, 1, 1 }, 4},
		} {
			c, w := rotation()
			m.config(&c)
			c.Variant = variant
			h, x := []float64{1, .5}, []float64{.8}
			want := exactRotation(h, x[0], c.DT)
			var errs []float64
			for _, steps := range []int{m.steps, 2 * m.steps} {
				// A step that is tried first and accepted may be followed by longer ones: cut the bin into bins instead.
				s := c
				s.T, s.DT = steps, c.DT/float64(steps)
				in := SequenceInput[float64]{H0: h, X: slices.Repeat(x, steps)}
				errs = append(errs, distance(finalState(t, s, w, in), want))
			}
			if order := math.Log2(errs[0] / errs[1]); math.Abs(order-m.order) > .25 {
				t.Errorf("%s: errors %v: order %.2f, want %v", name, errs, order, m.order)
			}
		}
	})
}

// The error stays near the tolerance over six decades of it, and a tighter one takes more steps.
func TestToleranceIsKept(t *testing.T) {
	c, w := rotation()
	c.Dopri5, c.DT = true, 4
	h, x := []float64{1, .5}, []float64{.8}
	want := exactRotation(h, x[0], c.DT)
	last := 0
	for _, tolerance := range []float64{1e-4, 1e-6, 1e-8, 1e-10} {
		c.RTol, c.ATol = tolerance, tolerance
		if e := distance(finalState(t, c, w, SequenceInput[float64]{H0: h, X: x}), want); e > 20*tolerance || e < 1e-4*tolerance {
			t.Errorf("tolerance %v: error %v", tolerance, e)
		}
		m, err := NewStepMap(c, w)
		must(t, err)
		f := m.newField()
		must(t, f.choose(x, h))
		if len(f.dts) <= last {
			t.Errorf("tolerance %v takes %d steps, a looser one %d", tolerance, len(f.dts), last)
		}
		last = len(f.dts)
	}
}

// stiff is a NODE some of whose trials need far more steps than others.
func stiff(batch, bins int) SequenceConfig {
	return SequenceConfig{Cell: CellNODE, B: batch, T: bins, I: 2, H: 3, O: 2, Layers: 3, Width: 9, TanhNet: true, DT: 2, Dopri5: true, RTol: 1e-6, ATol: 1e-8}
}

func stiffCase[F Float](c SequenceConfig) sequenceCase[F] {
	k := newCase[F](c, 21)
	for b := range c.B {
		for i := range c.T * c.I {
			k.in.X[b*c.T*c.I+i] *= F(1 + 20*(b%4))
		}
		k.in.Trials = append(k.in.Trials, uint64(1000+b))
	}
	k.in.Noise = Noise[F]{SD: 0.05, Key: 5}
	return k
}

// A trial alone has the same numbers as among others, whatever steps they take, and so have its gradients.
func TestStepsOfATrialAreItsOwn(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		for _, adjoint := range []bool{false, true} {
			c := stiff(41, 5)
			c.Variant, c.Adjoint, c.Threads = variant, adjoint, 3
			k := stiffCase[float32](c)
			o, g := k.run(t, c)
			one := c
			one.B = 1
			plan, err := NewSequence[float32](one)
			must(t, err)
			for _, b := range []int{0, 3, 17, 40} {
				part := func(s []float32, width int) []float32 { return s[b*width : (b+1)*width] }
				in := k.in
				in.B, in.X, in.H0, in.Trials = 1, part(k.in.X, c.T*c.I), part(k.in.H0, c.H), k.in.Trials[b:b+1]
				y, states, x, h0 := make([]float32, c.T*c.O), make([]float32, c.T*c.H), make([]float32, c.T*c.I), make([]float32, c.H)
				must(t, plan.Forward(k.w, in, SequenceOutput[float32]{Y: y, States: states}))
				must(t, plan.Backward(SequenceCotangent[float32]{Y: part(k.cot.Y, c.T*c.O), States: part(k.cot.States, c.T*c.H), Clean: part(k.cot.Clean, c.T*c.H), Final: part(k.cot.Final, c.H)},
					SequenceGradient[float32]{X: x, H0: h0}))
				same(t, "Y", y, part(o.Y, c.T*c.O))
				same(t, "States", states, part(o.States, c.T*c.H))
				same(t, "grad X", x, part(g.X, c.T*c.I))
				same(t, "grad H0", h0, part(g.H0, c.H))
			}
			must(t, plan.Close())
			// The other way round: reversed, every trial keeps its numbers though its neighbours change.
			r := k
			turn := func(s []float32, width int) []float32 {
				var out []float32
				for b := c.B - 1; b >= 0; b-- {
					out = append(out, s[b*width:(b+1)*width]...)
				}
				return out
			}
			r.in.X, r.in.H0, r.in.Trials = turn(k.in.X, c.T*c.I), turn(k.in.H0, c.H), slices.Clone(k.in.Trials)
			slices.Reverse(r.in.Trials)
			o2, _ := r.run(t, c)
			same(t, "reversed", turn(o2.Y, c.T*c.O), o.Y)
			for _, threads := range []int{1, 2} {
				c.Threads = threads
				o2, g2 := k.run(t, c)
				compare(o2, o, g2, g, func(name string, got, want []float32) { same(t, name, got, want) })
			}
		}
	})
}

// The gradient of the accepted steps is exact where the steps cannot change: a single step in each bin.
func TestGradientOfOneStep(t *testing.T) {
	c := stiff(3, 4)
	c.DT, c.ATol, c.RTol = 0.3, 1, 1
	checkDifferences(t, c, 1e-4, 1e-8)
}

// With tight tolerances both gradients are those of the differential equation, as central differences are.
func TestGradientsOfTheEquation(t *testing.T) {
	for _, c := range []SequenceConfig{stiff(3, 3), {Cell: CellNODE, B: 3, T: 3, I: 0, H: 4, Layers: 2, Width: 6, TanhNet: true, DT: 3, Dopri5: true}} {
		c.RTol, c.ATol = 1e-11, 1e-12
		for _, c.Adjoint = range []bool{false, true} {
			checkDifferences(t, c, 1e-3, 1e-6)
		}
	}
}

func checkDifferences(t *testing.T, c SequenceConfig, h, tolerance float64) {
	t.Helper()
	k := newCase[float64](c, 22)
	_, grad := k.run(t, c)
	g, err := NewSequence[float64](c)
	must(t, err)
	value := func() float64 {
		o := k.output()
		must(t, g.Forward(k.w, k.in, o))
		return dot(k.cot.Y, o.Y) + dot(k.cot.States, o.States) + dot(k.cot.Clean, o.Clean) + dot(k.cot.Final, o.Final)
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

// The adjoint comes near the gradient of the steps as the tolerance shrinks, with several bins, noise and a readout, and does not depend on the scale of the loss.
func TestAdjointConverges(t *testing.T) {
	last := 1.0
	for _, tolerance := range []float64{1e-4, 1e-7, 1e-10} {
		c := stiff(37, 6)
		c.RTol, c.ATol = tolerance, tolerance
		k := stiffCase[float64](c)
		_, want := k.run(t, c)
		c.Adjoint = true
		_, got := k.run(t, c)
		worst := 0.0
		compareWeights(got.Weights, want.Weights, func(_ string, a, b []float64) { worst = max(worst, apart(a, b)) })
		worst = max(worst, apart(got.X, want.X), apart(got.H0, want.H0))
		if worst > last/20 {
			t.Errorf("tolerance %v: the gradients are apart by %v, by %v with a looser one", tolerance, worst, last)
		}
		last = worst
		small := k
		for _, s := range []*[]float64{&small.cot.Y, &small.cot.States, &small.cot.Clean, &small.cot.Final} {
			*s = slices.Clone(*s)
			for i := range *s {
				(*s)[i] *= 0x1p-40
			}
		}
		_, scaled := small.run(t, c)
		for i := range scaled.H0 {
			scaled.H0[i] *= 0x1p40
		}
		near(t, "a small loss", scaled.H0, got.H0, 1e-14)
	}
	if last > 1e-8 {
		t.Errorf("the gradients are apart by %v", last)
	}
}

// Single precision is double precision, rounded.
func TestAdaptiveIsDouble(t *testing.T) {
	c := stiff(33, 4)
	k := newCase[float32](c, 23)
	d := newCase[float64](c, 23)
	widen := func(dst []float64, src []float32) {
		for i, v := range src {
			dst[i] = float64(v)
		}
	}
	widen(d.in.X, k.in.X)
	widen(d.in.H0, k.in.H0)
	for l := range k.w.Maps {
		widen(d.w.Maps[l].Weight, k.w.Maps[l].Weight)
		widen(d.w.Maps[l].Bias, k.w.Maps[l].Bias)
	}
	widen(d.w.Wout, k.w.Wout)
	widen(d.w.Bout, k.w.Bout)
	widen(d.cot.Y, k.cot.Y)
	widen(d.cot.States, k.cot.States)
	widen(d.cot.Clean, k.cot.Clean)
	widen(d.cot.Final, k.cot.Final)
	o, g := k.run(t, c)
	want, wantGrad := d.run(t, c)
	round := func(s []float64) []float32 {
		out := make([]float32, len(s))
		for i, v := range s {
			out[i] = float32(v)
		}
		return out
	}
	same(t, "Y", o.Y, round(want.Y))
	same(t, "States", o.States, round(want.States))
	same(t, "Final", o.Final, round(want.Final))
	same(t, "grad X", g.X, round(wantGrad.X))
	same(t, "grad Maps[1]", g.Weights.Maps[1].Weight, round(wantGrad.Weights.Maps[1].Weight))
}

// What cannot be integrated is told by trial and bin, forward and on the way back, in a sequence, in steps and in the map.
func TestIntegrationErrors(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		c := stiff(40, 5)
		c.Variant, c.Threads, c.MaxSteps = variant, 2, 30
		k := stiffCase[float64](c)
		k.in.Noise.SD = 0
		clear(k.in.X)
		at := func(trial, bin int, x float64) {
			for i := range c.I {
				k.in.X[(trial*c.T+bin)*c.I+i] = x
			}
		}
		for i := range k.w.Maps[2].Weight {
			k.w.Maps[2].Weight[i] /= 4
		}
		g, err := NewSequence[float64](c)
		must(t, err)
		must(t, g.Forward(k.w, k.in, k.output()))
		want := func(what string, err error, trial uint64, bin int, kind error) {
			t.Helper()
			var e *IntegrationError
			if !errors.As(err, &e) || e.Trial != trial || e.Bin != bin || !errors.Is(err, kind) {
				t.Errorf("%s: error is %v", what, err)
			}
		}
		at(35, 2, math.NaN())
		want("not a number", g.Forward(k.w, k.in, k.output()), 1035, 2, ErrNotFinite)
		if err := g.Backward(k.cot, k.gradient()); !errors.Is(err, ErrOrder) {
			t.Errorf("backward after it: %v", err)
		}
		at(35, 2, 0)
		// Weights so large that the cap is met, from some trial on.
		large := k
		large.w.Maps = slices.Clone(k.w.Maps)
		large.w.Maps[0].Weight, large.w.Maps[2].Weight = slices.Clone(k.w.Maps[0].Weight), slices.Clone(k.w.Maps[2].Weight)
		for i := range large.w.Maps[2].Weight {
			large.w.Maps[2].Weight[i] *= 4e4
		}
		want("too many steps", g.Forward(large.w, k.in, k.output()), 1000, 0, ErrSteps)
		must(t, g.Begin(large.w, k.in))
		want("in a closed loop", g.StepForward(0, make([]float64, c.B*c.I), SequenceBin[float64]{}), 1000, 0, ErrSteps)
		m, err := NewStepMap(c, large.w)
		must(t, err)
		if err := m.Step(make([]float64, c.B*c.I), k.in.H0, make([]float64, c.B*c.H)); !errors.Is(err, ErrSteps) {
			t.Errorf("the map: %v", err)
		}
		nowhere := slices.Clone(k.in.H0)
		nowhere[0] = math.NaN()
		if err := m.Step(make([]float64, c.B*c.I), nowhere, make([]float64, c.B*c.H)); !errors.Is(err, ErrNotFinite) {
			t.Errorf("the map of a state that is no number: %v", err)
		}
		must(t, g.Forward(k.w, k.in, k.output()))
		must(t, g.Backward(k.cot, k.gradient()))
		must(t, g.Close())
		c.Adjoint = true
		g, err = NewSequence[float64](c)
		must(t, err)
		must(t, g.Forward(k.w, k.in, k.output()))
		k.cot.States = slices.Clone(k.cot.States)
		k.cot.States[(7*c.T+3)*c.H] = math.Inf(1)
		err = g.Backward(k.cot, k.gradient())
		want("an infinite gradient", err, 1007, 3, ErrNotFinite)
		var e *IntegrationError
		if errors.As(err, &e) && !e.Backward {
			t.Error("it does not say that it was on the way back")
		}
		must(t, g.Close())
	})
	for _, c := range []SequenceConfig{
		{Dopri5: true, RTol: 1e-6}, {Dopri5: true, RTol: -1, ATol: 1e-6}, {Dopri5: true, RTol: math.NaN(), ATol: 1}, {Dopri5: true, ATol: 1, MaxSteps: -1}, {Dopri5: true, ATol: 1, RK4: true},
	} {
		c.Cell, c.B, c.T, c.H, c.Layers, c.DT = CellNODE, 1, 1, 1, 1, 1
		if _, err := NewSequence[float32](c); err == nil {
			t.Errorf("%+v was planned", c)
		}
	}
}

// A closed plan, and the memory that is told before it is taken.
func TestAdaptivePlan(t *testing.T) {
	c := stiff(40, 5)
	long := c
	long.T = 10
	for _, inference := range []bool{false, true} {
		c.Inference, long.Inference = inference, inference
		a, err := SequenceBytes[float64](c)
		must(t, err)
		b, err := SequenceBytes[float64](long)
		must(t, err)
		if inference && a != b || !inference && (b <= a || b > 2*a) {
			t.Errorf("inference %t: %d bytes for %d bins, %d for %d", inference, a, c.T, b, long.T)
		}
		single, err := SequenceBytes[float32](c)
		must(t, err)
		if single <= a {
			t.Errorf("%d bytes in single precision, %d in double", single, a)
		}
	}
	g, err := NewSequence[float32](c)
	must(t, err)
	must(t, g.Close())
	must(t, g.Close())
	k := newCase[float32](c, 1)
	if err := g.Forward(k.w, k.in, k.output()); !errors.Is(err, ErrClosed) {
		t.Errorf("forward on a closed plan: %v", err)
	}
}

// The low-rank cell with as many ranks as units is the network of full rank that its maps make.
func TestLowRankIsFullRank(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		c := SequenceConfig{Cell: CellLowRank, B: 37, T: 8, I: 3, H: 11, O: 2, Gamma: .3, Rank: 11, Variant: variant}
		k := newCase[float64](c, 24)
		k.in.Noise = Noise[float64]{SD: 0.1, Key: 3}
		o, g := k.run(t, c)
		full := k
		full.c.Rank, full.c.Full = 1, true
		n, m := k.w.Maps[0].Weight, k.w.Maps[1].Weight
		full.w.Maps = []LinearWeights[float64]{{Weight: make([]float64, c.H)}, {Weight: make([]float64, c.H)}}
		full.w.Whh = make([]float64, c.H*c.H)
		for i := range c.H {
			for j := range c.H {
				for r := range c.Rank {
					full.w.Whh[i*c.H+j] += m[i*c.Rank+r] * n[r*c.H+j] / float64(c.H)
				}
			}
		}
		o2, g2 := full.run(t, full.c)
		near(t, "Y", o.Y, o2.Y, 1e-13)
		near(t, "States", o.States, o2.States, 1e-13)
		near(t, "grad X", g.X, g2.X, 1e-12)
		// The chain rule from J to m: dL/dm = dL/dJ n^T / H.
		want := make([]float64, len(m))
		for i := range c.H {
			for r := range c.Rank {
				for j := range c.H {
					want[i*c.Rank+r] += g2.Weights.Whh[i*c.H+j] * n[r*c.H+j] / float64(c.H)
				}
			}
		}
		near(t, "grad m", g.Weights.Maps[1].Weight, want, 1e-12)
	})
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []SequenceConfig{{Cell: CellLowRank, B: 1, T: 1, H: 2, Gamma: 1}, {Cell: CellLowRank, B: 1, T: 1, H: 2, Rank: 1}} {
		if _, err := NewSequence[float32](c); err == nil {
			t.Errorf("%v was planned", c)
		}
	}
	c := SequenceConfig{Cell: CellLowRank, B: 1, T: 1, H: 2, Gamma: 1, Rank: 1}
	g, err := NewSequence[float64](c)
	must(t, err)
	defer g.Close()
	for name, spoil := range map[string]func(*SequenceWeights[float64]){
		"a full part that was not planned": func(w *SequenceWeights[float64]) { w.Whh = fill[float64](r, 4, 1) },
		"one map":                          func(w *SequenceWeights[float64]) { w.Maps = w.Maps[:1] },
		"a bias of a map":                  func(w *SequenceWeights[float64]) { w.Maps[0].Bias = []float64{1} },
		"b_h":                              func(w *SequenceWeights[float64]) { w.Bhh = []float64{1, 2} },
	} {
		k := newCase[float64](c, 1)
		spoil(&k.w)
		var shape *ShapeError
		if err := g.Forward(k.w, k.in, k.output()); !errors.As(err, &shape) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
