package kernel

import "testing"

// The product that the peak is measured with is a product: all of its elements enter, every time.
func TestCacheProduct(t *testing.T) {
	cacheProduct[float32](t, 48)
	cacheProduct[float64](t, 24)
	if sum := (CacheProduct[float32]{}).Repeat(3); sum != 0 {
		t.Errorf("the zero value gives %v", sum)
	}
}

func cacheProduct[F Float](t *testing.T, n int) {
	t.Helper()
	for _, p := range CacheProducts[F]() {
		if got, want := p.FLOPs(), 2*float64(p.m*p.k*n); got != want {
			t.Errorf("%+v: %v operations, want %v", p, got, want)
		}
		// B is in panels of the variant's vectors, each by rows; of the sum over a row of C only the sums over rows of B matter.
		lanes := map[string]int{"avx512": n / 3, "avx2": n / 6, "generic": n / 12}[Variant()]
		sum := 0
		for i := range p.m {
			for k := range p.k {
				for j := range n {
					sum += ((i*p.k+k)%7 - 2) * ((j/lanes*lanes*p.k+k*lanes+j%lanes)%5 - 1)
				}
			}
		}
		// Every element is a small multiple of 2^-12, so sums are exact.
		for _, times := range []int{0, 1, 5} {
			if got, want := p.Repeat(times), float64(times*sum)/4096; got != want {
				t.Errorf("%+v, %d times: sum %v, want %v", p, times, got, want)
			}
		}
		if sum == 0 {
			t.Errorf("%+v: the sum is 0 and proves nothing", p)
		}
	}
}

func TestMultiplyAdds(t *testing.T) {
	multiplyAdds[float32](t, 16)
	multiplyAdds[float64](t, 8)
}

func multiplyAdds[F Float](t *testing.T, most float64) {
	t.Helper()
	var m MultiplyAdds[F]
	lanes := map[string]float64{"avx512": most, "avx2": most / 2, "generic": most / 4}[Variant()]
	if got := m.FLOPs(); got != 24*lanes {
		t.Errorf("%v operations, want %v", got, 24*lanes)
	}
	for times, chain := range map[int]float64{0: 66, 1: 45, 2: 34.5, 100: 24} {
		if got := m.Repeat(times); got != chain*lanes {
			t.Errorf("%d times: sum %v, want %v", times, got, chain*lanes)
		}
	}
}
