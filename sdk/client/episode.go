package client

import (
	"context"
	"fmt"
	"io"
	"math"

	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// episode is a running batch of trials, with a stream to itself. An error ends it.
type episode struct {
	name   string
	trials int // rows of every array
	stream taskv1.TaskService_EpisodeClient
	cancel context.CancelFunc
	failed error
	ended  bool
	// What came last and whole, whose memory the next call's answer takes.
	last  task.Observation
	lastA *tensor.Tensor
}

var _ task.Episode = (*episode)(nil)

func (t looping) begin(ctx context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	split, err := wire.ToSplit(req.Split)
	if err != nil {
		return nil, task.Observation{}, err
	}
	// The episode outlives the call that begins it; the context of each step ends it where it is done.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stream, err := t.rpc.Episode(t.outgoing(inner))
	if err != nil {
		cancel()
		return nil, task.Observation{}, typed(ctx, err)
	}
	e := &episode{name: t.name, trials: len(req.Trials), stream: stream, cancel: cancel}
	var o task.Observation
	err = e.call(ctx, func() error {
		err := e.send(&taskv1.EpisodeRequest{Call: &taskv1.EpisodeRequest_Begin{Begin: &taskv1.EpisodeBegin{
			Split: split, Pass: req.Pass, Trials: req.Trials, Seed: req.Seed, Float64: req.Float64, Tape: req.Tape, Horizon: int64(req.Horizon), NoiseOff: req.NoiseOff, Truncate: int64(req.Truncate),
		}}})
		if err != nil {
			return err
		}
		o, err = e.observation(-1)
		return err
	})
	if err != nil {
		cancel() // also where ctx had ended before anything was sent
		return nil, task.Observation{}, err
	}
	return e, o, nil
}

// call runs one exchange of messages, which ctx ends.
func (e *episode) call(ctx context.Context, exchange func() error) error {
	switch {
	case e.failed != nil:
		return e.failed
	case e.ended:
		return fmt.Errorf("client: %s: the episode has ended: %w", e.name, component.ErrNotFound)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, e.cancel)
		defer stop()
	}
	if err := exchange(); err != nil {
		e.failed = typed(ctx, err)
		e.cancel()
		return e.failed
	}
	return nil
}

// send sends a request. Where the stream has ended it returns the reason, which only the receiving side knows.
func (e *episode) send(m *taskv1.EpisodeRequest) error {
	err := e.stream.Send(m)
	if err != io.EOF {
		return err
	}
	for {
		if _, err := e.stream.Recv(); err != nil {
			return e.reason(err)
		}
	}
}

func (e *episode) reason(err error) error {
	if err == io.EOF {
		return fmt.Errorf("client: %s: the stream of the episode ended early: %w", e.name, component.ErrUnavailable)
	}
	return err
}

func (e *episode) receive() (*taskv1.EpisodeResponse, error) {
	m, err := e.stream.Recv()
	if err != nil {
		return nil, e.reason(err)
	}
	return m, nil
}

func (e *episode) unexpected(t int, m *taskv1.EpisodeResponse) error {
	return component.Invalid("episode", "%s: step %d was answered by %T", e.name, t, m.GetAnswer())
}

// observation reads the answer to step t, whose rows may be spread over several messages.
func (e *episode) observation(t int) (task.Observation, error) {
	var out task.Observation
	for {
		m, err := e.receive()
		if err != nil {
			return out, err
		}
		o := m.GetObservation()
		if o == nil || o.GetT() != int64(t) {
			return out, e.unexpected(t, m)
		}
		var last task.Observation
		if out.Inputs == nil && !o.GetMore() {
			last = e.last
		}
		inputs, err := wire.FromTensorInto(o.GetInputs(), last.Inputs)
		if err != nil {
			return out, err
		}
		state, err := wire.FromTensorInto(o.GetState(), last.State)
		if err != nil {
			return out, err
		}
		recorded, err := wire.FromTensors(o.GetRecorded())
		if err != nil {
			return out, err
		}
		if out.Inputs, err = wire.AppendUpTo(e.trials, out.Inputs, inputs); err != nil {
			return out, err
		}
		if out.State, err = wire.AppendUpTo(e.trials, out.State, state); err != nil {
			return out, err
		}
		if out.Recorded, err = wire.AppendSets(e.trials, out.Recorded, recorded); err != nil {
			return out, err
		}
		if !o.GetMore() {
			if err := out.Recorded.Check(); err != nil {
				return out, err
			}
			if err := wire.CheckRows(e.trials, append(tensor.Set{out.Inputs, out.State}, out.Recorded...)...); err != nil {
				return out, err
			}
			e.last.Inputs = out.Inputs
			if out.State != nil {
				e.last.State = out.State
			}
			return out, nil
		}
		if empty(inputs) && empty(state) {
			return out, component.Invalid("episode", "%s: step %d: an answer of no rows that is to be continued", e.name, t)
		}
	}
}

