package dsa

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestForesight: dsa_prediction_mase is that of the operator that is compared, sweep or not, whatever else the sweep finds; where it is 1 or more, distances of the subject say so.
func TestForesight(t *testing.T) {
	// Random walks have nothing to foresee, and so few bins that an operator of their noise is worse than persistence.
	walk := func(seed uint64, trials int) *tensor.Tensor {
		rng := random.New(seed, "dsa/walk")
		x := tensor.New32(comparator.Latents, trials, 30, 4)
		for i := range x.F32 {
			if x.F32[i] = float32(rng.NormFloat64()); i%(30*4) >= 4 {
				x.F32[i] += x.F32[i-4]
			}
		}
		return x
	}
	req := request()
	req.Subjects = req.Subjects[:2]
	req.Subjects[1] = comparator.Subject{Label: "walk", Role: comparator.Fitted, Train: tensor.Set{walk(1, 5)}, Valid: tensor.Set{walk(2, 3)}}
	o, err := open(t, 2, small).Compare(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	truth, blind := opened.Find(t, o, "dsa_prediction_mase", "truth"), opened.Find(t, o, "dsa_prediction_mase", "walk")
	if !(truth.Low < truth.Value && truth.Value < truth.High && truth.High < 1) || truth.N != 4 || truth.Reason != "" {
		t.Errorf("%+v", truth)
	}
	if !(blind.Value > 1) || blind.N != 3 {
		t.Errorf("%+v", blind)
	}
	for _, metric := range []string{"dsa", "dsa_euclidean", "dsa_wasserstein"} {
		if r := opened.Find(t, o, metric, "walk"); math.IsNaN(r.Value) || !strings.Contains(r.Reason, "the operator of walk foresees held-out trials no better than no change") {
			t.Errorf("%+v", r)
		}
	}
	swept := with("sweep", true, "sweep_delays", []int64{1, 3}, "sweep_ranks", []int64{4, 6})
	if o, err = open(t, 2, swept).Compare(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	best := opened.Find(t, o, "dsa_sweep_mase", "walk")
	if r := opened.Find(t, o, "dsa_prediction_mase", "walk"); r.Value != blind.Value || !(best.Value < r.Value) || !strings.Contains(best.Reason, "lowest of the sweep") || best.N != 3 {
		t.Errorf("with a sweep %+v, its best %+v", r, best)
	}
	if m := o.Matrices.Get("dsa_sweep_mase"); m.F64[7] != blind.Value || m.F64[3] != truth.Value {
		t.Errorf("the sweep has %v and %v at the delays and rank that are compared, whose operators have %v and %v", m.F64[3], m.F64[7], truth.Value, blind.Value)
	}
	// A sweep of longer pasts scores fewer bins of its own, and says what the setting that is compared has on them.
	if o, err = open(t, 2, with("sweep", true, "sweep_delays", []int64{3, 9}, "sweep_ranks", []int64{4, 6})).Compare(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	var r component.Result
	r, best = opened.Find(t, o, "dsa_prediction_mase", "walk"), opened.Find(t, o, "dsa_sweep_mase", "walk")
	if scored := o.Matrices.Get("dsa_sweep_mase").F64[5]; r.Value != blind.Value || scored == blind.Value ||
		!strings.Contains(best.Reason, fmt.Sprintf("the setting that is compared has %.3g on the same bins", scored)) {
		t.Errorf("with a longer sweep %+v, before %v; the sweep has %v there and %+v", r, blind.Value, scored, best)
	}
	// More delays than trials have room for: the field, what was given, and what is possible.
	if o, err = open(t, 2, with("n_delays", 29, "delay_interval", 2)).Compare(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	if r := opened.Find(t, o, "dsa", "walk"); r.Reason != "n_delays 29: the longest trial of walk has 30 bins: at most 15 are possible with delay_interval 2" {
		t.Errorf("%+v", r)
	}
	if o, err = open(t, 2, with("n_delays", 15, "delay_interval", 2)).Compare(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	if r := opened.Find(t, o, "dsa", "walk"); math.IsNaN(r.Value) {
		t.Errorf("%+v", r)
	}
}
