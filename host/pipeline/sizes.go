package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

type trainedKey struct {
	use  *experiment.Use
	spec *task.Spec
}

// latentsOf is how many latents a model has that is trained on a task, as its dynamics say; 0 where it has none or does not show them.
func (v *validation) latentsOf(ctx context.Context, u *experiment.Use, spec *task.Spec) (int, error) {
	key := trainedKey{u, spec}
	if n, ok := v.latents[key]; ok {
		return n, nil
	}
	if !u.Info.Can(component.HasDynamics) {
		return 0, nil
	}
	p, err := v.plugin(ctx, u)
	if err != nil {
		return 0, err
	}
	m, err := p.Client.OpenModel(ctx, u.Info.Name, u.Params, v.env(u.Seed), model.Target{Task: spec})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	n, err := latents(ctx, m)
	if err = errors.Join(err, m.Close(ctx)); err != nil {
		return 0, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	v.latents[key] = n
	return n, nil
}

// latents is how many latents an open model has, 0 where it does not say.
func latents(ctx context.Context, m model.Model) (int, error) {
	d, err := m.Dynamics(ctx)
	if errors.Is(err, component.ErrUnsupported) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	layout, err := d.Layout(ctx)
	return layout.Observable[model.Latents], err
}

type spikesKey struct {
	use    *experiment.Use
	source simulator.Source
}

// spikes are the sizes of a data set that is to be simulated.
type spikes struct{ data model.DataSpec }

// simulated is the spec of the data set that a simulator will make, whose training and validation trials are as artifact.CreateDataset divides them.
func (v *validation) simulated(ctx context.Context, u *experiment.Use, source simulator.Source) (*model.DataSpec, error) {
	key := spikesKey{u, source}
	if s, ok := v.spikes[key]; ok {
		return &s.data, nil
	}
	p, err := v.plugin(ctx, u)
	if err != nil {
		return nil, err
	}
	s, err := p.Client.OpenSimulator(ctx, u.Info.Name, u.Params, v.env(u.Seed), source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	spec, err := s.Spec(ctx)
	if err = errors.Join(err, s.Close(ctx)); err != nil {
		return nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	trials := source.Task.TrainTrials + source.Task.ValidTrials
	train := artifact.TrainTrials(trials)
	known := &spikes{model.DataSpec{
		Neurons: spec.Neurons, HeldIn: spec.HeldIn, Inputs: source.Task.Inputs, Bins: spec.To - spec.From, BinWidth: source.Task.BinWidth,
		TrainTrials: train, ValidTrials: trials - train,
	}}
	v.spikes[key] = known
	return &known.data, nil
}

// checkedDataset is a data set of the user's that was read whole.
type checkedDataset struct {
	spec     *model.DataSpec
	hash     string
	problems []param.Problem
}

func (v *validation) dataset(ctx context.Context, path string) (*checkedDataset, error) {
	if d, ok := v.datasets[path]; ok {
		return d, nil
	}
	d := &checkedDataset{}
	problems, err := v.userFile(ctx, "dataset", DatasetKind, path)
	if err != nil {
		return nil, err
	}
	if d.problems = problems; len(problems) == 0 {
		file, err := artifact.OpenDataset(path)
		if err != nil {
			return nil, err
		}
		spec := file.Spec()
		d.spec = &spec
		if err := file.Close(); err != nil {
			return nil, err
		}
		if d.hash, err = artifact.HashFile(path); err != nil {
			return nil, err
		}
	}
	v.datasets[path] = d
	return d, nil
}

// userFile reads a file of the user's whole, in a process of its own where the host has one for that, and returns what is wrong with it.
func (v *validation) userFile(ctx context.Context, key string, kind FileKind, path string) ([]param.Problem, error) {
	check := v.host.CheckFile
	if check == nil {
		check = CheckFile
	}
	err := check(ctx, kind, path)
	var wrong *artifact.FormatError
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &wrong):
		out := make([]param.Problem, len(wrong.Problems))
		for i, p := range wrong.Problems {
			out[i] = param.Problem{Path: key, Message: fmt.Sprintf("%s: %s", path, p)}
		}
		return out, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return []param.Problem{{Path: key, Message: err.Error()}}, nil
}
