package client_test

import (
	"context"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	comparatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/comparator/v1"
	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	simulatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/simulator/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// hostile is a plugin that answers every call with what a test has put here, whatever it was asked.
type hostile struct {
	pluginv1.UnimplementedPluginServiceServer
	comparatorv1.UnimplementedComparatorServiceServer

	describe     *pluginv1.DescribeResponse
	validate     *pluginv1.ValidateResponse
	open         *pluginv1.OpenResponse
	health       *pluginv1.HealthResponse
	taskSpec     *taskv1.SpecResponse
	simSpec      *simulatorv1.SpecResponse
	layout       *modelv1.LayoutResponse
	dynamics     *tensorv1.Tensor // of Step, Observe, Jvp and Vjp
	frames       []*tensorv1.Frame
	names        *taskv1.ScoreNames
	observations []*taskv1.EpisodeResponse // answers, one list for each call
	training     []*modelv1.TrainResponse
	comparison   []*comparatorv1.CompareResponse
	err          error
}

func (h *hostile) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return h.describe, h.err
}

func (h *hostile) Validate(context.Context, *pluginv1.ValidateRequest) (*pluginv1.ValidateResponse, error) {
	return h.validate, h.err
}

func (h *hostile) Open(context.Context, *pluginv1.OpenRequest) (*pluginv1.OpenResponse, error) {
	if h.open == nil {
		return &pluginv1.OpenResponse{Instance: "x#1", Capabilities: []string{string(component.ClosedLoop), string(component.CustomLoss)}}, nil
	}
	return h.open, nil
}

func (h *hostile) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return h.health, h.err
}

type taskFake struct {
	taskv1.UnimplementedTaskServiceServer
	*hostile
}

func (h taskFake) Spec(context.Context, *taskv1.SpecRequest) (*taskv1.SpecResponse, error) {
	return h.taskSpec, h.err
}

func (h taskFake) Trials(_ *taskv1.TrialsRequest, s taskv1.TaskService_TrialsServer) error {
	return play(h.hostile, func(f *tensorv1.Frame) error { return s.Send(&taskv1.TrialsResponse{Frame: f}) })
}

func (h taskFake) Score(s taskv1.TaskService_ScoreServer) error {
	drain(s.Recv)
	if err := s.Send(&taskv1.ScoreResponse{Response: &taskv1.ScoreResponse_Names{Names: h.names}}); err != nil {
		return err
	}
	return play(h.hostile, func(f *tensorv1.Frame) error {
		return s.Send(&taskv1.ScoreResponse{Response: &taskv1.ScoreResponse_Frame{Frame: f}})
	})
}

func (h taskFake) Loss(s taskv1.TaskService_LossServer) error {
	drain(s.Recv)
	if err := s.Send(&taskv1.LossResponse{Response: &taskv1.LossResponse_Value{Value: 1}}); err != nil {
		return err
	}
	return play(h.hostile, func(f *tensorv1.Frame) error {
		return s.Send(&taskv1.LossResponse{Response: &taskv1.LossResponse_Frame{Frame: f}})
	})
}

