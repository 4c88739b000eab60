package kernel

// #include "kernel.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// What an [*IntegrationError] is about, for errors.Is.
var (
	// ErrSteps: an adaptive method needs more steps than are allowed.
	ErrSteps = errors.New("more steps are needed than are allowed")
	// ErrNotFinite: a state, its rate of change or its gradient is not finite.
	ErrNotFinite = errors.New("not finite")
)

// IntegrationError says which trial an adaptive method could not integrate over which bin.
type IntegrationError struct {
	Trial    uint64 // its number, see SequenceInput.Trials
	Bin      int
	MaxSteps int   // that were allowed
	Backward bool  // it happened on the way back
	Err      error // ErrSteps or ErrNotFinite
}

// Error names the trial and the bin.
func (e *IntegrationError) Error() string {
	way := ""
	if e.Backward {
		way = ", on the way back"
	}
	if errors.Is(e.Err, ErrSteps) {
		return fmt.Sprintf("kernel: dopri5: trial %d, bin %d%s: %d steps are not enough", e.Trial, e.Bin, way, e.MaxSteps)
	}
	return fmt.Sprintf("kernel: dopri5: trial %d, bin %d%s: the state or its rate of change is %v", e.Trial, e.Bin, way, e.Err)
}

// Unwrap is ErrSteps or ErrNotFinite.
func (e *IntegrationError) Unwrap() error { return e.Err }

// integrated reports the first trial that could not be integrated.
func (g *Sequence[F]) integrated() error {
	if !g.cfg.Dopri5 || g.cfg.Cell != CellNODE {
		return nil
	}
	for n, s := range unsafe.Slice(g.plan.sh, ShardCount(g.in.B, g.cfg.shardRows())) {
		if s.failed == 0 {
			continue
		}
		row := n*g.cfg.shardRows() + int(s.failed_row)
		e := &IntegrationError{Trial: uint64(row), Bin: int(s.failed_step), MaxSteps: g.cfg.maxSteps(), Backward: s.failed_back != 0, Err: ErrSteps}
		if s.failed == C.CTDB_NOT_FINITE {
			e.Err = ErrNotFinite
		}
		if g.in.Trials != nil {
			e.Trial = g.in.Trials[row]
		}
		if g.cfg.Reverse {
			e.Bin = g.cfg.T - 1 - e.Bin
		}
		g.state = phaseNew
		return e
	}
	return nil
}

// isWide says whether a plan in F computes in double precision.
func isWide[F Float](c SequenceConfig) bool {
	return c.Cell == CellNODE && c.Dopri5 && isDouble[F]() == 0
}

// wide is a plan in double precision under one in single precision.
type wide[F Float] struct {
	*Sequence[float64]
	// held is what a plan may read until it is begun anew, passing the rest of a call.
	held, passing pool[F]
}

// pool converts arrays into ones in double precision, whose memory is kept from use to use.
type pool[F Float] struct {
	room []converted[F]
	used int
}

// converted is an array in double precision, and where its values go if it is a result: to runs of width elements that begin row elements apart; a width of 0 is all
// in one run.
type converted[F Float] struct {
	narrow     []F
	double     []float64
	width, row int
}

func newWide[F Float](c SequenceConfig) (*wide[F], error) {
	g, err := NewSequence[float64](c)
	if err != nil {
		return nil, err
	}
	return &wide[F]{Sequence: g}, nil
}

// wideBytes is what the converted arrays take where inputs, readout and states are, and on the way back the cotangents of the readout and one of the rest.
func wideBytes(c SequenceConfig) uint64 {
	n := uint64(c.B) * (uint64(c.T)*uint64(c.I+c.O+c.H) + 3*uint64(c.H))
	weights := uint64(c.O) * uint64(c.H+1)
	for l := range c.Layers {
		o, i := c.Map(l)
		weights += uint64(o) * uint64(i+1)
	}
	if !c.Inference {
		n, weights = 2*n, 2*weights
	}
	return 8 * (n + weights)
}

