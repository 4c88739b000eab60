package kernel

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

var oddShapes = []SequenceConfig{
	{B: 1, T: 1, I: 1, H: 1},
	{B: 3, T: 6, I: 0, H: 3, O: 1},
	{B: 31, T: 5, I: 3, H: 5, O: 2, Reverse: true},
	{B: 33, T: 4, I: 50, H: 17, O: 5},
	{B: 40, T: 7, I: 3, H: 64, O: 3},
	{B: 5, T: 9, I: 1, H: 100, O: 128},
	{B: 256, T: 3, I: 3, H: 5, O: 1},
	{B: 8, T: 5, I: 17, H: 48, O: 33, Reverse: true},
	{B: 100, T: 7, I: 3, H: 20, O: 2, ShardRows: 64},
	{B: 70, T: 6, I: 2, H: 17, O: 1, ShardRows: 32},
}

func TestGRUAgainstReference(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		for _, c := range oddShapes {
			t.Run(c.String(), func(t *testing.T) {
				checkReference[float64](t, c, variant, 1e-12)
				checkReference[float32](t, c, variant, 1e-5)
			})
		}
	})
}

func checkReference[F Float](t *testing.T, c SequenceConfig, variant string, tolerance float64) {
	for _, noise := range []string{"none", "given", "generated"} {
		k := newCase[F](c, 1)
		if noise != "none" {
			k.in.Noise = Noise[F]{SD: 0.1, Key: 42}
			k.in.InitNoise = Noise[F]{SD: 0.2, Key: 43}
			k.in.Trials = make([]uint64, c.B)
			for i := range k.in.Trials {
				k.in.Trials[i] = uint64(7*i) << 20
			}
		}
		if noise == "given" {
			r := rand.New(rand.NewPCG(3, 3))
			k.in.Noise.Values, k.in.InitNoise.Values = fill[F](r, c.B*c.T*c.H, 1), fill[F](r, c.B*c.H, 1)
		}
		run := c
		run.Variant, run.Threads = variant, 2
		o1, g1 := k.run(t, run)
		o2, g2 := k.reference()
		compare(o1, o2, g1, g2, func(name string, got, want []F) { near(t, noise+" "+name, got, want, tolerance) })
	}
}

// Left-out arguments are zero or not wanted; a shared initial state is the same as one repeated.
func TestGRULeftOut(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		c := SequenceConfig{B: 35, T: 6, I: 3, H: 7, O: 2, Variant: variant}
		k := newCase[float64](c, 2)
		k.w.Bih, k.w.Bhh, k.w.Bout = nil, nil, nil
		k.in.H0 = k.in.H0[:c.H]
		k.cot.Y, k.cot.Clean, k.cot.States = nil, nil, nil
		g, err := NewSequence[float64](c)
		must(t, err)
		defer g.Close()
		final, grad := make([]float64, c.B*c.H), k.gradient()
		grad.H0, grad.Weights.Bout = make([]float64, c.H), nil
		must(t, g.Forward(k.w, k.in, SequenceOutput[float64]{Final: final}))
		must(t, g.Backward(k.cot, SequenceGradient[float64]{Weights: SequenceWeights[float64]{Whh: grad.Weights.Whh}, H0: grad.H0}))
		want, wantGrad := k.output(), k.gradient()
		wantGrad.H0 = make([]float64, c.H)
		newRefGRU[float64](c).sequence(k.w, k.in, want, k.cot, wantGrad)
		near(t, "Final", final, want.Final, 1e-12)
		near(t, "grad Whh", grad.Weights.Whh, wantGrad.Weights.Whh, 1e-12)
		near(t, "grad H0", grad.H0, wantGrad.H0, 1e-12)
	})
}

func TestGRUThreadsToTheBit(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		c := SequenceConfig{B: 170, T: 9, I: 3, H: 20, O: 3, Variant: variant, Threads: 1}
		k := newCase[float32](c, 3)
		k.in.Noise = Noise[float32]{SD: 0.1, Key: 5}
		o0, g0 := k.run(t, c)
		for _, rows := range []int{ShardRows, 2 * ShardRows, MaxShardRows} {
			c.ShardRows, c.Threads = rows, 1
			o1, g1 := k.run(t, c)
			// What is a trial's own does not depend on its shard.
			compare(o1, o0, SequenceGradient[float32]{X: g1.X, H0: g1.H0}, SequenceGradient[float32]{X: g0.X, H0: g0.H0}, func(name string, got, want []float32) { same(t, name, got, want) })
			for _, threads := range []int{2, 3} {
				c.Threads = threads
				o2, g2 := k.run(t, c)
				compare(o2, o1, g2, g1, func(name string, got, want []float32) { same(t, name, got, want) })
			}
		}
	})
}

