package plugintest

import (
	"context"
	"errors"
	"fmt"
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

// randomActions are actions well within their bounds, for each bin; those of a trial depend on its number alone.
func randomActions(spec task.Spec, trials []int64, bins int) []*tensor.Tensor {
	l := spec.Loop
	middle, half := (l.ActionLow+l.ActionHigh)/2, (l.ActionHigh-l.ActionLow)/2
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

// tape is an episode with the cotangents that its results are weighted with: the scalar whose gradient Vjp gives is the sum over bins of both products, of each trial.
type tape struct {
	t       task.ClosedLoop
	spec    task.Spec
	req     task.EpisodeRequest
	actions []*tensor.Tensor
	// inputs and states are (B, ...) for each bin.
	inputs, states []*tensor.Tensor
}

func newTape(t task.ClosedLoop, spec task.Spec, trials []int64) tape {
	bins := min(spec.Bins, 12)
	r := random.New(22, "cotangents")
	p := tape{t: t, spec: spec, actions: randomActions(spec, trials, bins), req: task.EpisodeRequest{Split: task.Train, Trials: trials, Seed: 5, Float64: true}}
	draw := func(name string, width int) *tensor.Tensor {
		c := tensor.New64(name, len(trials), width)
		for i := range c.F64 {
			c.F64[i] = r.NormFloat64()
		}
		return c
	}
	for range bins {
		p.inputs, p.states = append(p.inputs, draw(task.Inputs, spec.Inputs)), append(p.states, draw("state", spec.Loop.StateSize))
	}
	return p
}

// values are the scalar of each trial, from the steps [from, to).
func (p tape) values(ctx context.Context, from, to int) ([]float64, error) {
	r, err := runEpisode(ctx, p.t, p.spec, p.req, p.actions)
	if err != nil {
		return nil, err
	}
	n := len(p.req.Trials)
	out := make([]float64, n)
	for b := from; b < to; b++ {
		o := r.observations[b+1]
		for _, pair := range [][2]*tensor.Tensor{{o.Inputs, p.inputs[b]}, {o.State, p.states[b]}} {
			x, c := pair[0].Float64s(), pair[1].F64
			for i, v := range x {
				out[i*n/len(x)] += v * c[i]
			}
		}
	}
	return out, nil
}

// gradient is what Vjp gives, for each bin. drop is the bin before which the tape is dropped, which ends the way back; 0 keeps it.
func (p tape) gradient(ctx context.Context, double bool, truncate, drop int) (out []*tensor.Tensor, err error) {
	req := p.req
	req.Tape, req.Float64, req.Truncate = true, double, truncate
	e, _, err := p.t.Begin(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("beginning an episode with a tape: %w", err)
	}
	defer func() { err = errors.Join(err, e.End(ctx)) }()
	for b, a := range p.actions {
		if _, err := e.Step(ctx, b, as(double, a)); err != nil {
			return nil, fmt.Errorf("step %d: %w", b, err)
		}
	}
	if drop > 0 {
		if err := e.DropTape(ctx, drop); err != nil {
			return nil, fmt.Errorf("DropTape before step %d: %w", drop, err)
		}
	}
	out = make([]*tensor.Tensor, len(p.actions))
	for b := len(p.actions) - 1; b >= drop; b-- {
		c, err := e.VJP(ctx, b, as(double, p.inputs[b]), as(double, p.states[b]))
		if err != nil {
			return nil, fmt.Errorf("Vjp of step %d: %w", b, err)
		}
		if err := c.Expect(len(req.Trials), p.spec.Loop.Actions); err != nil {
			return nil, fmt.Errorf("Vjp of step %d: the cotangent of the actions: %w", b, err)
		}
		out[b] = c.Clone()
	}
	return out, nil
}

// differences are central differences by the actions of a bin of the scalar from the steps [from, to), for each step length: (B, actions).
func (p tape) differences(ctx context.Context, b, from, to int, double bool) ([][]float64, error) {
	n, width := len(p.req.Trials), p.spec.Loop.Actions
	var out [][]float64
	for _, h := range steps(double) {
		h *= (p.spec.Loop.ActionHigh - p.spec.Loop.ActionLow) / 2
		d := make([]float64, n*width)
		kept := p.actions[b]
		for j := range width {
			var at [2][]float64
			for side, sign := range []float64{1, -1} {
				a := kept.Clone()
				for i := range n {
					a.F64[i*width+j] += sign * h
				}
				p.actions[b] = a
				var err error
				if at[side], err = p.values(ctx, from, to); err != nil {
					p.actions[b] = kept
					return nil, err
				}
			}
			p.actions[b] = kept
			for i := range n {
				d[i*width+j] = (at[0][i] - at[1][i]) / (2 * h)
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// worst is the largest disagreement of gradients with the best fitting of their differences, over all bins.
func worstOf(got [][]float64, want [][][]float64) (worst float64, bin, at int, difference float64) {
	scale := 0.0
	for b := range got {
		for i, g := range got[b] {
			scale = max(scale, abs(g), abs(want[b][0][i]))
		}
	}
	for b := range got {
		for i, g := range got[b] {
			off, best := -1.0, 0.0
			for _, d := range want[b] {
				if o := abs(g - d[i]); off < 0 || o < off || off != off {
					off, best = o, d[i]
				}
			}
			if scale > 0 {
				off /= scale
			}
			if !(off <= worst) {
				worst, bin, at, difference = off, b, i, best
			}
		}
	}
	return worst, bin, at, difference
}

func abs(x float64) float64 { return max(x, -x) }

// double reports whether a task computes in float64 where it is asked to.
func (p tape) double(ctx context.Context) (bool, error) {
	r, err := runEpisode(ctx, p.t, p.spec, p.req, p.actions[:1])
	if err != nil {
		return false, err
	}
	return r.observations[1].State.F64 != nil, nil
}

func loopVJP(ctx context.Context, s *subject, v *Verdict) error {
	t, spec, trials, err := s.loop(ctx, v)
	if t == nil || err != nil {
		return err
	}
	p := newTape(t, spec, trials[:min(3, len(trials))])
	p.req.NoiseOff = !s.info.Can(component.Deterministic)
	double, err := p.double(ctx)
	if err != nil {
		return err
	}
	if !double {
		v.Failf("an episode that was asked for float64 gives float32: analyses and this very check need double precision")
		return nil
	}
	// All bins have their gradients; a few are compared with differences, the first and the last among them.
	last := len(p.actions) - 1
	bins := slices.Compact([]int{0, last / 2, last})
	var want [][][]float64
	for _, b := range bins {
		d, err := p.differences(ctx, b, 0, last+1, true)
		if err != nil {
			return err
		}
		want = append(want, d)
	}
	var note string
	for _, precision := range []struct {
		name   string
		double bool
		limit  float64
	}{{"float64", true, exact}, {"float32", false, rough}} {
		g, err := p.gradient(ctx, precision.double, 0, 0)
		if err != nil {
			return fmt.Errorf("in %s: %w", precision.name, err)
		}
		var got [][]float64
		for _, b := range bins {
			got = append(got, g[b].Float64s())
		}
		worst, k, at, d := worstOf(got, want)
		if !(worst <= precision.limit) {
			v.Failf("in %s the gradient by action %d of trial %d in bin %d is %.8g, central differences give %.8g: it is off by %.2g of the largest entry, at most %.0e is allowed",
				precision.name, at%spec.Loop.Actions, p.req.Trials[at/spec.Loop.Actions], bins[k], got[k][at], d, worst, precision.limit)
		}
		note += fmt.Sprintf("%s %.1g, ", precision.name, worst)
	}
	if v.failed() {
		return nil
	}
	v.Notef("%sof the largest entry", note)
	whole, err := p.gradient(ctx, true, 0, 0)
	if err != nil {
		return err
	}
	drop := len(p.actions) / 2
	rest, err := p.gradient(ctx, true, 0, drop)
	if err != nil {
		return err
	}
	for b := drop; b < len(rest); b++ {
		if d := apart(rest[b], whole[b], tolerance(whole[b])); d != "" {
			v.Failf("after DropTape before step %d, Vjp of step %d is another: %s", drop, b, d)
			break
		}
	}
	return nil
}

func loopTruncate(ctx context.Context, s *subject, v *Verdict) error {
	t, spec, trials, err := s.loop(ctx, v)
	if t == nil || err != nil {
		return err
	}
	p := newTape(t, spec, trials[:1])
	p.req.NoiseOff = !s.info.Can(component.Deterministic)
	// Cut before every step, the gradient by an action is that of its own step's results.
	g, err := p.gradient(ctx, true, 1, 0)
	if err != nil {
		return err
	}
	for _, b := range []int{0, len(p.actions) / 2} {
		d, err := p.differences(ctx, b, b, b+1, true)
		if err != nil {
			return err
		}
		if worst, _, at, want := worstOf([][]float64{g[b].Float64s()}, [][][]float64{d}); !(worst <= exact) {
			v.Failf("truncated to 1 bin, the gradient by action %d of bin %d is %.8g, central differences of that bin's results give %.8g", at, b, g[b].Float64s()[at], want)
		}
	}
	return nil
}
