package kernel

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// Values to the bit on any number of threads, and against plain sums.
func TestLossValues(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	s := Shape{B: 70, T: 5, C: 11}
	n := s.B * s.T * s.C
	y, target, w := fill[float32](r, n, 1), fill[float32](r, n, 1), fill[float32](r, n, 1)
	var squared, poisson, norms float64
	for b := range s.B {
		sum := 0.0
		for i := b * s.T * s.C; i < (b+1)*s.T*s.C; i++ {
			d := float64(y[i]) - float64(target[i])
			squared += float64(w[i]) * d * d
			poisson += math.Exp(float64(y[i])) - float64(target[i])*float64(y[i])
			sum += float64(y[i]) * float64(y[i])
		}
		norms += math.Sqrt(sum)
	}
	var first [3]float64
	for s.Threads = 1; s.Threads <= 3; s.Threads++ {
		var got [3]float64
		var err [3]error
		got[0], err[0] = SquaredError(s, y, target, w, 0.5, nil)
		got[1], err[1] = PoissonNLL(s, y, target, PoissonOptions[float32]{}, 0.5, nil)
		got[2], err[2] = LatentNorm(s, y, nil, 0.5, nil, false)
		must(t, errors.Join(err[:]...))
		if s.Threads == 1 {
			first = got
			near(t, "values", got[:], []float64{squared / 2, poisson / 2, norms / 2}, 1e-6)
		}
		same(t, "values", got[:], first[:])
	}
}

// Rates beyond the range of the type show as infinite, NaN as NaN; a masked bin hides both.
func TestPoissonExtremes(t *testing.T) {
	s := Shape{B: 1, T: 1, C: 1}
	for _, k := range []struct{ rate, want float64 }{{200, math.Inf(1)}, {-200, 0}, {math.NaN(), math.NaN()}, {88, math.Exp(88)}, {0, 1}} {
		for _, mask := range []float32{1, 0} {
			grad := []float32{7}
			got, err := PoissonNLL(s, []float32{float32(k.rate)}, []float32{0}, PoissonOptions[float32]{BinMask: []float32{mask}}, 1, grad)
			must(t, err)
			want := k.want * float64(mask)
			if mask == 0 {
				want = 0
			}
			if math.IsNaN(want) != math.IsNaN(got) || math.IsInf(want, 1) != math.IsInf(got, 1) || math.Abs(got-want) > 1e-6*want || math.IsNaN(float64(grad[0])) != math.IsNaN(want) {
				t.Errorf("log-rate %v, mask %v: %v and gradient %v, want %v", k.rate, mask, got, grad[0], want)
			}
		}
	}
}

func TestLossErrors(t *testing.T) {
	var shape *ShapeError
	s, x := Shape{B: 2, T: 3, C: 4}, make([]float64, 24)
	_, e1 := SquaredError(s, x, x[1:], nil, 1, nil)
	_, e2 := PoissonNLL(s, x, x, PoissonOptions[float64]{BinMask: x}, 1, nil)
	_, e3 := LatentNorm(s, x, nil, 1, x[1:], false)
	_, e4 := SquaredError(Shape{B: -2, T: -3, C: 4}, x, x, nil, 1, nil)
	e5 := AdamStep(Adam{}, 1, x, x[1:], x, x)
	e6 := Sum(x, false, x[1:])
	e7 := Normals(s, 1, []uint64{1}, x)
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7} {
		if !errors.As(err, &shape) {
			t.Errorf("error %d: %v", i+1, err)
		}
	}
	if AdamStep(Adam{}, 0, x, x, x, x) == nil {
		t.Error("step 0")
	}
	for name, v := range map[string]string{"": Variants()[0], "generic": "generic"} {
		if got, err := chooseVariant(name, Variants()); err != nil || got != v {
			t.Errorf("variant %q: %q, %v", name, got, err)
		}
	}
	if _, err := chooseVariant("neon", Variants()); err == nil {
		t.Error("a variant that is not there")
	}
	boom := errors.New("boom")
	if err := Shards(100, ShardRows, 3, func(_, s, _, _ int) error {
		if s == 2 {
			return boom
		}
		return nil
	}); !errors.Is(err, boom) {
		t.Errorf("shards: %v", err)
	}
}

// TestShardsPanic has a shard panic on whatever goroutine it is: it reaches the caller once all have ended.
func TestShardsPanic(t *testing.T) {
	for _, threads := range []int{1, 3} {
		func() {
			defer func() {
				if p := recover(); p == nil {
					t.Errorf("%d threads: no panic", threads)
				}
			}()
			_ = Shards(10*ShardRows, ShardRows, threads, func(int, int, int, int) error { panic("shard") })
		}()
	}
}