// A trial's results do not depend on the batch around it, and gradients added shard by shard are those of the whole batch.
func TestGRUSplitsToTheBit(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		c := SequenceConfig{B: 100, T: 6, I: 3, H: 20, O: 3, Variant: variant}
		k := newCase[float32](c, 4)
		k.in.Noise = Noise[float32]{SD: 0.1, Key: 5}
		for b := range c.B {
			k.in.Trials = append(k.in.Trials, uint64(1000+b))
		}
		o1, g1 := k.run(t, c)
		for _, size := range []int{1, 13, ShardRows, 2 * ShardRows} {
			o2, g2 := k.output(), k.gradient()
			plan, err := NewSequence[float32](SequenceConfig{B: size, T: c.T, I: c.I, H: c.H, O: c.O, Variant: variant})
			must(t, err)
			for lo := 0; lo < c.B; lo += size {
				hi := min(c.B, lo+size)
				part := func(s []float32, width int) []float32 { return s[lo*width : hi*width] }
				in := k.in
				in.B, in.X, in.H0, in.Trials = hi-lo, part(k.in.X, c.T*c.I), part(k.in.H0, c.H), k.in.Trials[lo:hi]
				must(t, plan.Forward(k.w, in, SequenceOutput[float32]{Y: part(o2.Y, c.T*c.O), States: part(o2.States, c.T*c.H), Clean: part(o2.Clean, c.T*c.H), Final: part(o2.Final, c.H)}))
				cot := SequenceCotangent[float32]{Y: part(k.cot.Y, c.T*c.O), States: part(k.cot.States, c.T*c.H), Clean: part(k.cot.Clean, c.T*c.H), Final: part(k.cot.Final, c.H)}
				if hi-lo == 1 {
					// With one trial its state (H) is both shared and its own.
					clear(part(g2.H0, c.H))
				}
				must(t, plan.Backward(cot, SequenceGradient[float32]{Weights: g2.Weights, X: part(g2.X, c.T*c.I), H0: part(g2.H0, c.H), Add: true}))
			}
			must(t, plan.Close())
			compare(o2, o1, g2, g1, func(name string, got, want []float32) {
				switch name {
				case "grad Wih", "grad Whh", "grad Bih", "grad Bhh", "grad Wout", "grad Bout":
					if size%ShardRows != 0 {
						near(t, name, got, want, 1e-5)
						return
					}
				}
				same(t, name, got, want)
			})
		}
	})
}

// Bin by bin gives the bits of the whole sequence, also where a plan is reused for a shorter loop.
func TestGRUStepsAreTheSequence(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		for _, T := range []int{1, 4, 7, 10} {
			c := SequenceConfig{B: 37, T: 10, I: 3, H: 20, O: 3, Variant: variant, Threads: 2}
			g, err := NewSequence[float32](c)
			must(t, err)
			short := c
			short.T = T
			k := newCase[float32](short, 5)
			k.in.Noise = Noise[float32]{SD: 0.1, Key: 5}
			o1, g1 := k.run(t, short)
			o2, g2 := k.output(), k.gradient()
			bin := func(s []float32, t, width int) []float32 {
				var out []float32
				for b := range c.B {
					out = append(out, s[(b*T+t)*width:(b*T+t+1)*width]...)
				}
				return out
			}
			back := func(dst, src []float32, t, width int) {
				for b := range c.B {
					copy(dst[(b*T+t)*width:], src[b*width:(b+1)*width])
				}
			}
			must(t, g.Begin(k.w, k.in))
			for b := range T {
				o := SequenceBin[float32]{Y: make([]float32, c.B*c.O), State: make([]float32, c.B*c.H), Clean: make([]float32, c.B*c.H)}
				must(t, g.StepForward(b, bin(k.in.X, b, c.I), o))
				back(o2.Y, o.Y, b, c.O)
				back(o2.States, o.State, b, c.H)
				back(o2.Clean, o.Clean, b, c.H)
				copy(o2.Final, o.State)
			}
			must(t, g.BeginBackward(k.cot.Final))
			for b := T - 1; b >= 0; b-- {
				dx := make([]float32, c.B*c.I)
				must(t, g.StepBackward(b, SequenceBin[float32]{Y: bin(k.cot.Y, b, c.O), State: bin(k.cot.States, b, c.H), Clean: bin(k.cot.Clean, b, c.H)}, dx))
				back(g2.X, dx, b, c.I)
			}
			g2.X, g1.X = nil, nil
			must(t, g.EndBackward(g2))
			compare(o2, o1, g2, g1, func(name string, got, want []float32) { same(t, name, got, want) })
			must(t, g.Close())
		}
	})
}

