package plugintest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func loopChecks() []check {
	return []check{
		{name: "episode", doc: "an episode gives what the spec declares, the same for the same seed, and takes steps in order only", run: loopEpisode},
		{name: "episode-batch", doc: "what happens to a trial does not depend on which others are with it", run: loopBatch},
		{name: "vjp", doc: "Vjp is the gradient by the actions: central differences in float64 to 1e-5, in float32 to 1e-2 of the largest entry", run: loopVJP},
		{name: "vjp-truncate", doc: "truncated, Vjp carries nothing from a step to the one before", run: loopTruncate},
	}
}

// loop opens a closed-loop task; nil where the component is none.
func (s *subject) loop(ctx context.Context, v *Verdict) (task.ClosedLoop, task.Spec, []int64, error) {
	if !s.info.Can(component.ClosedLoop) {
		v.Skipf("it is not in closed loop (no capability %q)", component.ClosedLoop)
		return nil, task.Spec{}, nil, nil
	}
	opened, err := s.task(ctx, seed, 1)
	if err != nil {
		return nil, task.Spec{}, nil, err
	}
	spec, err := opened.Spec(ctx)
	if err != nil {
		return nil, spec, nil, err
	}
	t, ok := opened.(task.ClosedLoop)
	if !ok || spec.Loop == nil {
		return nil, spec, nil, fmt.Errorf("the manifest has the capability %q, the instance has not", component.ClosedLoop)
	}
	b, err := first(t.Trials(ctx, task.TrialRequest{Split: task.Train, BlockTrials: 4}))
	return t, spec, b.Trials, err
}

// ran is what came of an episode.
type ran struct {
	observations []task.Observation
	actions      []*tensor.Tensor
}

func clone(o task.Observation) task.Observation {
	var out task.Observation
	if o.Inputs != nil {
		out.Inputs = o.Inputs.Clone()
	}
	if o.State != nil {
		out.State = o.State.Clone()
	}
	for _, r := range o.Recorded {
		out.Recorded = append(out.Recorded, r.Clone())
	}
	return out
}

// bounds are those of actions, or what is well within them where there are none.
func bounds(l *task.Loop) (low, high float64) {
	low, high = l.ActionLow, l.ActionHigh
	if math.IsInf(low, 0) {
		low = min(-1, high-2)
	}
	if math.IsInf(high, 0) {
		high = max(1, low+2)
	}
	return low, high
}

// randomActions are actions well within their bounds, for each bin; those of a trial depend on its number alone.
func randomActions(spec task.Spec, trials []int64, bins int) []*tensor.Tensor {
	l := spec.Loop
	low, high := bounds(l)
	middle, half := (low+high)/2, (high-low)/2
	out := make([]*tensor.Tensor, bins)
	for t := range out {
		out[t] = tensor.New64("actions", len(trials), l.Actions)
		for i, k := range trials {
			r := random.New(21, "actions", uint64(k), uint64(t))
			for j := range l.Actions {
				out[t].F64[i*l.Actions+j] = middle + 0.6*half*(2*r.Float64()-1)
			}
		}
	}
	return out
}

// as is a tensor in the precision of an episode.
func as(double bool, t *tensor.Tensor) *tensor.Tensor {
	if double {
		return tensor.From64(t.Name, slices.Clone(t.Float64s()), t.Shape...)
	}
	return tensor.From32(t.Name, slices.Clone(t.Float32s()), t.Shape...)
}

// runEpisode runs an episode to the end of the actions.
func runEpisode(ctx context.Context, t task.ClosedLoop, spec task.Spec, req task.EpisodeRequest, actions []*tensor.Tensor) (out ran, err error) {
	e, o, err := t.Begin(ctx, req)
	if err != nil {
		return out, fmt.Errorf("beginning an episode: %w", err)
	}
	defer func() { err = errors.Join(err, e.End(ctx)) }()
	out.observations = append(out.observations, clone(o))
	for b, a := range actions {
		if o, err = e.Step(ctx, b, as(req.Float64, a)); err != nil {
			return out, fmt.Errorf("step %d: %w", b, err)
		}
		out.observations, out.actions = append(out.observations, clone(o)), append(out.actions, a)
	}
	return out, nil
}

