package main

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// wrongLoop is a closed-loop task whose episodes are changed.
type wrongLoop struct {
	task.ClosedLoop
	request func(*task.EpisodeRequest)
	episode func(wrongEpisode) task.Episode
	seen    func(req task.EpisodeRequest, o *task.Observation)
}

func (l wrongLoop) Begin(ctx context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	asked := req
	if l.request != nil {
		l.request(&req)
	}
	e, o, err := l.ClosedLoop.Begin(ctx, req)
	if err != nil {
		return nil, o, err
	}
	w := wrongEpisode{Episode: e, loop: l, req: asked}
	w.change(&o)
	if l.episode != nil {
		return l.episode(w), o, nil
	}
	return w, o, nil
}

type wrongEpisode struct {
	task.Episode
	loop wrongLoop
	req  task.EpisodeRequest
}

func (e wrongEpisode) change(o *task.Observation) {
	if e.loop.seen != nil {
		e.loop.seen(e.req, o)
	}
}

func (e wrongEpisode) Step(ctx context.Context, t int, actions *tensor.Tensor) (task.Observation, error) {
	o, err := e.Episode.Step(ctx, t, actions)
	if err == nil {
		e.change(&o)
	}
	return o, err
}

func looped(change func(l *wrongLoop)) fault {
	return func(p *serve.Plugin) {
		f := &p.Tasks[1]
		open := f.Open
		f.Open = func(ctx context.Context, v param.Values, env component.Env) (task.Task, error) {
			inner, err := open(ctx, v, env)
			if err != nil {
				return nil, err
			}
			l := wrongLoop{ClosedLoop: inner.(task.ClosedLoop)}
			change(&l)
			return l, nil
		}
	}
}

// scaled has gradients that are a little too large.
type scaled struct{ wrongEpisode }

func (e scaled) VJP(ctx context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	c, err := e.Episode.VJP(ctx, t, inputs, state)
	if err == nil {
		times(c, 1.001)
	}
	return c, err
}

// forgets takes no notice of what the loss has to do with what is seen.
type forgets struct{ wrongEpisode }

func (e forgets) VJP(ctx context.Context, t int, _, state *tensor.Tensor) (*tensor.Tensor, error) {
	return e.Episode.VJP(ctx, t, nil, state)
}

// anyOrder counts steps itself.
type anyOrder struct {
	wrongEpisode
	next *int
}

func (e anyOrder) Step(ctx context.Context, _ int, actions *tensor.Tensor) (task.Observation, error) {
	*e.next++
	return e.wrongEpisode.Step(ctx, *e.next-1, actions)
}

func (e anyOrder) VJP(ctx context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	return e.Episode.VJP(ctx, t, inputs, state)
}

func times(t *tensor.Tensor, f float64) {
	for i := range t.F64 {
		t.F64[i] *= f
	}
	for i := range t.F32 {
		t.F32[i] *= float32(f)
	}
}

func loopFaults() map[string]fault {
	return map[string]fault{
		"vjp-scaled":  looped(func(l *wrongLoop) { l.episode = func(e wrongEpisode) task.Episode { return scaled{e} } }),
		"vjp-inputs":  looped(func(l *wrongLoop) { l.episode = func(e wrongEpisode) task.Episode { return forgets{e} } }),
		"no-truncate": looped(func(l *wrongLoop) { l.request = func(r *task.EpisodeRequest) { r.Truncate = 0 } }),
		"noisy":       looped(func(l *wrongLoop) { l.request = func(r *task.EpisodeRequest) { r.NoiseOff = false } }),
		"any-order":   looped(func(l *wrongLoop) { l.episode = func(e wrongEpisode) task.Episode { return anyOrder{e, new(int)} } }),
		"leaks": looped(func(l *wrongLoop) {
			l.seen = func(req task.EpisodeRequest, o *task.Observation) {
				x := o.Inputs
				for i := range x.F64 {
					x.F64[i] += 0.01 * float64(len(req.Trials))
				}
			}
		}),
		"unrecorded": looped(func(l *wrongLoop) {
			l.seen = func(_ task.EpisodeRequest, o *task.Observation) { o.Recorded = nil }
		}),
	}
}
