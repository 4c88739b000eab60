package plugintest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func modelWrongCalls(ctx context.Context, s *subject, v *Verdict) error {
	m, l, err := s.trained(ctx, seed, 1, 0)
	if err != nil {
		return err
	}
	before, err := saved(ctx, m)
	if err != nil {
		return err
	}
	wrong := func(what string, err error) {
		if why := refused(err, wrongCall()...); why != "" {
			v.Failf("%s: %s: an invalid argument is needed", what, why)
		}
	}
	if len(before) > 0 {
		changed := slices.Clone(before)
		changed[0] = tensor.New32(before[0].Name, append([]int{2}, before[0].Shape...)...)
		wrong("loading a weight of another shape", m.Load(ctx, changed))
		other := slices.Clone(before)
		for i, w := range other {
			other[i] = w.Clone()
			for k := range other[i].F32 {
				other[i].F32[k]++
			}
			for k := range other[i].F64 {
				other[i].F64[k]++
			}
		}
		wrong("loading all weights but the last", m.Load(ctx, other[:len(other)-1]))
	}
	after, err := saved(ctx, m)
	if err != nil {
		return fmt.Errorf("Save after wrong calls: %w", err)
	}
	if d := setDifference(before, after); d != "" {
		v.Failf("weights that were refused have changed the model: %s: check all of them first", d)
	}
	name := model.Encoded
	if l.target.Task != nil {
		name = task.Inputs
	}
	x := l.trials.Arrays.Get(name)
	bad := func(arrays ...*tensor.Tensor) error {
		_, err := rolled(ctx, m, model.RolloutRequest{}, tensor.Block{Trials: l.trials.Trials, Arrays: arrays}, 0)
		return err
	}
	wrong(fmt.Sprintf("rolling out over trials without %q", name), bad(x.Named("something")))
	wrong(fmt.Sprintf("rolling out over %q of another width", name), bad(tensor.New32(name, x.Shape[0], x.Shape[1], x.Shape[2]+1)))
	_, err = rolled(ctx, m, model.RolloutRequest{Want: []string{"no-such-role"}}, l.trials, 0)
	wrong("wanting an array that there is none of", err)
	if l.target.Task != nil {
		_, err = m.Train(ctx, model.TrainRequest{}, component.Discard{})
		wrong("training on nothing", err)
	}
	if _, err := rolled(ctx, m, model.RolloutRequest{}, l.trials, 0); err != nil {
		v.Failf("after wrong calls: %v", err)
	}
	return nil
}

func modelLoop(ctx context.Context, s *subject, v *Verdict) error {
	if !s.info.Can(component.TrainsClosedLoop) {
		v.Skipf("it is not trained in closed loop (no capability %q)", component.TrainsClosedLoop)
		return nil
	}
	l, err := s.lessonOn(ctx, "foil-loop", 0)
	if err != nil {
		return err
	}
	train := func() (client.Model, tensor.Set, error) {
		env, err := s.env(seed, 1)
		if err != nil {
			return nil, nil, err
		}
		m, err := s.model(ctx, env, l.target)
		if err != nil {
			return nil, nil, err
		}
		if _, err := m.Train(ctx, l.request(), component.Discard{}); err != nil {
			return nil, nil, fmt.Errorf("calling Train in closed loop: %w", err)
		}
		w, err := saved(ctx, m)
		return m, w, err
	}
	m, weights, err := train()
	if err != nil {
		return err
	}
	if s.info.Can(component.Deterministic) {
		_, again, err := train()
		if err != nil {
			return err
		}
		if d := setDifference(weights, again); d != "" {
			v.Failf("trained twice in closed loop with the same seed: %s, but the manifest promises %q", d, component.Deterministic)
		}
	}
	loop, ok := l.task.(task.ClosedLoop)
	if !ok {
		return errors.New("the task that it is checked with is no loop")
	}
	b, err := rolled(ctx, m, model.RolloutRequest{Task: loop, Split: task.Valid, Seed: 1, Noise: true}, l.trials, 0)
	if err != nil {
		return err
	}
	n, spec := len(l.trials.Trials), *l.target.Task
	for name, width := range map[string]int{
		model.Outputs: spec.Outputs, model.Actions: spec.Loop.Actions, model.SeenInputs: spec.Inputs, task.Controlled: spec.Loop.StateSize, model.Latents: -1, "speed": 1,
	} {
		a := b.Arrays.Get(name)
		switch {
		case a == nil:
			v.Failf("a rollout in closed loop gives %v: %q is needed", b.Arrays.Names(), name)
		case a.Expect(n, spec.Bins, width) != nil:
			v.Failf("array %q of a rollout in closed loop has shape %v: (%d, %d, %d) is needed (-1: any)", name, a.Shape, n, spec.Bins, width)
		case name == model.Actions && slices.ContainsFunc(a.Float64s(), func(x float64) bool { return !(x >= spec.Loop.ActionLow && x <= spec.Loop.ActionHigh) }):
			v.Failf("array %q has values outside the bounds of the task, %v to %v", name, spec.Loop.ActionLow, spec.Loop.ActionHigh)
		}
	}
	if v.failed() {
		return nil
	}
	if _, err := l.task.Score(ctx, task.ScoreRequest{Split: task.Valid}, tensor.Of(b)); err != nil {
		v.Failf("the task cannot score what the rollout gives: %v", err)
	}
	return nil
}
