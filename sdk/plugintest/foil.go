package plugintest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// served is a plugin behind a socket in this process, as one in another would be.
type served struct {
	*client.Plugin
	server *serve.Server
	grpc   *grpc.Server
	conn   *grpc.ClientConn
	dir    string
	done   chan error
}

// serveHere serves a plugin. The socket is in a folder of its own with a short name, since the path of one may have a hundred characters.
func serveHere(p serve.Plugin, log *slog.Logger) (*served, error) {
	dir, err := os.MkdirTemp("", "ctdb")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return nil, errors.Join(err, l.Close(), os.RemoveAll(dir))
	}
	token := hex.EncodeToString(secret)
	s := &served{grpc: grpc.NewServer(serve.ServerOptions()...), dir: dir, done: make(chan error, 1)}
	s.server = serve.Register(s.grpc, p, serve.Options{Token: token, Log: log})
	go func() { s.done <- s.grpc.Serve(l) }()
	address := "unix://" + path
	if s.conn, err = client.Dial(address); err != nil {
		s.stop()
		return nil, err
	}
	s.Plugin = client.New(s.conn, address, token)
	return s, nil
}

func (s *served) stop() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	_ = s.server.Close(ctx)
	s.grpc.Stop()
	<-s.done
	_ = os.RemoveAll(s.dir)
}

// foil is the plugin that components are checked against.
type foil struct{ *served }

// Foil is a plugin with components of every kind, as small as they can be and right: others are checked with them, and with what is made wrong in them the suite itself is.
func Foil() serve.Plugin {
	return serve.Plugin{
		Name: "foil", Version: "1.0.0", Doc: "What other plugins are checked with.",
		Tasks: []task.Factory{foilTask(), foilLoop()}, Models: []model.Factory{foilModel()},
		Simulators: []simulator.Factory{foilSimulator()}, Comparators: []comparator.Factory{foilComparator()},
	}
}

func serveFoil() (*foil, error) {
	s, err := serveHere(Foil(), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("serving what plugins are checked with: %w", err)
	}
	return &foil{s}, nil
}

func (f *foil) close() { f.stop() }

// task opens the open-loop task, whose blocks have at most so many trials.
func (f *foil) task(ctx context.Context, short string, block int) (client.Task, error) {
	return f.OpenTask(ctx, component.Name{Kind: component.Task, Short: short}, param.Values{"block": block}, component.Env{Seed: 3, Threads: 1})
}
