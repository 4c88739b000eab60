// Package client is the host's end of the plugin boundary: components in another process, as the very interfaces that local ones satisfy.
//
// A [Plugin] is one plugin process. Its Open methods return instances; each holds memory in the process until it is closed. Calls take a
// context, whose cancellation and deadline reach the process. Errors come back as the types of package component; where the process is gone,
// or what was lent is asked for again, as component.ErrUnavailable.
//
// A remote task handed to a remote model, or a remote model's dynamics handed to a remote comparator, are not called through here: the
// plugin that owns them grants a lease, the other plugin calls it directly, and the lease ends with the call.
package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// Plugin is a running plugin. Its methods may be called from several goroutines.
type Plugin struct {
	conn    *grpc.ClientConn
	rpc     pluginv1.PluginServiceClient
	address string
	token   string
}

// New returns the plugin at the other end of a connection, which stays the caller's. Address is where another plugin can dial it, e.g.
// "unix:///path"; empty where it cannot, and then its instances cannot be used from other plugins. Token is the one that the process was started with.
func New(conn *grpc.ClientConn, address, token string) *Plugin {
	return &Plugin{conn: conn, rpc: pluginv1.NewPluginServiceClient(conn), address: address, token: token}
}

// At returns p with another address and token, for use on what a [PluginSet] dispenses, which knows neither.
func (p *Plugin) At(address, token string) *Plugin { return New(p.conn, address, token) }

// outgoing gives ctx the metadata of a call on an instance; instance is empty for a call on the plugin itself.
func (p *Plugin) outgoing(ctx context.Context, instance string) context.Context {
	pairs := make([]string, 0, 4)
	if p.token != "" {
		pairs = append(pairs, wire.TokenKey, p.token)
	}
	if instance != "" {
		pairs = append(pairs, wire.InstanceKey, instance)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// typed returns what err means to the caller: the context's own error where that ended the call, else the error that crossed the boundary. A
// call that was cancelled, but not by the caller, lost its connection or its other end; one whose token is not known comes after the end of its lease.
func typed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	own, code := ctx.Err(), status.Code(err)
	switch {
	case own != nil && (code == codes.Canceled || code == codes.DeadlineExceeded):
		return own
	case code == codes.Canceled, code == codes.Unauthenticated:
		return fmt.Errorf("client: %w: %s", component.ErrUnavailable, wire.Clean(status.Convert(err).Message()))
	}
	return wire.FromStatus(err)
}

// Describe returns the plugin's manifest.
func (p *Plugin) Describe(ctx context.Context) (component.Manifest, error) {
	m, err := p.rpc.Describe(p.outgoing(ctx, ""), &pluginv1.DescribeRequest{})
	if err != nil {
		return component.Manifest{}, typed(ctx, err)
	}
	return wire.FromManifest(m)
}

// ValidateRequest says what would be opened. Of Task, Data, Source and Sizes at most one is given, as far as it is known: Task or Data for a model, Source for a
// simulator, Sizes for a comparator.
type ValidateRequest struct {
	Name   component.Name
	Params param.Values
	Task   *task.Spec
	Data   *model.DataSpec
	Source *simulator.Source
	Sizes  *comparator.Sizes
	// Distant is as in model.Target.
	Distant bool
	// Threads that the instance may keep busy, which the estimate of memory depends on; 0 means 1.
	Threads int
}

// Validation is a plugin's verdict.
type Validation struct {
	// Problems with paths such as "params.n_bits"; empty: all is well.
	Problems []param.Problem
	// MemoryBytes is an estimate of what the instance takes at its peak, see [component.Memory]; 0 where it is not known, math.MaxInt64 where it is beyond
	// counting.
	MemoryBytes int64
	// MemoryParams names the parameters that it depends on, the strongest first.
	MemoryParams []string
}

// Validate reports all that is wrong with parameters. Problems are no error: an error means that it could not be judged.
func (p *Plugin) Validate(ctx context.Context, req ValidateRequest) (Validation, error) {
	values, err := wire.ToValues(req.Params)
	if err != nil {
		return Validation{}, err
	}
	target, err := wire.ToTarget(model.Target{Task: req.Task, Data: req.Data, Distant: req.Distant})
	if target != nil && (req.Source != nil || req.Sizes != nil) || req.Source != nil && req.Sizes != nil {
		return Validation{}, component.Invalid("target", "two of a model's target, a simulator's source and a comparison's sizes are given: one is needed")
	}
	if err == nil && req.Source != nil {
		target, err = wire.ToSource(*req.Source)
	}
	if err != nil {
		return Validation{}, err
	}
	if req.Sizes != nil {
		target = wire.ToComparison(*req.Sizes)
	}
	m, err := p.rpc.Validate(p.outgoing(ctx, ""), &pluginv1.ValidateRequest{Component: req.Name.String(), Params: values, Target: target, Threads: int64(req.Threads)})
	if err != nil {
		return Validation{}, typed(ctx, err)
	}
	// An estimate that is not a number of bytes is none.
	return Validation{Problems: wire.FromProblems(m.GetProblems()), MemoryBytes: max(0, m.GetMemoryBytes()), MemoryParams: m.GetMemoryParams()}, nil
}

// OpenTask opens a task. It also is a task.ClosedLoop and a task.CustomLoss where the component's capabilities say so.
func (p *Plugin) OpenTask(ctx context.Context, name component.Name, params param.Values, env component.Env) (Task, error) {
	i, err := p.open(ctx, component.Task, name, params, env, nil)
	if err != nil {
		return nil, err
	}
	return newTask(i), nil
}

// OpenModel opens a model that fits the target.
func (p *Plugin) OpenModel(ctx context.Context, name component.Name, params param.Values, env component.Env, target model.Target) (Model, error) {
	t, err := wire.ToTarget(target)
	if err != nil {
		return nil, err
	}
	i, err := p.open(ctx, component.Model, name, params, env, t)
	if err != nil {
		return nil, err
	}
	return newModel(i), nil
}

// OpenSimulator opens a simulator for the source.
func (p *Plugin) OpenSimulator(ctx context.Context, name component.Name, params param.Values, env component.Env, source simulator.Source) (Simulator, error) {
	t, err := wire.ToSource(source)
	if err != nil {
		return nil, err
	}
	i, err := p.open(ctx, component.Simulator, name, params, env, t)
	if err != nil {
		return nil, err
	}
	return newSimulator(i), nil
}

// OpenComparator opens a comparator.
func (p *Plugin) OpenComparator(ctx context.Context, name component.Name, params param.Values, env component.Env) (Comparator, error) {
	i, err := p.open(ctx, component.Comparator, name, params, env, nil)
	if err != nil {
		return nil, err
	}
	return newComparator(i), nil
}

func (p *Plugin) open(ctx context.Context, kind component.Kind, name component.Name, params param.Values, env component.Env, target *pluginv1.Target) (*instance, error) {
	if name.Kind != kind {
		return nil, component.Invalid("component", "%s: a %s is needed", name, kind)
	}
	values, err := wire.ToValues(params)
	if err != nil {
		return nil, err
	}
	m, err := p.rpc.Open(p.outgoing(ctx, ""), &pluginv1.OpenRequest{
		Component: name.String(), Params: values, Seed: env.Seed, Threads: int64(env.Threads), Dir: env.Dir, Target: target,
	})
	if err != nil {
		return nil, typed(ctx, err)
	}
	// It goes into the metadata of every call, where only these characters may stand.
	if id := m.GetInstance(); id == "" || len(id) > 1024 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, component.Invalid("instance", "%s: the plugin named it %.100q: printable ASCII characters are needed", name, id)
	}
	return &instance{plugin: p, id: m.GetInstance(), name: name.String(), capabilities: wire.ToCapabilities(m.GetCapabilities())}, nil
}

