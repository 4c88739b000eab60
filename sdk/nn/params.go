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
	// buffers are constants beside the parameters, each with memory of its own.
	buffers []Param[F]
	// counted is the number of elements where they are only counted; else nil.
	counted *int64
	err     error
}

// Param is one parameter.
type Param[F kernel.Float] struct {
	Name  string
	Shape []int
	// Value is a view of the parameter within all of them.
	Value []F
	// Offset is where Value begins in Params.Flat; -1 for a buffer, which is not there.
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
	n, ok := p.check(name, shape, 1)
	if !ok || p.count(n, name) {
		return
	}
	p.place(name, n, shape)
	if draw == nil {
		return
	}
	p.draw(p.list[len(p.list)-1], draw)
}

// Empty adds a parameter of rows rows without elements: what PyTorch's cells without inputs have for weight_ih. It is in no graph, and weights that lack it are loaded too.
func (p *Params[F]) Empty(name string, rows int) {
	shape := []int{rows, 0}
	if n, ok := p.check(name, shape, 0); ok && !p.count(n, name) {
		p.place(name, n, shape)
	}
}

// place gives a parameter its memory.
func (p *Params[F]) place(name string, n int, shape []int) {
	at := len(p.flat)
	p.flat = append(p.flat, make([]F, (n+align-1)/align*align)...)
	p.list = append(p.list, Param[F]{Name: name, Shape: slices.Clone(shape), Offset: at})
	for i, q := range p.list {
		p.list[i].Value = p.flat[q.Offset : q.Offset+elements(q.Shape) : q.Offset+elements(q.Shape)]
	}
}

// check returns the number of elements of a parameter that may be added, whose axes are at least that long.
func (p *Params[F]) check(name string, shape []int, least int) (int, bool) {
	n := 1
	for _, s := range shape {
		if s < least || s > 0 && n > math.MaxInt32/s {
			p.fail(fmt.Errorf("nn: parameter %q: shape %v is not allowed: 1 to 2^31 elements", name, shape))
			return 0, false
		}
		n *= s
	}
	if _, taken := p.find(name); name == "" || taken {
		p.fail(fmt.Errorf("nn: parameter %q: the name is empty or taken", name))
		return 0, false
	}
	return n, true
}

// count says whether parameters are only counted, and listed without elements where they have names.
func (p *Params[F]) count(n int, names ...string) bool {
	if p.counted == nil {
		return false
	}
	*p.counted = tensor.Total(*p.counted, int64(n))
	for _, name := range names {
		p.list = append(p.list, Param[F]{Name: name})
	}
	return true
}

// counted is the number of elements that a declaration adds, math.MaxInt64 where it cannot be made.
func counted[F kernel.Float](declare func(p *Params[F])) int64 {
	p := &Params[F]{counted: new(int64)}
	if declare(p); p.err != nil {
		return math.MaxInt64
	}
	return *p.counted
}

// Names are those of the parameters that a declaration adds, none of which it takes memory for.
func Names[F kernel.Float](declare func(p *Params[F])) []string {
	p := &Params[F]{counted: new(int64)}
	declare(p)
	var names []string
	for _, q := range p.list {
		names = append(names, q.Name)
	}
	return names
}

func (p *Params[F]) draw(q Param[F], draw func(*rand.Rand) float64) {
	r := random.New(p.seed, "initial "+q.Name)
	for i := range q.Value {
		q.Value[i] = F(draw(r))
	}
}

// NormalBuffer adds a constant drawn from the normal distribution of mean 0 and that standard deviation, what torch.nn.Module.register_buffer adds: it is saved and loaded with the
// parameters, but it is none: not in Flat, without a gradient, out of an optimiser's reach.
func (p *Params[F]) NormalBuffer(name string, sd float64, shape ...int) {
	n, ok := p.check(name, shape, 1)
	if !ok || p.count(n) {
		return
	}
	q := Param[F]{Name: name, Shape: slices.Clone(shape), Value: make([]F, n), Offset: -1}
	p.buffers = append(p.buffers, q)
	p.draw(q, func(r *rand.Rand) float64 { return sd * r.NormFloat64() })
}

// Linear adds prefix.weight (out, in) and prefix.bias (out) as nn.Linear has them: uniform with bound 1/sqrt(in).
func (p *Params[F]) Linear(prefix string, in, out int) {
	k := 1 / math.Sqrt(float64(in))
	p.Uniform(prefix+".weight", k, out, in)
	p.Uniform(prefix+".bias", k, out)
}

