package tensor

import (
	"math"
	"testing"
)

func TestSizesSaturate(t *testing.T) {
	for _, c := range []struct {
		lengths []int
		want    int64
	}{
		{nil, 1}, {[]int{3, 4, 5}, 60}, {[]int{3, 0}, 0}, {[]int{3, -2}, 0}, {[]int{math.MaxInt}, math.MaxInt64}, {[]int{math.MaxInt, 2}, math.MaxInt64},
		{[]int{1 << 40, 1 << 40, 0}, 0}, {[]int{1 << 40, 1 << 40, 1}, math.MaxInt64}, {[]int{1 << 31, 1 << 31}, 1 << 62},
	} {
		if got := Elements(c.lengths...); got != c.want {
			t.Errorf("%v: %d elements, want %d", c.lengths, got, c.want)
		}
	}
	for _, c := range []struct {
		sizes []int64
		want  int64
	}{
		{nil, 0}, {[]int64{1, 2}, 3}, {[]int64{math.MaxInt64, 1}, math.MaxInt64}, {[]int64{math.MaxInt64 - 1, 1}, math.MaxInt64}, {[]int64{-5, 7}, 7},
	} {
		if got := Total(c.sizes...); got != c.want {
			t.Errorf("%v: %d in all, want %d", c.sizes, got, c.want)
		}
	}
}
