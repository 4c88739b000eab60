package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
)

// TokenEnv is the environment variable in which the host hands a plugin process the token that each call must carry.
const TokenEnv = "CTDB_PLUGIN_TOKEN"

// LifelineEnv is the environment variable in which the host tells a plugin process how to know that the host is gone. With [LifelineStdin] nothing is ever written
// to the process's standard input, and when it ends the host is gone: then the process must end at once, with all that it has started. Where the variable is not set,
// standard input says nothing.
const LifelineEnv = "CTDB_PLUGIN_LIFELINE"

// LifelineStdin is the value of [LifelineEnv].
const LifelineStdin = "stdin"

// PluginName is the one name that a plugin dispenses.
const PluginName = "ctdb"

// Handshake is what host and plugin must agree in before anything else: go-plugin's magic cookie, and the major version of the protocol.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  component.ProtocolMajor,
		MagicCookieKey:   "CTDB_PLUGIN",
		MagicCookieValue: "computation-through-dynamics",
	}
}

// PluginSet is what go-plugin's client needs to dispense [PluginName], which gives a [*Plugin]; see [Plugin.At].
func PluginSet() map[string]plugin.Plugin {
	return map[string]plugin.Plugin{PluginName: dispenser{}}
}

type dispenser struct{ plugin.NetRPCUnsupportedPlugin }

var _ plugin.GRPCPlugin = dispenser{}

// GRPCServer returns an error: package serve serves.
func (dispenser) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("client: the client's plugin set cannot serve")
}

// GRPCClient returns a [*Plugin] without address and token.
func (dispenser) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return New(conn, "", ""), nil
}

// Dispense returns the plugin of a process that go-plugin has started or is to start, with a client made with [PluginSet], whose calls carry the token.
func Dispense(c *plugin.Client, token string) (*Plugin, error) {
	protocol, err := c.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense(PluginName)
	if err != nil {
		return nil, err
	}
	p, ok := raw.(*Plugin)
	if !ok {
		return nil, fmt.Errorf("client: %T was dispensed: a client made with PluginSet is needed", raw)
	}
	addr, err := c.Start()
	if err != nil {
		return nil, err
	}
	return p.At(addr.Network()+"://"+addr.String(), token), nil
}

// StreamWindow is what one stream may have on its way before the receiver has taken it: 4 MiB. It bounds the memory that a slow consumer costs.
const StreamWindow = 4 << 20

// DialOptions are the gRPC options for connections to plugins, also through go-plugin's ClientConfig.GRPCDialOptions.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.ReceiveBytes)),
		grpc.WithInitialWindowSize(StreamWindow),
		grpc.WithInitialConnWindowSize(4 * StreamWindow),
		grpc.WithReadBufferSize(bufferBytes),
		grpc.WithWriteBufferSize(bufferBytes),
	}
}

// bufferBytes is large enough that a bulk transfer makes few system calls.
const bufferBytes = 256 << 10

// Dial connects to a plugin at an address such as "unix:///path". It does not wait for the connection.
func Dial(address string) (*grpc.ClientConn, error) { return grpc.NewClient(address, DialOptions()...) }
