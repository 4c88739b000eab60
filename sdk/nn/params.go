package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Params are the parameters of a network: an ordered set of named arrays, in one piece of memory so that an optimiser takes all in one
// step. The names, shapes and layouts are those of the torch.nn module that computes the same, which loads them as they are.
//
// Initial values are PyTorch's defaults for the layer. Each parameter draws from a stream of its own, named by the seed and the
// parameter's name (package random), so a layer more or less leaves the others as they were.
type Params[F kernel.Float] struct {
	seed uint64
	list []Param[F]
	flat []F
	err  error
}

// Param is one parameter.
type Param[F kernel.Float] struct {
	Name  string
	Shape []int
	// Value is a view of the parameter within all of them.
	Value []F
	// Offset is where Value begins in Params.Flat.
	Offset int
}

// align is the number of elements that the parameters' offsets are multiples of: whole vectors. The elements between are zero for ever.
const align = 16

// NewParams returns an empty set whose initial values are drawn from seed.
func NewParams[F kernel.Float](seed uint64) *Params[F] { return &Params[F]{seed: seed} }

// Zeros adds a parameter that starts at 0.
func (p *Params[F]) Zeros(name string, shape ...int) { p.add(name, shape, nil) }

// Uniform adds a parameter drawn evenly from [-bound, bound).
func (p *Params[F]) Uniform(name string, bound float64, shape ...int) {
	p.add(name, shape, func(r *rand.Rand) float64 { return bound * (2*r.Float64() - 1) })
}

// Normal adds a parameter drawn from the normal distribution of mean 0 and that standard deviation.
func (p *Params[F]) Normal(name string, sd float64, shape ...int) {
	p.add(name, shape, func(r *rand.Rand) float64 { return sd * r.NormFloat64() })
}

// add adds a parameter. A name that is taken, or a shape that is not positive, is reported by Err.
func (p *Params[F]) add(name string, shape []int, draw func(*rand.Rand) float64) {
	n := 1
	for _, s := range shape {
		if s < 1 || n > math.MaxInt32/s {
			p.fail(fmt.Errorf("nn: parameter %q: shape %v is not allowed: 1 to 2^31 elements", name, shape))
			return
		}
		n *= s
	}
	if name == "" || slices.ContainsFunc(p.list, func(q Param[F]) bool { return q.Name == name }) {
		p.fail(fmt.Errorf("nn: parameter %q: the name is empty or taken", name))
		return
	}
	at := len(p.flat)
	p.flat = append(p.flat, make([]F, (n+align-1)/align*align)...)
	p.list = append(p.list, Param[F]{Name: name, Shape: slices.Clone(shape), Offset: at})
	for i, q := range p.list {
		p.list[i].Value = p.flat[q.Offset : q.Offset+elements(q.Shape) : q.Offset+elements(q.Shape)]
	}
	if draw == nil {
		return
	}
	r := random.New(p.seed, "initial "+name)
	value := p.list[len(p.list)-1].Value
	for i := range value {
		value[i] = F(draw(r))
	}
}

// Linear adds prefix.weight (out, in) and prefix.bias (out) as nn.Linear has them: uniform with bound 1/sqrt(in).
func (p *Params[F]) Linear(prefix string, in, out int) {
	k := 1 / math.Sqrt(float64(in))
	p.Uniform(prefix+".weight", k, out, in)
	p.Uniform(prefix+".bias", k, out)
}

// Cell adds prefix.weight_ih (gates H, I), weight_hh (gates H, H), bias_ih and bias_hh (gates H) of a cell with gates, each name followed by suffix: uniform with
// bound 1/sqrt(H), rows in PyTorch's order. An empty suffix names an nn.GRUCell, nn.RNNCell or nn.LSTMCell, "_l0" and "_l0_reverse" the two
// directions of an nn.GRU, nn.RNN or nn.LSTM. The parameters of a cell without inputs lack weight_ih.
func (p *Params[F]) Cell(cell kernel.Cell, prefix, suffix string, inputs, units int) {
	k, rows := 1/math.Sqrt(float64(units)), cell.Gates()*units
	if inputs > 0 {
		p.Uniform(prefix+".weight_ih"+suffix, k, rows, inputs)
	}
	p.Uniform(prefix+".weight_hh"+suffix, k, rows, units)
	p.Uniform(prefix+".bias_ih"+suffix, k, rows)
	p.Uniform(prefix+".bias_hh"+suffix, k, rows)
}

func (p *Params[F]) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Err returns the first mistake that was made in adding parameters.
func (p *Params[F]) Err() error { return p.err }

// All returns the parameters in order.
func (p *Params[F]) All() []Param[F] { return p.list }

// Flat returns the memory of all parameters: each at its Offset, and zeros between. A gradient has the same layout.
func (p *Params[F]) Flat() []F { return p.flat }

// Get returns the value of the parameter of that name, nil where there is none.
func (p *Params[F]) Get(name string) []F {
	if q, ok := p.find(name); ok {
		return q.Value
	}
	return nil
}

