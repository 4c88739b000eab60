package shape

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// opened is a comparison of two subjects.
func pairOf(t testing.TB, values param.Values, x, y *tensor.Tensor, train int) *comparison {
	t.Helper()
	c, err := newComparison(open(t, 2, values).(*shape), comparator.Request{Subjects: []comparator.Subject{as("truth", comparator.Truth, x, train), as("y", comparator.Fitted, y, train)}}, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hsic is the biased and the unbiased estimate (Song et al. 2007) from the matrices of products themselves.
func hsic(x, y *mat.Dense) (plain, unbiased float64) {
	n, _ := x.Dims()
	var k, l mat.Dense
	k.Mul(x, x.T())
	l.Mul(y, y.T())
	h := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			h.Set(i, j, -1/float64(n))
		}
		h.Set(i, i, 1-1/float64(n))
	}
	var hk, hl, product mat.Dense
	hk.Product(h, &k, h)
	hl.Product(h, &l, h)
	product.Mul(&hk, &hl)
	plain = mat.Trace(&product)
	for i := range n {
		k.Set(i, i, 0)
		l.Set(i, i, 0)
	}
	var kl mat.Dense
	kl.Mul(&k, &l)
	m := float64(n)
	return plain, (mat.Trace(&kl) + mat.Sum(&k)*mat.Sum(&l)/((m-1)*(m-2)) - 2/(m-2)*mat.Sum(&kl)) / (m * (m - 3))
}

// TestCKA compares both estimates with their definitions over all pairs of rows.
func TestCKA(t *testing.T) {
	x, y := smooth(1, 9, 5, 3), smooth(2, 9, 5, 4)
	for i := range 45 {
		y.F64[i*4] += x.F64[i*3]
	}
	o := compare(t, nil, as("truth", comparator.Truth, x, 3), as("y", comparator.Fitted, y, 3))
	mx, my := mat.NewDense(30, 3, x.Slice(3, 9).F64), mat.NewDense(30, 4, y.Slice(3, 9).F64)
	xy, uxy := hsic(mx, my)
	xx, uxx := hsic(mx, mx)
	yy, uyy := hsic(my, my)
	if got, want := opened.Find(t, o, "cka", "y").Value, xy/math.Sqrt(xx*yy); math.Abs(got-want) > 1e-12 {
		t.Errorf("cka is %v, want %v", got, want)
	}
	if got, want := opened.Find(t, o, "cka_debiased", "y").Value, uxy/math.Sqrt(uxx*uyy); math.Abs(got-want) > 1e-10 {
		t.Errorf("cka_debiased is %v, want %v", got, want)
	}
}

// TestSimilarityCoverage: intervals of the debiased similarity hold the true one about as often as they should, whether bins of a trial are independent or not, of a similarity of 1/(1+s^2).
func TestSimilarityCoverage(t *testing.T) {
	const trials, bins, d, times = 60, 6, 3, 60
	for _, s := range []float64{0.5, 3} {
		for _, together := range []bool{false, true} {
			covered := 0
			for seed := range uint64(times) {
				rng := random.New(seed, "shape/similarity")
				x, y := tensor.New32(comparator.Latents, trials, bins, d), tensor.New32(comparator.Latents, trials, bins, d)
				var a, b [d]float64
				for i := range x.F32 {
					k := i % d
					if i%(bins*d) < d || !together {
						a[k], b[k] = rng.NormFloat64(), rng.NormFloat64()
					} else {
						a[k], b[k] = 0.9*a[k]+math.Sqrt(0.19)*rng.NormFloat64(), 0.9*b[k]+math.Sqrt(0.19)*rng.NormFloat64()
					}
					x.F32[i], y.F32[i] = float32(a[k]), float32(a[k]+s*b[k])
				}
				c := pairOf(t, nil, x, y, 10)
				_, r, err := c.similarityBounds(t.Context(), &c.latents[0], &c.latents[1])
				if err != nil {
					t.Fatal(err)
				}
				if want := 1 / (1 + s*s); r[0] <= want && want <= r[1] {
					covered++
				}
			}
			if covered < times*85/100 {
				t.Errorf("noise %v, bins together %v: %d of %d intervals hold the true similarity", s, together, covered, times)
			}
			t.Logf("noise %v, bins together %v: %d of %d", s, together, covered, times)
		}
	}
}