func TestGRUInferenceIsForward(t *testing.T) {
	c := SequenceConfig{B: 40, T: 11, I: 3, H: 20, O: 3}
	k := newCase[float32](c, 6)
	o1, _ := k.run(t, c)
	c.Inference = true
	g, err := NewSequence[float32](c)
	must(t, err)
	defer g.Close()
	o2 := k.output()
	must(t, g.Forward(k.w, k.in, o2))
	same(t, "Y", o2.Y, o1.Y)
	same(t, "States", o2.States, o1.States)
	same(t, "Final", o2.Final, o1.Final)
	if err := g.Backward(k.cot, k.gradient()); !errors.Is(err, ErrOrder) {
		t.Errorf("backward without a tape: %v", err)
	}
	one, err := SequenceBytes[float32](c)
	must(t, err)
	c.T = 1000
	if many, err := SequenceBytes[float32](c); err != nil || many != one {
		t.Errorf("an inference plan takes %d bytes for 11 bins and %d for 1000 (%v)", one, many, err)
	}
}

// Two directions write into one array.
func TestGRUStride(t *testing.T) {
	c := SequenceConfig{B: 5, T: 4, I: 2, H: 3}
	k := newCase[float64](c, 7)
	want, wantGrad := k.run(t, c)
	wide, wideFinal := make([]float64, c.B*c.T*2*c.H), make([]float64, c.B*2*c.H)
	cot := SequenceCotangent[float64]{States: make([]float64, len(wide)), Clean: make([]float64, len(wide)), Final: make([]float64, len(wideFinal)), Stride: 2 * c.H, FinalStride: 2 * c.H}
	for i := range c.B * c.T {
		copy(cot.States[i*2*c.H+c.H:], k.cot.States[i*c.H:(i+1)*c.H])
		copy(cot.Clean[i*2*c.H+c.H:], k.cot.Clean[i*c.H:(i+1)*c.H])
	}
	for b := range c.B {
		copy(cot.Final[b*2*c.H+c.H:], k.cot.Final[b*c.H:(b+1)*c.H])
	}
	cot.States, cot.Clean, cot.Final = cot.States[c.H:], cot.Clean[c.H:], cot.Final[c.H:]
	g, err := NewSequence[float64](c)
	must(t, err)
	defer g.Close()
	must(t, g.Forward(k.w, k.in, SequenceOutput[float64]{States: wide[c.H:], Final: wideFinal[c.H:], Stride: 2 * c.H, FinalStride: 2 * c.H}))
	grad := k.gradient()
	must(t, g.Backward(cot, grad))
	for i := range c.B * c.T {
		same(t, "States", wide[i*2*c.H+c.H:(i+1)*2*c.H], want.States[i*c.H:(i+1)*c.H])
		same(t, "the other direction", wide[i*2*c.H:i*2*c.H+c.H], make([]float64, c.H))
	}
	for b := range c.B {
		same(t, "Final", wideFinal[b*2*c.H+c.H:(b+1)*2*c.H], want.Final[b*c.H:(b+1)*c.H])
	}
	same(t, "grad X", grad.X, wantGrad.X)
	same(t, "grad Whh", grad.Weights.Whh, wantGrad.Weights.Whh)
}

// What is not a number shows in everything that depends on it, and only there.
func TestGRUNotANumber(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		c := SequenceConfig{B: 3, T: 5, I: 2, H: 4, O: 1, Variant: variant}
		k := newCase[float32](c, 8)
		k.in.X[(1*c.T+2)*c.I] = float32(math.NaN())
		o, g := k.run(t, c)
		for b := range c.B {
			for bin := range c.T {
				got := math.IsNaN(float64(o.Y[b*c.T+bin]))
				if want := b == 1 && bin >= 2; got != want {
					t.Errorf("trial %d, bin %d: not a number is %t, want %t", b, bin, got, want)
				}
			}
		}
		if !math.IsNaN(float64(g.Weights.Whh[0])) {
			t.Error("the gradient hides a NaN")
		}
	})
}

