package kernel

/*
#cgo noescape call_linear_pack
#cgo nocallback call_linear_pack
#cgo noescape call_linear_forward
#cgo nocallback call_linear_forward
#cgo noescape call_linear_backward
#cgo nocallback call_linear_backward
#include "calls.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
)

// LinearConfig is the shape of a Linear plan.
type LinearConfig struct {
	B       int    // largest number of trials in a call, at least 1
	T       int    // bins of a trial, at least 1; 1 for a plain batch
	In, Out int    // channels, at least 1
	Threads int    // goroutines that pull shards; 0 means 1
	Variant string // instruction set, one of Variants(); empty means Variant()
}

// Linear is y = x W^T + b in every bin of a batch, PyTorch's nn.Linear: x (B, T, In), W (Out, In), b (Out), y (B, T, Out).
type Linear[F Float] struct {
	cfg     LinearConfig
	plan    *C.ctdb_linear // nil once closed
	cleanup runtime.Cleanup
	gw, gb  []F // gradients of each shard
}

// LinearGradient is where gradients are written; a nil field is not wanted.
type LinearGradient[F Float] struct {
	X   []F  // (B, T, In)
	W   []F  // (Out, In), summed over the batch
	B   []F  // (Out), summed over the batch
	Add bool // add to W and B instead of overwriting them
}

// NewLinear plans a linear map.
func NewLinear[F Float](c LinearConfig) (*Linear[F], error) {
	for _, f := range []struct {
		name     string
		got, min int
	}{{"B", c.B, 1}, {"T", c.T, 1}, {"In", c.In, 1}, {"Out", c.Out, 1}, {"Threads", c.Threads, 0}} {
		if f.got < f.min || f.got > 1<<30 {
			return nil, &ShapeError{"linear", f.name, f.got, fmt.Sprintf("%d to 2^30", f.min)}
		}
	}
	// The gradients of each shard are kept: 2^33 of them are more than any machine that this is meant for.
	if float64(c.B)*float64(c.T)*float64(max(c.In, c.Out)) > maxElements || float64(ShardCount(c.B, ShardRows))*float64(c.In)*float64(c.Out) > 1<<33 {
		return nil, fmt.Errorf("kernel: linear: B %d, T %d, In %d, Out %d: beyond any memory", c.B, c.T, c.In, c.Out)
	}
	ops, err := operations[F](c.Variant)
	if err != nil {
		return nil, err
	}
	plan := C.ctdb_linear_new(ops, C.int(c.In), C.int(c.Out), C.int(max(1, min(c.Threads, ShardCount(c.B, ShardRows)))))
	if plan == nil {
		return nil, fmt.Errorf("kernel: linear: In %d, Out %d: no memory for the plan", c.In, c.Out)
	}
	n := ShardCount(c.B, ShardRows)
	l := &Linear[F]{cfg: c, plan: plan, gw: make([]F, n*c.In*c.Out), gb: make([]F, n*c.Out)}
	l.cleanup = runtime.AddCleanup(l, func(p *C.ctdb_linear) { C.ctdb_linear_free(p) }, plan)
	return l, nil
}

func (l *Linear[F]) check(b int, x, w, bias, y []F) (int, error) {
	if l.plan == nil {
		return 0, ErrClosed
	}
	if b == 0 {
		b = l.cfg.B
	}
	if b < 1 || b > l.cfg.B {
		return 0, &ShapeError{"linear", "B", b, fmt.Sprintf("1 to the plan's %d", l.cfg.B)}
	}
	n := b * l.cfg.T
	return b, errors.Join(wantLen("linear", "x", x, n*l.cfg.In), wantLen("linear", "W", w, l.cfg.Out*l.cfg.In),
		optLen("linear", "b", bias, l.cfg.Out), wantLen("linear", "y", y, n*l.cfg.Out))
}

// Forward writes y for the first b trials (0 means the plan's B); bias may be nil.
func (l *Linear[F]) Forward(b int, x, w, bias, y []F) error {
	b, err := l.check(b, x, w, bias, y)
	if err != nil {
		return err
	}
	C.call_linear_pack(l.plan, ptr(w), ptr(bias))
	t := l.cfg.T
	err = Shards(b, ShardRows, l.cfg.Threads, func(worker, _, lo, hi int) error {
		C.call_linear_forward(l.plan, C.int(worker), C.long((hi-lo)*t), ptr(x), C.long(lo*t*l.cfg.In), ptr(y), C.long(lo*t*l.cfg.Out))
		return nil
	})
	runtime.KeepAlive(l)
	return err
}

// Backward writes the gradients of a scalar whose cotangent of y is cot.
func (l *Linear[F]) Backward(b int, x, w, cot []F, g LinearGradient[F]) error {
	b, err := l.check(b, x, w, nil, cot)
	if err != nil {
		return err
	}
	in, out := l.cfg.In, l.cfg.Out
	if err := errors.Join(optLen("linear", "x gradient", g.X, len(x)), optLen("linear", "W gradient", g.W, in*out), optLen("linear", "b gradient", g.B, out)); err != nil {
		return err
	}
	C.call_linear_pack(l.plan, ptr(w), nil)
	t, size := l.cfg.T, in*out
	err = Shards(b, ShardRows, l.cfg.Threads, func(worker, s, lo, hi int) error {
		var gw, gb []F
		if g.W != nil {
			gw = l.gw[s*size : (s+1)*size]
			clear(gw)
		}
		if g.B != nil {
			gb = l.gb[s*out : (s+1)*out]
			clear(gb)
		}
		C.call_linear_backward(l.plan, C.int(worker), C.long((hi-lo)*t), ptr(x), C.long(lo*t*in), ptr(cot), C.long(lo*t*out), ptr(g.X), ptr(gw), ptr(gb))
		return nil
	})
	runtime.KeepAlive(l)
	if err != nil {
		return err
	}
	for s := range ShardCount(b, ShardRows) {
		add := g.Add || s > 0
		if g.W != nil {
			err = errors.Join(err, Sum(g.W, add, l.gw[s*size:(s+1)*size]))
		}
		if g.B != nil {
			err = errors.Join(err, Sum(g.B, add, l.gb[s*out:(s+1)*out]))
		}
	}
	return err
}

// Close frees the plan's memory; later calls return ErrClosed. It may be called again.
func (l *Linear[F]) Close() error {
	if l.plan != nil {
		l.cleanup.Stop()
		C.ctdb_linear_free(l.plan)
		l.plan = nil
	}
	return nil
}
