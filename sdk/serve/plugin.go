package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
)

type pluginServer struct {
	pluginv1.UnimplementedPluginServiceServer
	s *Server
}

// Describe returns the manifest.
func (p *pluginServer) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return wire.ToManifest(p.s.manifest), nil
}

// opening is one component about to be opened, of whatever kind.
type opening struct {
	info   component.Info
	check  func(param.Values) []param.Problem
	memory func(values param.Values, threads int) component.Memory
	open   func(ctx context.Context, values param.Values, env component.Env) (any, error)
}

// opening finds the component that is asked for and what it must fit. mustFit is false while the target is not known.
func (p *pluginServer) opening(text string, target *pluginv1.Target, mustFit bool) (*opening, error) {
	name, err := component.ParseName(text)
	if err != nil {
		return nil, component.Invalid("component", "%v", err)
	}
	if _, ok := p.s.manifest.Find(name); !ok {
		var names []string
		for _, c := range p.s.manifest.Components {
			names = append(names, c.Name.String())
		}
		hint := param.DidYouMean(text, names)
		if hint != "" {
			hint = "; " + hint
		}
		return nil, fmt.Errorf("serve: plugin %s has no component %s%s: %w", p.s.manifest.Name, name, hint, component.ErrNotFound)
	}
	switch name.Kind {
	case component.Task:
		return p.task(name)
	case component.Model:
		return p.model(name, target, mustFit)
	case component.Simulator:
		return p.simulator(name, target)
	default:
		return p.comparator(name, target)
	}
}

func (p *pluginServer) task(name component.Name) (*opening, error) {
	for _, f := range p.s.plugin.Tasks {
		if f.Info.Name == name {
			open := func(ctx context.Context, v param.Values, env component.Env) (any, error) { return f.Open(ctx, v, env) }
			return &opening{f.Info, f.Check, f.Memory, open}, nil
		}
	}
	return nil, component.ErrNotFound
}

func (p *pluginServer) model(name component.Name, m *pluginv1.Target, mustFit bool) (*opening, error) {
	target, err := wire.FromTarget(m)
	if err != nil {
		return nil, err
	}
	if mustFit && target == (model.Target{}) {
		return nil, component.Invalid("target", "%s: the spec of a task or of a data set is needed", name)
	}
	for _, f := range p.s.plugin.Models {
		if f.Info.Name == name {
			o := &opening{info: f.Info, open: func(ctx context.Context, v param.Values, env component.Env) (any, error) {
				return f.Open(ctx, v, env, target)
			}}
			if f.Check != nil {
				o.check = func(v param.Values) []param.Problem { return f.Check(v, target) }
			}
			if f.Memory != nil {
				o.memory = func(v param.Values, threads int) component.Memory { return f.Memory(v, target, threads) }
			}
			return o, nil
		}
	}
	return nil, component.ErrNotFound
}

func (p *pluginServer) simulator(name component.Name, m *pluginv1.Target) (*opening, error) {
	source, err := wire.FromSource(m)
	if err != nil {
		return nil, err
	}
	for _, f := range p.s.plugin.Simulators {
		if f.Info.Name == name {
			o := &opening{info: f.Info, open: func(ctx context.Context, v param.Values, env component.Env) (any, error) {
				return f.Open(ctx, v, env, source)
			}}
			if f.Check != nil {
				o.check = func(v param.Values) []param.Problem { return f.Check(v, source) }
			}
			if f.Memory != nil {
				o.memory = func(v param.Values, threads int) component.Memory { return f.Memory(v, source, threads) }
			}
			return o, nil
		}
	}
	return nil, component.ErrNotFound
}

func (p *pluginServer) comparator(name component.Name, m *pluginv1.Target) (*opening, error) {
	sizes, err := wire.FromComparison(m)
	if err != nil {
		return nil, err
	}
	for _, f := range p.s.plugin.Comparators {
		if f.Info.Name == name {
			o := &opening{info: f.Info, check: f.Check, open: func(ctx context.Context, v param.Values, env component.Env) (any, error) {
				return f.Open(ctx, v, env)
			}}
			if f.Memory != nil {
				o.memory = func(v param.Values, threads int) component.Memory { return f.Memory(v, sizes, threads) }
			}
			return o, nil
		}
	}
	return nil, component.ErrNotFound
}

