package client

import (
	"context"

	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Task is a task in another process.
type Task interface {
	task.Task
	// Close frees the instance.
	Close(ctx context.Context) error
}

type remoteTask struct {
	*instance
	rpc taskv1.TaskServiceClient
}

// The method sets of tasks that can more.
type (
	looping struct{ *remoteTask }
	losing  struct{ *remoteTask }

	closedLoopTask struct {
		*remoteTask
		loop looping
	}
	customLossTask struct {
		*remoteTask
		loss losing
	}
	fullTask struct {
		*remoteTask
		loop looping
		loss losing
	}
)

var (
	_ task.ClosedLoop = closedLoopTask{}
	_ task.CustomLoss = customLossTask{}
	_ task.ClosedLoop = fullTask{}
	_ task.CustomLoss = fullTask{}
)

func newTask(i *instance) Task {
	t := &remoteTask{i, taskv1.NewTaskServiceClient(i.plugin.conn)}
	loop, loss := i.can(component.ClosedLoop), i.can(component.CustomLoss)
	switch {
	case loop && loss:
		return fullTask{t, looping{t}, losing{t}}
	case loop:
		return closedLoopTask{t, looping{t}}
	case loss:
		return customLossTask{t, losing{t}}
	}
	return t
}

// Begin starts trials.
func (t closedLoopTask) Begin(ctx context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	return t.loop.begin(ctx, req)
}

// Begin starts trials.
func (t fullTask) Begin(ctx context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	return t.loop.begin(ctx, req)
}

// Distant names the component, which runs in another process.
func (t *remoteTask) Distant() string { return t.name }

// Loss returns the mean loss of a batch and the cotangent of its outputs.
func (t customLossTask) Loss(ctx context.Context, req task.ScoreRequest, trials []int64, outputs *tensor.Tensor) (float64, *tensor.Tensor, error) {
	return t.loss.compute(ctx, req, trials, outputs)
}

// Loss returns the mean loss of a batch and the cotangent of its outputs.
func (t fullTask) Loss(ctx context.Context, req task.ScoreRequest, trials []int64, outputs *tensor.Tensor) (float64, *tensor.Tensor, error) {
	return t.loss.compute(ctx, req, trials, outputs)
}

// Spec says what the trials look like.
func (t *remoteTask) Spec(ctx context.Context) (task.Spec, error) {
	m, err := t.rpc.Spec(t.outgoing(ctx), &taskv1.SpecRequest{})
	if err != nil {
		return task.Spec{}, typed(ctx, err)
	}
	s, err := wire.FromSpec(m.GetSpec())
	if err != nil {
		return task.Spec{}, err
	}
	if s == nil {
		return task.Spec{}, component.Invalid("spec", "%s sent none", t.name)
	}
	return *s, nil
}

// Trials generates the trials of a split.
func (t *remoteTask) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	split, err := wire.ToSplit(req.Split)
	if err != nil {
		return tensor.Fail(err)
	}
	return func(yield func(tensor.Block, error) bool) {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := t.rpc.Trials(t.outgoing(inner), &taskv1.TrialsRequest{Split: split, Pass: req.Pass, BlockTrials: int64(req.BlockTrials)})
		if err != nil {
			yield(tensor.Block{}, typed(ctx, err))
			return
		}
		defer hangUp(cancel, stream.Recv)
		wire.Receive(frames(ctx, stream.Recv))(yield)
	}
}

// Score judges outputs.
func (t *remoteTask) Score(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	split, err := wire.ToSplit(req.Split)
	if err != nil {
		return task.Score{}, err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := t.rpc.Score(t.outgoing(inner))
	if err != nil {
		return task.Score{}, typed(ctx, err)
	}
	p := produce(cancel, stream.Recv, func() error {
		start := &taskv1.ScoreRequest{Request: &taskv1.ScoreRequest_Start{Start: &taskv1.ScoreStart{Split: split, Pass: req.Pass}}}
		if err := stream.Send(start); err != nil {
			return &wire.SendError{Err: err}
		}
		return sendAll(outputs, func(f *tensorv1.Frame) error {
			return stream.Send(&taskv1.ScoreRequest{Request: &taskv1.ScoreRequest_Frame{Frame: f}})
		}, stream.CloseSend)
	})
	first, err := stream.Recv()
	if err != nil {
		return task.Score{}, p.finish(typed(ctx, err))
	}
	set, err := wire.ReceiveSet(frames(ctx, stream.Recv))
	if err = p.finish(err); err != nil {
		return task.Score{}, err
	}
	return wire.FromScore(first.GetNames(), set)
}

func (t losing) compute(ctx context.Context, req task.ScoreRequest, trials []int64, outputs *tensor.Tensor) (float64, *tensor.Tensor, error) {
	split, err := wire.ToSplit(req.Split)
	if err != nil {
		return 0, nil, err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := t.rpc.Loss(t.outgoing(inner))
	if err != nil {
		return 0, nil, typed(ctx, err)
	}
	p := produce(cancel, stream.Recv, func() error {
		start := &taskv1.LossStart{Split: split, Pass: req.Pass, Trials: trials}
		if err := stream.Send(&taskv1.LossRequest{Request: &taskv1.LossRequest_Start{Start: start}}); err != nil {
			return &wire.SendError{Err: err}
		}
		err := wire.SendSet(tensor.Set{outputs}, func(f *tensorv1.Frame) error {
			return stream.Send(&taskv1.LossRequest{Request: &taskv1.LossRequest_Frame{Frame: f}})
		})
		if err != nil {
			return err
		}
		return stream.CloseSend()
	})
	first, err := stream.Recv()
	if err != nil {
		return 0, nil, p.finish(typed(ctx, err))
	}
	set, err := wire.ReceiveSet(frames(ctx, stream.Recv))
	if err = p.finish(err); err != nil {
		return 0, nil, err
	}
	if len(set) != 1 {
		return 0, nil, component.Invalid("loss", "%s sent %d arrays: the cotangent alone is needed", t.name, len(set))
	}
	return first.GetValue(), set[0], nil
}
