package serve

import (
	"context"
	"fmt"
	"io"

	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// maxEpisodes bounds the episodes of one stream.
const maxEpisodes = 1024

// Episode runs trials in closed loop until the stream ends.
func (*taskServer) Episode(stream taskv1.TaskService_EpisodeServer) error {
	ctx := stream.Context()
	t, _, err := called[task.ClosedLoop](ctx, "it is not a closed-loop task")
	if err != nil {
		return err
	}
	e := &episodes{task: t, stream: stream, ctx: ctx, running: map[uint64]*episode{}}
	defer e.end()
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return received(ctx, err)
		}
		if err := e.answer(m); err != nil {
			return err
		}
	}
}

// episodes are those of one stream.
type episodes struct {
	task    task.ClosedLoop
	stream  taskv1.TaskService_EpisodeServer
	ctx     context.Context
	running map[uint64]*episode
}

// episode is one of them, with the rows of a call that have arrived so far.
type episode struct {
	task.Episode
	trials                 int // rows of every array
	inputs, state, actions *tensor.Tensor
	// What the last call was given, whose memory the next one's takes.
	lastInputs, lastState, lastActions *tensor.Tensor
}

// into is memory for rows that come whole, in their first and only message.
func into(last, part *tensor.Tensor, more bool) *tensor.Tensor {
	if part != nil || more {
		return nil
	}
	return last
}

// end ends what the caller has left running.
func (e *episodes) end() {
	for _, r := range e.running {
		// The stream is over: nobody is left to be told.
		_ = r.End(context.WithoutCancel(e.ctx))
	}
}

func (e *episodes) answer(m *taskv1.EpisodeRequest) error {
	id := m.GetEpisode()
	if b := m.GetBegin(); b != nil {
		return e.begin(id, b)
	}
	r := e.running[id]
	if r == nil {
		return fmt.Errorf("serve: episode %d of this stream has not begun or has ended: %w", id, component.ErrNotFound)
	}
	switch c := m.GetCall().(type) {
	case *taskv1.EpisodeRequest_Step:
		return e.step(id, r, c.Step)
	case *taskv1.EpisodeRequest_Vjp:
		return e.vjp(id, r, c.Vjp)
	case *taskv1.EpisodeRequest_DropTape:
		if err := r.DropTape(e.ctx, int(c.DropTape.GetBefore())); err != nil {
			return err
		}
		return e.done(id)
	case *taskv1.EpisodeRequest_End:
		delete(e.running, id)
		if err := r.End(e.ctx); err != nil {
			return err
		}
		return e.done(id)
	}
	return component.Invalid("call", "a call on an episode that this plugin does not know")
}

func (e *episodes) done(id uint64) error {
	return e.stream.Send(&taskv1.EpisodeResponse{Episode: id, Answer: &taskv1.EpisodeResponse_Done{Done: &taskv1.EpisodeDone{}}})
}

func (e *episodes) begin(id uint64, b *taskv1.EpisodeBegin) error {
	if e.running[id] != nil {
		return component.Invalid("episode", "%d has already begun", id)
	}
	if len(e.running) == maxEpisodes {
		return component.Invalid("episode", "%d are running on this stream: no more are allowed", maxEpisodes)
	}
	split, err := trialsOf(b.GetSplit())
	if err != nil {
		return err
	}
	if len(b.GetTrials()) > wire.MaxTrials {
		return component.Invalid("trials", "%d: at most %d are allowed", len(b.GetTrials()), wire.MaxTrials)
	}
	if b.GetHorizon() < 0 {
		return component.Invalid("horizon", "%d: at least 0 is needed", b.GetHorizon())
	}
	if b.GetTruncate() < 0 {
		return component.Invalid("truncate", "%d: at least 0 is needed", b.GetTruncate())
	}
	r, o, err := e.task.Begin(e.ctx, task.EpisodeRequest{
		Split: split, Pass: b.GetPass(), Trials: b.GetTrials(), Seed: b.GetSeed(), Float64: b.GetFloat64(), Tape: b.GetTape(),
		Horizon: int(b.GetHorizon()), NoiseOff: b.GetNoiseOff(), Truncate: int(b.GetTruncate()),
	})
	if err != nil {
		return err
	}
	e.running[id] = &episode{Episode: r, trials: len(b.GetTrials())}
	return e.observe(id, -1, o)
}