// Health says how the plugin is doing. It answers at once, whatever else is running.
func (p *Plugin) Health(ctx context.Context) (component.Health, error) {
	m, err := p.rpc.Health(p.outgoing(ctx, ""), &pluginv1.HealthRequest{})
	if err != nil {
		return component.Health{}, typed(ctx, err)
	}
	h := component.Health{Ready: m.GetReady(), Last: map[string]component.Progress{}, Age: map[string]float64{}}
	for _, a := range m.GetActivities() {
		h.Last[a.GetInstance()] = wire.FromProgress(a.GetLast())
		h.Age[a.GetInstance()] = a.GetAge().AsDuration().Seconds()
	}
	return h, nil
}

// Drain asks the plugin to refuse new calls, and returns when none runs any more. Running ones are told (component.Draining), and are cancelled before
// ctx's deadline; without a deadline they are waited for.
func (p *Plugin) Drain(ctx context.Context) error {
	req := &pluginv1.DrainRequest{}
	if at, ok := ctx.Deadline(); ok {
		// What remains is for the answer to come back.
		req.Deadline = durationpb.New(time.Until(at) * 9 / 10)
	}
	_, err := p.rpc.Drain(p.outgoing(ctx, ""), req)
	return typed(ctx, err)
}

// instance is an opened component.
type instance struct {
	plugin       *Plugin
	id           string
	name         string
	capabilities []component.Capability
	// lease is what the instance was reached by, where this process does not own it but was let in.
	lease *wire.Lease
}

// outgoing gives ctx the metadata of a call on the instance.
func (i *instance) outgoing(ctx context.Context) context.Context { return i.plugin.outgoing(ctx, i.id) }

func (i *instance) can(c component.Capability) bool {
	return component.Info{Capabilities: i.capabilities}.Can(c)
}

// Close ends the instance: its running calls are cancelled and its memory is freed.
func (i *instance) Close(ctx context.Context) error {
	_, err := i.plugin.rpc.Close(i.plugin.outgoing(ctx, ""), &pluginv1.CloseRequest{Instance: i.id})
	return typed(ctx, err)
}

// grant returns a lease with which another plugin may call the methods, and what ends it.
func (i *instance) grant(ctx context.Context, methods []string) (*pluginv1.Lease, func(), error) {
	if i.lease != nil {
		return wire.ToLease(*i.lease), func() {}, nil
	}
	m, err := i.plugin.rpc.Grant(i.plugin.outgoing(ctx, ""), &pluginv1.GrantRequest{Instance: i.id, Methods: methods})
	if err != nil {
		return nil, nil, fmt.Errorf("client: lease of %s: %w", i.name, typed(ctx, err))
	}
	release := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTime)
		defer cancel()
		// A plugin that cannot answer has no lease left to end.
		_, _ = i.plugin.rpc.Revoke(i.plugin.outgoing(ctx, ""), &pluginv1.RevokeRequest{Token: m.GetToken()})
	}
	return wire.ToLease(wire.Lease{
		Address: i.plugin.address, Instance: i.id, Methods: methods, Token: m.GetToken(), Component: i.name, Capabilities: i.capabilities,
	}), release, nil
}

const revokeTime = 5 * time.Second
