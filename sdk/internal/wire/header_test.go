package wire

import (
	"errors"
	"math"
	"testing"

	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// A header is believed only as far as it can do no harm.
func TestHeaderShapes(t *testing.T) {
	header := func(shape ...int64) *tensorv1.Header {
		return &tensorv1.Header{Name: "a", Dtype: tensorv1.DataType_DATA_TYPE_FLOAT32, Shape: shape}
	}
	for _, shape := range [][]int64{{}, {0}, {3, 0, 5}, {1 << 20, 0}, {1 << 30}} {
		if _, _, _, err := fromHeader(header(shape...)); err != nil {
			t.Errorf("shape %v: %v", shape, err)
		}
	}
	for _, shape := range [][]int64{{-1}, {1 << 40, 0}, {0, math.MaxInt64}, {1 << 31, 1 << 31, 1 << 31}, {math.MaxInt64}} {
		if _, _, _, err := fromHeader(header(shape...)); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("shape %v: error %v", shape, err)
		}
	}
}
