package kernel

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

// Recomputing gives the very bits of a tape that is kept, in both directions, whatever the segment, for a second way back too, and takes less memory.
func TestRecompute(t *testing.T) {
	eachCell(t, 37, 27, func(t *testing.T, c SequenceConfig) {
		for _, c.Reverse = range []bool{false, true} {
			k := newCase[float32](c, 15)
			k.in.Noise, k.in.InitNoise = Noise[float32]{SD: 0.1, Key: 5}, Noise[float32]{SD: 0.1, Key: 6}
			c.Recompute = 0
			o1, g1 := k.run(t, c)
			whole, err := SequenceBytes[float32](c)
			must(t, err)
			for _, c.Recompute = range []int{1, 7, 8, 27, 100} {
				g, err := NewSequence[float32](c)
				must(t, err)
				for range 2 {
					o2, g2 := k.output(), k.gradient()
					must(t, g.Forward(k.w, k.in, o2))
					for range 2 {
						must(t, g.Backward(k.cot, g2))
						compare(o2, o1, g2, g1, func(name string, got, want []float32) {
							same(t, fmt.Sprintf("segments of %d: %s", c.Recompute, name), got, want)
						})
					}
				}
				if n, err := SequenceBytes[float32](c); err != nil || n > whole || (c.segment() > 0 && n == whole) {
					t.Errorf("segments of %d take %d bytes, without %d, %v", c.Recompute, n, whole, err)
				}
				if err := g.Begin(k.w, k.in); !c.Reverse && c.segment() > 0 && !errors.Is(err, ErrOrder) {
					t.Errorf("a closed loop: %v", err)
				}
				must(t, g.Close())
			}
		}
	})
	if _, err := NewSequence[float32](SequenceConfig{B: 1, T: 1, H: 1, Recompute: -1}); err == nil {
		t.Error("a negative segment was taken")
	}
}

// BenchmarkRecompute is a step of a GRU forward and back, its tape kept or made again by segments, with the memory of its plan.
func BenchmarkRecompute(b *testing.B) {
	for _, shape := range []SequenceConfig{{T: 500, I: 3, H: 64, O: 3}, {T: 500, I: 3, H: 128, O: 3}, {T: 5000, I: 3, H: 64, O: 3}, {Cell: CellLSTM, T: 500, I: 3, H: 64, O: 3},
		{Cell: CellTanh, T: 500, I: 3, H: 64, O: 3}, {Cell: CellNODE, T: 500, I: 3, H: 3, O: 3, Layers: 3, Width: 128, DT: 0.1}} {
		for _, segment := range []int{0, 8, 16, 24, 32, 64} {
			c := shape
			c.B, c.Recompute = ShardRows, segment
			b.Run(fmt.Sprintf("%s/segment=%d", c, segment), func(b *testing.B) {
				k := newCase[float32](c, 1)
				g, err := NewSequence[float32](c)
				must(b, err)
				defer g.Close()
				o, grad := k.output(), k.gradient()
				o.States, o.Clean, k.cot.States, k.cot.Clean, k.cot.Final, grad.X = nil, nil, nil, nil, nil, nil
				n, err := SequenceBytes[float32](c)
				must(b, err)
				for b.Loop() {
					must(b, g.Forward(k.w, k.in, o))
					must(b, g.Backward(k.cot, grad))
				}
				b.ReportMetric(float64(n)/1e6, "MB")
			})
		}
	}
}

// TestRecomputeOfEverything: a segment as long as the sequence, or as the largest integer, is none.
func TestRecomputeOfEverything(t *testing.T) {
	for _, n := range []int{7, 8, 1 << 40, math.MaxInt} {
		if got := (SequenceConfig{Cell: CellGRU, B: 1, T: 7, H: 1, Recompute: n}).segment(); got != 0 {
			t.Errorf("of %d bins of 7: segments of %d", n, got)
		}
	}
}