// observe sends an observation, its rows over as many messages as it takes.
func (e *episodes) observe(id uint64, t int64, o task.Observation) error {
	arrays := append([]*tensor.Tensor{o.Inputs, o.State}, o.Recorded...)
	for _, a := range arrays {
		if a != nil {
			if err := a.Check(); err != nil {
				return err
			}
		}
	}
	return wire.ByRows(func(from, to int, more bool) error {
		m := &taskv1.EpisodeObservation{T: t, More: more}
		var err error
		if m.Inputs, err = wire.ToTensor(wire.Rows(o.Inputs, from, to)); err != nil {
			return err
		}
		if m.State, err = wire.ToTensor(wire.Rows(o.State, from, to)); err != nil {
			return err
		}
		for _, a := range o.Recorded {
			r, err := wire.ToTensor(wire.Rows(a, from, to))
			if err != nil {
				return err
			}
			m.Recorded = append(m.Recorded, r)
		}
		return e.stream.Send(&taskv1.EpisodeResponse{Episode: id, Answer: &taskv1.EpisodeResponse_Observation{Observation: m}})
	}, arrays...)
}

func (e *episodes) step(id uint64, r *episode, m *taskv1.EpisodeStep) error {
	rows, err := wire.FromTensorInto(m.GetActions(), into(r.lastActions, r.actions, m.GetMore()))
	if err != nil {
		return err
	}
	if r.actions, err = wire.AppendUpTo(r.trials, r.actions, rows); err != nil || m.GetMore() {
		return err
	}
	actions := r.actions
	r.actions, r.lastActions = nil, actions
	if err := need("actions", actions); err != nil {
		return err
	}
	if err := wire.CheckRows(r.trials, actions); err != nil {
		return err
	}
	o, err := r.Step(e.ctx, int(m.GetT()), actions)
	if err != nil {
		return err
	}
	return e.observe(id, m.GetT(), o)
}

func (e *episodes) vjp(id uint64, r *episode, m *taskv1.EpisodeVjp) error {
	inputs, err := wire.FromTensorInto(m.GetInputs(), into(r.lastInputs, r.inputs, m.GetMore()))
	if err != nil {
		return err
	}
	state, err := wire.FromTensorInto(m.GetState(), into(r.lastState, r.state, m.GetMore()))
	if err != nil {
		return err
	}
	if r.inputs, err = wire.AppendUpTo(r.trials, r.inputs, inputs); err != nil {
		return err
	}
	if r.state, err = wire.AppendUpTo(r.trials, r.state, state); err != nil || m.GetMore() {
		return err
	}
	inputs, state = r.inputs, r.state
	r.inputs, r.state = nil, nil
	if inputs != nil {
		r.lastInputs = inputs
	}
	if state != nil {
		r.lastState = state
	}
	if err := wire.CheckRows(r.trials, inputs, state); err != nil {
		return err
	}
	actions, err := r.VJP(e.ctx, int(m.GetT()), inputs, state)
	if err != nil {
		return err
	}
	if err := need("cotangent", actions); err != nil {
		return err
	}
	if err := actions.Check(); err != nil {
		return err
	}
	return wire.ByRows(func(from, to int, more bool) error {
		a, err := wire.ToTensor(wire.Rows(actions, from, to))
		if err != nil {
			return err
		}
		c := &taskv1.EpisodeCotangent{T: m.GetT(), Actions: a, More: more}
		return e.stream.Send(&taskv1.EpisodeResponse{Episode: id, Answer: &taskv1.EpisodeResponse_Cotangent{Cotangent: c}})
	}, actions)
}
