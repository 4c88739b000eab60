// Package tensor holds the dense arrays that components exchange: a name, axes, a unit, a shape and row-major data.
//
// The package has no arithmetic. It is what crosses a plugin boundary and what is written to a file, so it says what an array
// means (its axes and unit) rather than what can be done with it. Weights travel and are stored in the same type; see
// [WriteSafetensors] and [ReadSafetensors].
package tensor

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// DType is the type of a tensor's elements.
type DType uint8

// The element types. Float32 is what trials, spikes and weights are stored in; Float64 is for dynamics and statistics;
// Int64 is for indices and counts that must be exact.
const (
	Invalid DType = iota
	Float32
	Float64
	Int64
)

// String returns the name as safetensors and HDF5 users know it: float32, float64, int64.
func (d DType) String() string {
	switch d {
	case Float32:
		return "float32"
	case Float64:
		return "float64"
	case Int64:
		return "int64"
	}
	return "invalid"
}

// Size is the number of bytes of one element, 0 for Invalid.
func (d DType) Size() int {
	switch d {
	case Float32:
		return 4
	case Float64, Int64:
		return 8
	}
	return 0
}

// The axes that the built-in components use. Any other string is allowed.
const (
	Trial   = "trial"
	Bin     = "bin"
	Channel = "channel"
	Latent  = "latent"
	Neuron  = "neuron"
	State   = "state"
	Sample  = "sample"
)

// ErrShape is returned, wrapped, by functions that are given an array of the wrong shape or type.
var ErrShape = errors.New("tensor: wrong shape")

// Tensor is a dense row-major array. Exactly one of F32, F64 and I64 is not nil, and its length is the product of Shape
// (1 for a scalar, whose Shape is empty). A Tensor is a view: copying the struct shares the data.
type Tensor struct {
	// Name says what the array is, e.g. "inputs" or "cell.weight_ih".
	Name string
	// Axes names each axis, e.g. trial, bin, channel; empty where nothing is known, else as long as Shape.
	Axes []string
	// Unit is the unit of an element, e.g. "spikes/bin" or "m"; empty for a dimensionless quantity.
	Unit string
	// Shape is the length of each axis.
	Shape []int
	F32   []float32
	F64   []float64
	I64   []int64
}

// New32 returns a zero float32 tensor.
func New32(name string, shape ...int) *Tensor {
	return &Tensor{Name: name, Shape: slices.Clone(shape), F32: make([]float32, count(shape))}
}

// New64 returns a zero float64 tensor.
func New64(name string, shape ...int) *Tensor {
	return &Tensor{Name: name, Shape: slices.Clone(shape), F64: make([]float64, count(shape))}
}

// NewInt returns a zero int64 tensor.
func NewInt(name string, shape ...int) *Tensor {
	return &Tensor{Name: name, Shape: slices.Clone(shape), I64: make([]int64, count(shape))}
}

// From32 wraps data, which is not copied.
func From32(name string, data []float32, shape ...int) *Tensor {
	return &Tensor{Name: name, Shape: slices.Clone(shape), F32: data}
}

// From64 wraps data, which is not copied.
func From64(name string, data []float64, shape ...int) *Tensor {
	return &Tensor{Name: name, Shape: slices.Clone(shape), F64: data}
}

// FromInt wraps data, which is not copied.
func FromInt(name string, data []int64, shape ...int) *Tensor {
	return &Tensor{Name: name, Shape: slices.Clone(shape), I64: data}
}

// With sets the axes and the unit and returns t, for use where a tensor is made.
func (t *Tensor) With(unit string, axes ...string) *Tensor {
	t.Unit, t.Axes = unit, axes
	return t
}

// Named returns a view of t under another name.
func (t *Tensor) Named(name string) *Tensor {
	v := *t
	v.Name = name
	return &v
}

// DType returns the type of the elements, Invalid if t has no data slice.
func (t *Tensor) DType() DType {
	switch {
	case t.F32 != nil:
		return Float32
	case t.F64 != nil:
		return Float64
	case t.I64 != nil:
		return Int64
	}
	return Invalid
}

// Len is the number of elements that Shape asks for.
func (t *Tensor) Len() int { return count(t.Shape) }

// Rows is the length of the first axis, 1 for a scalar.
func (t *Tensor) Rows() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[0]
}

