package metrics

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// regression is one of counts on latents (trials, bins, d), of all trials at once.
func regression(t *testing.T, z, counts *tensor.Tensor, ridge float64) (readout, unit) {
	t.Helper()
	series := func(x *tensor.Tensor) trials.Series {
		return trials.Series{Data: x, Lengths: slices.Repeat([]int{x.Shape[1]}, x.Shape[0])}
	}
	c := &comparison{metrics: &metrics{threads: 2}, units: map[string]unit{}}
	u, err := c.unitOf(t.Context(), &comparator.Subject{Label: "x"}, series(z))
	if err != nil {
		t.Fatal(err)
	}
	f := fitting{z: series(z), unit: u, to: counts.Shape[2], ridge: ridge}
	for k := range z.Shape[0] {
		f.add(series(counts), nil, k)
	}
	r, err := f.fit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, u
}

// TestReadoutOfGroups: where latents say to which of three groups a bin belongs, the likeliest rates are the groups' means, up to the priors.
func TestReadoutOfGroups(t *testing.T) {
	const bins, groups, neurons = 300, 3, 2
	z, counts := tensor.New64(comparator.Latents, 2, bins, groups-1), tensor.New32(comparator.Spikes, 2, bins, neurons)
	var sums [groups][neurons]float64
	var sizes [groups]float64
	rng := random.New(1, "test")
	for row := range 2 * bins {
		g := rng.IntN(groups)
		sizes[g]++
		if g > 0 {
			z.F64[row*(groups-1)+g-1] = 1
		}
		for i := range neurons {
			for u := rng.ExpFloat64(); u < []float64{0.05, 0.6, 3}[(g+i)%groups]; u += rng.ExpFloat64() {
				counts.F32[row*neurons+i]++
				sums[g][i]++
			}
		}
	}
	r, u := regression(t, z, counts, 1e-9)
	for g := range groups {
		for i := range neurons {
			l := r.bias[i]
			for j := range groups - 1 {
				x := 0.0
				if g == j+1 {
					x = 1
				}
				l += (x - u.mean[j]) * u.scale * r.weights[j*neurons+i]
			}
			// Jeffreys' half spike is shared out among the groups.
			if got, want := math.Exp(l), sums[g][i]/sizes[g]; !(got > want-1e-3*want && got < (sums[g][i]+jeffreys)/sizes[g]*(1+1e-3)) {
				t.Errorf("neuron %d in group %d: rate %v, of %v spikes in %v bins, which is %v", i, g, got, sums[g][i], sizes[g], want)
			}
		}
	}
}

// TestReadoutByNewton compares with Newton's method with the exact Hessian, on latents that are alike and of very different sizes, with a neuron that is silent.
func TestReadoutByNewton(t *testing.T) {
	const bins, d, neurons, ridge = 150, 12, 4, 0.1
	z, counts := tensor.New64(comparator.Latents, 3, bins, d), tensor.New32(comparator.Spikes, 3, bins, neurons)
	rng := random.New(2, "test")
	for row := range 3 * bins {
		for j := range d {
			z.F64[row*d+j] = math.Pow(10, float64(j%4)-3)*rng.NormFloat64() + 0.9*z.F64[max(0, row*d+j-d)]
		}
		z.F64[row*d+1] = z.F64[row*d] + 1e-4*rng.NormFloat64()
		for i := range neurons - 1 {
			rate := math.Exp(0.4*float64(i) - 2 + 0.7*z.F64[row*d+3+4*i])
			for u := rng.ExpFloat64(); u < rate; u += rng.ExpFloat64() {
				counts.F32[row*neurons+i]++
			}
		}
	}
	r, u := regression(t, z, counts, ridge)
	for i := range neurons {
		// The same by Newton's steps, halved while they gain nothing, in all weights and the bias.
		loss := func(w []float64) (f float64, g *mat.VecDense, h *mat.SymDense) {
			g, h = mat.NewVecDense(d+1, nil), mat.NewSymDense(d+1, nil)
			x := mat.NewVecDense(d+1, nil)
			for row := range 3 * bins {
				l := w[d]
				for j := range d {
					x.SetVec(j, (z.F64[row*d+j]-u.mean[j])*u.scale)
					l += w[j] * x.AtVec(j)
				}
				x.SetVec(d, 1)
				y := float64(counts.F32[row*neurons+i])
				f += math.Exp(l) - y*l
				g.AddScaledVec(g, math.Exp(l)-y, x)
				h.SymRankOne(h, math.Exp(l), x)
			}
			for j := range d {
				f += ridge / 2 * w[j] * w[j]
				g.SetVec(j, g.AtVec(j)+ridge*w[j])
				h.SetSym(j, j, h.At(j, j)+ridge)
			}
			g.SetVec(d, g.AtVec(d)-jeffreys)
			return f - jeffreys*w[d], g, h
		}
		w := make([]float64, d+1)
		f, g, h := loss(w)
		for range 100 {
			var c mat.Cholesky
			if !c.Factorize(h) {
				t.Fatal("the Hessian is not positive definite")
			}
			var step mat.VecDense
			if err := c.SolveVecTo(&step, g); err != nil {
				t.Fatal(err)
			}
			length := 1.0
			for ; length > 1e-9; length /= 2 {
				next := slices.Clone(w)
				for j := range next {
					next[j] -= length * step.AtVec(j)
				}
				if fNext, gNext, hNext := loss(next); fNext < f {
					w, f, g, h = next, fNext, gNext, hNext
					break
				}
			}
			if length <= 1e-9 {
				break
			}
		}
		got := make([]float64, d+1)
		for j := range d {
			got[j] = r.weights[j*neurons+i]
		}
		got[d] = r.bias[i]
		if at, _, _ := loss(got); !(at-f < 2*gain) {
			t.Errorf("neuron %d: %v nats above Newton's minimum", i, at-f)
		}
	}
	// The silent neuron has Jeffreys' half spike.
	if got, want := math.Exp(r.bias[neurons-1]), jeffreys/(3*bins); math.Abs(got-want) > 0.2*want {
		t.Errorf("a neuron without spikes has the rate %v, want about %v", got, want)
	}
}

