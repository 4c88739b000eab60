package wire

import (
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var dtypes = pairs[tensor.DType, tensorv1.DataType]{
	{tensor.Float32, tensorv1.DataType_DATA_TYPE_FLOAT32},
	{tensor.Float64, tensorv1.DataType_DATA_TYPE_FLOAT64},
	{tensor.Int64, tensorv1.DataType_DATA_TYPE_INT64},
}

func header(t *tensor.Tensor) *tensorv1.Header {
	h := &tensorv1.Header{Name: t.Name, Axes: t.Axes, Unit: t.Unit, Shape: make([]int64, len(t.Shape))}
	h.Dtype, _ = dtypes.to(t.DType())
	for i, s := range t.Shape {
		h.Shape[i] = int64(s)
	}
	return h
}

// fromHeader returns a tensor without data, its type and the number of its elements, which is known to fit memory addresses but not yet to exist.
func fromHeader(h *tensorv1.Header) (t *tensor.Tensor, d tensor.DType, n int, err error) {
	d, ok := dtypes.from(h.GetDtype())
	if !ok || d == tensor.Invalid {
		return nil, d, 0, component.Invalid("header.dtype", "%q: %d: float32, float64 or int64 is needed", h.GetName(), h.GetDtype())
	}
	if len(h.GetName()) > maxName || len(h.GetUnit()) > maxName {
		return nil, d, 0, component.Invalid("header.name", "%d bytes of name, %d of unit: at most %d are allowed", len(h.GetName()), len(h.GetUnit()), maxName)
	}
	if len(h.GetShape()) > maxAxes {
		return nil, d, 0, component.Invalid("header.shape", "%q: %d axes: at most %d are allowed", h.GetName(), len(h.GetShape()), maxAxes)
	}
	if a := len(h.GetAxes()); a != 0 && a != len(h.GetShape()) {
		return nil, d, 0, component.Invalid("header.axes", "%q: %d axes named for shape %v", h.GetName(), a, h.GetShape())
	}
	t = &tensor.Tensor{Name: h.GetName(), Unit: h.GetUnit()}
	if len(h.GetAxes()) > 0 {
		t.Axes = slices.Clone(h.GetAxes())
	}
	if len(h.GetShape()) > 0 {
		t.Shape = make([]int, len(h.GetShape()))
	}
	n = 1
	for i, s := range h.GetShape() {
		if s < 0 || (s > 0 && int64(n) > math.MaxInt/8/s) {
			return nil, d, 0, component.Invalid("header.shape", "%q: shape %v", h.GetName(), h.GetShape())
		}
		t.Shape[i] = int(s)
		n *= int(s)
	}
	// An array without elements takes no memory, but whoever makes something for each of its rows would take it.
	if n == 0 && slices.Max(t.Shape) > maxEmptyAxis {
		return nil, d, 0, component.Invalid("header.shape", "%q: shape %v: beside an axis of 0 at most %d are allowed", h.GetName(), h.GetShape(), maxEmptyAxis)
	}
	return t, d, n, nil
}

// ToTensor returns the message of a small array, nil for nil. The message shares the array's memory. One that is too large or inconsistent is an
// InvalidArgumentError or wraps tensor.ErrShape.
func ToTensor(t *tensor.Tensor) (*tensorv1.Tensor, error) {
	if t == nil {
		return nil, nil
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	raw := littleEndian(t)
	if len(raw) > MessageBytes {
		return nil, component.Invalid(t.Name, "%d bytes in one message: at most %d are allowed", len(raw), MessageBytes)
	}
	return &tensorv1.Tensor{Header: header(t), Data: raw, Crc32C: crc32.Checksum(raw, castagnoli)}, nil
}

// FromTensor reads the message of a small array, nil for nil.
func FromTensor(m *tensorv1.Tensor) (*tensor.Tensor, error) { return FromTensorInto(m, nil) }

// FromTensorInto is [FromTensor] into the memory of an earlier array, which may be nil, where that has the same number of elements of the same type.
func FromTensorInto(m *tensorv1.Tensor, old *tensor.Tensor) (*tensor.Tensor, error) {
	if m == nil {
		return nil, nil
	}
	t, d, n, err := fromHeader(m.GetHeader())
	if err != nil {
		return nil, err
	}
	if len(m.GetData()) != n*d.Size() {
		return nil, component.Invalid("tensor.data", "%q: %d bytes for %s of shape %v", t.Name, len(m.GetData()), d, t.Shape)
	}
	if sum := crc32.Checksum(m.GetData(), castagnoli); sum != m.GetCrc32C() {
		return nil, fmt.Errorf("wire: %q: %w: %08x, sent as %08x", t.Name, component.ErrChecksum, sum, m.GetCrc32C())
	}
	if old != nil && old.DType() == d && len(old.F32)+len(old.F64)+len(old.I64) == n {
		t.F32, t.F64, t.I64 = old.F32, old.F64, old.I64
	} else {
		alloc(t, d, n)
	}
	raw := memory(t)
	copy(raw, m.GetData())
	if !littleHost {
		reverseElements(raw, d.Size())
	}
	return t, nil
}

// ToTensors is [ToTensor] for each of a set.
func ToTensors(s tensor.Set) ([]*tensorv1.Tensor, error) {
	out := make([]*tensorv1.Tensor, len(s))
	for i, t := range s {
		var err error
		if out[i], err = ToTensor(t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// FromTensors is [FromTensor] for each of a set; nil for none.
func FromTensors(m []*tensorv1.Tensor) (tensor.Set, error) {
	var out tensor.Set
	for _, x := range m {
		t, err := FromTensor(x)
		if err != nil {
			return nil, err
		}
		if t != nil {
			out = append(out, t)
		}
	}
	return out, nil
}

// RowsFor returns how many rows of the given arrays, which have the same number of rows, go into one message, at least 1 where there are any. Nil arrays count nothing.
func RowsFor(arrays ...*tensor.Tensor) int {
	rows, bytes := 0, 0
	for _, t := range arrays {
		if t != nil && len(t.Shape) > 0 {
			rows = max(rows, t.Shape[0])
			bytes += t.Len() * t.DType().Size()
		}
	}
	// Headers and the message around them are small against this reserve.
	const room = MessageBytes - 1<<16
	if rows == 0 || bytes <= room {
		return rows
	}
	return max(1, room/((bytes+rows-1)/rows))
}

// Rows is t.Slice(from, to), nil for nil.
func Rows(t *tensor.Tensor, from, to int) *tensor.Tensor {
	if t == nil || (from == 0 && len(t.Shape) > 0 && to == t.Shape[0]) {
		return t
	}
	return t.Slice(from, to)
}

// AppendRows returns the rows of t followed by those of more; either may be nil. The error wraps tensor.ErrShape.
func AppendRows(t, more *tensor.Tensor) (*tensor.Tensor, error) {
	if t == nil || more == nil {
		if t == nil {
			t = more
		}
		return t, nil
	}
	if t.DType() != more.DType() || len(t.Shape) == 0 || len(more.Shape) == 0 || !slices.Equal(t.Shape[1:], more.Shape[1:]) {
		return nil, fmt.Errorf("%w: %q: rows of %s %v after %s %v", tensor.ErrShape, t.Name, more.DType(), more.Shape, t.DType(), t.Shape)
	}
	t.F32, t.F64, t.I64 = append(t.F32, more.F32...), append(t.F64, more.F64...), append(t.I64, more.I64...)
	t.Shape[0] += more.Shape[0]
	return t, nil
}

// AppendUpTo is [AppendRows] where no more than that many rows in all are expected, as of an array that comes in several messages: a peer that never comes to an
// end must not fill the memory. The error wraps tensor.ErrShape.
func AppendUpTo(rows int, t, more *tensor.Tensor) (*tensor.Tensor, error) {
	if more != nil && len(more.Shape) == 0 {
		return nil, fmt.Errorf("%w: %q has no rows: %d are expected", tensor.ErrShape, more.Name, rows)
	}
	if more != nil && (more.Shape[0] > rows || (t != nil && t.Shape[0] > rows-more.Shape[0])) {
		return nil, fmt.Errorf("%w: %q has more than the %d rows that are expected", tensor.ErrShape, more.Name, rows)
	}
	return AppendRows(t, more)
}

// CheckRows reports an array that is there and has not as many rows as expected. The error wraps tensor.ErrShape.
func CheckRows(rows int, arrays ...*tensor.Tensor) error {
	for _, t := range arrays {
		if t != nil && (len(t.Shape) == 0 || t.Shape[0] != rows) {
			return fmt.Errorf("%w: %q has shape %v: %d rows are expected", tensor.ErrShape, t.Name, t.Shape, rows)
		}
	}
	return nil
}

// AppendSets is [AppendUpTo] for each array; either may be empty.
func AppendSets(rows int, s, more tensor.Set) (tensor.Set, error) {
	if len(s) == 0 {
		s = make(tensor.Set, len(more))
	}
	if len(more) != 0 && len(more) != len(s) {
		return nil, fmt.Errorf("%w: rows of %v after %v", tensor.ErrShape, more.Names(), s.Names())
	}
	if len(more) == 0 && len(s) == 0 {
		return nil, nil
	}
	for i := range more {
		var err error
		if s[i], err = AppendUpTo(rows, s[i], more[i]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ByRows calls send for runs of rows [from, to) of the given arrays, each small enough for one message; more is true for all but the last. It is called at least once.
func ByRows(send func(from, to int, more bool) error, arrays ...*tensor.Tensor) error {
	rows, given := 0, false
	for _, t := range arrays {
		if t == nil {
			continue
		}
		if len(t.Shape) == 0 {
			return fmt.Errorf("%w: %q has no rows", tensor.ErrShape, t.Name)
		}
		if given && t.Shape[0] != rows {
			return fmt.Errorf("%w: %q has %d rows beside %d", tensor.ErrShape, t.Name, t.Shape[0], rows)
		}
		rows, given = t.Shape[0], true
	}
	step := max(1, RowsFor(arrays...))
	for from := 0; ; from += step {
		to := min(from+step, rows)
		if err := send(from, to, to < rows); err != nil || to == rows {
			return err
		}
	}
}