// Check reports a shape with a negative or overflowing axis, axes that do not match it, and data of the wrong length or
// of more than one type. The error wraps [ErrShape].
func (t *Tensor) Check() error {
	n := 1
	for _, s := range t.Shape {
		if s < 0 || (s > 0 && n > math.MaxInt/s) {
			return fmt.Errorf("%w: %q: shape %v", ErrShape, t.Name, t.Shape)
		}
		n *= s
	}
	if len(t.Axes) != 0 && len(t.Axes) != len(t.Shape) {
		return fmt.Errorf("%w: %q: %d axes named for shape %v", ErrShape, t.Name, len(t.Axes), t.Shape)
	}
	set, have := 0, 0
	if t.F32 != nil {
		set, have = set+1, len(t.F32)
	}
	if t.F64 != nil {
		set, have = set+1, len(t.F64)
	}
	if t.I64 != nil {
		set, have = set+1, len(t.I64)
	}
	if set != 1 || have != n {
		return fmt.Errorf("%w: %q: shape %v needs %d elements of one type, got %d of %d types", ErrShape, t.Name, t.Shape, n, have, set)
	}
	return nil
}

// CheckFinite reports the first NaN or infinity with its index.
func (t *Tensor) CheckFinite() error {
	bad := -1
	var v float64
	if i := slices.IndexFunc(t.F32, func(x float32) bool { return x-x != 0 }); i >= 0 {
		bad, v = i, float64(t.F32[i])
	}
	if i := slices.IndexFunc(t.F64, func(x float64) bool { return x-x != 0 }); i >= 0 {
		bad, v = i, t.F64[i]
	}
	if bad < 0 {
		return nil
	}
	index := make([]int, len(t.Shape))
	rest := bad
	for k := len(t.Shape) - 1; k >= 0; k-- {
		index[k] = rest % t.Shape[k]
		rest /= t.Shape[k]
	}
	return fmt.Errorf("tensor: %q is %v at %v: only finite values are allowed", t.Name, v, index)
}

// Expect reports a tensor that is not of the given shape; -1 in shape matches any length. The error wraps [ErrShape].
func (t *Tensor) Expect(shape ...int) error {
	ok := len(shape) == len(t.Shape)
	for i := 0; ok && i < len(shape); i++ {
		ok = shape[i] < 0 || shape[i] == t.Shape[i]
	}
	if !ok {
		return fmt.Errorf("%w: %q has shape %v, want %v (-1: any)", ErrShape, t.Name, t.Shape, shape)
	}
	return nil
}

// Slice returns the rows [from, to) of the first axis as a view that shares the data.
// It panics where the range is outside the first axis, like a slice expression.
func (t *Tensor) Slice(from, to int) *Tensor {
	row := count(t.Shape[1:])
	v := *t
	v.Shape = slices.Clone(t.Shape)
	v.Shape[0] = to - from
	switch {
	case t.F32 != nil:
		v.F32 = t.F32[from*row : to*row : to*row]
	case t.F64 != nil:
		v.F64 = t.F64[from*row : to*row : to*row]
	case t.I64 != nil:
		v.I64 = t.I64[from*row : to*row : to*row]
	}
	return &v
}

// Bin returns a copy of bin i of an array of trials x bins x ..., as trials x ... in float64: with an array of inputs, what model.Dynamics steps by.
// It panics where the array has no such bin, like an index expression.
func (t *Tensor) Bin(i int) *Tensor {
	rows, bins := t.Shape[0], t.Shape[1]
	if i < 0 || i >= bins {
		panic(fmt.Sprintf("tensor: bin %d of %d", i, bins))
	}
	out := New64(t.Name, append([]int{rows}, t.Shape[2:]...)...)
	width := count(t.Shape[2:])
	for row := range rows {
		for k := range width {
			out.F64[row*width+k] = t.float64At((row*bins+i)*width + k)
		}
	}
	return out
}

// float64At is element i as float64.
func (t *Tensor) float64At(i int) float64 {
	switch {
	case t.F32 != nil:
		return float64(t.F32[i])
	case t.I64 != nil:
		return float64(t.I64[i])
	}
	return t.F64[i]
}

// Float64s returns the elements as float64: the data itself where it is float64, else a copy.
func (t *Tensor) Float64s() []float64 {
	if t.F64 != nil {
		return t.F64
	}
	out := make([]float64, t.Len())
	for i, x := range t.F32 {
		out[i] = float64(x)
	}
	for i, x := range t.I64 {
		out[i] = float64(x)
	}
	return out
}

// Float32s returns the elements as float32: the data itself where it is float32, else a rounded copy.
func (t *Tensor) Float32s() []float32 {
	if t.F32 != nil {
		return t.F32
	}
	out := make([]float32, t.Len())
	for i, x := range t.F64 {
		out[i] = float32(x)
	}
	for i, x := range t.I64 {
		out[i] = float32(x)
	}
	return out
}

// Clone returns a deep copy.
func (t *Tensor) Clone() *Tensor {
	v := *t
	v.Axes, v.Shape = slices.Clone(t.Axes), slices.Clone(t.Shape)
	v.F32, v.F64, v.I64 = slices.Clone(t.F32), slices.Clone(t.F64), slices.Clone(t.I64)
	return &v
}

func count(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}
