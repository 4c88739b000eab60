package nn

import (
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Reader is what a cell is whose readout is not of the latents themselves but of a function of each.
type Reader interface {
	// Read is that function.
	Read(latent float64) float64
}

// ReadOf is the function of each latent that a cell's readout is of; nil is the latent itself.
func ReadOf[F kernel.Float](c Cell[F]) func(float64) float64 {
	if r, ok := c.(Reader); ok {
		return r.Read
	}
	return nil
}

// LowRank is a leaky network of tanh units whose connectivity has that rank, kernel.CellLowRank (Mastrogiuseppe & Ostojic 2018):
//
//	h' = (1-gamma) h + gamma (m(n(tanh h)) / H + chi tanh h + inp(x) + bias + noise)
//
// m, n and inp are nn.Linear without bias. Elements of m and n start as normal numbers of variance 1, bias at zero. chi is a buffer, a fixed matrix whose elements have the standard
// deviation random / sqrt(H), their equation 3; where random is 0 there is none. The latents are h, the readout is of tanh h, as theirs is.
func LowRank[F kernel.Float](units, rank int, gamma, random float64) Cell[F] {
	return lowRankCell[F]{kernel.SequenceConfig{Cell: kernel.CellLowRank, H: units, Rank: rank, Gamma: gamma, Full: random > 0}, random}
}

type lowRankCell[F kernel.Float] struct {
	config kernel.SequenceConfig
	random float64
}

var (
	_ Cell[float32] = lowRankCell[float32]{}
	_ Reader        = lowRankCell[float32]{}
)

// Units is the number of units.
func (c lowRankCell[F]) Units() int { return c.config.H }

// StateSize is the number of units.
func (c lowRankCell[F]) StateSize() int { return c.config.H }

// Read is tanh.
func (c lowRankCell[F]) Read(latent float64) float64 { return math.Tanh(latent) }

func (c lowRankCell[F]) shape(inputs int) kernel.SequenceConfig {
	s := c.config
	s.I = inputs
	return s
}

// Declare adds the parameters.
func (c lowRankCell[F]) Declare(p *Params[F], prefix string, inputs int) {
	units, rank := c.config.H, c.config.Rank
	p.Normal(under(prefix, "m.weight"), 1, units, rank)
	p.Normal(under(prefix, "n.weight"), 1, rank, units)
	if inputs > 0 {
		p.Uniform(under(prefix, "inp.weight"), 1/math.Sqrt(float64(inputs)), units, inputs)
	}
	p.Zeros(under(prefix, "bias"), units)
	if c.config.Full {
		p.NormalBuffer(under(prefix, "chi"), c.random/math.Sqrt(float64(units)), units, units)
	}
}

// Unroll runs the cell as one sequence operation.
func (c lowRankCell[F]) Unroll(g *Graph[F], prefix string, x *Node, bins int, o Unroll) *Sequence {
	w := CellWeights{Maps: []LinearWeights{{Weight: g.Param(under(prefix, "n.weight"))}, {Weight: g.Param(under(prefix, "m.weight"))}}, BiasIH: g.Param(under(prefix, "bias"))}
	if name := under(prefix, "inp.weight"); g.params.Get(name) != nil {
		w.WeightIH = g.Param(name)
	}
	if c.config.Full {
		w.WeightHH = g.Param(under(prefix, "chi"))
	}
	w.readout(g.Param, o.Readout)
	c.config.Recompute = o.Recompute
	return g.Sequence(c.config, x, bins, w, SequenceOptions{Initial: o.Initial, Noise: o.Noise, InitialNoise: o.InitialNoise, Truncate: o.Truncate})
}

// Weights counts those of Declare, the buffer too.
func (c lowRankCell[F]) Weights(inputs int) int64 {
	return counted(func(p *Params[F]) { c.Declare(p, "", inputs) })
}

// Bytes is what the kernel's plan takes.
func (c lowRankCell[F]) Bytes(rows, bins, inputs, outputs, recompute int, training bool) int64 {
	return planBytes[F](c.shape(inputs), rows, bins, outputs, recompute, training)
}

// Map is the kernel's own.
func (c lowRankCell[F]) Map(values map[string][]float64, prefix string, inputs int) (StepMap, error) {
	get := func(name string) []float64 { return values[under(prefix, name)] }
	m, err := kernel.NewStepMap(c.shape(inputs), kernel.SequenceWeights[float64]{Wih: get("inp.weight"), Bih: get("bias"), Whh: get("chi"),
		Maps: []kernel.LinearWeights[float64]{{Weight: get("n.weight")}, {Weight: get("m.weight")}}})
	if err != nil {
		return nil, fmt.Errorf("nn: parameters under %q: %w", prefix, err)
	}
	return m, nil
}
