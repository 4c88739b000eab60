package reach

import (
	"errors"
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestBadSteps gives an episode what it must refuse; it can then only be ended.
func TestBadSteps(t *testing.T) {
	k := open(t, 0, 1, param.Values{"n_trials": 10, "n_timesteps": 60})
	good := func() *tensor.Tensor { return tensor.New32("actions", 2, 6) }
	with := func(x float32) *tensor.Tensor {
		a := good()
		a.F32[8] = x
		return a
	}
	// Each begins with two steps done, and the tape from step 1 on, of an episode of four.
	for name, c := range map[string]struct {
		call func(e task.Episode) error
		kind error
	}{
		"step again":      {stepping(t, 1, good()), component.ErrInvalidArgument},
		"step left out":   {stepping(t, 3, good()), component.ErrInvalidArgument},
		"step before":     {stepping(t, -1, good()), component.ErrInvalidArgument},
		"no actions":      {stepping(t, 2, nil), component.ErrInvalidArgument},
		"rows":            {stepping(t, 2, tensor.New32("actions", 1, 6)), component.ErrInvalidArgument},
		"columns":         {stepping(t, 2, tensor.New32("actions", 2, 5)), component.ErrInvalidArgument},
		"precision":       {stepping(t, 2, tensor.New64("actions", 2, 6)), component.ErrInvalidArgument},
		"integers":        {stepping(t, 2, tensor.NewInt("actions", 2, 6)), component.ErrInvalidArgument},
		"no data":         {stepping(t, 2, &tensor.Tensor{Name: "actions", Shape: []int{2, 6}}), component.ErrInvalidArgument},
		"not a number":    {stepping(t, 2, with(float32(math.NaN()))), component.ErrDiverged},
		"infinite":        {stepping(t, 2, with(float32(math.Inf(-1)))), component.ErrDiverged},
		"back too early":  {pulling(t, 2, nil, nil), component.ErrInvalidArgument},
		"back too late":   {pulling(t, 0, nil, nil), component.ErrInvalidArgument},
		"inputs' rows":    {pulling(t, 1, tensor.New32("inputs", 1, 17), nil), component.ErrInvalidArgument},
		"inputs' columns": {pulling(t, 1, tensor.New32("inputs", 2, 14), nil), component.ErrInvalidArgument},
		"state's type":    {pulling(t, 1, nil, tensor.New64("state", 2, 2)), component.ErrInvalidArgument},
		"drop beyond":     {func(e task.Episode) error { return e.DropTape(t.Context(), 3) }, component.ErrInvalidArgument},
		"drop before":     {func(e task.Episode) error { return e.DropTape(t.Context(), -1) }, component.ErrInvalidArgument},
		"back twice": {func(e task.Episode) error {
			if err := pulling(t, 1, nil, nil)(e); err != nil {
				t.Errorf("the way back: %v", err)
			}
			return pulling(t, 1, nil, nil)(e)
		}, component.ErrInvalidArgument},
		"back beyond the tape": {func(e task.Episode) error {
			if err := pulling(t, 1, nil, nil)(e); err != nil {
				t.Errorf("the way back: %v", err)
			}
			return pulling(t, 0, nil, nil)(e)
		}, component.ErrInvalidArgument},
		"beyond the horizon": {func(e task.Episode) error {
			for bin := 2; bin < 4; bin++ {
				if err := stepping(t, bin, good())(e); err != nil {
					t.Errorf("step %d: %v", bin, err)
				}
			}
			return stepping(t, 4, good())(e)
		}, component.ErrInvalidArgument},
		"after the end": {func(e task.Episode) error {
			if err := e.End(t.Context()); err != nil {
				t.Errorf("end: %v", err)
			}
			return stepping(t, 2, good())(e)
		}, component.ErrNotFound},
	} {
		e, _, err := k.Begin(t.Context(), task.EpisodeRequest{Split: task.All, Trials: []int64{3, 4}, Tape: true, Horizon: 4})
		if err != nil {
			t.Fatal(err)
		}
		for bin := range 2 {
			if err := stepping(t, bin, good())(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.DropTape(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := c.call(e); !errors.Is(err, c.kind) {
			t.Errorf("%s: error %v, want %v", name, err, c.kind)
		}
		if err := stepping(t, 2, good())(e); !errors.Is(err, c.kind) {
			t.Errorf("%s: a step after it: %v", name, err)
		}
		if err := e.End(t.Context()); err != nil {
			t.Errorf("%s: end: %v", name, err)
		}
	}

	// Without a tape there is no way back.
	for name, call := range map[string]func(e task.Episode) error{
		"vjp": pulling(t, 0, nil, nil), "drop": func(e task.Episode) error { return e.DropTape(t.Context(), 0) },
	} {
		e, _, err := k.Begin(t.Context(), task.EpisodeRequest{Split: task.All, Trials: []int64{3, 4}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(stepping(t, 0, good())(e), call(e)); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s without a tape: %v", name, err)
		}
		if err := e.End(t.Context()); err != nil {
			t.Errorf("%s: end: %v", name, err)
		}
	}
}

func stepping(t *testing.T, bin int, actions *tensor.Tensor) func(task.Episode) error {
	return func(e task.Episode) error {
		_, err := e.Step(t.Context(), bin, actions)
		return err
	}
}

func pulling(t *testing.T, bin int, inputs, state *tensor.Tensor) func(task.Episode) error {
	return func(e task.Episode) error {
		_, err := e.VJP(t.Context(), bin, inputs, state)
		return err
	}
}

func TestBadEpisodes(t *testing.T) {
	k := open(t, 0, 1, param.Values{"n_trials": 10, "n_timesteps": 60})
	for name, req := range map[string]task.EpisodeRequest{
		"split":        {Split: "test", Trials: []int64{0}},
		"no trials":    {Split: task.All},
		"no trial":     {Split: task.All, Trials: []int64{10}},
		"negative":     {Split: task.All, Trials: []int64{-1}},
		"other split":  {Split: task.Train, Trials: k.splits().Valid[:1]},
		"horizon":      {Split: task.All, Trials: []int64{0}, Horizon: 61},
		"less than 0":  {Split: task.All, Trials: []int64{0}, Horizon: -1},
		"second trial": {Split: task.Valid, Trials: []int64{k.splits().Valid[0], k.splits().Train[0]}},
	} {
		if _, _, err := k.Begin(t.Context(), req); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
