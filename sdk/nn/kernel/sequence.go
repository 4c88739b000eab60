package kernel

/*
#cgo noescape call_seq_pack
#cgo nocallback call_seq_pack
#cgo noescape call_seq_pack_layer
#cgo nocallback call_seq_pack_layer
#cgo noescape call_seq_layer_gradients
#cgo nocallback call_seq_layer_gradients
#cgo noescape call_seq_begin
#cgo nocallback call_seq_begin
#cgo noescape call_seq_forward
#cgo nocallback call_seq_forward
#cgo noescape call_seq_replay
#cgo nocallback call_seq_replay
#cgo noescape call_seq_final
#cgo nocallback call_seq_final
#cgo noescape call_seq_begin_backward
#cgo nocallback call_seq_begin_backward
#cgo noescape call_seq_cut
#cgo nocallback call_seq_cut
#cgo noescape call_seq_backward
#cgo nocallback call_seq_backward
#cgo noescape call_seq_gradients
#cgo nocallback call_seq_gradients
#include "calls.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"
)

// Sequence is a plan for the sequences of a cell, see Cell for the equations. A call sequence is
//
//	Forward, then Backward                                    // whole sequences
//	Begin, StepForward for bins 0, 1, ...; then, if wanted,   // closed loop, x of a bin may depend on what earlier bins gave
//	BeginBackward, StepBackward for the same bins in reverse, EndBackward
//
// Both run the same code and give the same bits.
type Sequence[F Float] struct {
	cfg     SequenceConfig
	plan    *C.ctdb_seq // nil once closed
	cleanup runtime.Cleanup

	state phase
	done  int // bins that a closed loop has stepped and not yet gone back over
	in    SequenceInput[F]

	packed *Packed[F] // nil where the weights are its own

	wide *wide[F] // does the work where it is in double precision whatever F is; then plan is nil
}

type phase int

const (
	phaseNew phase = iota
	phaseForward
	phaseSteps
	phaseBack
)

// NewSequence plans a sequence and takes the memory for it, see SequenceBytes.
func NewSequence[F Float](c SequenceConfig) (*Sequence[F], error) { return newSequence[F](c, nil) }

func newSequence[F Float](c SequenceConfig, packed *Packed[F]) (*Sequence[F], error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if isWide[F](c) {
		w, err := newWide[F](c)
		if err != nil {
			return nil, err
		}
		return &Sequence[F]{cfg: c, wide: w}, nil
	}
	ops, err := operations[F](c.Variant)
	if err != nil {
		return nil, err
	}
	shape := c.shape()
	var pack *C.ctdb_pack
	if packed != nil {
		if pack, err = packed.memory(c, ops, &shape); err != nil {
			return nil, err
		}
	}
	plan := C.ctdb_seq_new(ops, &shape, pack)
	runtime.KeepAlive(packed)
	if plan == nil {
		return nil, fmt.Errorf("kernel: %s: no memory for the plan", c)
	}
	g := &Sequence[F]{cfg: c, plan: plan, packed: packed}
	g.cleanup = runtime.AddCleanup(g, func(p *C.ctdb_seq) { C.ctdb_seq_free(p) }, plan)
	return g, nil
}

// SequenceBytes is the memory that NewSequence takes. That CTDB_KERNEL_VARIANT names what cannot run is NewSequence's error, not one of sizes.
func SequenceBytes[F Float](c SequenceConfig) (uint64, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	if isWide[F](c) {
		n, err := SequenceBytes[float64](c)
		return n + wideBytes(c), err
	}
	ops := fallback[F]()
	if c.Variant != "" {
		var err error
		if ops, err = operations[F](c.Variant); err != nil {
			return 0, err
		}
	}
	shape := c.shape()
	return uint64(C.ctdb_seq_bytes(ops, &shape)), nil
}

// Config is the shape that the plan was made for.
func (g *Sequence[F]) Config() SequenceConfig { return g.cfg }

func cBool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// ptr is the address of a slice's elements, NULL for an empty one.
func ptr[F Float | uint64](s []F) unsafe.Pointer {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Pointer(&s[0])
}

func trialPtr(s []uint64) *C.uint64_t { return (*C.uint64_t)(ptr(s)) }

// rows is how an array is walked: elements from a trial to the next and from a bin to the next.
type rows struct{ row, bin int }

func (g *Sequence[F]) sequence(c int) rows { return rows{g.cfg.T * c, c} }

// bin is how a step walks arrays of one bin, or of all of them.
func (g *Sequence[F]) bin(c int, whole bool) rows {
	if whole {
		return g.sequence(c)
	}
	return rows{row: c}
}

func (g *Sequence[F]) shards(f func(s, rows C.int)) {
	// f cannot fail.
	_ = Shards(g.in.B, g.cfg.shardRows(), g.cfg.threads(), func(_, s, lo, hi int) error {
		f(C.int(s), C.int(hi-lo))
		return nil
	})
	runtime.KeepAlive(g)
}

func (g *Sequence[F]) begin(w SequenceWeights[F], in SequenceInput[F], sequence bool) error {
	if g.plan == nil {
		return ErrClosed
	}
	g.state = phaseNew
	if err := checkWeights(g.cfg, w, true); err != nil {
		return err
	}
	if err := in.check(g.cfg, sequence); err != nil {
		return err
	}
	g.in = in
	if g.packed != nil {
		return g.packed.fill(g, w)
	}
	g.pack(w)
	return nil
}

// pack writes the weights in the order of the kernels.
func (g *Sequence[F]) pack(w SequenceWeights[F]) {
	C.call_seq_pack(g.plan, ptr(w.Wih), ptr(w.Whh), ptr(w.Bih), ptr(w.Bhh), ptr(w.Wout), ptr(w.Bout))
	for l, m := range w.Maps {
		C.call_seq_pack_layer(g.plan, C.int(l), ptr(m.Weight), ptr(m.Bias))
	}
}

// start sets a shard's initial state.
func (g *Sequence[F]) start(s, n C.int) {
	in, row := &g.in, g.cfg.StateSize()
	if len(in.H0) == row {
		row = 0
	}
	C.call_seq_begin(g.plan, s, n, ptr(in.H0), C.long(row), ptr(in.InitNoise.Values), C.double(in.InitNoise.SD), C.uint64_t(in.InitNoise.Key), trialPtr(in.Trials))
}

// forward takes shard s through the steps k0 to k1-1.
func (g *Sequence[F]) forward(s C.int, k0, k1 int, x []F, xr rows, y []F, yr rows, states, clean []F, sr rows) {
	n := &g.in.Noise
	C.call_seq_forward(g.plan, s, C.int(k0), C.int(k1), ptr(x), C.long(xr.row), C.long(xr.bin), ptr(y), C.long(yr.row), C.long(yr.bin),
		ptr(states), ptr(clean), C.long(sr.row), C.long(sr.bin), ptr(n.Values), C.double(n.SD), C.uint64_t(n.Key), trialPtr(g.in.Trials))
}

// replay makes the tape of the steps k0 to k1-1, a segment, unless it is there.
func (g *Sequence[F]) replay(s C.int, k0, k1 int) {
	if C.call_seq_replay(g.plan, s, C.int(k0)) != 0 {
		g.forward(s, k0, k1, g.in.X, g.sequence(g.cfg.I), nil, rows{}, nil, nil, rows{})
	}
}

// backward takes it back from k1-1 to k0.
func (g *Sequence[F]) backward(s C.int, k0, k1 int, y []F, yr rows, states, clean []F, sr rows, dx []F, xr rows) {
	C.call_seq_backward(g.plan, s, C.int(k0), C.int(k1), ptr(y), C.long(yr.row), C.long(yr.bin), ptr(states), ptr(clean), C.long(sr.row), C.long(sr.bin),
		cBool(g.in.Noise.SD != 0), ptr(dx), C.long(xr.row), C.long(xr.bin))
}

// gradients adds up the shards' gradients in their order.
func (g *Sequence[F]) gradients(grad SequenceGradient[F]) {
	w := grad.Weights
	for s := range ShardCount(g.in.B, g.cfg.shardRows()) {
		C.call_seq_gradients(g.plan, C.int(s), ptr(w.Wih), ptr(w.Whh), ptr(w.Bih), ptr(w.Bhh), ptr(w.Wout), ptr(w.Bout), ptr(grad.H0), cBool(g.shared()),
			cBool(s > 0 || grad.Add))
		for l, m := range w.Maps {
			C.call_seq_layer_gradients(g.plan, C.int(s), C.int(l), ptr(m.Weight), ptr(m.Bias), cBool(s > 0 || grad.Add))
		}
	}
	runtime.KeepAlive(g)
}

// Forward runs whole sequences. w, and where the plan recomputes in too, must not change before Backward.
func (g *Sequence[F]) Forward(w SequenceWeights[F], in SequenceInput[F], out SequenceOutput[F]) error {
	if g.wide != nil {
		return g.wide.forward(w, in, out)
	}
	if err := g.begin(w, in, true); err != nil {
		return err
	}
	in = g.in
	if err := out.check(g.cfg, in.B); err != nil {
		return err
	}
	c := g.cfg
	g.shards(func(s, n C.int) {
		g.start(s, n)
		g.forward(s, 0, c.T, in.X, g.sequence(c.I), out.Y, g.sequence(c.O), out.States, out.Clean, g.sequence(out.Stride))
		if out.Final != nil {
			C.call_seq_final(g.plan, s, ptr(out.Final), C.long(out.FinalStride))
		}
	})
	if err := g.integrated(); err != nil {
		return err
	}
	if !c.Inference {
		g.state = phaseForward
	}
	return nil
}

// Backward writes the gradients of a scalar whose cotangents are cot, for the last Forward. It may be called several times, with other
// cotangents.
func (g *Sequence[F]) Backward(cot SequenceCotangent[F], grad SequenceGradient[F]) error {
	if g.wide != nil {
		return g.wide.backward(cot, grad)
	}
	if g.plan == nil {
		return ErrClosed
	}
	if g.state != phaseForward {
		return fmt.Errorf("sequence: backward without a forward that keeps a tape: %w", ErrOrder)
	}
	out := SequenceOutput[F]{cot.Y, cot.States, cot.Clean, cot.Final, cot.Stride, cot.FinalStride}
	if cot.Truncate < 0 {
		return &ShapeError{"sequence", "Truncate", cot.Truncate, "at least 0"}
	}
	if err := errors.Join(out.check(g.cfg, g.in.B), grad.check(g.cfg, g.in.B, g.shared(), true)); err != nil {
		return err
	}
	c := g.cfg
	g.shards(func(s, _ C.int) {
		C.call_seq_begin_backward(g.plan, s, ptr(out.Final), C.long(out.FinalStride))
		for hi, lo := c.T, 0; hi > 0; hi = lo {
			lo = 0
			if n := c.segment(); n > 0 {
				lo = (hi - 1) / n * n
			}
			if n := cot.Truncate; n > 0 {
				lo = max(lo, (hi-1)/n*n)
			}
			if n := c.segment(); n > 0 && (hi == c.T || hi%n == 0) {
				g.replay(s, (hi-1)/n*n, hi)
			}
			g.backward(s, lo, hi, out.Y, g.sequence(c.O), out.States, out.Clean, g.sequence(out.Stride), grad.X, g.sequence(c.I))
			if lo > 0 && cot.Truncate > 0 && lo%cot.Truncate == 0 {
				C.call_seq_cut(g.plan, s)
			}
		}
	})
	if err := g.integrated(); err != nil {
		return err
	}
	g.gradients(grad)
	return nil
}

// shared says whether the initial state is one for all trials.
func (g *Sequence[F]) shared() bool { return g.in.H0 == nil || len(g.in.H0) == g.cfg.StateSize() }

// Begin starts a closed loop: in.X is not used. w must not change before EndBackward.
func (g *Sequence[F]) Begin(w SequenceWeights[F], in SequenceInput[F]) error {
	if g.wide != nil {
		return g.wide.beginSteps(w, in)
	}
	if g.cfg.Reverse {
		return fmt.Errorf("kernel: sequence: a reverse plan has no closed loop: %w", ErrOrder)
	}
	if g.cfg.segment() > 0 {
		return fmt.Errorf("kernel: sequence: a plan that recomputes has no closed loop: %w", ErrOrder)
	}
	if err := g.begin(w, in, false); err != nil {
		return err
	}
	g.shards(g.start)
	g.state, g.done = phaseSteps, 0
	return nil
}

// StepForward takes bin t, which must be the next one (0 after Begin), with inputs x (B, I), and writes what out wants. Of a bin that is Whole x is (B, T, I).
func (g *Sequence[F]) StepForward(t int, x []F, out SequenceBin[F]) error {
	if g.wide != nil {
		return g.wide.stepForward(t, x, out)
	}
	if g.plan == nil {
		return ErrClosed
	}
	if g.state != phaseSteps || t != g.done || t >= g.cfg.T {
		return fmt.Errorf("sequence: step forward at bin %d, %d of %d bins done: %w", t, g.done, g.cfg.T, ErrOrder)
	}
	if err := errors.Join(wantLen("sequence", "x", x, g.in.B*out.bins(g.cfg)*g.cfg.I), out.check(g.cfg, g.in.B)); err != nil {
		return err
	}
	c := g.cfg
	g.shards(func(s, _ C.int) {
		g.forward(s, t, t+1, x, g.bin(c.I, out.Whole), out.Y, g.bin(c.O, out.Whole), out.State, out.Clean, g.bin(c.H, out.Whole))
	})
	if err := g.integrated(); err != nil {
		return err
	}
	g.done++
	return nil
}

// Final writes the state (B, StateSize) after the bins stepped so far, to final unless it is nil.
func (g *Sequence[F]) Final(final []F) error {
	if g.wide != nil {
		return g.wide.pass(func(p *pool[F]) error { return g.wide.Sequence.Final(p.result(final, false)) })
	}
	if g.plan == nil {
		return ErrClosed
	}
	if g.state != phaseSteps {
		return fmt.Errorf("sequence: final state without steps: %w", ErrOrder)
	}
	if final == nil {
		return nil
	}
	if err := wantLen("sequence", "Final", final, g.in.B*g.cfg.StateSize()); err != nil {
		return err
	}
	g.shards(func(s, _ C.int) { C.call_seq_final(g.plan, s, ptr(final), C.long(g.cfg.StateSize())) })
	return nil
}

// BeginBackward starts to go back over the bins stepped so far; final is the cotangent (B, StateSize) of the last state, nil for zero.
func (g *Sequence[F]) BeginBackward(final []F) error {
	if g.wide != nil {
		return g.wide.beginBackward(final)
	}
	if g.plan == nil {
		return ErrClosed
	}
	if g.state != phaseSteps || g.cfg.Inference {
		return fmt.Errorf("sequence: begin backward without steps on a tape: %w", ErrOrder)
	}
	if err := optLen("sequence", "Final", final, g.in.B*g.cfg.StateSize()); err != nil {
		return err
	}
	g.shards(func(s, _ C.int) { C.call_seq_begin_backward(g.plan, s, ptr(final), C.long(g.cfg.StateSize())) })
	g.state = phaseBack
	return nil
}

// StepBackward goes back over bin t, which must be the last one not yet gone back over, with the cotangents of what StepForward gave,
// and writes the gradient of its inputs to dx (B, I; nil if not wanted). Of a bin that is Whole dx is (B, T, I).
func (g *Sequence[F]) StepBackward(t int, cot SequenceBin[F], dx []F) error {
	if g.wide != nil {
		return g.wide.stepBackward(t, cot, dx)
	}
	if g.plan == nil {
		return ErrClosed
	}
	if g.state != phaseBack || t != g.done-1 {
		return fmt.Errorf("sequence: step backward at bin %d, %d bins left: %w", t, g.done, ErrOrder)
	}
	if err := errors.Join(optLen("sequence", "dx", dx, g.in.B*cot.bins(g.cfg)*g.cfg.I), cot.check(g.cfg, g.in.B)); err != nil {
		return err
	}
	c := g.cfg
	g.shards(func(s, _ C.int) {
		g.backward(s, t, t+1, cot.Y, g.bin(c.O, cot.Whole), cot.State, cot.Clean, g.bin(c.H, cot.Whole), dx, g.bin(c.I, cot.Whole))
	})
	if err := g.integrated(); err != nil {
		return err
	}
	g.done--
	return nil
}

// CutBackward forgets, between two StepBackward, the cotangent of the state between their bins: the gradients are then those of a state held constant there, as truncated
// backpropagation through time takes them.
func (g *Sequence[F]) CutBackward() error {
	if g.wide != nil {
		return g.wide.CutBackward()
	}
	if g.plan == nil {
		return ErrClosed
	}
	if g.state != phaseBack {
		return fmt.Errorf("sequence: cut without a way back: %w", ErrOrder)
	}
	g.shards(func(s, _ C.int) { C.call_seq_cut(g.plan, s) })
	return nil
}

// EndBackward writes the gradients of the weights and the initial state once every bin has been gone back over. grad.X must be nil.
func (g *Sequence[F]) EndBackward(grad SequenceGradient[F]) error {
	if g.wide != nil {
		return g.wide.endBackward(grad)
	}
	if g.plan == nil {
		return ErrClosed
	}
	if g.state != phaseBack || g.done != 0 {
		return fmt.Errorf("sequence: end backward, %d bins left: %w", g.done, ErrOrder)
	}
	if err := grad.check(g.cfg, g.in.B, g.shared(), false); err != nil {
		return err
	}
	g.gradients(grad)
	g.state = phaseNew
	return nil
}

// Close frees the plan's memory; later calls return ErrClosed. It may be called again.
func (g *Sequence[F]) Close() error {
	if g.wide != nil {
		return g.wide.close()
	}
	if g.plan != nil {
		g.cleanup.Stop()
		C.ctdb_seq_free(g.plan)
		g.plan, g.in = nil, SequenceInput[F]{}
	}
	return nil
}

// SequenceBin is one bin's results or their cotangents: Y (B, O), State (B, H), Clean (B, H); a nil field is not wanted, or zero.
type SequenceBin[F Float] struct {
	Y, State, Clean []F
	// Whole says that these arrays, and that of the inputs, are of all bins, (B, T, ...), of which the bin in question is read or written.
	Whole bool
}

// bins is the number of bins in its arrays.
func (b SequenceBin[F]) bins(c SequenceConfig) int {
	if b.Whole {
		return c.T
	}
	return 1
}

func (b SequenceBin[F]) check(c SequenceConfig, n int) error {
	n *= b.bins(c)
	return errors.Join(optLen("sequence", "Y", b.Y, n*c.O), optLen("sequence", "State", b.State, n*c.H), optLen("sequence", "Clean", b.Clean, n*c.H))
}
