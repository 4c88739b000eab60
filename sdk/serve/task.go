package serve

import (
	"context"
	"fmt"

	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// fulfils reports a component that claims what its instance does not implement.
func fulfils(info component.Info, value any) error {
	_, loop := value.(task.ClosedLoop)
	_, loss := value.(task.CustomLoss)
	switch {
	case value == nil:
		return fmt.Errorf("serve: %s: opening it gave nothing", info.Name)
	case info.Can(component.ClosedLoop) && !loop:
		return fmt.Errorf("serve: %s: it claims %q but %T has no Begin", info.Name, component.ClosedLoop, value)
	case info.Can(component.CustomLoss) && !loss:
		return fmt.Errorf("serve: %s: it claims %q but %T has no Loss", info.Name, component.CustomLoss, value)
	}
	return nil
}

type taskServer struct {
	taskv1.UnimplementedTaskServiceServer
	s *Server
}

// Spec says what the trials look like.
func (*taskServer) Spec(ctx context.Context, _ *taskv1.SpecRequest) (*taskv1.SpecResponse, error) {
	t, _, err := called[task.Task](ctx, "it is not a task")
	if err != nil {
		return nil, err
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return nil, err
	}
	m, err := wire.ToSpec(&spec)
	return &taskv1.SpecResponse{Spec: m}, err
}

// Trials generates trials.
func (*taskServer) Trials(req *taskv1.TrialsRequest, stream taskv1.TaskService_TrialsServer) error {
	ctx := stream.Context()
	t, _, err := called[task.Task](ctx, "it is not a task")
	if err != nil {
		return err
	}
	split, err := trialsOf(req.GetSplit())
	if err != nil {
		return err
	}
	if req.GetBlockTrials() < 0 {
		return component.Invalid("block_trials", "%d: at least 0 is needed", req.GetBlockTrials())
	}
	blocks := t.Trials(ctx, task.TrialRequest{Split: split, Pass: req.GetPass(), BlockTrials: int(req.GetBlockTrials())})
	return wire.SendBlocks(blocks, sender(stream, func(f *tensorv1.Frame) *taskv1.TrialsResponse { return &taskv1.TrialsResponse{Frame: f} }))
}

// Score judges outputs.
func (*taskServer) Score(stream taskv1.TaskService_ScoreServer) error {
	ctx := stream.Context()
	t, _, err := called[task.Task](ctx, "it is not a task")
	if err != nil {
		return err
	}
	first, err := opened(ctx, stream.Recv, "which trials are scored")
	if err != nil {
		return err
	}
	split, err := trialsOf(first.GetStart().GetSplit())
	if err != nil {
		return err
	}
	score, err := t.Score(ctx, task.ScoreRequest{Split: split, Pass: first.GetStart().GetPass()}, wire.Receive(frames(ctx, stream.Recv)))
	if err != nil {
		return err
	}
	names, set, err := wire.ToScore(score)
	if err != nil {
		return err
	}
	if err := stream.Send(&taskv1.ScoreResponse{Response: &taskv1.ScoreResponse_Names{Names: names}}); err != nil {
		return err
	}
	return wire.SendSet(set, sender(stream, func(f *tensorv1.Frame) *taskv1.ScoreResponse {
		return &taskv1.ScoreResponse{Response: &taskv1.ScoreResponse_Frame{Frame: f}}
	}))
}

// Loss computes a custom loss.
func (*taskServer) Loss(stream taskv1.TaskService_LossServer) error {
	ctx := stream.Context()
	t, _, err := called[task.CustomLoss](ctx, "it has no loss of its own")
	if err != nil {
		return err
	}
	first, err := opened(ctx, stream.Recv, "which trials the loss is of")
	if err != nil {
		return err
	}
	start := first.GetStart()
	split, err := trialsOf(start.GetSplit())
	if err != nil {
		return err
	}
	set, err := wire.ReceiveSet(frames(ctx, stream.Recv))
	if err != nil {
		return err
	}
	if len(set) != 1 {
		return component.Invalid("outputs", "%d arrays: the outputs alone are needed", len(set))
	}
	value, cotangent, err := t.Loss(ctx, task.ScoreRequest{Split: split, Pass: start.GetPass()}, start.GetTrials(), set[0])
	if err != nil {
		return err
	}
	if err := need("cotangent", cotangent); err != nil {
		return err
	}
	if err := stream.Send(&taskv1.LossResponse{Response: &taskv1.LossResponse_Value{Value: value}}); err != nil {
		return err
	}
	return wire.SendSet(tensor.Set{cotangent}, sender(stream, func(f *tensorv1.Frame) *taskv1.LossResponse {
		return &taskv1.LossResponse{Response: &taskv1.LossResponse_Frame{Frame: f}}
	}))
}
