// Command broken is a plugin that is wrong in one way, which its argument names: each must fail the conformance suite, with a message that says what to mend. What it is made wrong from is
// package plugintest's own foil, which passes.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/plugintest"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

// fault makes a plugin wrong.
type fault func(p *serve.Plugin)

func main() {
	p := plugintest.Foil()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "broken: the name of a fault is needed")
		os.Exit(2)
	}
	name := os.Args[1]
	if f, ok := taskFaults()[name]; ok {
		f(&p)
	} else if f, ok := loopFaults()[name]; ok {
		f(&p)
	} else if f, ok := modelFaults()[name]; ok {
		f(&p)
	} else if f, ok := otherFaults()[name]; ok {
		f(&p)
	} else if f, ok := processFaults()[name]; ok {
		f(&p)
	} else if f, ok := protocolFaults()[name]; ok {
		if name == "slow-health" {
			slowly(&p)
		}
		serveWith(p, f)
		return
	} else if name != "none" {
		fmt.Fprintf(os.Stderr, "broken: there is no fault %q\n", name)
		os.Exit(2)
	}
	serve.Main(p)
	if name == "stays" {
		select {}
	}
}

// intercept sees every call of one answer before it is answered: next gives the right answer.
type intercept func(ctx context.Context, method string, req any, next func(ctx context.Context) (any, error)) (any, error)

// token is what calls must carry, and training how many trainings run.
var (
	token    string
	training atomic.Int64
)

// slowly has training take a moment.
func slowly(p *serve.Plugin) {
	modelled(func(m *wrongModel) {
		m.train = func(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
			training.Add(1)
			defer training.Add(-1)
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
			}
			return m.Model.Train(ctx, req, report)
		}
	})(p)
}

// serveWith serves as serve.Main does, with something between the calls and their answers.
func serveWith(p serve.Plugin, between intercept) {
	token = os.Getenv(client.TokenEnv)
	if token == "" {
		fmt.Fprintln(os.Stderr, "broken: this is a plugin")
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: client.Handshake(),
		Plugins:         plugin.PluginSet{client.PluginName: &served{plugin: p}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			one := grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				return between(ctx, info.FullMethod, req, func(ctx context.Context) (any, error) { return handler(ctx, req) })
			})
			return grpc.NewServer(append(append(opts, serve.ServerOptions()...), one)...)
		},
	})
}

type served struct {
	plugin.NetRPCUnsupportedPlugin
	plugin serve.Plugin
}

// GRPCServer registers the plugin's services.
func (s *served) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	serve.Register(g, s.plugin, serve.Options{Token: token, Log: slog.New(slog.DiscardHandler)})
	return nil
}

// GRPCClient is for the other end.
func (*served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("broken: it serves")
}