// resolve fills in defaults and checks, with paths below params where they name a parameter.
func (o *opening) resolve(given map[string]*pluginv1.Value) (param.Values, []param.Problem) {
	values, problems := o.info.Params.Resolve(wire.FromValues(given))
	for i := range problems {
		problems[i].Path = "params." + problems[i].Path
	}
	if len(problems) == 0 && o.check != nil {
		for _, q := range o.check(values) {
			root, _, _ := strings.Cut(q.Path, ".")
			root, _, _ = strings.Cut(root, "[")
			switch {
			case q.Path == "":
				q.Path = "params"
			case slices.Contains(o.info.Params.Names(), root):
				q.Path = "params." + q.Path
			}
			problems = append(problems, q)
		}
	}
	return values, problems
}

// Validate reports all that is wrong with parameters.
func (p *pluginServer) Validate(_ context.Context, req *pluginv1.ValidateRequest) (*pluginv1.ValidateResponse, error) {
	o, err := p.opening(req.GetComponent(), req.GetTarget(), false)
	if err != nil {
		return nil, err
	}
	values, problems := o.resolve(req.GetParams())
	if req.GetThreads() < 0 {
		problems = append(problems, param.Problem{Path: "threads", Message: fmt.Sprintf("%d: at least 1 is needed", req.GetThreads())})
	}
	out := &pluginv1.ValidateResponse{Problems: wire.ToProblems(problems)}
	if len(problems) == 0 && o.memory != nil {
		m := o.memory(values, max(1, int(req.GetThreads())))
		out.MemoryBytes, out.MemoryParams = max(0, m.Bytes), m.Params
	}
	return out, nil
}

// Open makes an instance.
func (p *pluginServer) Open(ctx context.Context, req *pluginv1.OpenRequest) (*pluginv1.OpenResponse, error) {
	o, err := p.opening(req.GetComponent(), req.GetTarget(), true)
	if err != nil {
		return nil, err
	}
	values, problems := o.resolve(req.GetParams())
	if req.GetThreads() < 0 {
		problems = append(problems, param.Problem{Path: "threads", Message: fmt.Sprintf("%d: at least 1 is needed", req.GetThreads())})
	}
	if dir := req.GetDir(); dir != "" {
		if at, err := os.Stat(dir); !filepath.IsAbs(dir) || err != nil || !at.IsDir() {
			problems = append(problems, param.Problem{Path: "dir", Message: fmt.Sprintf("%q: the absolute path of a folder is needed", dir)})
		}
	}
	if len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	env := component.Env{
		Seed: req.GetSeed(), Threads: max(1, int(req.GetThreads())), Dir: req.GetDir(), Log: p.s.log.With("component", o.info.Name.String()),
	}
	value, err := o.open(ctx, values, env)
	if err != nil {
		return nil, err
	}
	if err := fulfils(o.info, value); err != nil {
		return nil, err
	}
	i := p.s.add(o.info, value)
	return &pluginv1.OpenResponse{Instance: i.id, Capabilities: wire.FromCapabilities(o.info.Capabilities)}, nil
}

// Close ends an instance.
func (p *pluginServer) Close(ctx context.Context, req *pluginv1.CloseRequest) (*pluginv1.CloseResponse, error) {
	return &pluginv1.CloseResponse{}, p.s.close(ctx, req.GetInstance())
}

// Grant makes a token for some methods of an instance.
func (p *pluginServer) Grant(_ context.Context, req *pluginv1.GrantRequest) (*pluginv1.GrantResponse, error) {
	token, err := p.s.allow(req.GetInstance(), req.GetMethods())
	return &pluginv1.GrantResponse{Token: token}, err
}

// Revoke ends a token.
func (p *pluginServer) Revoke(_ context.Context, req *pluginv1.RevokeRequest) (*pluginv1.RevokeResponse, error) {
	p.s.revoke(req.GetToken())
	return &pluginv1.RevokeResponse{}, nil
}

// Health says how the plugin is doing.
func (p *pluginServer) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	out := &pluginv1.HealthResponse{Ready: !p.s.isDraining()}
	for _, i := range p.s.instances {
		if r, ok := i.lastReport(); ok {
			out.Activities = append(out.Activities, &pluginv1.Activity{Instance: i.id, Last: wire.ToProgress(r.last), Age: durationpb.New(time.Since(r.at))})
		}
	}
	return out, nil
}

// Drain brings the plugin to an end.
func (p *pluginServer) Drain(ctx context.Context, req *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	var patience time.Duration
	if d := req.GetDeadline(); d != nil {
		// The last quarter is for what is cancelled to come to its end.
		patience = max(d.AsDuration()*3/4, time.Nanosecond)
	}
	return &pluginv1.DrainResponse{}, p.s.drain(ctx, patience)
}
