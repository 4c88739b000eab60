package reach

import (
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestCuts: before a cut gradients are those of an episode in which nothing counted after it.
func TestCuts(t *testing.T) {
	k := open(t, 6, 1, param.Values{"n_trials": 10, "n_timesteps": 60})
	const bins, cut = 40, 25
	run := func(truncate, from int) [][]float64 {
		e, o, err := k.Begin(t.Context(), task.EpisodeRequest{Split: task.All, Trials: numbers(4), Seed: 7, Float64: true, Tape: true, Truncate: truncate})
		if err != nil {
			t.Fatal(err)
		}
		defer e.End(t.Context())
		y := tensor.New64("actions", 4, 6)
		for bin := range bins {
			for row := range 4 {
				scripted(int64(row), bin, nil, y.F64[row*6:][:6])
			}
			if o, err = e.Step(t.Context(), bin, y); err != nil {
				t.Fatal(err)
			}
		}
		var out [][]float64
		for bin := bins - 1; bin >= 0; bin-- {
			inputs, state := tensor.New64(task.Inputs, o.Inputs.Shape...), tensor.New64("state", 4, 2)
			for i := range inputs.F64 {
				if bin+1 < from && bin+1 != cut {
					inputs.F64[i] = float64(i%5) - 2
				}
			}
			for i := range state.F64 {
				if bin < from {
					state.F64[i] = float64(i + bin)
				}
			}
			g, err := e.VJP(t.Context(), bin, inputs, state)
			if err != nil {
				t.Fatal(err)
			}
			if bin < cut {
				out = append(out, slices.Clone(g.F64))
			}
		}
		return out
	}
	if !slices.EqualFunc(run(cut, bins), run(0, cut), slices.Equal[[]float64]) {
		t.Error("what is after a cut reaches what is before it")
	}
	if slices.EqualFunc(run(0, bins), run(0, cut), slices.Equal[[]float64]) {
		t.Error("what is later reaches nothing")
	}
}