func (p *Params[F]) find(name string) (Param[F], bool) {
	i := slices.IndexFunc(p.list, func(q Param[F]) bool { return q.Name == name })
	if i < 0 {
		return Param[F]{}, false
	}
	return p.list[i], true
}

// Count is the number of weights.
func (p *Params[F]) Count() int {
	n := 0
	for _, q := range p.list {
		n += len(q.Value)
	}
	return n
}

// Save returns a copy as tensors of F.
func (p *Params[F]) Save() tensor.Set { return p.SaveFlat(p.flat) }

// SaveFlat is Save of another array of the layout of Flat, e.g. the best weights.
func (p *Params[F]) SaveFlat(flat []F) tensor.Set {
	out := make(tensor.Set, len(p.list))
	for i, q := range p.list {
		out[i] = tensorOf(q.Name, slices.Clone(flat[q.Offset:q.Offset+len(q.Value)]), q.Shape...)
	}
	return out
}

func tensorOf[F kernel.Float](name string, data []F, shape ...int) *tensor.Tensor {
	switch d := any(data).(type) {
	case []float32:
		return tensor.From32(name, d, shape...)
	case []float64:
		return tensor.From64(name, d, shape...)
	}
	return nil
}

// MismatchError says how weights differ from what a network needs.
type MismatchError struct {
	// Missing are those that the network has and the weights lack, Unknown the other way round.
	Missing, Unknown []Shaped
	// Shapes are "name: shape [3 4], want [4 4]" for each that differs, and likewise for types and numbers that are not finite.
	Shapes []string
}

// Shaped is the name of an array and its shape.
type Shaped struct {
	Name  string
	Shape []int
}

// String is "name [3 4]".
func (s Shaped) String() string { return fmt.Sprintf("%s %v", s.Name, s.Shape) }

// Error lists everything that differs.
func (e *MismatchError) Error() string {
	s := "nn: weights of another network"
	if len(e.Missing) > 0 {
		s += fmt.Sprintf("; missing %v", e.Missing)
	}
	if len(e.Unknown) > 0 {
		s += fmt.Sprintf("; unknown %v", e.Unknown)
	}
	for _, l := range e.Shapes {
		s += "; " + l
	}
	return s
}

// Load sets all values. Weights whose names or shapes differ, or that are not finite, are a [*MismatchError] that lists all of them; then
// nothing has changed.
func (p *Params[F]) Load(weights tensor.Set) error { return p.LoadFlat(p.flat, weights) }

// LoadFlat is Load into another array of the layout of Flat.
func (p *Params[F]) LoadFlat(flat []F, weights tensor.Set) error {
	var e MismatchError
	for _, q := range p.list {
		w := weights.Get(q.Name)
		switch {
		case w == nil:
			e.Missing = append(e.Missing, Shaped{q.Name, q.Shape})
		case !slices.Equal(w.Shape, q.Shape):
			e.Shapes = append(e.Shapes, fmt.Sprintf("%s: shape %v, want %v", q.Name, w.Shape, q.Shape))
		case w.DType() != tensor.Float32 && w.DType() != tensor.Float64:
			e.Shapes = append(e.Shapes, fmt.Sprintf("%s: type %v, want float32 or float64", q.Name, w.DType()))
		case w.Check() != nil:
			e.Shapes = append(e.Shapes, fmt.Sprintf("%s: %v", q.Name, w.Check()))
		case w.CheckFinite() != nil:
			e.Shapes = append(e.Shapes, fmt.Sprintf("%s: %v", q.Name, w.CheckFinite()))
		}
	}
	for _, w := range weights {
		if _, ok := p.find(w.Name); !ok {
			e.Unknown = append(e.Unknown, Shaped{w.Name, w.Shape})
		}
	}
	if len(e.Missing)+len(e.Unknown)+len(e.Shapes) > 0 {
		return &e
	}
	for _, q := range p.list {
		w, value := weights.Get(q.Name), flat[q.Offset:q.Offset+len(q.Value)]
		for i, x := range w.F32 {
			value[i] = F(x)
		}
		for i, x := range w.F64 {
			value[i] = F(x)
		}
	}
	return nil
}

// Float64 returns a copy of the values in double precision, by name.
func (p *Params[F]) Float64() map[string][]float64 {
	out := make(map[string][]float64, len(p.list))
	for _, q := range p.list {
		v := make([]float64, len(q.Value))
		for i, x := range q.Value {
			v[i] = float64(x)
		}
		out[q.Name] = v
	}
	return out
}

func elements(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}

// Clone returns a copy with memory of its own.
func (p *Params[F]) Clone() *Params[F] {
	c := &Params[F]{seed: p.seed, flat: slices.Clone(p.flat), list: slices.Clone(p.list), err: p.err}
	for i, q := range c.list {
		c.list[i].Value = c.flat[q.Offset : q.Offset+len(q.Value) : q.Offset+len(q.Value)]
	}
	return c
}