// stack joins an array of each bin to one of all.
func stack(name string, bins []*tensor.Tensor) *tensor.Tensor {
	rows, width := bins[0].Shape[0], bins[0].Len()/max(1, bins[0].Shape[0])
	out := tensor.New32(name, append([]int{rows, len(bins)}, bins[0].Shape[1:]...)...)
	for t, b := range bins {
		x := b.Float32s()
		for i := range rows {
			copy(out.F32[(i*len(bins)+t)*width:], x[i*width:(i+1)*width])
		}
	}
	return out
}

// block is what Score is given of an episode.
func (r ran) block(spec task.Spec, trials []int64) tensor.Block {
	var states []*tensor.Tensor
	recorded := map[string][]*tensor.Tensor{}
	for _, o := range r.observations[1:] {
		states = append(states, o.State)
		for _, x := range o.Recorded {
			recorded[x.Name] = append(recorded[x.Name], x)
		}
	}
	b := tensor.Block{Trials: trials, Arrays: tensor.Set{stack("outputs", r.actions), stack(task.Controlled, states)}}
	for _, name := range spec.Loop.Recorded {
		if x := recorded[name]; len(x) > 0 {
			b.Arrays = append(b.Arrays, stack(name, x))
		}
	}
	return b
}

// episodeDifference says where two episodes differ, to the bit.
func episodeDifference(a, b ran) string {
	for t := range a.observations {
		x, y := a.observations[t], b.observations[t]
		for _, d := range []string{difference(x.Inputs, y.Inputs), difference(x.State, y.State), setDifference(x.Recorded, y.Recorded)} {
			if d != "" {
				return fmt.Sprintf("after %d steps: %s", t, d)
			}
		}
	}
	return ""
}

func loopEpisode(ctx context.Context, s *subject, v *Verdict) error {
	t, spec, trials, err := s.loop(ctx, v)
	if t == nil || err != nil {
		return err
	}
	actions := randomActions(spec, trials, spec.Bins)
	req := task.EpisodeRequest{Split: task.Train, Trials: trials, Seed: 5, Pass: 1}
	whole, err := runEpisode(ctx, t, spec, req, actions)
	if err != nil {
		return err
	}
	checkEpisode(spec, len(trials), whole, v)
	if v.failed() {
		return nil
	}
	same := func(what string, a, b ran) {
		if d := episodeDifference(a, b); d != "" {
			v.Failf("%s: %s", what, d)
		}
	}
	if s.info.Can(component.Deterministic) {
		again, err := runEpisode(ctx, t, spec, req, actions)
		if err != nil {
			return fmt.Errorf("a second episode: %w", err)
		}
		same("two episodes with the same seed, pass and actions are not the same, but the manifest promises \"deterministic\"", whole, again)
	}
	quiet := req
	quiet.NoiseOff = true
	a, err := runEpisode(ctx, t, spec, quiet, actions)
	if err != nil {
		return fmt.Errorf("an episode without noise: %w", err)
	}
	quiet.Seed, quiet.Pass = 6, 2
	b, err := runEpisode(ctx, t, spec, quiet, actions)
	if err != nil {
		return fmt.Errorf("an episode without noise: %w", err)
	}
	if !spec.FreshNoise {
		same("without noise, episodes with other seeds and passes are not the same", a, b)
	}
	return wrongSteps(ctx, t, spec, req, actions, v)
}

