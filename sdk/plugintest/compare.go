package plugintest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// difference says where two arrays differ, to the bit; empty where they do not. NaN is equal to itself.
func difference(a, b *tensor.Tensor) string {
	switch {
	case a == nil && b == nil:
		return ""
	case a == nil || b == nil:
		return "one is there, the other is not"
	case a.Name != b.Name:
		return fmt.Sprintf("one is named %q, the other %q", a.Name, b.Name)
	case a.DType() != b.DType():
		return fmt.Sprintf("array %q is %s in one, %s in the other", a.Name, a.DType(), b.DType())
	case !slices.Equal(a.Shape, b.Shape):
		return fmt.Sprintf("array %q has shape %v in one, %v in the other", a.Name, a.Shape, b.Shape)
	}
	at := func(i int, x, y any) string {
		return fmt.Sprintf("array %q: element %v is %v in one, %v in the other", a.Name, index(a.Shape, i), x, y)
	}
	for i, x := range a.F32 {
		if math.Float32bits(x) != math.Float32bits(b.F32[i]) {
			return at(i, x, b.F32[i])
		}
	}
	for i, x := range a.F64 {
		if math.Float64bits(x) != math.Float64bits(b.F64[i]) {
			return at(i, x, b.F64[i])
		}
	}
	for i, x := range a.I64 {
		if x != b.I64[i] {
			return at(i, x, b.I64[i])
		}
	}
	return ""
}

// index is the place of the i-th element.
func index(shape []int, i int) []int {
	out := make([]int, len(shape))
	for k := len(shape) - 1; k >= 0; k-- {
		out[k] = i % shape[k]
		i /= shape[k]
	}
	return out
}

// byName is a set of weights in the order of their names, which alone tell them apart.
func byName(s tensor.Set) tensor.Set {
	return slices.SortedFunc(slices.Values(s), func(a, b *tensor.Tensor) int { return strings.Compare(a.Name, b.Name) })
}

// setDifference is [difference] for sets.
func setDifference(a, b tensor.Set) string {
	if len(a) != len(b) {
		return fmt.Sprintf("one has arrays %v, the other %v", a.Names(), b.Names())
	}
	for i, x := range a {
		if d := difference(x, b[i]); d != "" {
			return d
		}
	}
	return ""
}

// blockDifference is [difference] for blocks.
func blockDifference(a, b tensor.Block) string {
	if !slices.Equal(a.Trials, b.Trials) {
		return fmt.Sprintf("one has the trials %v, the other %v", head(a.Trials), head(b.Trials))
	}
	return setDifference(a.Arrays, b.Arrays)
}

// head shows the first few of many.
func head[E any](all []E) string {
	if len(all) > 12 {
		return fmt.Sprintf("%v and %d more", all[:12], len(all)-12)
	}
	return fmt.Sprint(all)
}

// apart says where two arrays of floats differ by more than a tolerance, relative to the largest element or 1; empty where they do not.
func apart(a, b *tensor.Tensor, tolerance float64) string {
	if a == nil || b == nil || a.DType() == tensor.Int64 {
		return difference(a, b)
	}
	if !slices.Equal(a.Shape, b.Shape) {
		return fmt.Sprintf("array %q has shape %v in one, %v in the other", a.Name, a.Shape, b.Shape)
	}
	x, y := a.Float64s(), b.Float64s()
	scale := 1.0
	for _, v := range y {
		scale = max(scale, math.Abs(v))
	}
	for i, v := range x {
		if !(math.Abs(v-y[i]) <= tolerance*scale) {
			return fmt.Sprintf("array %q: element %v is %v in one, %v in the other", a.Name, index(a.Shape, i), v, y[i])
		}
	}
	return ""
}

// setApart is [apart] for sets.
func setApart(a, b tensor.Set, tolerance float64) string {
	if !slices.Equal(a.Names(), b.Names()) {
		return fmt.Sprintf("one has arrays %v, the other %v", a.Names(), b.Names())
	}
	for i, x := range a {
		if d := apart(x, b[i], tolerance); d != "" {
			return d
		}
	}
	return ""
}

// tolerance of what should not depend on which other trials are in a batch, but may be summed in another order.
func tolerance(t *tensor.Tensor) float64 {
	if t != nil && t.F64 != nil {
		return 1e-9
	}
	return 1e-4
}

// row is the i-th row of every array.
func row(b tensor.Block, i int) tensor.Block {
	out := tensor.Block{Trials: b.Trials[i : i+1]}
	for _, a := range b.Arrays {
		out.Arrays = append(out.Arrays, a.Slice(i, i+1))
	}
	return out
}

// inBlocks cuts a block into blocks of at most so many trials; 0 leaves it whole.
func inBlocks(b tensor.Block, size int) tensor.Blocks {
	if size <= 0 {
		return tensor.Of(b)
	}
	return func(yield func(tensor.Block, error) bool) {
		for from := 0; from < len(b.Trials); from += size {
			to := min(from+size, len(b.Trials))
			part := tensor.Block{Trials: b.Trials[from:to]}
			for _, a := range b.Arrays {
				part.Arrays = append(part.Arrays, a.Slice(from, to))
			}
			if !yield(part, nil) {
				return
			}
		}
	}
}

// refused says what is wrong where a call should have been refused; empty where it was, in one of the ways that tell a caller that the call was at fault.
func refused(err error, kinds ...error) string {
	if err == nil {
		return "it was accepted"
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return ""
		}
	}
	return fmt.Sprintf("the error is %q, which says that the component failed, not that the call was wrong", err)
}

// wrongCall are the kinds of error that say that a call was wrong.
func wrongCall() []error {
	return []error{component.ErrInvalidArgument, component.ErrNotFound, component.ErrUnsupported, tensor.ErrShape}
}

// until blocks until ctx ends: a sequence that never comes.
func until(ctx context.Context, first ...tensor.Block) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for _, b := range first {
			if !yield(b, nil) {
				return
			}
		}
		<-ctx.Done()
		yield(tensor.Block{}, ctx.Err())
	}
}
