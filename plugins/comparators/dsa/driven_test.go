package dsa

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// forced are latents of a rotation that known inputs push, seen through a random readout.
func forced(seed uint64, u *tensor.Tensor, width int, turn float64, push [2]float64) *tensor.Tensor {
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
				0.95*(math.Cos(turn)*z[0]-math.Sin(turn)*z[1]) + push[0]*in + 0.01*rng.NormFloat64(),
				0.95*(math.Sin(turn)*z[0]+math.Cos(turn)*z[1]) + push[1]*in + 0.01*rng.NormFloat64(),
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
