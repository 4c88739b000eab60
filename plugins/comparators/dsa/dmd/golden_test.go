package dmd

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// trialsOf takes an array of (trials, bins, width) or (bins, width) apart.
func trialsOf(a *tensor.Tensor) []Trial {
	if len(a.Shape) == 2 {
		return []Trial{{a.Float64s(), a.Shape[1]}}
	}
	var out []Trial
	for k := range a.Shape[0] {
		out = append(out, Trial{a.Slice(k, k+1).Float64s(), a.Shape[2]})
	}
	return out
}

func TestGoldenEmbeddings(t *testing.T) {
	for _, c := range golden.Select(t, "dsa.json", func(c golden.Case) bool { return strings.HasPrefix(c.Name, "embed_") }) {
		var p struct {
			Delays   int `json:"n_delays"`
			Interval int `json:"delay_interval"`
		}
		c.Decode(t, &p)
		got, err := Embed(trialsOf(c.Tensors["x"]), p.Delays, p.Interval)
		if err != nil {
			t.Fatal(err)
		}
		for k, want := range trialsOf(c.Tensors["hankel"]) {
			if !slices.Equal(got[k].Data, want.Data) || got[k].Width != want.Width {
				t.Errorf("%s: trial %d: %v, want %v", c.Name, k, got[k], want)
			}
		}
	}
}

func TestGoldenOperators(t *testing.T) {
	for _, c := range golden.Select(t, "dsa.json", func(c golden.Case) bool { return strings.HasPrefix(c.Name, "dmd_") }) {
		t.Run(c.Name, func(t *testing.T) {
			var p struct {
				Delays    int     `json:"n_delays"`
				Interval  int     `json:"delay_interval"`
				Steps     int     `json:"steps_ahead"`
				Rank      int     `json:"rank"`
				Threshold float64 `json:"rank_thresh"`
				Explained float64 `json:"rank_explained_variance"`
				Ridge     float64 `json:"lamb"`
				Reduced   bool    `json:"reduced_rank_reg"`
				Used      int     `json:"rank_used"`
			}
			c.Decode(t, &p)
			var trials []Trial
			if x := c.Tensors["x"]; x != nil {
				trials = trialsOf(x)
			} else {
				for _, name := range []string{"x0", "x1", "x2"} {
					trials = append(trials, trialsOf(c.Tensors[name])...)
				}
			}
			m, err := Fit(t.Context(), trials, Options{Delays: p.Delays, Interval: p.Interval, Steps: p.Steps, Ridge: p.Ridge, ReducedRank: p.Reduced,
				Rank: Rank{Number: p.Rank, Threshold: p.Threshold, Explained: p.Explained}})
			if err != nil {
				t.Fatal(err)
			}
			if m.Rank() != p.Used {
				t.Errorf("rank %d, want %d", m.Rank(), p.Used)
			}
			for i, want := range c.Floats(t, "singular_values") {
				if math.Abs(m.Singular[i]-want) > 1e-9 {
					t.Errorf("singular value %d: %v, want %v", i, m.Singular[i], want)
				}
			}
			want := c.Floats(t, "A")
			if !p.Reduced {
				got := m.A.RawMatrix().Data
				// The signs of the coordinates, from the first row; A has no zero there.
				sign := make([]float64, p.Used)
				sign[0] = 1
				for j := 1; j < p.Used; j++ {
					sign[j] = math.Copysign(1, got[j]*want[j])
				}
				for i := range got {
					if d := got[i]*sign[i/p.Used]*sign[i%p.Used] - want[i]; math.Abs(d) > 1e-8 {
						t.Fatalf("A at %d differs by %v", i, d)
					}
				}
				if full := c.Tensors["full_operator"]; full != nil {
					for i, v := range m.Operator().RawMatrix().Data {
						if math.Abs(v-full.F64[i]) > 1e-8 {
							t.Fatalf("operator at %d: %v, want %v", i, v, full.F64[i])
						}
					}
				}
			}
			// Of a reduced-rank operator the reference has the full size: what it has beyond ours are zeros.
			var e mat.Eigen
			e.Factorize(m.A, mat.EigenNone)
			left := e.Values(nil)
			ev := c.Floats(t, "eig")
			for i := 0; i < len(ev); i += 2 {
				z := complex(ev[i], ev[i+1])
				at := slices.IndexFunc(left, func(x complex128) bool { return math.Hypot(real(x-z), imag(x-z)) < 1e-7 })
				switch {
				case at >= 0:
					left = slices.Delete(left, at, at+1)
				case !p.Reduced || math.Hypot(real(z), imag(z)) > 1e-7:
					t.Errorf("eigenvalue %v is not among ours", z)
				}
			}
			if len(left) > 0 {
				t.Errorf("eigenvalues %v are not among the reference's", left)
			}
		})
	}
}
