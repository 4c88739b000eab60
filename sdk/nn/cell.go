package nn

import (
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Cell is a recurrent cell, the part of a sequence model between its initial state and its readout. A model that is written over a Cell is
// written once for all of them. [Stepped] makes one of a single step in Gorgonia's operations; one with a kernel of its own gives its results by [SequenceOf] and its Map by [GraphMap].
type Cell[F kernel.Float] interface {
	// Units is the width of what Unroll gives as states, the latents.
	Units() int
	// StateSize is the width of the whole state, whose first Units elements are the latents: Units, of an LSTM twice that.
	StateSize() int
	// Declare adds the cell's parameters for that many inputs. Their names begin with prefix and a dot, unless prefix is empty.
	Declare(p *Params[F], prefix string, inputs int)
	// Unroll runs the cell over x (rows, T, inputs), in closed loop where x is that of an Environment, or over bins without inputs where x is nil.
	Unroll(g *Graph[F], prefix string, x *Node, bins int, o Unroll) *Sequence
	// Weights is the number of elements that Declare adds, and Bytes the memory that Unroll takes for rows trials and a readout of that many outputs, besides its
	// results, with recompute as in Unroll; math.MaxInt64 where that is beyond counting.
	Weights(inputs int) int64
	Bytes(rows, bins, inputs, outputs, recompute int, training bool) int64
	// Map is the step in double precision for given values of the parameters, by name.
	Map(values map[string][]float64, prefix string, inputs int) (StepMap, error)
}

// Unroll says what goes with a cell.
type Unroll struct {
	// Readout is the prefix of the parameters of a linear readout; empty for none.
	Readout string
	// Initial is the initial state, (rows, StateSize), or (StateSize) for all trials alike; nil is zero.
	Initial *Node
	// Noise is added to the state after each step, of leaky cells within it, InitialNoise to the initial state.
	Noise, InitialNoise Noise
	// Truncate is as in SequenceOptions.
	Truncate int
	// Recompute keeps what gradients need for so many bins at a time, rather than for all of them, and computes the bins once more on the way back: the same bits in a fraction
	// of the memory, about a tenth with 16 of 500 bins, for about a third more time, see kernel.SequenceConfig. 0 keeps all. A closed loop needs all, and a Stepped cell has no choice.
	Recompute int
}

// StepMap is a cell's step state' = f(x, state) without noise, for N points at once, with its derivatives: arrays (N, inputs) and (N, StateSize). A nil direction is
// zero, a nil result is not wanted.
type StepMap interface {
	Step(x, state, next []float64) error
	JVP(x, state, dx, dstate, out []float64) error
	VJP(x, state, cot, gx, gstate []float64) error
	// Jacobians writes dstate'/dx (N, StateSize, inputs) and dstate'/dstate (N, StateSize, StateSize).
	Jacobians(x, state, jx, jstate []float64) error
}

// kernelCell is a Cell whose steps a kernel takes.
type kernelCell[F kernel.Float] struct {
	config kernel.SequenceConfig
	// names of the weights and biases; empty for none. Of a NODE maps is the pattern of the prefixes of its maps.
	ih, hh, biasIH, biasHH, maps string
	// torch says that weights are initialised as those of PyTorch's cells, rather than as its linear maps.
	torch bool
}

var (
	_ Cell[float32] = kernelCell[float32]{}
	_ StepMap       = (*kernel.StepMap)(nil)
)

func torchCell[F kernel.Float](cell kernel.Cell, units int) Cell[F] {
	return kernelCell[F]{config: kernel.SequenceConfig{Cell: cell, H: units}, ih: "weight_ih", hh: "weight_hh", biasIH: "bias_ih", biasHH: "bias_hh", torch: true}
}

// GRU is PyTorch's nn.GRUCell.
func GRU[F kernel.Float](units int) Cell[F] { return torchCell[F](kernel.CellGRU, units) }

// RNN is PyTorch's nn.RNNCell with tanh units.
func RNN[F kernel.Float](units int) Cell[F] { return torchCell[F](kernel.CellTanh, units) }

// ReLU is PyTorch's nn.RNNCell with rectified units.
func ReLU[F kernel.Float](units int) Cell[F] { return torchCell[F](kernel.CellReLU, units) }

// LSTM is PyTorch's nn.LSTMCell. Its state is h, the latents, then c.
func LSTM[F kernel.Float](units int) Cell[F] { return torchCell[F](kernel.CellLSTM, units) }

// Linear is h' = linear_hh(h) + linear_ih(x), both nn.Linear: a linear dynamical system.
func Linear[F kernel.Float](units int) Cell[F] {
	return kernelCell[F]{config: kernel.SequenceConfig{Cell: kernel.CellLinear, H: units},
		ih: "linear_ih.weight", hh: "linear_hh.weight", biasIH: "linear_ih.bias", biasHH: "linear_hh.bias"}
}

// Leaky is a leaky tanh network, kernel.CellLeaky, or kernel.CellLeakyCompat where compat is set: recW and inpW are nn.Linear without bias, and bias starts at zero.
func Leaky[F kernel.Float](units int, gamma float64, compat bool) Cell[F] {
	c := kernelCell[F]{config: kernel.SequenceConfig{Cell: kernel.CellLeaky, H: units, Gamma: gamma}, ih: "inpW.weight", hh: "recW.weight", biasIH: "bias"}
	if compat {
		c.config.Cell = kernel.CellLeakyCompat
	}
	return c
}

// NODE is a neural ordinary differential equation, kernel.CellNODE, of that many states. Of c the fields of a NODE are used. Its maps are vf_net.0, vf_net.2 and so
// on, an nn.Sequential of nn.Linear with units between.
func NODE[F kernel.Float](states int, c kernel.SequenceConfig) Cell[F] {
	c.Cell, c.H = kernel.CellNODE, states
	return kernelCell[F]{config: c, maps: "vf_net.%d"}
}

// Units is the number of units.
func (c kernelCell[F]) Units() int { return c.config.H }

// StateSize is that of the kernel's cell.
func (c kernelCell[F]) StateSize() int { return c.config.StateSize() }

func under(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// shape is the configuration for that many inputs.
func (c kernelCell[F]) shape(inputs int) kernel.SequenceConfig {
	s := c.config
	s.I = inputs
	return s
}

// Declare adds the parameters, PyTorch's initial values in them.
func (c kernelCell[F]) Declare(p *Params[F], prefix string, inputs int) {
	s := c.shape(inputs)
	for l := range s.Layers {
		out, in := s.Map(l)
		p.Linear(under(prefix, fmt.Sprintf(c.maps, 2*l)), in, out)
	}
	if s.Cell == kernel.CellNODE {
		return
	}
	rows := s.Cell.Gates() * s.H
	bound := func(in int) float64 {
		if c.torch {
			return 1 / math.Sqrt(float64(s.H))
		}
		return 1 / math.Sqrt(float64(in))
	}
	if inputs > 0 {
		p.Uniform(under(prefix, c.ih), bound(inputs), rows, inputs)
	} else if c.torch {
		p.Empty(under(prefix, c.ih), rows)
	}
	p.Uniform(under(prefix, c.hh), bound(s.H), rows, s.H)
	switch {
	case c.biasHH == "":
		p.Zeros(under(prefix, c.biasIH), rows)
		return
	case inputs > 0 || c.torch:
		p.Uniform(under(prefix, c.biasIH), bound(inputs), rows)
	}
	p.Uniform(under(prefix, c.biasHH), bound(s.H), rows)
}

// Unroll runs the cell as one sequence operation.
func (c kernelCell[F]) Unroll(g *Graph[F], prefix string, x *Node, bins int, o Unroll) *Sequence {
	var w CellWeights
	given := func(name string) *Node {
		if name = under(prefix, name); len(g.params.Get(name)) == 0 {
			return nil
		}
		return g.Param(name)
	}
	for l := range c.config.Layers {
		m := under(prefix, fmt.Sprintf(c.maps, 2*l))
		w.Maps = append(w.Maps, LinearWeights{g.Param(m + ".weight"), g.Param(m + ".bias")})
	}
	if c.config.Cell != kernel.CellNODE {
		w.WeightIH, w.WeightHH, w.BiasIH = given(c.ih), g.Param(under(prefix, c.hh)), given(c.biasIH)
		if c.biasHH != "" {
			w.BiasHH = given(c.biasHH)
		}
	}
	w.readout(g.Param, o.Readout)
	c.config.Recompute = o.Recompute
	return g.Sequence(c.config, x, bins, w, SequenceOptions{Initial: o.Initial, Noise: o.Noise, InitialNoise: o.InitialNoise, Truncate: o.Truncate})
}

// Weights counts those of Declare.
func (c kernelCell[F]) Weights(inputs int) int64 {
	return counted(func(p *Params[F]) { c.Declare(p, "", inputs) })
}

// Bytes is what the kernel's plan takes.
func (c kernelCell[F]) Bytes(rows, bins, inputs, outputs, recompute int, training bool) int64 {
	return planBytes[F](c.shape(inputs), rows, bins, outputs, recompute, training)
}

func planBytes[F kernel.Float](s kernel.SequenceConfig, rows, bins, outputs, recompute int, training bool) int64 {
	s.B, s.T, s.O, s.Recompute, s.Inference = rows, bins, outputs, recompute, !training
	for s.ShardRows = kernel.ShardRows; s.ShardRows < min(rows, kernel.MaxShardRows); {
		s.ShardRows *= 2
	}
	n, err := kernel.SequenceBytes[F](s)
	if err != nil || n > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(n)
}

// Map is the kernel's own.
func (c kernelCell[F]) Map(values map[string][]float64, prefix string, inputs int) (StepMap, error) {
	var w kernel.SequenceWeights[float64]
	for l := range c.config.Layers {
		m := under(prefix, fmt.Sprintf(c.maps, 2*l))
		w.Maps = append(w.Maps, kernel.LinearWeights[float64]{Weight: values[m+".weight"], Bias: values[m+".bias"]})
	}
	if c.config.Cell != kernel.CellNODE {
		w.Wih, w.Whh, w.Bih = values[under(prefix, c.ih)], values[under(prefix, c.hh)], values[under(prefix, c.biasIH)]
		if c.biasHH != "" {
			w.Bhh = values[under(prefix, c.biasHH)]
		}
	}
	m, err := kernel.NewStepMap(c.shape(inputs), w)
	if err != nil {
		return nil, fmt.Errorf("nn: parameters under %q: %w", prefix, err)
	}
	return m, nil
}
