package train

import (
	"context"
	"sync"

	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Weights are a model's parameters, which one call at a time changes and others read. A model that embeds them has Save and Load as model.Model says.
type Weights[F kernel.Float] struct {
	mu     sync.RWMutex
	params *nn.Params[F]
}

// NewWeights holds parameters, which are from then on reached through it alone.
func NewWeights[F kernel.Float](p *nn.Params[F]) *Weights[F] { return &Weights[F]{params: p} }

// Hold gives the parameters to who changes them, until release is called; all other methods wait for it.
func (w *Weights[F]) Hold() (p *nn.Params[F], release func()) {
	w.mu.Lock()
	return w.params, w.mu.Unlock
}

// Snapshot is a copy.
func (w *Weights[F]) Snapshot() *nn.Params[F] {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.params.Clone()
}

// Save returns the weights.
func (w *Weights[F]) Save(context.Context) (tensor.Set, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.params.Save(), nil
}

// Load sets the weights. Names or shapes that differ are an InvalidArgumentError that lists all of them, and nothing has changed.
func (w *Weights[F]) Load(_ context.Context, weights tensor.Set) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return InvalidWeights(w.params.Load(weights))
}
