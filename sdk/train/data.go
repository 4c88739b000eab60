package train

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Data is a data set in memory.
type Data[F kernel.Float] struct {
	// Trials are the numbers of the trials.
	Trials []uint64
	floats map[string]array[F]
	ints   map[string]array[int64]
}

type array[E any] struct {
	shape  []int // of a row
	row    int   // elements of a row
	values []E
}

// Column is an array that is wanted of a data set.
type Column struct {
	Name string
	// Shape of a row; -1 matches any length.
	Shape []int
	// Integer columns stay int64; all others become F, whatever type they come in.
	Integer bool
	// Optional columns may be missing.
	Optional bool
}

// maxAhead is the most elements of an array that memory is taken for before they have come: the number of trials is but announced.
const maxAhead = 1 << 28

// Load collects the wanted columns of all blocks. n is the announced number of trials, 0 where it is not known: memory is taken for so many. Arrays that are not wanted are dropped. A missing array, a wrong shape, a
// number that is not finite, there or as an F, and no trial at all are errors.
func Load[F kernel.Float](ctx context.Context, blocks tensor.Blocks, n int, columns ...Column) (*Data[F], error) {
	d := &Data[F]{floats: map[string]array[F]{}, ints: map[string]array[int64]{}}
	first := true
	for b, err := range blocks {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("train: loading trials: %w", err)
		}
		if err := b.Check(); err != nil {
			return nil, fmt.Errorf("train: loading trials: %w", err)
		}
		for _, c := range columns {
			if err := d.add(b, c, first, max(n, len(b.Trials))); err != nil {
				return nil, fmt.Errorf("train: loading trials: %w", err)
			}
		}
		for _, t := range b.Trials {
			d.Trials = append(d.Trials, uint64(t))
		}
		first = false
	}
	if len(d.Trials) == 0 {
		return nil, component.Invalid("trials", "a data set without trials: at least 1 is needed")
	}
	return d, nil
}

func (d *Data[F]) add(b tensor.Block, c Column, first bool, n int) error {
	t := b.Arrays.Get(c.Name)
	_, hasFloats := d.floats[c.Name]
	_, hasInts := d.ints[c.Name]
	if t == nil {
		if !c.Optional {
			return component.Invalid(c.Name, "is missing; the arrays are %v", b.Arrays.Names())
		}
		if hasFloats || hasInts {
			return component.Invalid(c.Name, "is missing from some blocks")
		}
		return nil
	}
	if !first && !hasFloats && !hasInts {
		return component.Invalid(c.Name, "is missing from some blocks")
	}
	if err := t.Expect(append([]int{-1}, c.Shape...)...); err != nil {
		return err
	}
	if err := t.CheckFinite(); err != nil {
		return err
	}
	if c.Integer {
		if t.I64 == nil {
			return component.Invalid(c.Name, "has type %v: int64 is needed", t.DType())
		}
		return appendRows(d.ints, c.Name, t.Shape[1:], n, t.I64)
	}
	if same, ok := sameType[F](t); ok {
		return appendRows(d.floats, c.Name, t.Shape[1:], n, same)
	}
	if i := nn.Beyond[F](t.F64); i >= 0 {
		return component.Invalid(c.Name, "%v of trial %d is not allowed: it is beyond single precision, which the network computes in: at most %v in size", t.F64[i], b.Trials[i*len(b.Trials)/t.Len()], math.MaxFloat32)
	}
	converted := make([]F, t.Len())
	for i, x := range t.F32 {
		converted[i] = F(x)
	}
	for i, x := range t.F64 {
		converted[i] = F(x)
	}
	for i, x := range t.I64 {
		converted[i] = F(x)
	}
	return appendRows(d.floats, c.Name, t.Shape[1:], n, converted)
}

func sameType[F kernel.Float](t *tensor.Tensor) ([]F, bool) {
	if s, ok := any(t.F32).([]F); ok && s != nil {
		return s, true
	}
	s, ok := any(t.F64).([]F)
	return s, ok && s != nil
}

func appendRows[E any](m map[string]array[E], name string, shape []int, n int, values []E) error {
	a, ok := m[name]
	if !ok {
		a = array[E]{shape: slices.Clone(shape), row: 1}
		for _, s := range shape {
			a.row *= s
		}
		a.values = make([]E, 0, max(len(values), min(n, maxAhead/max(1, a.row))*a.row))
	}
	if !slices.Equal(a.shape, shape) {
		return component.Invalid(name, "has rows of shape %v after rows of shape %v", shape, a.shape)
	}
	a.values = append(a.values, values...)
	m[name] = a
	return nil
}

// Len is the number of trials.
func (d *Data[F]) Len() int { return len(d.Trials) }

// Has says whether there is an array of that name.
func (d *Data[F]) Has(name string) bool {
	_, floats := d.floats[name]
	_, ints := d.ints[name]
	return floats || ints
}

// single says whether there is an integer column of that name of one number a trial.
func (d *Data[F]) single(name string) bool {
	a, ok := d.ints[name]
	return ok && a.row == 1
}

// singles are the names of all such columns.
func (d *Data[F]) singles() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.ints)), func(name string) bool { return !d.single(name) })
}

// Shape is that of a row of an array, nil where there is none of that name.
func (d *Data[F]) Shape(name string) []int {
	if a, ok := d.ints[name]; ok {
		return a.shape
	}
	return d.floats[name].shape
}

// Row is a row of an array of floats; nil where there is none of that name.
func (d *Data[F]) Row(name string, row int) []F {
	a := d.floats[name]
	if a.values == nil {
		return nil
	}
	return a.values[row*a.row : (row+1)*a.row]
}

// Int is the value of a row of an integer column of one number a trial.
func (d *Data[F]) Int(name string, row int) int64 { return d.ints[name].values[row] }

// Gather copies rows of an array to dst, one after the other; of each, its first len(dst)/len(rows) elements.
func (d *Data[F]) Gather(dst []F, name string, rows []int) {
	if len(rows) == 0 {
		return
	}
	n := len(dst) / len(rows)
	for i, r := range rows {
		copy(dst[i*n:(i+1)*n], d.Row(name, r))
	}
}
