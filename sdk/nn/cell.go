package nn

import (
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Cell is a recurrent cell, the part of a sequence model between its initial state and its readout. A model that is written over a Cell is
// written once for all of them.
type Cell[F kernel.Float] interface {
	// Units is the width of the state.
	Units() int
	// Declare adds the cell's parameters for that many inputs, under names that begin with prefix.
	Declare(p *Params[F], prefix string, inputs int)
	// Unroll runs the cell over x (rows, T, inputs), or over bins without inputs where x is nil.
	Unroll(g *Graph[F], prefix string, x *Node, bins int, o Unroll) *Sequence
	// Weights is the number of elements that Declare adds, and Bytes the memory that Unroll takes for rows trials and a readout of that many outputs, besides its
	// results; math.MaxInt64 where that is beyond counting.
	Weights(inputs int) int64
	Bytes(rows, bins, inputs, outputs int, training bool) int64
	// Map is the step in double precision for given values of the parameters, by name.
	Map(values map[string][]float64, prefix string, inputs int) (StepMap, error)
}

// Unroll says what goes with a cell.
type Unroll struct {
	// Readout is the prefix of the parameters of a linear readout of the clean state; empty for none.
	Readout string
	// Initial is the initial state, (rows, H), or (H) for all trials alike; nil is zero.
	Initial *Node
	// Noise is added to the state after each step, InitialNoise to the initial state.
	Noise, InitialNoise Noise
}

// StepMap is a cell's step h' = f(x, h) without noise, for N points at once, with its derivatives: arrays (N, inputs) and (N, units). A nil direction is
// zero, a nil result is not wanted. kernel.GRUCell[float64] is one.
type StepMap interface {
	Step(x, h, next []float64) error
	JVP(x, h, dx, dh, out []float64) error
	VJP(x, h, cot, gx, gh []float64) error
	// Jacobians writes dh'/dx (N, units, inputs) and dh'/dh (N, units, units).
	Jacobians(x, h, jx, jh []float64) error
}

// GRU is PyTorch's nn.GRUCell as a [Cell].
type GRU[F kernel.Float] struct{ H int }

var (
	_ Cell[float32] = GRU[float32]{}
	_ StepMap       = kernel.GRUCell[float64]{}
)

// Units is H.
func (c GRU[F]) Units() int { return c.H }

// Declare adds prefix.weight_ih, weight_hh, bias_ih and bias_hh.
func (c GRU[F]) Declare(p *Params[F], prefix string, inputs int) { p.GRU(prefix, "", inputs, c.H) }

// Unroll runs the cell as one sequence operation.
func (c GRU[F]) Unroll(g *Graph[F], prefix string, x *Node, bins int, o Unroll) *Sequence {
	return g.GRU(x, bins, g.GRUWeights(prefix, "", o.Readout), GRUOptions{Initial: o.Initial, Noise: o.Noise, InitialNoise: o.InitialNoise})
}

// Weights is 3H (inputs + H + 2).
func (c GRU[F]) Weights(inputs int) int64 {
	return component.Total(component.Elements(3, c.H, inputs), component.Elements(3, c.H, c.H), component.Elements(6, c.H))
}

// Bytes is what the kernel's plan takes.
func (c GRU[F]) Bytes(rows, bins, inputs, outputs int, training bool) int64 {
	n, err := kernel.GRUBytes[F](kernel.GRUConfig{B: rows, T: bins, I: inputs, H: c.H, O: outputs, Inference: !training})
	if err != nil || n > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(n)
}

// Map is the kernel's own.
func (c GRU[F]) Map(values map[string][]float64, prefix string, inputs int) (StepMap, error) {
	m := kernel.GRUCell[float64]{I: inputs, H: c.H, W: kernel.SequenceWeights[float64]{Wih: values[prefix+".weight_ih"], Whh: values[prefix+".weight_hh"],
		Bih: values[prefix+".bias_ih"], Bhh: values[prefix+".bias_hh"]}}
	if len(m.W.Wih) != 3*c.H*inputs || len(m.W.Whh) != 3*c.H*c.H || len(m.W.Bih) != 3*c.H || len(m.W.Bhh) != 3*c.H {
		return nil, fmt.Errorf("nn: gru: parameters under %q do not fit %d inputs and %d units", prefix, inputs, c.H)
	}
	return m, nil
}
