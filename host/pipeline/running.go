package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
)

// role is what a component does in a stage.
type role string

const (
	roleTask       role = "task"
	roleModel      role = "model"
	roleSimulator  role = "simulator"
	roleComparator role = "comparator"
	// roleTruth is the task-trained model among the subjects of a comparison; the fitted ones are subjectRole(label).
	roleTruth role = "truth"
	// roleTrials is the task with the trials that were simulated from, where a comparison runs other networks over them.
	roleTrials role = "trials"
)

func subjectRole(label string) role { return role("subject/" + label) }

func subjectInput(label, file string) string { return string(subjectRole(label)) + "/" + file }

// use is a component as a stage uses it.
type use struct {
	found  catalog.Component
	params param.Values
	seed   uint64
	// overlay is laid over params and over what the task itself says of its simulated trials; nil where the task is used as it is.
	overlay param.Values
}

// running is a stage in execution: its private folders, its inputs and the processes that it keeps.
type running struct {
	*stage
	parts   KeyParts
	record  artifact.Record
	dir     string
	scratch string
	threads int
	// checkpointEvery is the time between checkpoints of a training.
	checkpointEvery time.Duration
	// maxTime ends a training; 0 does not.
	maxTime time.Duration
	// memory is how many bytes each process may use; 0 sets no limit.
	memory int64
	inputs map[string]string
	// live is the folder for curves while they grow; empty for none.
	live     string
	observer Observer
	log      *slog.Logger
	pulse    pulse

	mu     sync.Mutex
	procs  map[string]*launch.Process
	killed bool
}

// use describes a use of a component for messages.
func (r *running) use(ro role) KeyComponent { return r.parts.Components[string(ro)] }

func (r *running) seed(ro role) uint64 { return r.uses[ro].seed }

// path is the path of an input.
func (r *running) path(input string) string { return r.inputs[input] }

// has reports whether the stage has that input.
func (r *running) has(input string) bool { return r.inputs[input] != "" }

func (r *running) progress(phase string, done, total int64) {
	r.showed(component.Progress{Phase: phase, Done: done, Total: total, Loss: nan})
}

func (r *running) showed(p component.Progress) {
	r.pulse.heard(p)
	r.observer.StageProgress(r.name, p)
}

// plugin returns the process that serves a component, starting it at the stage's first use of the plugin.
func (r *running) plugin(ctx context.Context, ro role) (*launch.Process, error) {
	u, ok := r.uses[ro]
	if !ok {
		return nil, fmt.Errorf("pipeline: %s has no %s", r.name, ro)
	}
	c := u.found.Plugin.Candidate
	if p, ok := r.process(c.Path); ok {
		return p, nil
	}
	name := u.found.Plugin.Manifest.Name
	s := launch.Of(c)
	s.Name, s.Dir, s.Threads, s.Memory, s.Log = name, r.scratch, r.threads, r.memory, r.log.With("plugin", name)
	p, err := launch.Start(ctx, s)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.procs[c.Path] = p
	if r.killed {
		p.Kill()
	}
	return p, nil
}

func (r *running) process(path string) (*launch.Process, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.procs[path]
	return p, ok
}

// processes are those that were started.
func (r *running) processes() []*launch.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.procs))
}

// stop ends the stage's processes: in good order, or at once where ctx is done.
func (r *running) stop(ctx context.Context) error {
	var errs []error
	for _, p := range r.processes() {
		errs = append(errs, p.Stop(ctx))
	}
	return errors.Join(errs...)
}

// kill kills the stage's processes, those too that are just being started.
func (r *running) kill() {
	r.mu.Lock()
	r.killed = true
	r.mu.Unlock()
	for _, p := range r.processes() {
		p.Kill()
	}
}

func (r *running) env(ro role) component.Env {
	return component.Env{Seed: r.seed(ro), Threads: r.threads, Dir: r.scratch, Log: r.log}
}