// Saturated gates neither overflow nor leave their range.
func TestGRUSaturated(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		c := SequenceConfig{B: 4, T: 6, I: 2, H: 5, O: 1, Variant: variant}
		k := newCase[float32](c, 9)
		for i := range k.w.Wih {
			k.w.Wih[i] *= 1e4
		}
		o, g := k.run(t, c)
		wo, wg := k.reference()
		compare(o, wo, g, wg, func(name string, got, want []float32) {
			for i, v := range got {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					t.Fatalf("%s[%d] is %v", name, i, v)
				}
			}
		})
		near(t, "States", o.States, wo.States, 1e-5)
	})
}

func TestGRUErrors(t *testing.T) {
	var shape *ShapeError
	for _, c := range []SequenceConfig{{}, {B: 1, T: 0, H: 1}, {B: 1, T: 1, H: -3}, {B: 1, T: 1, H: 1, I: -1}, {B: 1, T: 1, H: 1, Threads: -1}, {B: 1, T: 1, H: 1, ShardRows: 48}, {B: 1, T: 1, H: 1, ShardRows: -16}, {B: 1, T: 1, H: 1, ShardRows: 128}, {B: 1 << 40, T: 1, H: 1}} {
		if _, err := NewSequence[float32](c); !errors.As(err, &shape) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if _, err := NewSequence[float32](SequenceConfig{B: 1 << 30, T: 1 << 30, H: 1 << 10}); err == nil {
		t.Error("a plan beyond any memory")
	}
	if _, err := NewSequence[float32](SequenceConfig{B: 1, T: 1, H: 1, Variant: "abacus"}); err == nil {
		t.Error("an unknown variant")
	}
	c := SequenceConfig{B: 3, T: 2, I: 2, H: 4, O: 1}
	g, err := NewSequence[float64](c)
	must(t, err)
	k := newCase[float64](c, 1)
	if err := g.Backward(k.cot, k.gradient()); !errors.Is(err, ErrOrder) {
		t.Errorf("backward first: %v", err)
	}
	for name, spoil := range map[string]func(k *sequenceCase[float64], o *SequenceOutput[float64]){
		"X":          func(k *sequenceCase[float64], _ *SequenceOutput[float64]) { k.in.X = k.in.X[1:] },
		"Whh":        func(k *sequenceCase[float64], _ *SequenceOutput[float64]) { k.w.Whh = nil },
		"Wih":        func(k *sequenceCase[float64], _ *SequenceOutput[float64]) { k.w.Wih = append(k.w.Wih, 1) },
		"Bih":        func(k *sequenceCase[float64], _ *SequenceOutput[float64]) { k.w.Bih = k.w.Bih[1:] },
		"Wout":       func(k *sequenceCase[float64], _ *SequenceOutput[float64]) { k.w.Wout = nil },
		"H0":         func(k *sequenceCase[float64], _ *SequenceOutput[float64]) { k.in.H0 = k.in.H0[1:] },
		"B":          func(k *sequenceCase[float64], _ *SequenceOutput[float64]) { k.in.B = 4 },
		"Trials":     func(k *sequenceCase[float64], _ *SequenceOutput[float64]) { k.in.Trials = []uint64{1} },
		"Y":          func(_ *sequenceCase[float64], o *SequenceOutput[float64]) { o.Y = o.Y[1:] },
		"States":     func(_ *sequenceCase[float64], o *SequenceOutput[float64]) { o.States = o.States[1:] },
		"Final":      func(_ *sequenceCase[float64], o *SequenceOutput[float64]) { o.FinalStride = 9 },
		"the stride": func(_ *sequenceCase[float64], o *SequenceOutput[float64]) { o.Stride = 3 },
	} {
		k, o := newCase[float64](c, 1), SequenceOutput[float64]{}
		o = k.output()
		spoil(&k, &o)
		if err := g.Forward(k.w, k.in, o); !errors.As(err, &shape) {
			t.Errorf("wrong %s: %v", name, err)
		}
	}
	if err := g.StepForward(0, make([]float64, 6), SequenceBin[float64]{}); !errors.Is(err, ErrOrder) {
		t.Errorf("step without begin: %v", err)
	}
	must(t, g.Begin(k.w, k.in))
	if err := g.StepForward(1, make([]float64, 6), SequenceBin[float64]{}); !errors.Is(err, ErrOrder) {
		t.Errorf("step to bin 1 first: %v", err)
	}
	must(t, g.StepForward(0, make([]float64, 6), SequenceBin[float64]{}))
	must(t, g.BeginBackward(nil))
	if err := g.EndBackward(SequenceGradient[float64]{}); !errors.Is(err, ErrOrder) {
		t.Errorf("end before bin 0: %v", err)
	}
	must(t, g.Close())
	must(t, g.Close())
	if err := g.Forward(k.w, k.in, k.output()); !errors.Is(err, ErrClosed) {
		t.Errorf("forward on a closed plan: %v", err)
	}
}

// A step on arrays of all bins is the same step; cutting between bins is a truncated Backward, whose gradients are the sum of those of the pieces.
func TestWholeArraysAndTruncation(t *testing.T) {
	eachCell(t, 35, 7, func(t *testing.T, c SequenceConfig) {
		for _, truncate := range []int{0, 3} {
			k := newCase[float32](c, 5)
			k.in.Noise = Noise[float32]{SD: 0.1, Key: 5}
			k.cot.Truncate = truncate
			o1, g1 := k.run(t, c)
			o2, g2 := k.output(), k.gradient()
			g, err := NewSequence[float32](c)
			must(t, err)
			must(t, g.Begin(k.w, k.in))
			for b := range c.T {
				must(t, g.StepForward(b, k.in.X, SequenceBin[float32]{Y: o2.Y, State: o2.States, Clean: o2.Clean, Whole: true}))
			}
			must(t, g.Final(o2.Final))
			must(t, g.BeginBackward(k.cot.Final))
			for b := c.T - 1; b >= 0; b-- {
				if truncate > 0 && b+1 < c.T && (b+1)%truncate == 0 {
					must(t, g.CutBackward())
				}
				must(t, g.StepBackward(b, SequenceBin[float32]{Y: k.cot.Y, State: k.cot.States, Clean: k.cot.Clean, Whole: true}, g2.X))
			}
			must(t, g.EndBackward(SequenceGradient[float32]{Weights: g2.Weights, H0: g2.H0}))
			compare(o2, o1, g2, g1, func(name string, got, want []float32) { same(t, name, got, want) })
			must(t, g.Close())
		}
	})
	// The piece after the cut, from the state that it began with, and the piece before it.
	for _, cell := range []Cell{CellGRU, CellLSTM, CellLeaky} {
		c := SequenceConfig{Cell: cell, B: 3, T: 5, I: 2, H: 4, O: 2, Gamma: 0.3}
		k := newCase[float64](c, 9)
		k.cot.Truncate = 3
		_, got := k.run(t, c)
		part := func(s []float64, width, from, to int) []float64 {
			var out []float64
			for b := range c.B {
				out = append(out, s[(b*c.T+from)*width:(b*c.T+to)*width]...)
			}
			return out
		}
		want := likeWeights(k.w)
		state, h0 := []float64(nil), make([]float64, len(k.in.H0))
		for _, piece := range [][2]int{{0, 3}, {3, 5}} {
			from, to := piece[0], piece[1]
			p := k
			p.c.T = to - from
			p.in.X = part(k.in.X, c.I, from, to)
			p.cot = SequenceCotangent[float64]{Y: part(k.cot.Y, c.O, from, to), States: part(k.cot.States, c.H, from, to), Clean: part(k.cot.Clean, c.H, from, to)}
			if from > 0 {
				p.in.H0, p.cot.Final = state, k.cot.Final
			}
			o, g := p.run(t, p.c)
			state = o.Final
			if from == 0 {
				copy(h0, g.H0)
			}
			compareWeights(want, g.Weights, func(_ string, sum, part []float64) {
				for i, v := range part {
					sum[i] += v
				}
			})
		}
		compareWeights(got.Weights, want, func(name string, got, want []float64) { near(t, cell.String()+" "+name, got, want, 1e-12) })
		near(t, cell.String()+" H0", got.H0, h0, 1e-12)
	}
}
