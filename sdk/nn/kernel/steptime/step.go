package steptime

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Step has all that a case's steps need. It is not safe for concurrent use.
type Step struct {
	c       Case
	x, want []float32 // (B, T, I), and (B, T, O) or (B, O)
	params  []float32
	m, v    []float32   // Adam's running means
	grads   [][]float32 // by shard
	grad    []float32
	losses  []float64 // by shard
	workers []worker
	steps   int
}

// worker is the memory of one thread, for one shard.
type worker struct {
	directions []*kernel.Sequence[float32]
	out        *kernel.Linear[float32] // of a bidirectional case
	y          []float32               // (rows, T, O) or (rows, O), then their gradient
	final, dh  []float32               // (rows, 2H) final states and their gradient
}

// weights are views of an array of all parameters, or of their gradients.
type weights struct {
	directions []kernel.SequenceWeights[float32]
	out        kernel.LinearWeights[float32]
}

// directions is 1 or 2.
func (c Case) directions() int {
	if c.Bidirectional {
		return 2
	}
	return 1
}

// plan is the sequence that a worker takes a shard through.
func (c Case) plan(direction int) kernel.SequenceConfig {
	s := c.Sequence
	s.B, s.Threads, s.Variant, s.Inference, s.Reverse = min(s.B, kernel.ShardRows), 1, "", false, direction == 1
	if c.Bidirectional {
		s.O = 0
	}
	return s
}

// perTrial is the number of outputs of a trial.
func (c Case) perTrial() int {
	if c.Bidirectional {
		return c.Sequence.O
	}
	return c.Sequence.T * c.Sequence.O
}

// weights are made of what take returns for a number of elements, whose arguments are so many.
func (c Case) weights(take func(n, args int) []float32) weights {
	s := c.Sequence
	var w weights
	for d := range c.directions() {
		p := c.plan(d)
		rows := p.Cell.Gates() * p.H
		k := kernel.SequenceWeights[float32]{Wih: take(rows*p.I, p.H), Whh: take(rows*p.H, p.H), Bih: take(rows, p.H), Bhh: take(rows, p.H), Wout: take(p.O*p.H, p.H)}
		if p.O > 0 {
			k.Bout = take(p.O, p.H)
		}
		for l := range p.MapCount() {
			out, in := p.Map(l)
			k.Maps = append(k.Maps, kernel.LinearWeights[float32]{Weight: take(out*in, in), Bias: take(out, in)})
		}
		w.directions = append(w.directions, k)
	}
	if c.Bidirectional {
		w.out = kernel.LinearWeights[float32]{Weight: take(2*s.H*s.O, 2*s.H), Bias: take(s.O, 2*s.H)}
	}
	return w
}

// of are the views of an array that has room for all.
func (c Case) of(flat []float32) weights {
	at := 0
	return c.weights(func(n, _ int) []float32 {
		at += n
		return flat[at-n : at : at]
	})
}

// size is the number of parameters.
func (c Case) size() int {
	n := 0
	c.weights(func(k, _ int) []float32 {
		n += k
		return nil
	})
	return n
}

// Bytes is the memory that New takes for so many threads, nearly.
func (c Case) Bytes(threads int) (uint64, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	s := c.Sequence
	n := float64(c.size())*float64(4+kernel.ShardCount(s.B, kernel.ShardRows)) + float64(s.B)*(float64(s.T)*float64(s.I)+float64(c.perTrial()))
	one, err := kernel.SequenceBytes[float32](c.plan(0))
	if err != nil {
		return 0, err
	}
	workers := float64(min(max(1, threads), kernel.ShardCount(s.B, kernel.ShardRows)))
	total := 4*n + workers*(float64(c.directions())*float64(one)+4*kernel.ShardRows*float64(c.perTrial()+4*s.H))
	if total > math.MaxInt64 {
		return 0, fmt.Errorf("steptime: case %s: beyond any memory", c.Name())
	}
	return uint64(total), nil
}

