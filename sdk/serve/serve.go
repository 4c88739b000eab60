// Package serve is a plugin's end of the boundary: it serves components over gRPC, under hashicorp/go-plugin.
//
//	func main() {
//		serve.Main(serve.Plugin{
//			Name: "my-plugin", Version: "1.0.0", Doc: "what is in it",
//			Tasks: []task.Factory{clicks.Factory()},
//		})
//	}
//
// Parameters are resolved and checked before a component sees them. A panic in a component becomes an InternalError at the other end, with the
// stack in the log; the process lives on (but nothing can catch a panic on a goroutine that the component started itself).
// What a component writes to its Env.Log, and what is written to standard error, reaches the run's log.
package serve

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"google.golang.org/grpc"

	comparatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/comparator/v1"
	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	simulatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/simulator/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// Plugin is what a plugin's main hands over.
type Plugin struct {
	// Name of the plugin, lower-case letters, digits and hyphens, and its semantic version.
	Name, Version string
	// Doc is one sentence on what is in it.
	Doc string
	// Numerics names what may change the last bits of results, e.g. {"kernel": "avx512"}; nil where nothing can.
	Numerics func() map[string]string

	Tasks       []task.Factory
	Models      []model.Factory
	Simulators  []simulator.Factory
	Comparators []comparator.Factory
}

// Manifest is what the plugin says of itself.
func (p Plugin) Manifest() component.Manifest {
	m := component.Manifest{
		Name: p.Name, Version: p.Version, Doc: p.Doc, Protocol: component.ProtocolMinor,
		Language: runtime.Version(), Build: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if p.Numerics != nil {
		m.Numerics = p.Numerics()
	}
	for _, f := range p.Tasks {
		m.Components = append(m.Components, f.Info)
	}
	for _, f := range p.Models {
		m.Components = append(m.Components, f.Info)
	}
	for _, f := range p.Simulators {
		m.Components = append(m.Components, f.Info)
	}
	for _, f := range p.Comparators {
		m.Components = append(m.Components, f.Info)
	}
	return m
}

// Options are what [Register] may be told.
type Options struct {
	// Token is what each call must carry; empty: none is asked for, as in a test within one process.
	Token string
	// Log takes the components' messages; nil: slog.Default().
	Log *slog.Logger
}

// Server holds the instances of a plugin.
type Server struct {
	plugin   Plugin
	manifest component.Manifest
	token    string
	log      *slog.Logger

	mu        sync.Mutex
	opened    int64
	instances map[string]*instance
	grants    map[string]*grant
	calls     map[*call]struct{}
	draining  chan struct{} // closed when Drain is called
	shut      bool          // no further calls at all
	quiet     chan struct{} // closed when the last call ends after that; nil before
}

// Register adds the services of a plugin to a gRPC server, which should have been made with [ServerOptions]. Names given twice panic: a mistake of the plugin's author.
func Register(s grpc.ServiceRegistrar, p Plugin, o Options) *Server {
	out := &Server{
		plugin: p, manifest: p.Manifest(), token: o.Token, log: o.Log,
		instances: map[string]*instance{}, grants: map[string]*grant{}, calls: map[*call]struct{}{}, draining: make(chan struct{}),
	}
	if out.log == nil {
		out.log = slog.Default()
	}
	var names []component.Name
	for _, c := range out.manifest.Components {
		if slices.Contains(names, c.Name) {
			panic(fmt.Sprintf("serve: plugin %s has two components named %s", p.Name, c.Name))
		}
		names = append(names, c.Name)
	}
	g := guarded{s, out}
	pluginv1.RegisterPluginServiceServer(g, &pluginServer{s: out})
	taskv1.RegisterTaskServiceServer(g, &taskServer{s: out})
	modelv1.RegisterModelServiceServer(g, &modelServer{s: out})
	modelv1.RegisterDynamicsServiceServer(g, &dynamicsServer{s: out})
	simulatorv1.RegisterSimulatorServiceServer(g, &simulatorServer{s: out})
	comparatorv1.RegisterComparatorServiceServer(g, &comparatorServer{s: out})
	return out
}

// ServerOptions are the gRPC options that a plugin's server needs: the protocol's limits.
func ServerOptions() []grpc.ServerOption {
	const buffer = 256 << 10
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(wire.ReceiveBytes),
		grpc.InitialWindowSize(client.StreamWindow),
		grpc.InitialConnWindowSize(4 * client.StreamWindow),
		grpc.ReadBufferSize(buffer),
		grpc.WriteBufferSize(buffer),
	}
}