// empty reports a part of an array that brings the whole no further.
func empty(t *tensor.Tensor) bool { return t == nil || t.Shape[0] == 0 }

// Step applies the actions of bin t.
func (e *episode) Step(ctx context.Context, t int, actions *tensor.Tensor) (task.Observation, error) {
	if err := check(e.name, t, actions); err != nil {
		return task.Observation{}, err
	}
	var out task.Observation
	err := e.call(ctx, func() error {
		err := wire.ByRows(func(from, to int, more bool) error {
			a, err := wire.ToTensor(wire.Rows(actions, from, to))
			if err != nil {
				return err
			}
			return e.send(&taskv1.EpisodeRequest{Call: &taskv1.EpisodeRequest_Step{Step: &taskv1.EpisodeStep{T: int64(t), Actions: a, More: more}}})
		}, actions)
		if err != nil {
			return err
		}
		out, err = e.observation(t)
		return err
	})
	return out, err
}

// VJP takes cotangents of what Step(t) returned and returns the cotangent of its actions.
func (e *episode) VJP(ctx context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	for _, c := range []*tensor.Tensor{inputs, state} {
		if c != nil {
			if err := check(e.name, t, c); err != nil {
				return nil, err
			}
		}
	}
	var out *tensor.Tensor
	err := e.call(ctx, func() error {
		err := wire.ByRows(func(from, to int, more bool) error {
			i, err := wire.ToTensor(wire.Rows(inputs, from, to))
			if err != nil {
				return err
			}
			s, err := wire.ToTensor(wire.Rows(state, from, to))
			if err != nil {
				return err
			}
			return e.send(&taskv1.EpisodeRequest{Call: &taskv1.EpisodeRequest_Vjp{Vjp: &taskv1.EpisodeVjp{T: int64(t), Inputs: i, State: s, More: more}}})
		}, inputs, state)
		for more := true; err == nil && more; {
			var m *taskv1.EpisodeResponse
			if m, err = e.receive(); err != nil {
				return err
			}
			c := m.GetCotangent()
			if c == nil || c.GetT() != int64(t) {
				return e.unexpected(t, m)
			}
			var rows, last *tensor.Tensor
			if out == nil && !c.GetMore() {
				last = e.lastA
			}
			if rows, err = wire.FromTensorInto(c.GetActions(), last); err == nil {
				out, err = wire.AppendUpTo(e.trials, out, rows)
			}
			if more = c.GetMore(); err == nil && more && empty(rows) {
				err = component.Invalid("episode", "%s: step %d: an answer of no rows that is to be continued", e.name, t)
			}
		}
		switch {
		case err != nil:
			return err
		case out == nil:
			return component.Invalid("episode", "%s: step %d: no cotangent of the actions was sent", e.name, t)
		}
		return wire.CheckRows(e.trials, out)
	})
	if err != nil {
		return nil, err
	}
	e.lastA = out
	return out, nil
}

// DropTape forgets what VJP needs of steps before t.
func (e *episode) DropTape(ctx context.Context, before int) error {
	return e.call(ctx, func() error {
		return e.done(&taskv1.EpisodeRequest{Call: &taskv1.EpisodeRequest_DropTape{DropTape: &taskv1.EpisodeDropTape{Before: int64(before)}}})
	})
}

// End frees the episode. Ending one that has failed or ended is no error.
func (e *episode) End(ctx context.Context) error {
	if e.ended || e.failed != nil {
		e.ended = true
		return nil
	}
	err := e.call(ctx, func() error {
		return e.done(&taskv1.EpisodeRequest{Call: &taskv1.EpisodeRequest_End{End: &taskv1.EpisodeEnd{}}})
	})
	e.ended = true
	_ = e.stream.CloseSend()
	e.cancel()
	return err
}

func (e *episode) done(m *taskv1.EpisodeRequest) error {
	if err := e.send(m); err != nil {
		return err
	}
	answer, err := e.receive()
	if err != nil {
		return err
	}
	if answer.GetDone() == nil {
		return component.Invalid("episode", "%s: %T was answered by %T", e.name, m.GetCall(), answer.GetAnswer())
	}
	return nil
}

// check refuses what cannot be sent, before it ends the episode.
func check(name string, t int, x *tensor.Tensor) error {
	if t < 0 || t > math.MaxInt32 {
		return component.Invalid("t", "%s: step %d: a bin from 0 is needed", name, t)
	}
	if x == nil {
		return component.Invalid("actions", "%s: step %d: none are given", name, t)
	}
	if err := x.Check(); err != nil {
		return err
	}
	if len(x.Shape) == 0 {
		return fmt.Errorf("%w: %s: step %d: %q has no rows", tensor.ErrShape, name, t, x.Name)
	}
	return nil
}