// Cell adds prefix.weight_ih (gates H, I), weight_hh (gates H, H), bias_ih and bias_hh (gates H) of a cell with gates, each name followed by suffix: uniform with
// bound 1/sqrt(H), rows in PyTorch's order. An empty suffix names an nn.GRUCell, nn.RNNCell or nn.LSTMCell, "_l0" and "_l0_reverse" the two
// directions of an nn.GRU, nn.RNN or nn.LSTM. Of a cell without inputs weight_ih is (gates H, 0), as it is there.
func (p *Params[F]) Cell(cell kernel.Cell, prefix, suffix string, inputs, units int) {
	k, rows := 1/math.Sqrt(float64(units)), cell.Gates()*units
	if inputs > 0 {
		p.Uniform(prefix+".weight_ih"+suffix, k, rows, inputs)
	} else {
		p.Empty(prefix+".weight_ih"+suffix, rows)
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

// All returns the parameters in order, without buffers.
func (p *Params[F]) All() []Param[F] { return p.list }

// Flat returns the memory of all parameters: each at its Offset, and zeros between. A gradient has the same layout.
func (p *Params[F]) Flat() []F { return p.flat }

// Get returns the value of the parameter or buffer of that name, nil where there is none.
func (p *Params[F]) Get(name string) []F {
	if q, ok := p.find(name); ok {
		return q.Value
	}
	return nil
}

func (p *Params[F]) find(name string) (Param[F], bool) {
	for _, list := range [][]Param[F]{p.list, p.buffers} {
		if i := slices.IndexFunc(list, func(q Param[F]) bool { return q.Name == name }); i >= 0 {
			return list[i], true
		}
	}
	return Param[F]{}, false
}

// Count is the number of weights.
func (p *Params[F]) Count() int {
	n := 0
	for _, q := range p.list {
		n += len(q.Value)
	}
	return n
}

// Save returns a copy as tensors of F, the buffers last.
func (p *Params[F]) Save() tensor.Set {
	return append(p.SaveFlat(p.flat), p.SaveBuffers()...)
}

// SaveFlat is Save of another array of the layout of Flat, e.g. the best weights, without buffers.
func (p *Params[F]) SaveFlat(flat []F) tensor.Set {
	out := make(tensor.Set, len(p.list))
	for i, q := range p.list {
		out[i] = TensorOf(q.Name, slices.Clone(flat[q.Offset:q.Offset+len(q.Value)]), q.Shape...)
	}
	return out
}

// TensorOf is a tensor of elements of F, which it holds without a copy.
func TensorOf[F kernel.Float](name string, data []F, shape ...int) *tensor.Tensor {
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
	// Shapes are "name: shape [3 4], want [4 4]" for each that differs, and likewise for types and numbers that are not finite, there or in the network's precision.
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
func (p *Params[F]) Load(weights tensor.Set) error {
	all := slices.Concat(p.list, p.buffers)
	if err := fits(all, weights); err != nil {
		return err
	}
	for _, q := range all {
		set(q.Value, weights.Get(q.Name))
	}
	return nil
}

// LoadFlat is Load into another array of the layout of Flat, without buffers.
func (p *Params[F]) LoadFlat(flat []F, weights tensor.Set) error {
	if err := fits(p.list, weights); err != nil {
		return err
	}
	for _, q := range p.list {
		set(flat[q.Offset:q.Offset+len(q.Value)], weights.Get(q.Name))
	}
	return nil
}

// SaveBuffers returns a copy of the buffers alone.
func (p *Params[F]) SaveBuffers() tensor.Set {
	out := make(tensor.Set, len(p.buffers))
	for i, q := range p.buffers {
		out[i] = TensorOf(q.Name, slices.Clone(q.Value), q.Shape...)
	}
	return out
}

// LoadBuffers is Load of the buffers alone.
func (p *Params[F]) LoadBuffers(buffers tensor.Set) error {
	if err := fits(p.buffers, buffers); err != nil {
		return err
	}
	for _, q := range p.buffers {
		set(q.Value, buffers.Get(q.Name))
	}
	return nil
}

// fits is a [*MismatchError] unless the weights are those of the list.
func fits[F kernel.Float](list []Param[F], weights tensor.Set) error {
	var e MismatchError
	for _, q := range list {
		w := weights.Get(q.Name)
		switch {
		case w == nil && elements(q.Shape) == 0:
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
		case Beyond[F](w.F64) >= 0:
			e.Shapes = append(e.Shapes, fmt.Sprintf("%s: %v is beyond single precision, which the network has: at most %v in size", q.Name, w.F64[Beyond[F](w.F64)], math.MaxFloat32))
		}
	}
	for _, w := range weights {
		if !slices.ContainsFunc(list, func(q Param[F]) bool { return q.Name == w.Name }) {
			e.Unknown = append(e.Unknown, Shaped{w.Name, w.Shape})
		}
	}
	if len(e.Missing)+len(e.Unknown)+len(e.Shapes) > 0 {
		return &e
	}
	return nil
}

// Beyond is the index of the first of finite numbers that are infinite as an F, -1 where none is.
func Beyond[F kernel.Float](values []float64) int {
	return slices.IndexFunc(values, func(x float64) bool { return math.IsInf(float64(F(x)), 0) })
}

// set copies a weight, nil where an empty one was left out.
func set[F kernel.Float](value []F, w *tensor.Tensor) {
	if w == nil {
		return
	}
	for i, x := range w.F32 {
		value[i] = F(x)
	}
	for i, x := range w.F64 {
		value[i] = F(x)
	}
}

// Float64 returns a copy of the values in double precision, by name.
func (p *Params[F]) Float64() map[string][]float64 {
	out := make(map[string][]float64, len(p.list))
	for _, q := range slices.Concat(p.list, p.buffers) {
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
	c := &Params[F]{seed: p.seed, flat: slices.Clone(p.flat), list: slices.Clone(p.list), buffers: slices.Clone(p.buffers), err: p.err}
	for i, q := range c.list {
		c.list[i].Value = c.flat[q.Offset : q.Offset+len(q.Value) : q.Offset+len(q.Value)]
	}
	for i, q := range c.buffers {
		c.buffers[i].Value = slices.Clone(q.Value)
	}
	return c
}