// array is a double array for a; it holds a's values if fill.
func (p *pool[F]) array(a []F, fill bool) []float64 {
	if a == nil {
		return nil
	}
	if p.used == len(p.room) {
		p.room = append(p.room, converted[F]{})
	}
	c := &p.room[p.used]
	p.used++
	if cap(c.double) < len(a) {
		c.double = make([]float64, len(a))
	}
	c.narrow, c.double, c.width = nil, c.double[:len(a)], 0
	if fill {
		for i, v := range a {
			c.double[i] = float64(v)
		}
	}
	return c.double
}

// bin is a double array for bin t of an array (B, T, width), which it holds if fill and which gets its values at the end if it is a result.
func (p *pool[F]) bin(a []F, bins, t, width int, fill, result bool) []float64 {
	if a == nil || width == 0 {
		return nil
	}
	row := bins * width
	d := p.array(a[:len(a)/bins], false)
	for i := 0; fill && i < len(d); i++ {
		d[i] = float64(a[i/width*row+t*width+i%width])
	}
	if result {
		c := &p.room[p.used-1]
		c.narrow, c.width, c.row = a[t*width:], width, row
	}
	return d
}

// argument is a's copy.
func (p *pool[F]) argument(a []F) []float64 { return p.array(a, true) }

// result is an array whose values go to a at the end.
func (p *pool[F]) result(a []F, fill bool) []float64 {
	d := p.array(a, fill)
	if d != nil {
		p.room[p.used-1].narrow = a
	}
	return d
}

// pass runs a call, and rounds its results if it went well.
func (w *wide[F]) pass(call func(p *pool[F]) error) error {
	p := &w.passing
	p.used = 0
	if err := call(p); err != nil {
		return err
	}
	for _, c := range p.room[:p.used] {
		if c.width > 0 {
			for i, v := range c.double {
				c.narrow[i/c.width*c.row+i%c.width] = F(v)
			}
			continue
		}
		for i := range c.narrow {
			c.narrow[i] = F(c.double[i])
		}
	}
	return nil
}

func wideWeights[F Float](s SequenceWeights[F], f func([]F) []float64) SequenceWeights[float64] {
	out := SequenceWeights[float64]{Wih: f(s.Wih), Whh: f(s.Whh), Bih: f(s.Bih), Bhh: f(s.Bhh), Wout: f(s.Wout), Bout: f(s.Bout)}
	for _, m := range s.Maps {
		out.Maps = append(out.Maps, LinearWeights[float64]{f(m.Weight), f(m.Bias)})
	}
	return out
}

// hold converts the weights and the inputs of a sequence.
func (w *wide[F]) hold(s SequenceWeights[F], in SequenceInput[F]) (SequenceWeights[float64], SequenceInput[float64]) {
	p := &w.held
	p.used = 0
	noise := func(n Noise[F]) Noise[float64] {
		return Noise[float64]{SD: float64(n.SD), Key: n.Key, Values: p.argument(n.Values)}
	}
	return wideWeights(s, p.argument), SequenceInput[float64]{B: in.B, X: p.argument(in.X), H0: p.argument(in.H0), Trials: in.Trials, Noise: noise(in.Noise),
		InitNoise: noise(in.InitNoise)}
}

// wideOutput converts outputs; of one that is strided the plan writes a part: it is filled.
func wideOutput[F Float](o SequenceOutput[F], f func(a []F, fill bool) []float64) SequenceOutput[float64] {
	return SequenceOutput[float64]{Y: f(o.Y, false), States: f(o.States, o.Stride != 0), Clean: f(o.Clean, o.Stride != 0), Final: f(o.Final, o.FinalStride != 0),
		Stride: o.Stride, FinalStride: o.FinalStride}
}

