package client

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"

	comparatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/comparator/v1"
	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	simulatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/simulator/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// Address is where another plugin can dial this one, e.g. "unix:///path"; empty where it cannot be.
func (p *Plugin) Address() string { return p.address }

// Bytes sends a method one message of whatever bytes, as nobody but a test of conformance does, and waits until the call has ended. The error is what the plugin made of it; nil
// where it took them for a call.
func (p *Plugin) Bytes(ctx context.Context, method string, message []byte) error {
	return p.bytes(ctx, "", method, message)
}

// Bytes is [Plugin.Bytes] for a call on the instance.
func (i *instance) Bytes(ctx context.Context, method string, message []byte) error {
	return i.plugin.bytes(ctx, i.id, method, message)
}

func (p *Plugin) bytes(ctx context.Context, instance, method string, message []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	desc := &grpc.StreamDesc{StreamName: method, ClientStreams: true, ServerStreams: true}
	stream, err := p.conn.NewStream(p.outgoing(ctx, instance), desc, method, grpc.ForceCodec(asTheyAre{}))
	if err != nil {
		return typed(ctx, err)
	}
	// An error of sending is that the stream has ended, whose reason comes with what is received.
	if err := stream.SendMsg(&message); err == nil {
		_ = stream.CloseSend()
	}
	for {
		var answer []byte
		if err := stream.RecvMsg(&answer); err != nil {
			if err == io.EOF {
				return nil
			}
			return typed(ctx, err)
		}
	}
}

// Methods are the full names of the methods of the services that a component of a kind has, or of those that every plugin has where the kind is empty.
func Methods(k component.Kind) []string {
	services := []grpc.ServiceDesc{pluginv1.PluginService_ServiceDesc}
	switch k {
	case component.Task:
		services = []grpc.ServiceDesc{taskv1.TaskService_ServiceDesc}
	case component.Model:
		services = []grpc.ServiceDesc{modelv1.ModelService_ServiceDesc, modelv1.DynamicsService_ServiceDesc}
	case component.Simulator:
		services = []grpc.ServiceDesc{simulatorv1.SimulatorService_ServiceDesc}
	case component.Comparator:
		services = []grpc.ServiceDesc{comparatorv1.ComparatorService_ServiceDesc}
	}
	var out []string
	for _, s := range services {
		for _, m := range s.Methods {
			out = append(out, "/"+s.ServiceName+"/"+m.MethodName)
		}
		for _, m := range s.Streams {
			out = append(out, "/"+s.ServiceName+"/"+m.StreamName)
		}
	}
	return out
}

// asTheyAre takes bytes for a message.
type asTheyAre struct{}

// Marshal returns the bytes.
func (asTheyAre) Marshal(v any) ([]byte, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("client: %T: bytes are needed", v)
	}
	return *b, nil
}

// Unmarshal keeps the bytes.
func (asTheyAre) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("client: %T: bytes are needed", v)
	}
	*b = append((*b)[:0], data...)
	return nil
}

// Name is that of protobuf's codec, which the other end has.
func (asTheyAre) Name() string { return "proto" }