// TestFewShots holds few-shot co-bps to what it is for: dimensions that have nothing to do with the neurons lower it, the more the fewer the trials are, where co-bps cannot see them; a
// rotation and a scale of the latents do not change it; and neither do rates, which it does not look at.
func TestFewShots(t *testing.T) {
	values := param.Values{"bootstrap": 50, "null_shuffles": 2, "few_shots": []int{2, 30}}
	req := simulated(40, 30, 60, 4, 4, 15, 10)
	of := func(width int, f func(to, from []float32)) (few, many float64) {
		again := comparator.Request{Subjects: slices.Clone(req.Subjects)}
		m := &again.Subjects[1]
		for _, set := range []*tensor.Set{&m.Train, &m.Valid} {
			z := set.Get(comparator.Latents)
			w := tensor.New32(z.Name, z.Shape[0], z.Shape[1], width)
			for row := range z.Shape[0] * z.Shape[1] {
				f(w.F32[row*width:(row+1)*width], z.F32[row*4:(row+1)*4])
			}
			*set = tensor.Set{w}
		}
		o := compare(t, values, again)
		a, b := opened.Find(t, o, "few_shot_co_bps/2", "model"), opened.Find(t, o, "few_shot_co_bps/30", "model")
		for _, r := range []struct{ low, value, high, null float64 }{{a.Low, a.Value, a.High, a.Null}, {b.Low, b.Value, b.High, b.Null}} {
			if !(r.low < r.value && r.value < r.high && r.null < 0.02) {
				t.Errorf("%+v", r)
			}
		}
		return a.Value, b.Value
	}
	few, many := of(4, func(to, from []float32) { copy(to, from) })
	if !(many > few && few > 0.01) {
		t.Errorf("%v from 2 trials, %v from 30", few, many)
	}
	// A reflection in the plane of the first two and a scale of all.
	turned, turnedMany := of(4, func(to, from []float32) {
		s := float32(math.Sqrt2 / 2)
		to[0], to[1], to[2], to[3] = 8*s*(from[0]+from[1])+3, 8*s*(from[0]-from[1]), 8*from[3], 8*from[2]
	})
	if math.Abs(turned-few) > 1e-4 || math.Abs(turnedMany-many) > 1e-4 {
		t.Errorf("rotated and scaled latents: %v and %v, before %v and %v", turned, turnedMany, few, many)
	}
	rng := random.New(3, "invented")
	invented, inventedMany := of(24, func(to, from []float32) {
		copy(to, from)
		for i := range 20 {
			to[4+i] = float32(2 * rng.NormFloat64())
		}
	})
	if !(few-invented > 0.01 && few-invented > 3*(many-inventedMany)) {
		t.Errorf("20 invented dimensions: %v and %v, before %v and %v", invented, inventedMany, few, many)
	}
}

// TestShotsOnce: a number of shots that is named twice is wrong before anything is measured.
func TestShotsOnce(t *testing.T) {
	values, problems := Factory().Info.Params.Resolve(param.Values{"few_shots": []int{4, 16, 4}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if problems = Factory().Check(values); len(problems) != 1 || problems[0].Path != "few_shots" || !strings.Contains(problems[0].Message, "names 4 twice") {
		t.Errorf("%+v", problems)
	}
}