func (h taskFake) Episode(s taskv1.TaskService_EpisodeServer) error {
	for _, m := range h.observations {
		if m.GetObservation().GetMore() || m.GetCotangent().GetMore() {
			// Without end.
			for {
				if err := s.Send(m); err != nil {
					return err
				}
			}
		}
		if _, err := s.Recv(); err != nil {
			return nil
		}
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return h.err
}

type modelFake struct {
	modelv1.UnimplementedModelServiceServer
	*hostile
}

func (h modelFake) Rollout(s modelv1.ModelService_RolloutServer) error {
	drain(s.Recv)
	return play(h.hostile, func(f *tensorv1.Frame) error { return s.Send(&modelv1.RolloutResponse{Frame: f}) })
}

func (h modelFake) Save(_ *modelv1.SaveRequest, s modelv1.ModelService_SaveServer) error {
	return play(h.hostile, func(f *tensorv1.Frame) error { return s.Send(&modelv1.SaveResponse{Frame: f}) })
}

func (h modelFake) Load(s modelv1.ModelService_LoadServer) error { return h.err }

func (h modelFake) Train(s modelv1.ModelService_TrainServer) error {
	for _, m := range h.training {
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return h.err
}

type dynamicsFake struct {
	modelv1.UnimplementedDynamicsServiceServer
	*hostile
}

func (h dynamicsFake) Layout(context.Context, *modelv1.LayoutRequest) (*modelv1.LayoutResponse, error) {
	if h.layout == nil {
		return &modelv1.LayoutResponse{Size: 2, Inputs: 1}, nil
	}
	return h.layout, nil
}

func (h dynamicsFake) InitialState(s modelv1.DynamicsService_InitialStateServer) error {
	drain(s.Recv)
	return play(h.hostile, func(f *tensorv1.Frame) error { return s.Send(&modelv1.InitialStateResponse{Frame: f}) })
}

func (h dynamicsFake) Step(context.Context, *modelv1.StepRequest) (*modelv1.StepResponse, error) {
	return &modelv1.StepResponse{State: h.dynamics}, h.err
}

func (h dynamicsFake) Observe(context.Context, *modelv1.ObserveRequest) (*modelv1.ObserveResponse, error) {
	return &modelv1.ObserveResponse{Values: h.dynamics}, h.err
}

func (h dynamicsFake) Jvp(context.Context, *modelv1.JvpRequest) (*modelv1.JvpResponse, error) {
	return &modelv1.JvpResponse{DNext: h.dynamics}, h.err
}

func (h dynamicsFake) Vjp(context.Context, *modelv1.VjpRequest) (*modelv1.VjpResponse, error) {
	return &modelv1.VjpResponse{DState: h.dynamics, DInput: h.dynamics}, h.err
}

func (h dynamicsFake) Jacobians(_ *modelv1.JacobiansRequest, s modelv1.DynamicsService_JacobiansServer) error {
	return play(h.hostile, func(f *tensorv1.Frame) error { return s.Send(&modelv1.JacobiansResponse{Frame: f}) })
}

type simulatorFake struct {
	simulatorv1.UnimplementedSimulatorServiceServer
	*hostile
}

func (h simulatorFake) Spec(context.Context, *simulatorv1.SpecRequest) (*simulatorv1.SpecResponse, error) {
	return h.simSpec, h.err
}

func (h simulatorFake) Fit(s simulatorv1.SimulatorService_FitServer) error {
	drain(s.Recv)
	return play(h.hostile, func(f *tensorv1.Frame) error { return s.Send(&simulatorv1.FitResponse{Frame: f}) })
}

func (h simulatorFake) Simulate(s simulatorv1.SimulatorService_SimulateServer) error {
	drain(s.Recv)
	return play(h.hostile, func(f *tensorv1.Frame) error { return s.Send(&simulatorv1.SimulateResponse{Frame: f}) })
}

func (h *hostile) Compare(s comparatorv1.ComparatorService_CompareServer) error {
	drain(s.Recv)
	for _, m := range h.comparison {
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return h.err
}

// drain reads what the caller has to say.
func drain[M any](recv func() (M, error)) {
	for {
		if _, err := recv(); err != nil {
			return
		}
	}
}

// play sends the frames.
func play(h *hostile, send func(*tensorv1.Frame) error) error {
	for _, f := range h.frames {
		if err := send(f); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
	return h.err
}

// serve serves h in this process.
func (h *hostile) serve(t *testing.T) *client.Plugin {
	t.Helper()
	s := grpc.NewServer()
	pluginv1.RegisterPluginServiceServer(s, h)
	taskv1.RegisterTaskServiceServer(s, taskFake{hostile: h})
	modelv1.RegisterModelServiceServer(s, modelFake{hostile: h})
	modelv1.RegisterDynamicsServiceServer(s, dynamicsFake{hostile: h})
	simulatorv1.RegisterSimulatorServiceServer(s, simulatorFake{hostile: h})
	comparatorv1.RegisterComparatorServiceServer(s, h)
	l := bufconn.Listen(1 << 20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	conn, err := grpc.NewClient("passthrough:///hostile", append(client.DialOptions(), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return l.DialContext(ctx)
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		<-done
	})
	return client.New(conn, "", "")
}
