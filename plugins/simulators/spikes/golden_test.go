package spikes

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func open(t testing.TB, seed uint64, threads int, values param.Values, source simulator.Source) *spikes {
	t.Helper()
	f := Factory()
	v, problems := f.Info.Params.Resolve(values)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s, err := f.Open(t.Context(), v, component.Env{Seed: seed, Threads: threads}, source)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*spikes)
}

func numbers(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

// within reports the first element that is further than tol (absolute) from what is wanted.
func within(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tol) {
			t.Errorf("%s[%d] is %v, want %v", what, i, got[i], want[i])
			return
		}
	}
}

// named are the golden cases whose names begin with a prefix: at least one.
func named(t *testing.T, prefix string) []golden.Case {
	t.Helper()
	var out []golden.Case
	for _, c := range golden.Read(t, "simulator.json") {
		if strings.HasPrefix(c.Name, prefix) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no case %s*", prefix)
	}
	return out
}

// TestGoldenRates takes the reference's latents through Fit and Simulate.
func TestGoldenRates(t *testing.T) {
	for _, c := range named(t, "rates_") {
		t.Run(c.Name, func(t *testing.T) {
			var p struct {
				Link            string
				Scaling         float64 `json:"fr_scaling"`
				HeldIn, HeldOut int
				Seed            uint64
				Trim            []int
			}
			c.Decode(t, &p)
			z := c.Tensors["latents"].Named(simulator.Latents)
			source := simulator.Source{Latents: z.Shape[2], Bins: z.Shape[1], Task: &task.Spec{Bins: z.Shape[1]}}
			if len(p.Trim) == 2 {
				source.Task.Trim = [2]int{p.Trim[0] - 1, p.Trim[1]}
				source.Task.Extra, source.Task.ExtraUnits = make([]string, c.Tensors["extra_in"].Shape[1]), []string{task.InBins}
			}
			values := param.Values{"link": p.Link, "fr_scaling": p.Scaling, "n_heldin": p.HeldIn, "n_heldout": p.HeldOut}
			for _, behaviour := range []string{"default", "compat"} {
				values["compat"] = behaviour == "compat"
				s := open(t, p.Seed, 2, values, source)
				in := tensor.Block{Trials: numbers(z.Rows()), Arrays: tensor.Set{z}}
				extra, ok := c.Tensors["extra_in"]
				if ok {
					in.Arrays = append(in.Arrays, extra.Named(task.Extra))
				}
				fit, err := s.Fit(t.Context(), tensor.Of(in))
				if err != nil {
					t.Fatal(err)
				}
				if perm := fit.Get(simulator.Permutation).I64; !slices.Equal(perm, c.Ints(t, "perm")) {
					t.Errorf("permutation %v", perm)
				}
				within(t, "readout", fit.Get(simulator.Readout).F64, c.Floats(t, "readout"), 0)
				within(t, "mean", fit.Get(simulator.OrigMean).F64, c.Floats(t, "orig_mean"), 1e-12)
				within(t, "sd", fit.Get(simulator.OrigStd).F64, c.Floats(t, "orig_std"), 1e-12)

				out, err := tensor.Collect(s.Simulate(t.Context(), tensor.Of(in)))
				if err != nil {
					t.Fatal(err)
				}
				within(t, "latents", out.Arrays.Get(simulator.Latents).F64, c.Floats(t, "latents_kept"), 0)
				want := c.Floats(t, "rates")
				within(t, "activity", out.Arrays.Get(simulator.Activity).Float64s(), want, 1e-6*slices.Max(want))
				if ok {
					within(t, "extra", out.Arrays.Get(task.Extra).F64, c.Floats(t, "extra_"+behaviour), 0)
				}
				// The stored rates are float32; the numbers they are rounded from are held to the golden tolerance.
				kept, got := c.Tensors["latents_kept"], []float64(nil)
				latents := make([]float64, kept.Shape[2])
				for i := range kept.Shape[0] * kept.Shape[1] {
					bin(latents, kept, 0, i)
					r := make([]float64, len(s.fitted.gains))
					s.fitted.read(r, latents)
					s.fitted.rates(r)
					got = append(got, r...)
				}
				within(t, "rates", got, want, 1e-12)
			}
		})
	}
}

func TestGoldenPermutations(t *testing.T) {
	for _, c := range named(t, "perm_") {
		var p struct {
			Seed             uint64
			Latents, Neurons int
		}
		c.Decode(t, &p)
		if got := numpyPermutations(p.Seed, p.Latents, p.Neurons); !slices.Equal(got, c.Ints(t, "perm")) {
			t.Errorf("%s: %v", c.Name, got)
		}
	}
}

// TestGoldenCounts draws counts at the reference's rates: means, variances and fractions of zeros lie within 5 standard errors of the exact
// moments and of the reference's samples.
func TestGoldenCounts(t *testing.T) {
	const samples = 200_000
	for _, c := range named(t, "counts_") {
		var p struct {
			Dispersion float64
			Samples    float64
		}
		c.Decode(t, &p)
		for i, rate := range c.Floats(t, "rate") {
			for _, behaviour := range []string{"compat", "default"} {
				mean, variance := c.Floats(t, "exact_mean_"+behaviour)[i], c.Floats(t, "exact_variance_"+behaviour)[i]
				s := sampler{random.New(7, "test", uint64(i)), p.Dispersion, behaviour == "compat"}
				var n, sum, squares, cubes, fourths, zeros float64 = samples, 0, 0, 0, 0, 0
				for range samples {
					k := s.count(rate)
					if k != math.Floor(k) || k < 0 {
						t.Fatalf("%s: count %v", c.Name, k)
					}
					if k == 0 {
						zeros++
					}
					d := k - mean
					sum, squares, cubes, fourths = sum+d, squares+d*d, cubes+d*d*d, fourths+d*d*d*d
				}
				seMean := math.Sqrt(variance / n)
				// The second term is the sample mean's own, which alone is left where a count has two values, equally likely.
				seVariance := math.Sqrt(max(fourths/n-squares/n*squares/n, 0)/n) + 5*variance/n
				at := func(what string, got, want, se float64) {
					if !(math.Abs(got-want) <= 5*se+1e-12) {
						t.Errorf("%s at rate %v, %s: %s is %v, want %v +- %v", c.Name, rate, behaviour, what, got, want, se)
					}
				}
				at("mean", mean+sum/n, mean, seMean)
				at("variance", squares/n-sum/n*sum/n, variance, seVariance)
				if p.Dispersion < 1 && behaviour == "default" {
					continue // The reference samples its own behaviour alone.
				}
				both := math.Sqrt(1 + n/p.Samples)
				zero := c.Floats(t, "sample_zero_fraction")[i]
				at("mean against the reference's", mean+sum/n, c.Floats(t, "sample_mean")[i], seMean*both)
				at("variance against the reference's", squares/n-sum/n*sum/n, c.Floats(t, "sample_variance")[i], seVariance*both)
				at("zeros against the reference's", zeros/n, zero, math.Sqrt(zero*(1-zero)/n)*both)
			}
		}
	}
}
