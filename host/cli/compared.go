package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// compared is what arguments of the command name: a run with those of its models that are meant, or a model's folder that is in no run.
type compared struct {
	// arg is what the run or folder was called, and said what stages of a run were called of their own; dir is where it is.
	arg  string
	said map[string]string
	dir  string
	// label is what the run is called in the names of its models.
	label string
	// own is the network of the run, nil where it has none; network says whether it is meant, and fits which fits are.
	own     *artifact.Stage
	network bool
	fits    []artifact.Stage
	// exp is the run's experiment; nil where it is not known.
	exp *experiment.Experiment
	// dataset is the file of the run's data set, empty where there is none; hash is that of its contents. gone says why it cannot be read.
	dataset, hash string
	gone          error
	// lost says why the network that the run loaded from elsewhere cannot be read.
	lost error
}

// called is a stage as the user would.
func (r *compared) called(st artifact.Stage) string {
	if arg, ok := r.said[st.Name]; ok {
		return arg
	}
	if r.dir == st.Dir {
		return r.arg
	}
	return filepath.Join(r.arg, filepath.FromSlash(st.Name))
}

const (
	// aRun and aModel are what an argument may be.
	aRun   = "a run's folder has experiment.yaml, or a folder of a stage with record.json (RUN/train, RUN/simulate, RUN/fit/NAME)"
	aModel = "a model's folder has record.json and weights.safetensors, and that of a model that was fitted to spikes inferred.h5 too"
)

// meant adds what an argument names to the runs and folders so far.
func meant(c *cli.Context, all []*compared, arg string) ([]*compared, error) {
	path := arg
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(c.String("root"), arg)
		info, err = os.Stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usagef("compare: %s: there is no such run or folder, neither here nor in %s", arg, c.String("root"))
	case err != nil:
		return nil, usagef("compare: %s: %w", arg, err)
	case !info.IsDir():
		return nil, usagef("compare: %s is a file: the folder of a run or of a model is needed", arg)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, usagef("compare: %s: %w", arg, err)
	}
	rec, err := artifact.ReadRecord(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return meantRun(all, arg, path)
	case err != nil:
		return nil, usagef("compare: %s: its record cannot be read: %s", arg, strings.TrimPrefix(bareError(err), path+string(filepath.Separator)))
	}
	up := map[string]string{artifact.TrainStage: "..", artifact.SimulateStage: "..", artifact.FitStage: filepath.Join("..", "..")}[rec.Stage]
	if up == "" {
		return nil, usagef("compare: %s holds what the stage %s made: a run's folder, RUN/train, RUN/simulate, RUN/fit/NAME or a copy of a model's folder is needed", arg, rec.Stage)
	}
	if run, err := artifact.OpenRun(filepath.Join(abs, up)); err == nil {
		for _, st := range run.Stages() {
			if sameFile(st.Dir, abs) {
				return meantStage(all, arg, filepath.Join(arg, up), run, st)
			}
		}
	}
	if rec.Stage == artifact.SimulateStage {
		return nil, usagef("compare: %s holds a data set outside of its run, so that the network behind it is not known: name the run, or compare by an experiment file with simulate: {dataset: %s}", arg, filepath.Join(arg, artifact.DatasetFile))
	}
	if slices.ContainsFunc(all, func(r *compared) bool { return sameFile(r.dir, abs) }) {
		return all, nil
	}
	st := artifact.Stage{Name: rec.Stage, Kind: rec.Stage, Label: filepath.Base(abs), Dir: abs, Record: rec}
	if err := complete(arg, st); err != nil {
		return nil, err
	}
	r := &compared{arg: arg, dir: abs, label: st.Label}
	if rec.Stage == artifact.TrainStage {
		r.own, r.network = &st, true
	} else {
		r.fits = append(r.fits, st)
	}
	return append(all, r), nil
}

// complete checks that a model's folder has what a model is made of again.
func complete(arg string, st artifact.Stage) error {
	need := []string{artifact.WeightsFile}
	if st.Kind == artifact.FitStage {
		need = append(need, artifact.InferredFile)
	}
	need = slices.DeleteFunc(need, st.Has)
	if len(need) == 0 {
		return nil
	}
	return usagef("compare: %s: %s is not there, in it %s: %s", arg, strings.Join(need, " and "), found(st.Dir), aModel)
}

// found says what is in a folder.
func found(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "is what cannot be read (" + bareError(err) + ")"
	}
	if len(entries) == 0 {
		return "is nothing"
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	if len(names) == 1 {
		return "is " + names[0]
	}
	return "are " + few(names)
}

// bareError is an error without the name of the package that it is from.
func bareError(err error) string { return strings.TrimPrefix(err.Error(), "artifact: ") }

