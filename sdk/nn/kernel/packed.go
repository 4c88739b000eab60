package kernel

// #include "kernel.h"
import "C"

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"unsafe"
)

// Packed is weights in the order in which kernels walk them, for plans that run with the same weights at the same time, each on trials of its own. They are put in that order
// once, and stay in a core's cache when it goes from one plan to the next, as it does in a closed loop whose shards take turns. Its plans are of one cell, of whatever numbers of
// trials and bins. The zero value is empty. Plans in double precision whatever F is keep their own.
type Packed[F Float] struct {
	mu      sync.Mutex
	cfg     SequenceConfig // of the cell
	c       *C.ctdb_pack
	version uint64
	from    []unsafe.Pointer // where the weights of that version are
}

// NewSequence is [NewSequence] for a plan with these weights. Each of its runs is given SequenceWeights.Version.
func (p *Packed[F]) NewSequence(c SequenceConfig) (*Sequence[F], error) { return newSequence(c, p) }

// memory is the memory for the weights of a plan that was checked.
func (p *Packed[F]) memory(c SequenceConfig, ops *C.ctdb_ops, shape *C.ctdb_shape) (*C.ctdb_pack, error) {
	c.B, c.T, c.ShardRows, c.Threads, c.Recompute, c.Reverse = 0, 0, 0, 0, 0, false
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.c == nil {
		pack := C.ctdb_pack_new(ops, shape)
		if pack == nil {
			return nil, fmt.Errorf("kernel: %s: no memory for the weights", c)
		}
		p.c, p.cfg = pack, c
		runtime.AddCleanup(p, func(k *C.ctdb_pack) { C.ctdb_pack_free(k) }, pack)
	}
	if c != p.cfg {
		return nil, fmt.Errorf("kernel: the packed weights of %s are not those of %s", p.cfg, c)
	}
	return p.c, nil
}

// fill packs the weights of a version that is not there yet, through one of the plans.
func (p *Packed[F]) fill(g *Sequence[F], w SequenceWeights[F]) error {
	if w.Version == 0 {
		return fmt.Errorf("sequence: weights without a version in a plan that shares them: %w", ErrOrder)
	}
	var room [6 + 2*MaxLayers]unsafe.Pointer
	from := append(room[:0], ptr(w.Wih), ptr(w.Whh), ptr(w.Bih), ptr(w.Bhh), ptr(w.Wout), ptr(w.Bout))
	for _, m := range w.Maps {
		from = append(from, ptr(m.Weight), ptr(m.Bias))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.version == w.Version {
		if !slices.Equal(from, p.from) {
			return fmt.Errorf("sequence: other weights under version %d, which is that of those that plans run with: %w", w.Version, ErrOrder)
		}
		return nil
	}
	g.pack(w)
	p.version, p.from = w.Version, append(p.from[:0], from...)
	return nil
}
