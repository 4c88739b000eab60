package nn

import (
	"errors"
	"sync"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Memory holds the kernels' plans and the arrays of graphs that run one after the other: those of one worker, which differ in their number of trials
// (the last shard of a batch may be smaller) or in whether they train. Operations at the same place of two graphs of one network share what they
// can. The zero value is ready. It belongs to one goroutine at a time.
type Memory[F kernel.Float] struct {
	// Packed is where sequences that take their weights from parameters share them with those of other workers; nil is nowhere.
	Packed *Packed[F]

	sequences map[sequenceKey]*kernel.Sequence[F]
	linears   map[kernel.LinearConfig]*kernel.Linear[F]
	arrays    map[int][]F
}

type sequenceKey struct {
	config kernel.SequenceConfig
	slot   int
	shared bool
}

// Packed is the weights of a network's sequences, in the order in which kernels walk them, for graphs of one network in several workers: they run at the same time, with the
// same values of the parameters, of which Pass.Weights is the version. The zero value is ready.
type Packed[F kernel.Float] struct {
	mu        sync.Mutex
	sequences map[sequenceKey]*kernel.Packed[F]
}

// sequence is the weights of an operation.
func (p *Packed[F]) sequence(k sequenceKey) *kernel.Packed[F] {
	k.config.B, k.config.T, k.config.ShardRows = 0, 0, 0
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sequences == nil {
		p.sequences = map[sequenceKey]*kernel.Packed[F]{}
	}
	if p.sequences[k] == nil {
		p.sequences[k] = new(kernel.Packed[F])
	}
	return p.sequences[k]
}

// sequence returns a plan for at least c.B trials. A tape belongs to one operation, and so do weights that are shared: plans with either are told apart by the slot.
func (m *Memory[F]) sequence(slot int, c kernel.SequenceConfig, shared bool) (*kernel.Sequence[F], error) {
	c.B = padded(c.B, max(c.ShardRows, kernel.ShardRows))
	k := sequenceKey{c, slot, shared}
	if c.Inference && !shared {
		k.slot = 0
	}
	if p, ok := m.sequences[k]; ok {
		return p, nil
	}
	open := kernel.NewSequence[F]
	if shared {
		open = m.Packed.sequence(k).NewSequence
	}
	p, err := open(c)
	if err != nil {
		return nil, err
	}
	if m.sequences == nil {
		m.sequences = make(map[sequenceKey]*kernel.Sequence[F])
	}
	m.sequences[k] = p
	return p, nil
}

func (m *Memory[F]) linear(c kernel.LinearConfig) (*kernel.Linear[F], error) {
	c.B = padded(c.B, kernel.ShardRows)
	if p, ok := m.linears[c]; ok {
		return p, nil
	}
	p, err := kernel.NewLinear[F](c)
	if err != nil {
		return nil, err
	}
	if m.linears == nil {
		m.linears = make(map[kernel.LinearConfig]*kernel.Linear[F])
	}
	m.linears[c] = p
	return p, nil
}

// padded is the number of trials of a plan: graphs whose last shard is not whole share it with those of whole shards.
func padded(rows, each int) int { return kernel.ShardCount(rows, each) * each }

// array returns n elements for the slot. Graphs that ask for less share them.
func (m *Memory[F]) array(slot, n int) []F {
	if a := m.arrays[slot]; len(a) >= n {
		return a[:n:n]
	}
	if m.arrays == nil {
		m.arrays = make(map[int][]F)
	}
	m.arrays[slot] = make([]F, n)
	return m.arrays[slot]
}

// Close frees the plans. Graphs that used them fail from then on.
func (m *Memory[F]) Close() error {
	var errs []error
	for _, p := range m.sequences {
		errs = append(errs, p.Close())
	}
	for _, p := range m.linears {
		errs = append(errs, p.Close())
	}
	*m = Memory[F]{Packed: m.Packed}
	return errors.Join(errs...)
}
