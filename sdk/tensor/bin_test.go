package tensor

import (
	"slices"
	"testing"
)

func TestBin(t *testing.T) {
	// Two trials of three bins, two wide: element = 100 trial + 10 bin + channel.
	var wide []float64
	for trial := range 2 {
		for bin := range 3 {
			wide = append(wide, float64(100*trial+10*bin), float64(100*trial+10*bin+1))
		}
	}
	f64 := From64("x", wide, 2, 3, 2)
	i64 := NewInt("x", 2, 3, 2)
	for i, v := range wide {
		i64.I64[i] = int64(v)
	}
	for _, a := range []*Tensor{f64, From32("x", f64.Float32s(), 2, 3, 2), i64} {
		b := a.Bin(2)
		if !slices.Equal(b.Shape, []int{2, 2}) || !slices.Equal(b.F64, []float64{20, 21, 120, 121}) || b.Name != "x" {
			t.Errorf("%v: bin 2 is %q %v %v", a.DType(), b.Name, b.Shape, b.F64)
		}
	}
	if b := From64("mask", []float64{1, 2, 3, 4, 5, 6}, 2, 3).Bin(1); !slices.Equal(b.Shape, []int{2}) || !slices.Equal(b.F64, []float64{2, 5}) {
		t.Errorf("without channels: %v %v", b.Shape, b.F64)
	}
	f64.Bin(0).F64[0] = 7
	if f64.F64[0] != 0 {
		t.Error("a bin shares its array's data")
	}
	for _, i := range []int{-1, 3} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("there is a bin %d", i)
				}
			}()
			f64.Bin(i)
		}()
	}
}
