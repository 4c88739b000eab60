package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type networkKey struct {
	folder string
	task   *experiment.Use
	spec   *task.Spec
}

// network is a trained network that is loaded, and what is wrong with it.
type network struct {
	latents  int
	problems []param.Problem
	// loading is what it was read of; nil where it could not be.
	loading *loading
}

type fitKey struct {
	folder, hash string
	data         *model.DataSpec
}

// loading is a folder with a trained model, or its weights, as they are looked at.
type loading struct {
	v *validation
	// key is that of the experiment which names it, and where what messages begin with.
	key, where string
	record     artifact.Record
	use        use
	weights    tensor.Set
	problems   []param.Problem
}

func (l *loading) wrong(hint, format string, args ...any) {
	l.problems = append(l.problems, param.Problem{Path: l.key, Message: l.where + ": " + fmt.Sprintf(format, args...), Hint: hint})
}

// look reads the record and the weights. Without a record nothing more can be said, and ok is false.
func (v *validation) look(folder, stage string, need component.Capability) (l *loading, ok bool) {
	l = &loading{v: v, key: "load", where: folder}
	what := map[string]string{artifact.TrainStage: "a network that was trained on a task", artifact.FitStage: "a model that was fitted to spikes"}
	place := map[string]string{artifact.TrainStage: "RUN/train", artifact.FitStage: "RUN/fit/NAME"}
	var err error
	if l.record, err = artifact.ReadRecord(folder); err != nil {
		hint := ""
		if _, runErr := artifact.OpenRun(folder); runErr == nil {
			hint = "that is a run's folder: name the stage's within it"
		}
		l.wrong(hint, "the folder of %s is needed, as %s is: %v", what[stage], place[stage], cause(err))
		return l, false
	}
	if l.record.Stage != stage {
		l.wrong("", "it holds what the stage %s made: the folder of %s is needed, as %s is", l.record.Stage, what[stage], place[stage])
		return l, false
	}
	l.readWeights(filepath.Join(folder, artifact.WeightsFile))
	if l.use, err = loaded(v.host.Catalog, folder); err != nil {
		var missing *catalog.NotFoundError
		if errors.As(err, &missing) {
			p := missing.Problem()
			l.wrong(p.Hint, "%s", p.Message)
		} else {
			l.wrong("", "%s", strings.TrimPrefix(err.Error(), folder+": "))
		}
		return l, false
	}
	v.live[folder] = l.use.found.Can(component.HasDynamics)
	if !l.use.found.Can(need) {
		l.wrong("", "%s cannot be used here: a model that is %s is needed", l.record.Component, need)
		return l, false
	}
	return l, true
}

// readWeights reads a file and returns what it says of itself.
func (l *loading) readWeights(path string) map[string]string {
	w, about, err := artifact.ReadWeights(path)
	if err != nil {
		l.wrong("", "%v", strings.TrimPrefix(cause(err), l.where+": "))
		return nil
	}
	for _, t := range w {
		if err := t.CheckFinite(); err != nil {
			l.wrong("", "%s%v", strings.TrimPrefix(filepath.Base(path)+": ", filepath.Base(l.where)+": "), err)
		}
	}
	l.weights = w
	return about
}

// open opens the model for a target, as far as there is memory for it, and gives it the weights; inspect may look at it. What does not fit is noted.
func (l *loading) open(ctx context.Context, target model.Target, inspect func(model.Model) error) error {
	if l.weights == nil || len(l.problems) > 0 {
		return nil
	}
	p, err := l.v.process(ctx, l.use.found)
	if err != nil {
		return err
	}
	m, err := p.Client.OpenModel(ctx, l.use.found.Name, l.use.params, l.v.env(l.use.seed), target)
	if errors.Is(err, component.ErrInvalidArgument) {
		l.refused(err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.use.found.Name, p.Wrap(err))
	}
	err = m.Load(ctx, l.weights)
	if errors.Is(err, component.ErrInvalidArgument) {
		l.refused(err)
		err = nil
	} else if err == nil && inspect != nil {
		err = inspect(m)
	}
	if err = errors.Join(err, m.Close(ctx)); err != nil {
		return fmt.Errorf("%s: %w", l.use.found.Name, p.Wrap(err))
	}
	return nil
}

// refused notes what a model says of weights or of sizes that are not its own.
func (l *loading) refused(err error) {
	var invalid *component.InvalidArgumentError
	if !errors.As(err, &invalid) {
		l.wrong("", "%v", err)
		return
	}
	for _, p := range invalid.Problems {
		l.wrong(p.Hint, "%s", param.Problem{Path: p.Path, Message: p.Message})
	}
}

