package train

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/task"
)

// Numbers that are not finite are told apart from each other and from all others, wherever they stand.
func TestIdentity(t *testing.T) {
	type inner struct{ X float64 }
	type params struct {
		inner
		Inner inner
		In    *inner
		Many  []float64
		By    map[string]float32
		Any   any
		Name  string
	}
	inf, nan := math.Inf(1), math.NaN()
	seen := map[string]int{}
	for i, of := range []any{
		params{}, params{Inner: inner{inf}}, params{Inner: inner{-inf}}, params{Inner: inner{nan}}, params{Inner: inner{1}}, params{inner: inner{1}, Inner: inner{inf}},
		params{In: &inner{inf}}, params{In: &inner{-inf}}, params{In: &inner{inf}, Name: "a"}, params{In: &inner{inf}, Many: []float64{1, 2}}, params{In: &inner{inf}, Many: []float64{2, 1}},
		params{Many: []float64{0, inf}}, params{Many: []float64{inf, 0}}, params{By: map[string]float32{"a": float32(inf)}}, params{By: map[string]float32{"b": float32(inf)}},
		params{Any: inf}, params{Any: -inf}, params{Any: inner{inf}}, &inner{inf}, inf,
		task.Spec{Loop: &task.Loop{}}, task.Spec{Loop: &task.Loop{ActionLow: -inf, ActionHigh: inf}}, task.Spec{Loop: &task.Loop{ActionHigh: inf}}, task.Spec{Loop: &task.Loop{ActionLow: 1, ActionHigh: inf}},
		task.Spec{Loop: &task.Loop{ActionLow: -inf, ActionHigh: inf, Recorded: []string{"a"}}}, task.Spec{Bins: 3, Loop: &task.Loop{ActionLow: -inf, ActionHigh: inf}},
	} {
		one, err := Identity[float32](of, 3)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		for what, again := range map[string]func() (string, error){
			"a second time": func() (string, error) { return Identity[float32](of, 3) }, "in double precision": func() (string, error) { return Identity[float64](of, 3) },
			"with another number": func() (string, error) { return Identity[float32](of, 4) },
		} {
			if other, err := again(); err != nil || (other == one) != (what == "a second time") {
				t.Errorf("%d: %s: %v, %v", i, what, other, err)
			}
		}
		if j, ok := seen[one]; ok {
			t.Errorf("%d has the identity of %d", i, j)
		}
		seen[one] = i
	}
	if _, err := Identity[float32](func() {}); err == nil {
		t.Error("a function has an identity")
	}
}