// checkEpisode holds observations to what the spec declares.
func checkEpisode(spec task.Spec, n int, r ran, v *Verdict) {
	for t, o := range r.observations {
		if o.Inputs == nil || o.Inputs.Expect(n, spec.Inputs) != nil {
			v.Failf("what is seen after %d steps is %v: (%d, %d) is needed", t, shapeOf(o.Inputs), n, spec.Inputs)
			return
		}
		arrays := append(tensor.Set{o.Inputs}, o.Recorded...)
		if t > 0 {
			if o.State == nil || o.State.Expect(n, spec.Loop.StateSize) != nil {
				v.Failf("the state after %d steps is %v: (%d, %d) is needed", t, shapeOf(o.State), n, spec.Loop.StateSize)
				return
			}
			arrays = append(arrays, o.State)
			for _, name := range o.Recorded.Names() {
				if !slices.Contains(spec.Loop.Recorded, name) {
					v.Failf("step %d records %q, which the spec does not name: it names %v", t-1, name, spec.Loop.Recorded)
					return
				}
			}
			for _, name := range spec.Loop.Recorded {
				if x := o.Recorded.Get(name); x == nil || len(x.Shape) == 0 || x.Shape[0] != n {
					v.Failf("step %d records %v: %q with %d rows is needed, since the spec names it", t-1, o.Recorded.Names(), name, n)
					return
				}
			}
		}
		for _, a := range arrays {
			if err := a.CheckFinite(); err != nil {
				v.Failf("after %d steps with actions within their bounds: %v", t, err)
				return
			}
		}
	}
}

func shapeOf(t *tensor.Tensor) any {
	if t == nil {
		return "missing"
	}
	return t.Shape
}

// wrongSteps makes calls that must be errors. An error ends the episode, so each has one of its own.
func wrongSteps(ctx context.Context, t task.ClosedLoop, spec task.Spec, req task.EpisodeRequest, actions []*tensor.Tensor, v *Verdict) error {
	a := as(false, actions[0])
	for _, one := range []struct {
		what string
		call func(e task.Episode) error
	}{
		{"step 1 before step 0", func(e task.Episode) error {
			_, err := e.Step(ctx, 1, a)
			return err
		}},
		{"step 0 twice", func(e task.Episode) error {
			if _, err := e.Step(ctx, 0, a); err != nil {
				return nil
			}
			_, err := e.Step(ctx, 0, a)
			return err
		}},
		{"actions of too many channels", func(e task.Episode) error {
			_, err := e.Step(ctx, 0, tensor.New32("actions", len(req.Trials), spec.Loop.Actions+1))
			return err
		}},
		{"Vjp without a tape", func(e task.Episode) error {
			if _, err := e.Step(ctx, 0, a); err != nil {
				return nil
			}
			_, err := e.VJP(ctx, 0, nil, tensor.New32("state", len(req.Trials), spec.Loop.StateSize))
			return err
		}},
	} {
		e, _, err := t.Begin(ctx, req)
		if err != nil {
			return fmt.Errorf("beginning an episode: %w", err)
		}
		if why := refused(one.call(e), wrongCall()...); why != "" {
			v.Failf("%s: %s: an invalid argument is needed", one.what, why)
		}
		if err := e.End(ctx); err != nil {
			v.Failf("ending an episode after an error: %v", err)
		}
	}
	unknown := req
	unknown.Trials = []int64{1 << 40}
	e, _, err := t.Begin(ctx, unknown)
	if err == nil {
		_ = e.End(ctx)
	}
	if why := refused(err, wrongCall()...); why != "" {
		v.Failf("beginning an episode with a trial that is not one of the split: %s: an invalid argument is needed", why)
	}
	return nil
}

func loopBatch(ctx context.Context, s *subject, v *Verdict) error {
	t, spec, trials, err := s.loop(ctx, v)
	if t == nil || err != nil {
		return err
	}
	bins := min(spec.Bins, 20)
	req := task.EpisodeRequest{Split: task.Train, Trials: trials, Seed: 5, Float64: true}
	all, err := runEpisode(ctx, t, spec, req, randomActions(spec, trials, bins))
	if err != nil {
		return err
	}
	for i, k := range trials {
		req.Trials = []int64{k}
		one, err := runEpisode(ctx, t, spec, req, randomActions(spec, req.Trials, bins))
		if err != nil {
			return err
		}
		for b, o := range one.observations {
			whole := all.observations[b]
			for _, pair := range [][2]*tensor.Tensor{{o.Inputs, whole.Inputs}, {o.State, whole.State}} {
				if pair[0] == nil || pair[1] == nil {
					continue
				}
				if d := apart(pair[0], pair[1].Slice(i, i+1), tolerance(pair[1])); d != "" {
					v.Failf("trial %d alone and with %d others, after %d steps: %s: noise must come from the trial's number, and nothing be shared", k, len(trials)-1, b, d)
					return nil
				}
			}
		}
	}
	return nil
}