// TestRSA compares with the correlation of all distances, computed plainly; no two of them are equal.
func TestRSA(t *testing.T) {
	x, y := smooth(1, 9, 5, 3), smooth(2, 9, 5, 4)
	for i := range 45 {
		y.F64[i*4] += 3 * x.F64[i*3]
	}
	for _, kind := range []string{"pearson", "spearman"} {
		// 6 trials of 5 bins are 30 states, all of them.
		o := compare(t, param.Values{"rsa_items": 30, "rsa_correlation": kind}, as("truth", comparator.Truth, x, 3), as("y", comparator.Fitted, y, 3))
		list := func(x *tensor.Tensor, d int) []float64 {
			var out []float64
			for i := range 30 {
				for j := i + 1; j < 30; j++ {
					a, b := x.F64[(15+i)*d:(16+i)*d], x.F64[(15+j)*d:(16+j)*d]
					sum := 0.0
					for k := range a {
						sum += (a[k] - b[k]) * (a[k] - b[k])
					}
					out = append(out, math.Sqrt(sum))
				}
			}
			if kind == "spearman" {
				sorted := slices.Sorted(slices.Values(out))
				for i, v := range out {
					at, _ := slices.BinarySearch(sorted, v)
					out[i] = float64(at)
				}
			}
			return out
		}
		want := stat.Correlation(list(x, 3), list(y, 4), nil)
		if r := opened.Find(t, o, "rsa", "y"); math.Abs(r.Value-want) > 1e-12 || !(r.Low < want && want < r.High) {
			t.Errorf("%s: %+v, want %v", kind, r, want)
		}
	}
	values := []float64{3, 1, 3, 2, 3}
	if rank(values); !slices.Equal(values, []float64{3, 0, 3, 1, 3}) {
		t.Errorf("ranks %v", values)
	}
}

// TestWeights: a statistic over weighted trials is the statistic of the trials so repeated; of RSA, without distances of a trial to its copies.
func TestWeights(t *testing.T) {
	x, y := smooth(1, 9, 5, 3), smooth(2, 9, 5, 70)
	for i := range 45 {
		y.F64[i*70] += x.F64[i*3]
	}
	weights := []float64{2, 0, 1, 0, 3, 1}
	repeat := func(x *tensor.Tensor) *tensor.Tensor {
		row := x.Len() / 9
		out := slices.Clone(x.F64[:3*row])
		for k, w := range weights {
			for range int(w) {
				out = append(out, x.F64[(3+k)*row:(4+k)*row]...)
			}
		}
		return tensor.From64(x.Name, out, 10, 5, x.Shape[2])
	}
	measure := func(x, y *tensor.Tensor) measured {
		c := pairOf(t, nil, x, y, 3)
		base, err := moments.New(t.Context(), 2, c.latents[0].train, c.latents[1].train, nil, moments.All(), nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.measure(t.Context(), &c.latents[0], &c.latents[1], base, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	once, many := measure(x, y), measure(repeat(x), repeat(y))
	compared := 0
	for k, s := range once.statistics {
		if s == nil || k == len(once.statistics)-1 {
			continue
		}
		compared++
		if a := s.Value(bootstrap.Ones(6)); math.Abs(a-once.values[k]) > 1e-9 {
			t.Errorf("statistic %d is %v by trials, %v in all", k, a, once.values[k])
		}
		if a, b := s.Value(weights), many.values[k]; math.Abs(a-b) > 1e-9 {
			t.Errorf("statistic %d is %v over weights, %v over repeated trials", k, a, b)
		}
	}
	if compared != 6 {
		t.Errorf("%d statistics", compared)
	}

	// Norms of products, for which BCa also leaves trials out; 70 latents make several blocks.
	for _, threads := range []int{1, 3} {
		c := pairOf(t, param.Values{"bootstrap": 100, "interval": "bca"}, y, x, 3)
		c.threads = threads
		norms, err := c.crossNorms(t.Context(), c.latents[0].valid, c.latents[1].valid)
		if err != nil || len(norms) != 107 {
			t.Fatal(len(norms), err)
		}
		at := 0
		for first, ws := range c.weights(6) {
			if first != at {
				t.Fatalf("weights %d come at %d", first, at)
			}
			for ; len(ws) > 0; ws = ws[6:] {
				var a, b []float64
				for k, w := range ws[:6] {
					for range int(w) {
						a, b = append(a, y.F64[(3+k)*350:(4+k)*350]...), append(b, x.F64[(3+k)*15:(4+k)*15]...)
					}
				}
				want, _ := hsic(mat.NewDense(len(a)/70, 70, a), mat.NewDense(len(b)/3, 3, b))
				if math.Abs(norms[at]-want) > 1e-9*want {
					t.Fatalf("weighting %d: %v, want %v", at, norms[at], want)
				}
				at++
			}
		}
		if at != 107 {
			t.Errorf("%d weightings", at)
		}
	}
}
