package nn

import (
	"fmt"
	"hash"
	"hash/fnv"
	"strings"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Node is a node of a graph: Gorgonia's own.
type Node = gorgonia.Node

// op is an operation of this package. Its result stands in memory that is written anew in every run: its own, its argument's, or what an operation before it has filled. No operation writes to its
// arguments, so that a result is what it was until the run is over; but for sums of parts of gradients, see program.
type op struct {
	name  string
	id    int // distinguishes operations of one graph: Gorgonia merges nodes that hash alike
	in    []hm.Type
	sizes []tensor.Shape
	out   hm.Type
	shape tensor.Shape
	wrt   []bool
	run   func(in []gorgonia.Value) (gorgonia.Value, error)
	// diff returns the gradients of the arguments, nil where wrt is false.
	diff func(in gorgonia.Nodes, out, grad *Node) (gorgonia.Nodes, error)
	// passes says that the gradient of the result is that of one argument, as it is.
	passes bool
	// sums is where the graph notes what gradients are sums of.
	sums sums
}

var _ gorgonia.SDOp = (*op)(nil)

// Arity is the number of arguments.
func (o *op) Arity() int { return len(o.in) }

// Type is made anew for each call: Gorgonia recycles what it is given.
func (o *op) Type() hm.Type {
	types := make([]hm.Type, 0, len(o.in)+1)
	types = append(types, o.in...)
	return hm.NewFnType(append(types, o.out)...)
}

// InferShape checks that the arguments still have the shapes that the operation was planned for.
func (o *op) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	if len(in) != len(o.sizes) {
		return nil, fmt.Errorf("nn: %s: %d arguments, want %d", o.name, len(in), len(o.sizes))
	}
	for i, d := range in {
		s, ok := d.(tensor.Shape)
		if !ok || !s.Eq(o.sizes[i]) {
			return nil, fmt.Errorf("nn: %s: argument %d has shape %v, planned for %v", o.name, i, d, o.sizes[i])
		}
	}
	return o.shape.Clone(), nil
}

// Do runs the operation.
func (o *op) Do(in ...gorgonia.Value) (gorgonia.Value, error) { return o.run(in) }

// ReturnsPtr, CallsExtern and OverwritesInput are for Gorgonia's own machines, which do not run these operations.
func (o *op) ReturnsPtr() bool     { return true }
func (o *op) CallsExtern() bool    { return false }
func (o *op) OverwritesInput() int { return -1 }

// WriteHash writes what tells the operation from all others of its graph.
func (o *op) WriteHash(h hash.Hash) { fmt.Fprintf(h, "nn.%s#%d", o.name, o.id) }

// Hashcode is the hash of WriteHash.
func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// String is the operation's name.
func (o *op) String() string { return o.name }

// DiffWRT says which arguments have a gradient.
func (o *op) DiffWRT(int) []bool { return o.wrt }

// SymDiff adds the gradients to the graph.
func (o *op) SymDiff(in gorgonia.Nodes, out, grad *Node) (gorgonia.Nodes, error) {
	if o.diff == nil {
		return nil, fmt.Errorf("nn: %s: has no gradient", o.name)
	}
	if !o.passes {
		if err := o.sums.claim(out, grad); err != nil {
			return nil, err
		}
	}
	return o.diff(in, out, grad)
}

// sums are the parts of gradients, each with the node whose gradient it is a part of. Gorgonia adds parts up by an operation of its own, of which all of one shape look alike to it but for a
// hash of 32 bits: of thousands, as a long sequence of steps has, two may be taken for one, and a gradient would silently be another's.
type sums struct {
	expr *gorgonia.ExprGraph
	of   map[*Node]*Node
	// given are the cotangents that Backpropagate was given, which are parts of as many gradients as one likes.
	given map[*Node]bool
	// made are the sums of parts, and whether somebody asked for them.
	made map[*Node]bool
}

// isSum says whether a node is a sum of Gorgonia's, as it adds up gradients with.
func isSum(n *Node) bool {
	if n.Op() == nil {
		return false
	}
	_, own := n.Op().(*op)
	return !own && strings.HasPrefix(n.Op().String(), "+")
}

