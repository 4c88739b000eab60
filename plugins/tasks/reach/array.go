package reach

import (
	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// wrap is a tensor of so many rows over an array, which is not copied.
func wrap[F arm.Float](name string, a []F, rows int) *tensor.Tensor {
	t := &tensor.Tensor{Name: name, Shape: []int{rows, len(a) / rows}}
	switch a := any(a).(type) {
	case []float32:
		t.F32 = a
	case []float64:
		t.F64 = a
	}
	return t
}

// data is the array of a tensor of that many rows and columns in F's precision; name is that of the argument.
func data[F arm.Float](name string, t *tensor.Tensor, rows, columns int) ([]F, error) {
	if t == nil {
		return nil, component.Invalid(name, "none are given: shape [%d %d] is needed", rows, columns)
	}
	if err := t.Check(); err != nil {
		return nil, component.Invalid(name, "%v", err)
	}
	if err := t.Expect(rows, columns); err != nil {
		return nil, component.Invalid(name, "%v", err)
	}
	var a []F
	switch to := any(&a).(type) {
	case *[]float32:
		*to = t.F32
	case *[]float64:
		*to = t.F64
	}
	if a == nil {
		return nil, component.Invalid(name, "type %s is not allowed: %T, the precision that the episode was begun with", t.DType(), *new(F))
	}
	return a, nil
}

// optional is the same, nil for no tensor.
func optional[F arm.Float](name string, t *tensor.Tensor, rows, columns int) ([]F, error) {
	if t == nil {
		return nil, nil
	}
	return data[F](name, t, rows, columns)
}
