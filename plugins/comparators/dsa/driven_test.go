package dsa

import (
	"math"
	"math/cmplx"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// forced are latents of a rotation that known inputs push, seen through a random readout.
func forced(seed uint64, u *tensor.Tensor, width int, turn float64, push [2]float64) *tensor.Tensor {
	return noisy(seed, u, width, turn, push, 0.01)
}

func noisy(seed uint64, u *tensor.Tensor, width int, turn float64, push [2]float64, noise float64) *tensor.Tensor {
	trials, bins := u.Shape[0], u.Shape[1]
	rng := random.New(seed, "dsa/forced")
	read := make([]float64, 2*width)
	for i := range read {
		read[i] = rng.NormFloat64()
	}
	x := tensor.New32(comparator.Latents, trials, bins, width)
	for k := range trials {
		z := [2]float64{rng.NormFloat64(), rng.NormFloat64()}
		for b := range bins {
			in := float64(u.F32[k*bins+b])
			z = [2]float64{
				0.95*(math.Cos(turn)*z[0]-math.Sin(turn)*z[1]) + push[0]*in + noise*rng.NormFloat64(),
				0.95*(math.Sin(turn)*z[0]+math.Cos(turn)*z[1]) + push[1]*in + noise*rng.NormFloat64(),
			}
			for j := range width {
				x.F32[(k*bins+b)*width+j] = float32(z[0]*read[j] + z[1]*read[width+j] + 3)
			}
		}
	}
	return x
}

// TestSubspace: systems that the same inputs drive are identified from few windows and, by their second moments, from many, alike: the same one in other coordinates is near, one
// that turns faster is not, and shuffled bins are farther still from what they were.
func TestSubspace(t *testing.T) {
	var near [2]float64
	for i, trials := range []int{12, 400} {
		rng := random.New(3, "dsa/subspace")
		u := tensor.New32(comparator.Inputs, trials, 100, 1)
		for i := range u.F32 {
			u.F32[i] = float32(rng.NormFloat64())
		}
		x := forced(1, u, 5, 0.2, [2]float64{1, 0.5})
		req := comparator.Request{Subjects: []comparator.Subject{
			{Label: "truth", Role: comparator.Truth, Train: tensor.Set{x, u}},
			{Label: "same", Role: comparator.Fitted, Train: tensor.Set{turned(x)}},
			{Label: "other", Role: comparator.Fitted, Train: tensor.Set{forced(2, u, 5, 0.9, [2]float64{1, 0.5})}},
		}}
		values := with("rank", 2, "n_delays", 1, "inputs", true, "identify", "subspace", "subspace_states", 2, "bootstrap", 0, "split_half", false)
		o, err := open(t, 2, values).Compare(t.Context(), req, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range []string{"input_dsa_joint", "input_dsa_state"} {
			same, other := opened.Find(t, o, metric, "same"), opened.Find(t, o, metric, "other")
			if !(same.Value < 1e-3) || !(other.Value > 0.1) || !(same.Null > 0.1) {
				t.Errorf("%d trials: %s: same %+v, other %+v", trials, metric, same, other)
			}
		}
		near[i] = opened.Find(t, o, "input_dsa_state", "other").Value
	}
	if math.Abs(near[0]-near[1]) > 0.05 {
		t.Errorf("another system is at %v by windows and at %v by moments", near[0], near[1])
	}
}

// white are inputs that are drawn anew in each bin.
func white(seed uint64, trials, bins int) *tensor.Tensor {
	rng := random.New(seed, "dsa/white")
	u := tensor.New32(comparator.Inputs, trials, bins, 1)
	for i := range u.F32 {
		u.F32[i] = float32(rng.NormFloat64())
	}
	return u
}

// TestSubspaceInputs: without noise the system is found to rounding of float32, since each bin's inputs go with what they move, and none with the last bin, of which what follows is not known.
func TestSubspaceInputs(t *testing.T) {
	u := white(7, 6, 40)
	x := centred(noisy(1, u, 2, 0.3, [2]float64{1, 0.5}, 0))
	// Each trial also with its sign changed, so that the mean, which is taken off, is the one that the system has.
	for _, a := range []*tensor.Tensor{u, x} {
		for _, v := range a.F32 {
			a.F32 = append(a.F32, -v)
		}
		a.Shape[0] *= 2
	}
	d := &dsa{Params: Params{Identify: "subspace", Horizon: 3, States: 2}, threads: 1}
	c := &comparison{dsa: d, subjects: []comparator.Subject{{Label: "truth", Role: comparator.Truth, Train: tensor.Set{x, u}}}, rank: 2}
	found, err := c.drive(t.Context(), &c.subjects[0])
	if err != nil || found.err != nil {
		t.Fatal(err, found.err)
	}
	var e mat.Eigen
	e.Factorize(found.system.A, mat.EigenNone)
	for _, z := range e.Values(nil) {
		if math.Abs(cmplx.Abs(z)-0.95) > 1e-4 || math.Abs(math.Abs(cmplx.Phase(z))-0.3) > 1e-4 {
			t.Errorf("eigenvalue %v, want 0.95 exp(+-0.3i)", z)
		}
	}
	if n := mat.Norm(found.system.D, 2); n > 1e-4 {
		t.Errorf("the inputs of the next bin are said to move this one by %v", n)
	}
	// With noise every number counts: nothing but bins of which the following inputs are known is used.
	x = centred(noisy(1, u, 2, 0.3, [2]float64{1, 0.5}, 0.5))
	c.subjects[0].Train[0] = x
	if found, err = c.drive(t.Context(), &c.subjects[0]); err != nil || found.err != nil {
		t.Fatal(err, found.err)
	}
	var y, v []dmd.Trial
	all, err := c.trials(&c.subjects[0], false, comparator.Latents)
	if err != nil {
		t.Fatal(err)
	}
	for k, a := range leading(all, subspaceOutputs) {
		y = append(y, dmd.Trial{Data: a.Data[:39*a.Width], Width: a.Width})
		in := dmd.Trial{Width: 1}
		for b := 1; b < 40; b++ {
			in.Data = append(in.Data, float64(u.F32[k*40+b]))
		}
		v = append(v, in)
	}
	want, err := dmd.Subspace(t.Context(), y, v, dmd.SubspaceOptions{Horizon: 3, Rank: dmd.Rank{Number: 2, Floor: rounding}})
	if err != nil {
		t.Fatal(err)
	}
	if !mat.Equal(found.system.A, want.A) || !mat.Equal(found.system.B, want.B) {
		t.Errorf("A is %v, of bins with known inputs alone %v", mat.Formatted(found.system.A), mat.Formatted(want.A))
	}
}

// TestDrivenIntervals: intervals hold the true distance of independent recordings, of one driven process, 0, and of two, which was measured on 3000 trials.
func TestDrivenIntervals(t *testing.T) {
	const repetitions, trials = 25, 15
	metrics := []string{"input_dsa_joint", "input_dsa_state", "input_dsa_input"}
	values := with("rank", 2, "n_delays", 1, "inputs", true, "split_half", false, "null", false)
	for _, turn := range []float64{0.3, 0.4} {
		measure := func(seed uint64, trials int) comparator.Outcome {
			u := white(seed, trials, 60)
			o, err := open(t, 2, values).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{
				{Label: "truth", Role: comparator.Truth, Train: tensor.Set{centred(noisy(2*seed, u, 2, 0.3, [2]float64{1, 0.5}, 0.5)), u}},
				{Label: "other", Role: comparator.Fitted, Train: tensor.Set{centred(noisy(2*seed+1, u, 2, turn, [2]float64{1, 0.5}, 0.5))}},
			}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		want, held := [3]float64{}, [3]int{}
		if turn != 0.3 {
			o := measure(9999, 3000)
			for i, metric := range metrics {
				want[i] = opened.Find(t, o, metric, "other").Value
			}
		}
		for rep := range uint64(repetitions) {
			o := measure(1000+rep, trials)
			for i, metric := range metrics {
				if r := opened.Find(t, o, metric, "other"); r.Low <= want[i] && want[i] <= r.High {
					held[i]++
				}
			}
		}
		t.Logf("turn %v: %v held %v times of %d", turn, want, held, repetitions)
		for i, metric := range metrics {
			if held[i] < repetitions-4 {
				t.Errorf("turn %v: %s: %d of %d intervals hold %v", turn, metric, held[i], repetitions, want[i])
			}
		}
	}
}

// centred is x without the constant that noisy adds.
func centred(x *tensor.Tensor) *tensor.Tensor {
	for i := range x.F32 {
		x.F32[i] -= 3
	}
	return x
}