// claim notes the parts of a gradient. The error is that one of them is a part of another gradient, or is in it twice. What an operation of Gorgonia's own is applied to is left out: a sum hands its
// gradient on to both its arguments.
func (s sums) claim(of, grad *Node) error {
	if s.unknown(of, map[*Node]bool{}) {
		return nil
	}
	seen := map[*Node]bool{}
	for pending := []*Node{grad}; len(pending) > 0; {
		n := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if n.Op() == nil || s.given[n] {
			continue
		}
		if owner := s.of[n]; seen[n] || owner != nil && owner != of {
			return fmt.Errorf("two sums of gradients of shape %v have the same hash in Gorgonia, which would take one for the other: another number of bins, units or trials has other hashes", n.Shape())
		}
		seen[n] = true
		if !isSum(n) {
			s.of[n] = of
			continue
		}
		for it := knowing(s.expr, n).From(n.ID()); it != nil && it.Next(); {
			if child, ok := it.Node().(*Node); ok {
				pending = append(pending, child)
			}
		}
	}
	return nil
}

// apply adds an operation to the graph. A nil shape is a scalar.
func (g *Graph[F]) apply(o op, in ...*Node) (*Node, error) {
	g.ops++
	o.id, o.sums = g.ops, g.sums
	for _, n := range in {
		o.in = append(o.in, n.Type())
		o.sizes = append(o.sizes, n.Shape().Clone())
	}
	o.out = dtype[F]()
	if len(o.shape) > 0 {
		o.out = gorgonia.TensorType{Dims: len(o.shape), Of: dtype[F]()}
	} else {
		o.shape = tensor.ScalarShape()
	}
	if o.wrt == nil {
		o.wrt = make([]bool, len(in))
	}
	n, err := gorgonia.ApplyOp(&o, in...)
	if err != nil {
		return nil, fmt.Errorf("nn: %s: %w", o.name, err)
	}
	return n, nil
}

// picks adds a node for each gradient, which a backward node has written by the time that they run.
func (g *Graph[F]) picks(name string, token *Node, in gorgonia.Nodes, grads [][]F) (gorgonia.Nodes, error) {
	out := make(gorgonia.Nodes, len(in))
	for k, n := range in {
		if grads[k] == nil {
			continue
		}
		shape := n.Shape().Clone()
		value := dense(grads[k], shape...)
		p, err := g.apply(op{name: fmt.Sprintf("%s gradient %d", name, k), shape: shape,
			run: func([]gorgonia.Value) (gorgonia.Value, error) { return value, nil }}, token)
		if err != nil {
			return nil, err
		}
		out[k] = p
	}
	return out, nil
}

// unknown reports a node that an operation of Gorgonia's is applied to, or to what passes its gradient on to it.
func (s sums) unknown(of *Node, seen map[*Node]bool) bool {
	if seen[of] {
		return false
	}
	seen[of] = true
	for it := knowing(s.expr, of).To(of.ID()); it != nil && it.Next(); {
		by, ok := it.Node().(*Node)
		if !ok {
			continue
		}
		if o, own := by.Op().(*op); !own || o.passes && s.unknown(by, seen) {
			return true
		}
	}
	return false
}

func dtype[F kernel.Float]() tensor.Dtype {
	if _, ok := any(F(0)).(float32); ok {
		return tensor.Float32
	}
	return tensor.Float64
}

// dense wraps data as a tensor of the given shape.
func dense[F kernel.Float](data []F, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

// flat returns the elements of a tensor in row-major order.
func flat[F kernel.Float](v gorgonia.Value) ([]F, error) {
	d, ok := v.(*tensor.Dense)
	if !ok {
		return nil, fmt.Errorf("argument is a %T, want a dense tensor", v)
	}
	if d.RequiresIterator() || d.DataOrder().IsColMajor() {
		if m, ok := d.Materialize().(*tensor.Dense); ok {
			d = m
		}
	}
	if s, ok := d.Data().([]F); ok {
		return s[:d.Shape().TotalSize()], nil
	}
	return nil, fmt.Errorf("argument has elements of type %v, want %v", d.Dtype(), dtype[F]())
}

// scalar is a value that can be written again in every run.
type scalar[F kernel.Float] struct {
	f32 *gorgonia.F32
	f64 *gorgonia.F64
}

func newScalar[F kernel.Float](x float64) scalar[F] {
	if dtype[F]() == tensor.Float32 {
		return scalar[F]{f32: gorgonia.NewF32(float32(x))}
	}
	return scalar[F]{f64: gorgonia.NewF64(x)}
}

func (s scalar[F]) set(x float64) gorgonia.Value {
	if s.f32 != nil {
		*s.f32 = gorgonia.F32(x)
		return s.f32
	}
	*s.f64 = gorgonia.F64(x)
	return s.f64
}

// number is a scalar's value.
func number(v gorgonia.Value) (float64, error) {
	switch x := v.Data().(type) {
	case float64:
		return x, nil
	case float32:
		return float64(x), nil
	}
	return 0, fmt.Errorf("argument is %v of type %T, want a number", v, v)
}
