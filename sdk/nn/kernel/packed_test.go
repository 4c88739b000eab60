package kernel

import (
	"errors"
	"slices"
	"sync"
	"testing"
)

// TestPackedWeights: plans that share their weights give the bits of plans with their own, all at once and after the weights have changed, and notice if they are given others.
func TestPackedWeights(t *testing.T) {
	for _, c := range someCells() {
		c.B, c.T = 5, 7
		t.Run(c.String(), func(t *testing.T) {
			var packed Packed[float64]
			open := func(c SequenceConfig) *Sequence[float64] {
				g, err := packed.NewSequence(c)
				must(t, err)
				t.Cleanup(func() { must(t, g.Close()) })
				return g
			}
			longer := c
			longer.B, longer.T, longer.Threads = c.B+40, 2*c.T, 2
			first, second, other := open(c), open(c), open(longer)
			k, long := newCase[float64](c, 1), newCase[float64](longer, 2)
			long.w = k.w
			for version := uint64(1); version < 4; version++ {
				for _, w := range [][]float64{k.w.Wout, k.w.Whh, k.w.Bih} {
					for i := range w {
						w[i] *= 0.9
					}
				}
				k.w.Version, long.w.Version = 0, 0
				wantOut, wantGrad := k.run(t, c)
				wantLong, wantLongGrad := long.run(t, longer)
				k.w.Version, long.w.Version = version, version
				var outs [3]SequenceOutput[float64]
				var grads [3]SequenceGradient[float64]
				var wait sync.WaitGroup
				for i, g := range []*Sequence[float64]{first, second, other} {
					k := k
					if g == other {
						k = long
					}
					outs[i], grads[i] = k.output(), k.gradient()
					wait.Go(func() {
						if err := errors.Join(g.Forward(k.w, k.in, outs[i]), g.Backward(k.cot, grads[i])); err != nil {
							t.Error(err)
						}
					})
				}
				wait.Wait()
				check := func(name string, got, want []float64) { t.Helper(); same(t, name, got, want) }
				compare(outs[0], wantOut, grads[0], wantGrad, check)
				compare(outs[1], wantOut, grads[1], wantGrad, check)
				compare(outs[2], wantLong, grads[2], wantLongGrad, check)
			}
			k.w.Wout = slices.Clone(k.w.Wout)
			if err := first.Forward(k.w, k.in, k.output()); !errors.Is(err, ErrOrder) {
				t.Errorf("other weights under one version give %v", err)
			}
			k.w.Version = 0
			if err := first.Forward(k.w, k.in, k.output()); !errors.Is(err, ErrOrder) {
				t.Errorf("weights without a version give %v", err)
			}
			c.O++
			if _, err := packed.NewSequence(c); err == nil {
				t.Error("weights of another readout are shared")
			}
		})
	}
}
