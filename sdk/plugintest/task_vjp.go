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
			return nil, fmt.Errorf("calling DropTape before step %d: %w", drop, err)
		}
	}
	out = make([]*tensor.Tensor, len(p.actions))
	for b := len(p.actions) - 1; b >= drop; b-- {
		c, err := e.VJP(ctx, b, as(double, p.inputs[b]), as(double, p.states[b]))
		if err != nil {
			return nil, fmt.Errorf("calling Vjp of step %d: %w", b, err)
		}
		if err := c.Expect(len(req.Trials), p.spec.Loop.Actions); err != nil {
			return nil, fmt.Errorf("calling Vjp of step %d: the cotangent of the actions: %w", b, err)
		}
		out[b] = c.Clone()
	}
	return out, nil
}

// differences are central differences by the actions of a bin of the scalar from the steps [from, to), for each step length: (B, actions).
func (p tape) differences(ctx context.Context, b, from, to int, double bool) ([][]float64, error) {
	n, width := len(p.req.Trials), p.spec.Loop.Actions
	var out [][]float64
	low, high := bounds(p.spec.Loop)
	for _, h := range steps(double) {
		h *= (high - low) / 2
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