// New makes a case's data, initial weights (PyTorch's distribution) and plans for at most so many threads, at least 1.
func New(c Case, threads int) (*Step, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if threads < 1 {
		return nil, fmt.Errorf("steptime: threads %d: want at least 1", threads)
	}
	q := c.Sequence
	r := rand.New(rand.NewPCG(1, 1))
	normal := func(n int) []float32 {
		a := make([]float32, n)
		for i := range a {
			a[i] = float32(r.NormFloat64())
		}
		return a
	}
	n := c.size()
	s := &Step{c: c, x: normal(q.B * q.T * q.I), want: normal(q.B * c.perTrial()), params: make([]float32, 0, n), m: make([]float32, n), v: make([]float32, n),
		grad: make([]float32, n), losses: make([]float64, kernel.ShardCount(q.B, kernel.ShardRows))}
	c.weights(func(n, args int) []float32 {
		bound := 1 / math.Sqrt(float64(args))
		for range n {
			s.params = append(s.params, float32(bound*(2*r.Float64()-1)))
		}
		return nil
	})
	for range s.losses {
		s.grads = append(s.grads, make([]float32, n))
	}
	for range min(threads, len(s.losses)) {
		w, err := c.worker()
		s.workers = append(s.workers, w)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (c Case) worker() (worker, error) {
	rows := c.plan(0).B
	w := worker{y: make([]float32, rows*c.perTrial())}
	for d := range c.directions() {
		g, err := kernel.NewSequence[float32](c.plan(d))
		if err != nil {
			return w, err
		}
		w.directions = append(w.directions, g)
	}
	if !c.Bidirectional {
		return w, nil
	}
	w.final, w.dh = make([]float32, rows*2*c.Sequence.H), make([]float32, rows*2*c.Sequence.H)
	var err error
	w.out, err = kernel.NewLinear[float32](kernel.LinearConfig{B: rows, T: 1, In: 2 * c.Sequence.H, Out: c.Sequence.O})
	return w, err
}

// Run takes one step on so many threads, at most those that it was made for, and returns the loss before it.
func (s *Step) Run(threads int) (float64, error) {
	loss, err := s.gradient(threads)
	if err != nil {
		return 0, err
	}
	kernel.Scale(s.grad, kernel.ClipFactor(kernel.GlobalNorm(s.grad), 1))
	s.steps++
	return loss, kernel.AdamStep(kernel.Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, s.steps, s.params, s.grad, s.m, s.v)
}

// gradient computes the loss and its gradient.
func (s *Step) gradient(threads int) (float64, error) {
	c := s.c
	params := c.of(s.params)
	err := kernel.Shards(c.Sequence.B, kernel.ShardRows, min(threads, len(s.workers)), func(at, shard, lo, hi int) error {
		var err error
		s.losses[shard], err = s.workers[at].run(c, params, s.x[lo*c.Sequence.T*c.Sequence.I:hi*c.Sequence.T*c.Sequence.I], s.want[lo*c.perTrial():hi*c.perTrial()], c.of(s.grads[shard]), hi-lo)
		return err
	})
	if err != nil {
		return 0, err
	}
	loss := 0.0
	for _, l := range s.losses {
		loss += l
	}
	return loss, kernel.Sum(s.grad, false, s.grads...)
}

// run takes a shard of n trials forward and back.
func (w *worker) run(c Case, params weights, x, want []float32, grad weights, n int) (float64, error) {
	h, o := c.Sequence.H, c.Sequence.O
	y := w.y[:n*c.perTrial()]
	scale := 1 / float64(c.Sequence.B*c.perTrial())
	in := kernel.SequenceInput[float32]{B: n, X: x}
	if !c.Bidirectional {
		g := w.directions[0]
		if err := g.Forward(params.directions[0], in, kernel.SequenceOutput[float32]{Y: y}); err != nil {
			return 0, err
		}
		loss, err := kernel.SquaredError(kernel.Shape{B: n, T: c.Sequence.T, C: o}, y, want, nil, scale, y)
		if err != nil {
			return 0, err
		}
		return loss, g.Backward(kernel.SequenceCotangent[float32]{Y: y}, kernel.SequenceGradient[float32]{Weights: grad.directions[0]})
	}
	final, dh := w.final[:n*2*h], w.dh[:n*2*h]
	for d, g := range w.directions {
		if err := g.Forward(params.directions[d], in, kernel.SequenceOutput[float32]{Final: final[d*h:], FinalStride: 2 * h}); err != nil {
			return 0, err
		}
	}
	if err := w.out.Forward(n, final, params.out.Weight, params.out.Bias, y); err != nil {
		return 0, err
	}
	loss, err := kernel.SquaredError(kernel.Shape{B: n, T: 1, C: o}, y, want, nil, scale, y)
	if err != nil {
		return 0, err
	}
	if err := w.out.Backward(n, final, params.out.Weight, y, kernel.LinearGradient[float32]{X: dh, W: grad.out.Weight, B: grad.out.Bias}); err != nil {
		return 0, err
	}
	for d, g := range w.directions {
		if err := g.Backward(kernel.SequenceCotangent[float32]{Final: dh[d*h:], FinalStride: 2 * h}, kernel.SequenceGradient[float32]{Weights: grad.directions[d]}); err != nil {
			return 0, err
		}
	}
	return loss, nil
}

// Close frees the plans.
func (s *Step) Close() error {
	var errs []error
	for _, w := range s.workers {
		for _, g := range w.directions {
			errs = append(errs, g.Close())
		}
		if w.out != nil {
			errs = append(errs, w.out.Close())
		}
	}
	s.workers = nil
	return errors.Join(errs...)
}