// failed says which component failed in doing what, and adds what is known of a process that died.
func (r *running) failed(ro role, doing string, err error) error {
	if u, ok := r.uses[ro]; ok {
		if p, ok := r.process(u.found.Plugin.Candidate.Path); ok {
			err = r.elsewhere(p, p.Wrap(err))
		}
		return fmt.Errorf("%s: %s: %w", u.found.Name, doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// elsewhere adds to the error of a component in process own that another plugin, which it was leased an instance of, has died.
func (r *running) elsewhere(own *launch.Process, err error) error {
	var died *launch.ExitError
	if !errors.Is(err, component.ErrUnavailable) || errors.As(err, &died) {
		return err
	}
	for _, p := range r.processes() {
		if p == own {
			continue
		}
		if err = p.Wrap(err); errors.As(err, &died) {
			break
		}
	}
	return err
}

// open starts a role's plugin and opens an instance with call.
func open[T any](ctx context.Context, r *running, ro role, params param.Values, call func(*client.Plugin, component.Name, param.Values, component.Env) (T, error)) (T, error) {
	var none T
	p, err := r.plugin(ctx, ro)
	if err != nil {
		return none, err
	}
	instance, err := call(p.Client, r.uses[ro].found.Name, params, r.env(ro))
	if err != nil {
		return none, r.failed(ro, "open", err)
	}
	return instance, nil
}

// openTask opens the task; where the stage simulates from it, with the parameters of simulated trials.
func (r *running) openTask(ctx context.Context, ro role) (client.Task, error) {
	u := r.uses[ro]
	openWith := func(params param.Values) (client.Task, error) {
		return open(ctx, r, ro, params, func(p *client.Plugin, n component.Name, v param.Values, e component.Env) (client.Task, error) {
			return p.OpenTask(ctx, n, v, e)
		})
	}
	t, err := openWith(u.params)
	if err != nil || u.overlay == nil {
		return t, err
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return nil, r.failed(ro, "spec", err)
	}
	laid := merged(u.params, spec.Simulation, u.overlay)
	if err := t.Close(ctx); err != nil {
		return nil, r.failed(ro, "close", err)
	}
	return openWith(laid)
}

func (r *running) openModel(ctx context.Context, ro role, target model.Target) (client.Model, error) {
	return open(ctx, r, ro, r.uses[ro].params, func(p *client.Plugin, n component.Name, v param.Values, e component.Env) (client.Model, error) {
		return p.OpenModel(ctx, n, v, e, target)
	})
}

// openTrained opens a model and gives it weights from a file.
func (r *running) openTrained(ctx context.Context, ro role, target model.Target, weights string) (client.Model, error) {
	m, err := r.openModel(ctx, ro, target)
	if err != nil {
		return nil, err
	}
	w, _, err := artifact.ReadWeights(weights)
	if err != nil {
		return nil, err
	}
	if err := m.Load(ctx, w); err != nil {
		return nil, r.failed(ro, "loading "+filepath.Base(weights), err)
	}
	return m, nil
}

func (r *running) openSimulator(ctx context.Context, ro role, source simulator.Source) (client.Simulator, error) {
	return open(ctx, r, ro, r.uses[ro].params, func(p *client.Plugin, n component.Name, v param.Values, e component.Env) (client.Simulator, error) {
		return p.OpenSimulator(ctx, n, v, e, source)
	})
}

func (r *running) openComparator(ctx context.Context, ro role) (comparator.Comparator, error) {
	return open(ctx, r, ro, r.uses[ro].params, func(p *client.Plugin, n component.Name, v param.Values, e component.Env) (client.Comparator, error) {
		return p.OpenComparator(ctx, n, v, e)
	})
}

// merged lays later values over earlier ones.
func merged(layers ...param.Values) param.Values {
	out := param.Values{}
	for _, l := range layers {
		for name, v := range l {
			out[name] = v
		}
	}
	return out
}