func wideGradient[F Float](g SequenceGradient[F], p *pool[F]) SequenceGradient[float64] {
	return SequenceGradient[float64]{Weights: wideWeights(g.Weights, func(a []F) []float64 { return p.result(a, g.Add) }), X: p.result(g.X, false), H0: p.result(g.H0, g.Add),
		Add: g.Add}
}

func (w *wide[F]) forward(s SequenceWeights[F], in SequenceInput[F], out SequenceOutput[F]) error {
	weights, input := w.hold(s, in)
	return w.pass(func(p *pool[F]) error { return w.Forward(weights, input, wideOutput(out, p.result)) })
}

func (w *wide[F]) backward(cot SequenceCotangent[F], grad SequenceGradient[F]) error {
	return w.pass(func(p *pool[F]) error {
		c := wideOutput(SequenceOutput[F]{cot.Y, cot.States, cot.Clean, cot.Final, cot.Stride, cot.FinalStride}, func(a []F, _ bool) []float64 { return p.argument(a) })
		return w.Backward(SequenceCotangent[float64]{c.Y, c.States, c.Clean, c.Final, c.Stride, c.FinalStride, cot.Truncate}, wideGradient(grad, p))
	})
}

func (w *wide[F]) beginSteps(s SequenceWeights[F], in SequenceInput[F]) error {
	weights, input := w.hold(s, in)
	return w.Begin(weights, input)
}

func (w *wide[F]) stepForward(t int, x []F, out SequenceBin[F]) error {
	if err := w.checkBin(t, "x", x, out); err != nil {
		return err
	}
	return w.pass(func(p *pool[F]) error {
		if c := w.cfg; out.Whole {
			return w.StepForward(t, p.bin(x, c.T, t, c.I, true, false), SequenceBin[float64]{Y: p.bin(out.Y, c.T, t, c.O, false, true),
				State: p.bin(out.State, c.T, t, c.H, false, true), Clean: p.bin(out.Clean, c.T, t, c.H, false, true)})
		}
		return w.StepForward(t, p.argument(x), SequenceBin[float64]{Y: p.result(out.Y, false), State: p.result(out.State, false), Clean: p.result(out.Clean, false)})
	})
}

func (w *wide[F]) beginBackward(final []F) error {
	return w.pass(func(p *pool[F]) error { return w.BeginBackward(p.argument(final)) })
}

// checkBin checks the sizes of arrays of all bins before one is taken out of them.
func (w *wide[F]) checkBin(t int, name string, x []F, b SequenceBin[F]) error {
	if !b.Whole {
		return nil
	}
	if t < 0 || t >= w.cfg.T {
		return fmt.Errorf("sequence: step at bin %d of %d: %w", t, w.cfg.T, ErrOrder)
	}
	return errors.Join(optLen("sequence", name, x, w.in.B*w.cfg.T*w.cfg.I), b.check(w.cfg, w.in.B))
}

func (w *wide[F]) stepBackward(t int, cot SequenceBin[F], dx []F) error {
	if err := w.checkBin(t, "dx", dx, cot); err != nil {
		return err
	}
	return w.pass(func(p *pool[F]) error {
		if c := w.cfg; cot.Whole {
			return w.StepBackward(t, SequenceBin[float64]{Y: p.bin(cot.Y, c.T, t, c.O, true, false), State: p.bin(cot.State, c.T, t, c.H, true, false),
				Clean: p.bin(cot.Clean, c.T, t, c.H, true, false)}, p.bin(dx, c.T, t, c.I, false, true))
		}
		return w.StepBackward(t, SequenceBin[float64]{Y: p.argument(cot.Y), State: p.argument(cot.State), Clean: p.argument(cot.Clean)}, p.result(dx, false))
	})
}

func (w *wide[F]) endBackward(grad SequenceGradient[F]) error {
	return w.pass(func(p *pool[F]) error { return w.EndBackward(wideGradient(grad, p)) })
}

func (w *wide[F]) close() error {
	w.held, w.passing = pool[F]{}, pool[F]{}
	return w.Close()
}