// network looks at a folder that a network is loaded from, once for each task that it is to do.
func (v *validation) network(ctx context.Context, folder string, on *experiment.Use, spec *task.Spec) (*network, error) {
	key := networkKey{folder, on, spec}
	if n, ok := v.networks[key]; ok {
		return n, nil
	}
	n := &network{}
	l, ok := v.look(folder, artifact.TrainStage, component.TrainsOnTask)
	if _, err := artifact.ReadScore(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.wrong("", "%v", strings.TrimPrefix(cause(err), folder+string(filepath.Separator)))
	}
	if ok && on != nil {
		for _, d := range otherTask(l.record, on) {
			l.wrong("give the task that the network was trained on, and what the simulation varies under simulate.task", "%s", d)
		}
		if spec != nil {
			err := l.open(ctx, model.Target{Task: spec}, func(m model.Model) (err error) {
				n.latents, err = latents(ctx, m)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	if n.problems = l.problems; ok {
		n.loading = l
	}
	v.networks[key] = n
	return n, nil
}

// otherTask says in what the task that a network was trained on, as its record has it, differs from the experiment's. The seed of the trials and parameters that
// either does not know do not count.
func otherTask(rec artifact.Record, u *experiment.Use) []string {
	was, known := rec.Keyed("task")
	flat, err := KeyParts{Components: map[string]KeyComponent{"task": {Component: u.Info.Name.String(), Params: u.Params}}}.Flat()
	if err != nil || !known {
		return nil
	}
	now, _ := artifact.Record{KeyParts: flat}.Keyed("task")
	var out []string
	for _, d := range was.Differences(now) {
		if d.Param == "" {
			out = append(out, fmt.Sprintf("the network was trained on %s, the experiment's task is %s", d.One, d.Other))
			continue
		}
		out = append(out, fmt.Sprintf("the network was trained with %s %s of %s, the experiment's task has %s", d.Param, d.One, was.Component, d.Other))
	}
	return out
}

// fitted looks at the folder of a fit that is loaded: of a model that was fitted to spikes, or of another network that was trained on the task.
func (v *validation) fitted(ctx context.Context, e *experiment.Experiment, f *experiment.Fit, k *known) ([]param.Problem, error) {
	if isNetwork(f.Load) {
		known, err := v.trialsKnown(e)
		if err != nil {
			return nil, err
		}
		if !known {
			return []param.Problem{{Path: "load", Message: f.Load + ": " + errNoTrials.Error()}}, nil
		}
		n, err := v.network(ctx, f.Load, e.Task, k.task)
		if err != nil {
			return nil, err
		}
		return n.problems, nil
	}
	if e.Simulate == nil && len(e.Compare) > 0 {
		return []param.Problem{{Path: "load", Message: f.Load + ": " + errNoDataset.Error()}}, nil
	}
	key := fitKey{f.Load, k.hash, k.data}
	if p, ok := v.fits[key]; ok {
		return p, nil
	}
	l, ok := v.look(f.Load, artifact.FitStage, component.TrainsOnData)
	if ok {
		if was := l.record.Inputs["dataset"]; k.hash != "" && was != k.hash {
			l.wrong("fit it again", "it was fitted to another data set (SHA-256 %.12s) than the experiment's (%.12s)", was, k.hash)
		}
		inferred := filepath.Join(f.Load, artifact.InferredFile)
		problems, err := v.userFile(ctx, "load", ArraysKind, inferred)
		if err != nil {
			return nil, err
		}
		l.problems = append(l.problems, problems...)
		if k.data != nil {
			if len(problems) == 0 {
				l.neurons(inferred, k.data)
			}
			if err := l.open(ctx, model.Target{Data: k.data}, nil); err != nil {
				return nil, err
			}
		}
	}
	v.fits[key] = l.problems
	return l.problems, nil
}

// trialsKnown reports whether it is known which trials networks can be observed on: those that the data set is simulated from, or without one the task's own.
func (v *validation) trialsKnown(e *experiment.Experiment) (bool, error) {
	switch {
	case e.Task == nil || e.Train == nil:
		return false, nil
	case e.Simulate == nil: // the task's own
		return true, nil
	case e.Simulate.Use != nil:
		return true, nil
	}
	found, err := v.host.Catalog.Find(e.Task.Ref.String())
	if err != nil {
		return false, err
	}
	return simulatedFrom(e, use{found: found, params: e.Task.Params, seed: e.Task.Seed}) != nil, nil
}

// neurons compares the sizes of what was inferred with the data set's.
func (l *loading) neurons(inferred string, data *model.DataSpec) {
	a, err := artifact.OpenArrays(inferred)
	if err != nil {
		l.wrong("", "%v", err)
		return
	}
	defer a.Close()
	for _, split := range []task.Split{task.Train, task.Valid} {
		want := []int{data.TrainTrials, data.Bins, data.Neurons}
		if split == task.Valid {
			want[0] = data.ValidTrials
		}
		for _, info := range a.Arrays(split) {
			if is := append([]int{a.Trials(split)}, info.Shape...); info.Name == model.Rates && !slices.Equal(is, want) {
				l.wrong("fit it again", "%s: the rates inferred for the %s trials are %v (trials, bins, neurons), those of the data set would be %v",
					artifact.InferredFile, split, is, want)
			}
		}
	}
}

// cause is an error without the prefix of the package that found it; of a file that is missing, just that.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Sprintf("%s: %v", filepath.Base(path.Path), path.Err)
	}
	return strings.TrimPrefix(err.Error(), "artifact: ")
}
