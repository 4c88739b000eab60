package client

import (
	"context"

	simulatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/simulator/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Simulator is a simulator in another process.
type Simulator interface {
	simulator.Simulator
	// Close frees the instance.
	Close(ctx context.Context) error
}

type remoteSimulator struct {
	*instance
	rpc simulatorv1.SimulatorServiceClient
}

func newSimulator(i *instance) *remoteSimulator {
	return &remoteSimulator{i, simulatorv1.NewSimulatorServiceClient(i.plugin.conn)}
}

// Spec says what comes out.
func (s *remoteSimulator) Spec(ctx context.Context) (simulator.Spec, error) {
	m, err := s.rpc.Spec(s.outgoing(ctx), &simulatorv1.SpecRequest{})
	if err != nil {
		return simulator.Spec{}, typed(ctx, err)
	}
	return wire.FromSimulated(m)
}

// Fit chooses the mapping from latents to rates.
func (s *remoteSimulator) Fit(ctx context.Context, trials tensor.Blocks) (tensor.Set, error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.rpc.Fit(s.outgoing(inner))
	if err != nil {
		return nil, typed(ctx, err)
	}
	p := produce(cancel, stream.Recv, func() error {
		return sendAll(trials, func(f *tensorv1.Frame) error { return stream.Send(&simulatorv1.FitRequest{Frame: f}) }, stream.CloseSend)
	})
	set, err := wire.ReceiveSet(frames(ctx, stream.Recv))
	if err = p.finish(err); err != nil {
		return nil, err
	}
	return set, nil
}

// Simulate returns a block for each block of trials.
func (s *remoteSimulator) Simulate(ctx context.Context, trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := s.rpc.Simulate(s.outgoing(inner))
		if err != nil {
			yield(tensor.Block{}, typed(ctx, err))
			return
		}
		send := func() error {
			return sendAll(trials, func(f *tensorv1.Frame) error { return stream.Send(&simulatorv1.SimulateRequest{Frame: f}) }, stream.CloseSend)
		}
		through(cancel, send, frames(ctx, stream.Recv), yield)
	}
}