// meantRun adds a run with all its models.
func meantRun(all []*compared, arg, path string) ([]*compared, error) {
	run, err := artifact.OpenRun(path)
	if err != nil {
		hint := aRun + "; " + aModel
		if _, statErr := os.Stat(filepath.Join(path, artifact.WeightsFile)); statErr == nil {
			hint = "record.json, which says what model weights.safetensors is of, is needed beside it"
		}
		return nil, usagef("compare: %s is neither a run's folder nor a model's, in it %s: %s", arg, found(path), hint)
	}
	if _, ok := run.Study(); ok {
		return nil, usagef("compare: %s is a study: name folders of its points, %s", arg, filepath.Join(arg, artifact.PointsDir, "NAME"))
	}
	for _, problem := range run.Problems() {
		// What earlier comparisons made is not needed.
		if stage := (*artifact.StageError)(nil); !errors.As(problem, &stage) || stage.Kind != artifact.CompareStage {
			return nil, usagef("compare: %s: %s: name the folders of the models that are whole, the network's first", arg, bareError(problem))
		}
	}
	all, r, err := ofRun(all, arg, run)
	if err != nil {
		return nil, err
	}
	r.network = r.own != nil
	for _, st := range run.Stages() {
		if st.Kind == artifact.FitStage {
			r.addFit(st)
		}
	}
	return all, nil
}

// meantStage adds a model of a run, whose folder is called by the argument for the model's, or a run for its data set alone.
func meantStage(all []*compared, arg, runArg string, run *artifact.Run, st artifact.Stage) ([]*compared, error) {
	if st.Kind != artifact.SimulateStage {
		if err := complete(arg, st); err != nil {
			return nil, err
		}
	}
	all, r, err := ofRun(all, runArg, run)
	if err != nil {
		return nil, err
	}
	r.said[st.Name] = arg
	switch st.Kind {
	case artifact.TrainStage:
		r.network = true
	case artifact.FitStage:
		r.addFit(st)
	}
	return all, nil
}

func (r *compared) addFit(st artifact.Stage) {
	if !slices.ContainsFunc(r.fits, func(have artifact.Stage) bool { return have.Name == st.Name }) {
		r.fits = append(r.fits, st)
	}
}

func sameFile(a, b string) bool {
	one, err1 := os.Stat(a)
	other, err2 := os.Stat(b)
	return errors.Join(err1, err2) == nil && os.SameFile(one, other)
}

// ofRun finds a run among those so far, or adds it, with its experiment, its network and its data set.
func ofRun(all []*compared, arg string, run *artifact.Run) ([]*compared, *compared, error) {
	if i := slices.IndexFunc(all, func(r *compared) bool { return sameFile(r.dir, run.Dir()) }); i >= 0 {
		return all, all[i], nil
	}
	dir, err := filepath.Abs(run.Dir())
	if err != nil {
		return nil, nil, usagef("compare: %s: %w", arg, err)
	}
	r := &compared{arg: arg, said: map[string]string{}, dir: dir, label: filepath.Base(dir)}
	data, err := run.Experiment()
	switch {
	case err == nil:
		study, err := experiment.Parse(filepath.Join(run.Dir(), artifact.ExperimentFile), data, nil)
		if err != nil {
			return nil, nil, err // it names the file
		}
		r.exp = study.Points[0].Experiment
	case !errors.Is(err, fs.ErrNotExist): // stages that were copied without it say enough
		return nil, nil, usagef("compare: %s: %s", arg, bareError(err))
	}
	if st, ok := run.Stage(artifact.TrainStage); ok {
		r.own = &st
	} else if r.exp != nil && r.exp.Train != nil && r.exp.Train.Load != "" {
		if rec, err := artifact.ReadRecord(r.exp.Train.Load); err != nil {
			r.lost = err
		} else {
			r.own = &artifact.Stage{Name: artifact.TrainStage, Kind: artifact.TrainStage, Dir: r.exp.Train.Load, Record: rec}
		}
	}
	if st, ok := run.Stage(artifact.SimulateStage); ok {
		r.dataset = filepath.Join(dir, st.Name, artifact.DatasetFile)
	} else if r.exp != nil && r.exp.Simulate != nil {
		r.dataset = r.exp.Simulate.Dataset
	}
	if r.dataset != "" {
		if r.hash, err = artifact.HashFile(r.dataset); err != nil {
			r.dataset, r.gone = "", err
		}
	}
	return append(all, r), r, nil
}

// task is the one that the run's network was trained on, nil where that is not known.
func (r *compared) task() *experiment.Use {
	if r.exp != nil && r.exp.Task != nil {
		return r.exp.Task
	}
	if r.own == nil {
		return nil
	}
	on, known := r.own.Record.Keyed("task")
	if !known {
		return nil
	}
	if on.Plugin != "" && on.Plugin != "builtin" {
		on.Component = on.Plugin + ":" + on.Component
	}
	ref, err := registry.ParseRef(on.Component)
	if err != nil {
		return nil
	}
	u := &experiment.Use{Ref: ref, Params: param.Values{}, Seed: on.Seed}
	for name, text := range on.Params {
		if u.Params[name], err = artifact.DecodeValue([]byte(text)); err != nil {
			return nil
		}
	}
	return u
}

// otherTask says in what the tasks of a network and of another's run differ, but for the seed of their trials; empty where they are one, as far as is known.
func otherTask(a, b artifact.Record, run string) string {
	one, known := a.Keyed("task")
	other, too := b.Keyed("task")
	if !known || !too {
		return ""
	}
	differences := one.Differences(other)
	if len(differences) == 0 {
		return ""
	}
	d := differences[0]
	if d.Param == "" {
		return fmt.Sprintf("it was trained on %s, the network of %s on %s", d.One, run, d.Other)
	}
	return fmt.Sprintf("it was trained with %s %s of %s, the network of %s with %s", d.Param, d.One, one.Component, run, d.Other)
}
