package client

import (
	"context"
	"sync"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Model is a model in another process.
type Model interface {
	model.Model
	// Close frees the instance.
	Close(ctx context.Context) error
}

type remoteModel struct {
	*instance
	rpc modelv1.ModelServiceClient

	mu       sync.Mutex
	dynamics *dynamics
}

func newModel(i *instance) *remoteModel {
	return &remoteModel{instance: i, rpc: modelv1.NewModelServiceClient(i.plugin.conn)}
}

// leasable is what can be called by another plugin.
type leasable interface {
	grant(ctx context.Context, methods []string) (*pluginv1.Lease, func(), error)
}

func taskMethods() []string {
	return []string{
		taskv1.TaskService_Spec_FullMethodName, taskv1.TaskService_Trials_FullMethodName, taskv1.TaskService_Score_FullMethodName,
		taskv1.TaskService_Loss_FullMethodName, taskv1.TaskService_Episode_FullMethodName,
	}
}

// leaseTask returns a lease of a task that lives in a plugin.
func leaseTask(ctx context.Context, t task.Task) (*pluginv1.Lease, func(), error) {
	l, ok := t.(leasable)
	if !ok {
		return nil, nil, component.Invalid("task", "%T: a model in another process can only be given a task that is served by a plugin", t)
	}
	return l.grant(ctx, taskMethods())
}

// Rollout runs the model over trials.
func (m *remoteModel) Rollout(ctx context.Context, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	split, err := wire.ToSplit(req.Split)
	if err != nil {
		return tensor.Fail(err)
	}
	return func(yield func(tensor.Block, error) bool) {
		start := &modelv1.RolloutStart{Seed: req.Seed, Noise: req.Noise, Samples: int64(req.Samples), Split: split, Pass: req.Pass, Want: req.Want}
		if req.Task != nil {
			lease, release, err := leaseTask(ctx, req.Task)
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			defer release()
			start.Task = lease
		}
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := m.rpc.Rollout(m.outgoing(inner))
		if err != nil {
			yield(tensor.Block{}, typed(ctx, err))
			return
		}
		send := func() error {
			if err := stream.Send(&modelv1.RolloutRequest{Request: &modelv1.RolloutRequest_Start{Start: start}}); err != nil {
				return &wire.SendError{Err: err}
			}
			if trials == nil {
				trials = tensor.Of()
			}
			return sendAll(trials, func(f *tensorv1.Frame) error {
				return stream.Send(&modelv1.RolloutRequest{Request: &modelv1.RolloutRequest_Frame{Frame: f}})
			}, stream.CloseSend)
		}
		through(cancel, send, frames(ctx, stream.Recv), yield)
	}
}

// Save returns the weights.
func (m *remoteModel) Save(ctx context.Context) (tensor.Set, error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.Save(m.outgoing(inner), &modelv1.SaveRequest{})
	if err != nil {
		return nil, typed(ctx, err)
	}
	return wire.ReceiveSet(frames(ctx, stream.Recv))
}

// Load sets the weights.
func (m *remoteModel) Load(ctx context.Context, weights tensor.Set) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.Load(m.outgoing(inner))
	if err != nil {
		return typed(ctx, err)
	}
	err = wire.SendSet(weights, func(f *tensorv1.Frame) error { return stream.Send(&modelv1.LoadRequest{Frame: f}) })
	if err != nil && !isSend(err) {
		return err
	}
	_, err = stream.CloseAndRecv()
	return typed(ctx, err)
}
