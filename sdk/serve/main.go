package serve

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/ctdb-host/ctdb/sdk/client"
)

// closeTime is what instances have to end in when the process is told to stop.
const closeTime = 5 * time.Second

// Main is a plugin's whole main: it serves over go-plugin until it is told to stop, and then returns. When the host is gone, which standard input tells it (see
// [client.LifelineEnv]), the process is killed with its process group, whatever it is doing. It exits with status 1 and a message where the
// process was not started by a host.
func Main(p Plugin) {
	// go-plugin replaces os.Stdout and os.Stderr by pipes of its own; the log goes to the real standard error, which the host reads line by line.
	stderr := os.Stderr
	handshake := client.Handshake()
	token := os.Getenv(client.TokenEnv)
	if os.Getenv(handshake.MagicCookieKey) == handshake.MagicCookieValue && token == "" {
		fmt.Fprintf(stderr, "serve: plugin %s: the environment variable %s is not set: a host sets it to the token that calls must carry\n", p.Name, client.TokenEnv)
		os.Exit(1)
	}
	// What the component starts need not know it.
	if err := os.Unsetenv(client.TokenEnv); err != nil {
		fmt.Fprintf(stderr, "serve: plugin %s: %v\n", p.Name, err)
		os.Exit(1)
	}
	if token != "" {
		setName(filepath.Base(os.Args[0]))
		holdOn(os.Stdin)
	}
	limitGarbage()
	b := &binding{plugin: p, options: Options{Token: token, Log: slog.New(NewLogHandler(stderr, p.Name))}}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{client.PluginName: b},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, ServerOptions()...)...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Name: p.Name, Level: hclog.Warn, Output: stderr, JSONFormat: true}),
	})
	if b.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		// What does not end in time ends with the process.
		_ = b.server.Close(ctx)
	}
}

// binding is the server's side of the one name that a plugin dispenses.
type binding struct {
	plugin.NetRPCUnsupportedPlugin
	plugin  Plugin
	options Options
	server  *Server
}

var _ plugin.GRPCPlugin = (*binding)(nil)

// GRPCServer registers the plugin's services.
func (b *binding) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	b.server = Register(s, b.plugin, b.options)
	return nil
}

// GRPCClient returns an error: package client is the other end.
func (b *binding) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("serve: plugin %s serves, package client calls", b.plugin.Name)
}
