package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// Validate asks every component of a resolved experiment whether it accepts its parameters for the sizes that it will be given, and reads what the
// experiment loads. All problems are returned together in an [*experiment.Error], with their places in the file, or in an
// [*artifact.FormatError] of a data set. Nothing is written.
func Validate(ctx context.Context, study *experiment.Study, host Host) error {
	v := &validation{host: host.complete(), procs: map[string]*launch.Process{}}
	defer v.stop()
	found := make([][]experiment.Problem, len(study.Points))
	for i, p := range study.Points {
		v.problems = nil
		if err := v.experiment(ctx, p.Experiment); err != nil {
			return errors.Join(err, v.format)
		}
		found[i] = v.problems
	}
	return errors.Join(experiment.Join(study.Shared(found)...), v.format)
}

type validation struct {
	host     Host
	procs    map[string]*launch.Process
	problems []experiment.Problem
	format   error
}

func (v *validation) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, p := range v.procs {
		if err := p.Stop(ctx); err != nil && v.host.Log != nil {
			v.host.Log.Warn("stopping a plugin", "error", err)
		}
	}
}

func (v *validation) experiment(ctx context.Context, e *experiment.Experiment) error {
	var spec *task.Spec
	var source *simulator.Source
	if e.Task != nil {
		s, err := v.taskSpec(ctx, e.Task, e.Task.Params)
		if err != nil {
			return err
		}
		spec = s
	}
	if e.Train != nil && e.Train.Use != nil {
		if err := v.check(ctx, e.Train.Use, client.ValidateRequest{Task: spec}); err != nil {
			return err
		}
	}
	if e.Simulate != nil && e.Simulate.Use != nil {
		if spec != nil {
			laid, err := v.simulated(ctx, e, spec)
			if err != nil {
				return err
			}
			if laid != nil {
				source = &simulator.Source{Bins: laid.Bins, Task: laid}
			}
		}
		if err := v.check(ctx, e.Simulate.Use, client.ValidateRequest{Source: source}); err != nil {
			return err
		}
	}
	var data *model.DataSpec
	if e.Simulate != nil && e.Simulate.Dataset != "" {
		d, err := v.dataset(ctx, e.Simulate.Dataset)
		if err != nil {
			return err
		}
		data = d
	}
	for _, f := range e.Fit {
		if f.Use == nil {
			continue
		}
		if err := v.check(ctx, f.Use, client.ValidateRequest{Data: data}); err != nil {
			return err
		}
	}
	for _, c := range e.Compare {
		if err := v.check(ctx, c.Use, client.ValidateRequest{}); err != nil {
			return err
		}
	}
	return nil
}

// dataset reads a data set whole; what is wrong with it is kept as the validation's format error.
func (v *validation) dataset(ctx context.Context, path string) (*model.DataSpec, error) {
	d, err := artifact.OpenDataset(path)
	if err == nil {
		defer d.Close()
		err = d.Check(ctx)
	}
	var wrong *artifact.FormatError
	if errors.As(err, &wrong) {
		v.format = err
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	spec := d.Spec()
	return &spec, nil
}

// taskSpec validates a task and asks for its spec; nil where the task does not accept its parameters.
func (v *validation) taskSpec(ctx context.Context, u *experiment.Use, params param.Values) (*task.Spec, error) {
	before := len(v.problems)
	if err := v.checkWith(ctx, u, client.ValidateRequest{}, params); err != nil || len(v.problems) > before {
		return nil, err
	}
	p, err := v.plugin(ctx, u)
	if err != nil {
		return nil, err
	}
	t, err := p.Client.OpenTask(ctx, u.Info.Name, params, component.Env{Seed: u.Seed, Threads: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	if err := t.Close(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	return &spec, nil
}

// simulated is the spec of the trials that are simulated from.
func (v *validation) simulated(ctx context.Context, e *experiment.Experiment, trained *task.Spec) (*task.Spec, error) {
	laid := merged(e.Task.Params, trained.Simulation, e.Simulate.Trials.Params)
	return v.taskSpec(ctx, e.Task, laid)
}

func (v *validation) check(ctx context.Context, u *experiment.Use, req client.ValidateRequest) error {
	return v.checkWith(ctx, u, req, u.Params)
}

func (v *validation) checkWith(ctx context.Context, u *experiment.Use, req client.ValidateRequest, params param.Values) error {
	p, err := v.plugin(ctx, u)
	if err != nil {
		return err
	}
	req.Name, req.Params = u.Info.Name, params
	got, err := p.Client.Validate(ctx, req)
	if err != nil {
		return fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	for _, q := range got.Problems {
		v.problems = append(v.problems, u.Problem(q))
	}
	return nil
}

func (v *validation) plugin(ctx context.Context, u *experiment.Use) (*launch.Process, error) {
	found, err := v.host.Catalog.Find(u.Ref.String())
	if err != nil {
		return nil, err
	}
	c := found.Plugin.Candidate
	if p, ok := v.procs[c.Path]; ok {
		return p, nil
	}
	p, err := launch.Start(ctx, launch.Spec{Path: c.Path, Args: c.Args, Name: found.Plugin.Manifest.Name, SHA256: c.SHA256, Threads: 1, Log: v.host.Log})
	if err != nil {
		return nil, err
	}
	v.procs[c.Path] = p
	return p, nil
}
