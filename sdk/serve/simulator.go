package serve

import (
	"context"

	simulatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/simulator/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/simulator"
)

const notSimulator = "it is not a simulator"

type simulatorServer struct {
	simulatorv1.UnimplementedSimulatorServiceServer
	s *Server
}

// Spec says what comes out.
func (*simulatorServer) Spec(ctx context.Context, _ *simulatorv1.SpecRequest) (*simulatorv1.SpecResponse, error) {
	v, _, err := called[simulator.Simulator](ctx, notSimulator)
	if err != nil {
		return nil, err
	}
	spec, err := v.Spec(ctx)
	return wire.ToSimulated(spec), err
}

// Fit chooses the mapping from latents to rates.
func (*simulatorServer) Fit(stream simulatorv1.SimulatorService_FitServer) error {
	ctx := stream.Context()
	v, _, err := called[simulator.Simulator](ctx, notSimulator)
	if err != nil {
		return err
	}
	set, err := v.Fit(ctx, wire.Receive(frames(ctx, stream.Recv)))
	if err != nil {
		return err
	}
	return wire.SendSet(set, sender(stream, func(f *tensorv1.Frame) *simulatorv1.FitResponse { return &simulatorv1.FitResponse{Frame: f} }))
}

// Simulate returns a block for each block of trials.
func (*simulatorServer) Simulate(stream simulatorv1.SimulatorService_SimulateServer) error {
	ctx := stream.Context()
	v, _, err := called[simulator.Simulator](ctx, notSimulator)
	if err != nil {
		return err
	}
	out := v.Simulate(ctx, wire.Receive(frames(ctx, stream.Recv)))
	return wire.SendBlocks(out, sender(stream, func(f *tensorv1.Frame) *simulatorv1.SimulateResponse { return &simulatorv1.SimulateResponse{Frame: f} }))
}
