package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// trainStep is a whole training step made of the kernels: forward, readout, mean squared error over every bin, backward, clip at 1, Adam. Each
// worker takes one shard at a time through everything, so memory does not grow with the batch.
type trainStep struct {
	c       SequenceConfig
	x, want []float32
	params  [][]float32 // in the order of parts
	m, v    [][]float32
	w       SequenceWeights[float32]
	grads   [][][]float32 // by shard
	grad    [][]float32
	loss    []float64
	workers []trainWorker
	steps   int
}

type trainWorker struct {
	g *Sequence[float32]
	y []float32
}

func parts(w SequenceWeights[float32]) [][]float32 {
	out := [][]float32{w.Wih, w.Whh, w.Bih, w.Bhh, w.Wout, w.Bout}
	for _, m := range w.Maps {
		out = append(out, m.Weight, m.Bias)
	}
	return out
}

// weightsOf is the other way round.
func weightsOf(p [][]float32) SequenceWeights[float32] {
	w := SequenceWeights[float32]{Wih: p[0], Whh: p[1], Bih: p[2], Bhh: p[3], Wout: p[4], Bout: p[5]}
	for l := 6; l < len(p); l += 2 {
		w.Maps = append(w.Maps, LinearWeights[float32]{p[l], p[l+1]})
	}
	return w
}

func newTrainStep(b testing.TB, c SequenceConfig) *trainStep {
	b.Helper()
	k := newCase[float32](c, 1)
	s := &trainStep{c: c, x: k.in.X, want: fill[float32](rand.New(rand.NewPCG(1, 1)), c.B*c.T*c.O, 1), w: k.w, params: parts(k.w)}
	like := func() [][]float32 {
		var out [][]float32
		for _, p := range s.params {
			out = append(out, make([]float32, len(p)))
		}
		return out
	}
	s.m, s.v, s.grad, s.loss = like(), like(), like(), make([]float64, ShardCount(c.B))
	for range s.loss {
		s.grads = append(s.grads, like())
	}
	one := c
	one.B, one.Threads = ShardRows, 1
	for range c.Threads {
		g, err := NewSequence[float32](one)
		must(b, err)
		b.Cleanup(func() { _ = g.Close() })
		s.workers = append(s.workers, trainWorker{g, make([]float32, ShardRows*c.T*c.O)})
	}
	return s
}

func (s *trainStep) step() (float64, error) {
	c := s.c
	scale := 1 / float64(c.B*c.T*c.O)
	err := Shards(c.B, c.Threads, func(worker, shard, lo, hi int) error {
		w, n := s.workers[worker], hi-lo
		y := w.y[:n*c.T*c.O]
		if err := w.g.Forward(s.w, SequenceInput[float32]{B: n, X: s.x[lo*c.T*c.I : hi*c.T*c.I]}, SequenceOutput[float32]{Y: y}); err != nil {
			return err
		}
		var err error
		if s.loss[shard], err = SquaredError(Shape{B: n, T: c.T, C: c.O}, y, s.want[lo*c.T*c.O:hi*c.T*c.O], nil, scale, y); err != nil {
			return err
		}
		g := s.grads[shard]
		return w.g.Backward(SequenceCotangent[float32]{Y: y}, SequenceGradient[float32]{Weights: weightsOf(g)})
	})
	if err != nil {
		return 0, err
	}
	loss := 0.0
	for i := range s.grads {
		loss += s.loss[i]
		for j := range s.grad {
			if err := Sum(s.grad[j], i > 0, s.grads[i][j]); err != nil {
				return 0, err
			}
		}
	}
	f := ClipFactor(GlobalNorm(s.grad...), 1)
	s.steps++
	for j, g := range s.grad {
		Scale(g, f)
		if err := AdamStep(Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, s.steps, s.params[j], g, s.m[j], s.v[j]); err != nil {
			return 0, err
		}
	}
	return loss, nil
}

// The step learns, and gives the same bits on any number of threads.
func TestTrainStep(t *testing.T) {
	var first, last []float64
	for threads := 1; threads <= 3; threads++ {
		s := newTrainStep(t, SequenceConfig{B: 70, T: 20, I: 3, H: 16, O: 2, Threads: threads})
		for i := range s.want {
			s.want[i] = s.x[i/2*3]
		}
		var losses []float64
		for range 60 {
			loss, err := s.step()
			must(t, err)
			losses = append(losses, loss)
		}
		if threads == 1 {
			first = losses
		}
		last = losses
		same(t, fmt.Sprintf("losses of %d threads", threads), last, first)
	}
	if !(last[59] < 0.7*last[0]) || math.IsNaN(last[59]) {
		t.Errorf("60 steps took the loss from %v to %v", last[0], last[59])
	}
}

// BenchmarkTrainStep is named like the arguments of the programs that it is compared with.
func BenchmarkTrainStep(b *testing.B) {
	for _, c := range []SequenceConfig{
		{B: 256, T: 500, I: 3, H: 64, O: 3},
		{B: 256, T: 500, I: 3, H: 128, O: 3},
		{B: 64, T: 320, I: 20, H: 128, O: 3},
		{Cell: CellLSTM, B: 256, T: 500, I: 3, H: 64, O: 3},
		{Cell: CellTanh, B: 256, T: 500, I: 3, H: 64, O: 3},
		{Cell: CellNODE, B: 256, T: 500, I: 3, H: 3, O: 3, Layers: 3, Width: 128, DT: 0.1},
	} {
		for c.Threads = 1; c.Threads <= 2; c.Threads++ {
			b.Run(fmt.Sprintf("%s/B=%d/T=%d/I=%d/H=%d/threads=%d", c.Cell, c.B, c.T, c.I, c.H, c.Threads), func(b *testing.B) {
				s := newTrainStep(b, c)
				_, err := s.step()
				must(b, err)
				for b.Loop() {
					_, err := s.step()
					must(b, err)
				}
				products := float64(c.B) * float64(c.T) * (6*float64(c.Cell.Gates()*c.H*(c.H+c.I)) + 6*float64(c.H*c.O))
				for l := range c.Layers {
					out, in := c.Map(l)
					products += 6 * float64(c.B*c.T*out*in)
				}
				b.ReportMetric(products*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
