package serve

import (
	"context"
	"fmt"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
)

const notModel = "it is not a model"

type modelServer struct {
	modelv1.UnimplementedModelServiceServer
	s *Server
}

// Rollout runs the model over trials.
func (m *modelServer) Rollout(stream modelv1.ModelService_RolloutServer) error {
	ctx := stream.Context()
	v, _, err := called[model.Model](ctx, notModel)
	if err != nil {
		return err
	}
	first, err := opened(ctx, stream.Recv, "how to run")
	if err != nil {
		return err
	}
	start := first.GetStart()
	split, err := wire.FromSplit(start.GetSplit())
	if err != nil {
		return err
	}
	if start.GetSamples() < 0 {
		return component.Invalid("samples", "%d: at least 0 is needed", start.GetSamples())
	}
	req := model.RolloutRequest{
		Seed: start.GetSeed(), Noise: start.GetNoise(), Samples: int(start.GetSamples()), Split: split, Pass: start.GetPass(), Want: start.GetWant(),
	}
	if start.GetTask() != nil {
		t, release, err := m.s.leasedTask(start.GetTask())
		if err != nil {
			return err
		}
		defer release()
		loop, ok := t.(task.ClosedLoop)
		if !ok {
			return component.Invalid("task", "%s is not a closed-loop task", start.GetTask().GetComponent())
		}
		req.Task = loop
	}
	out := v.Rollout(ctx, req, wire.Receive(frames(ctx, stream.Recv)))
	return wire.SendBlocks(out, sender(stream, func(f *tensorv1.Frame) *modelv1.RolloutResponse { return &modelv1.RolloutResponse{Frame: f} }))
}

// Save returns the weights.
func (*modelServer) Save(_ *modelv1.SaveRequest, stream modelv1.ModelService_SaveServer) error {
	ctx := stream.Context()
	v, _, err := called[model.Model](ctx, notModel)
	if err != nil {
		return err
	}
	weights, err := v.Save(ctx)
	if err != nil {
		return err
	}
	return wire.SendSet(weights, sender(stream, func(f *tensorv1.Frame) *modelv1.SaveResponse { return &modelv1.SaveResponse{Frame: f} }))
}

// Load sets the weights.
func (*modelServer) Load(stream modelv1.ModelService_LoadServer) error {
	ctx := stream.Context()
	v, c, err := called[model.Model](ctx, notModel)
	if err != nil {
		return err
	}
	weights, err := wire.ReceiveSet(frames(ctx, stream.Recv))
	if err != nil {
		return err
	}
	if err := v.Load(ctx, weights); err != nil {
		return err
	}
	c.instance.stale()
	return stream.SendAndClose(&modelv1.LoadResponse{})
}

// live returns the dynamics of the instance's model as its weights now are.
func (i *instance) live(ctx context.Context) (model.Dynamics, error) {
	v, ok := i.value.(model.Model)
	if !ok {
		return nil, fmt.Errorf("serve: %s: %s: %w", i.info.Name, notModel, component.ErrUnsupported)
	}
	i.making.Lock()
	defer i.making.Unlock()
	if i.dynamics == nil {
		d, err := v.Dynamics(ctx)
		if err != nil {
			return nil, err
		}
		i.dynamics = d
	}
	return i.dynamics, nil
}

// stale drops dynamics that were taken from earlier weights.
func (i *instance) stale() {
	i.making.Lock()
	defer i.making.Unlock()
	i.dynamics = nil
}
