package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/dustin/go-humanize/english"

	"github.com/ctdb-host/ctdb/plugins/builtin"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// armRow is training in closed loop on task/random-target at its published setting, but that the position counts in every bin from the first epoch on, as it does with the peer. An epoch is one batch.
// Unlike the peer's, the steps of ours have noise, pushes, and trials without a go cue.
func armRow(trials, bins, hidden, threads int) (row, error) {
	w := training{model: "gru", trials: trials, bins: bins, given: map[string]any{"hidden": hidden, "ic_noise": 0}}
	if err := w.find(); err != nil {
		return row{}, err
	}
	const name = "random-target"
	given := map[string]any{"n_trials": withValid(trials), "n_timesteps": bins, "horizon_epochs": 0}
	return row{
		name:    fmt.Sprintf("arm/B=%d/T=%d/H=%d, a step of the trainer in closed loop, %s", trials, bins, hidden, english.Plural(threads, "thread", "")),
		threads: threads, libraries: []string{motornet},
		peer:  []string{"-B", strconv.Itoa(trials), "-T", strconv.Itoa(bins), "-H", strconv.Itoa(hidden), "--threads", strconv.Itoa(threads)},
		open:  func() (ours, error) { return w.on(name, given, threads) },
		apart: func() (ours, error) { return w.onApart(name, given, threads) },
	}, nil
}

// multitaskRow is training on task/multitask. An epoch has a batch of each of the fifteen tasks.
func multitaskRow(batch, bins, hidden, threads int) (row, error) {
	const tasks = 15
	w := training{model: "gru", trials: tasks * batch, bins: bins, each: tasks, given: map[string]any{"hidden": hidden, "ic_noise": 0, "batch_size": batch}}
	if err := w.find(); err != nil {
		return row{}, err
	}
	c := steptime.Case{Sequence: kernel.SequenceConfig{Cell: kernel.CellGRU, B: batch, T: bins, I: 5 + tasks, H: hidden, O: 3}}
	return row{
		name:    "model/" + c.Name() + "/multitask, a step of the trainer, " + english.Plural(threads, "thread", ""),
		threads: threads, flops: c.FLOPs(), libraries: []string{torch, jax}, peer: peerArguments(c, threads), implementations: implementations(c.Sequence.Cell),
		open: func() (ours, error) {
			return w.on("multitask", map[string]any{"n_trials": withValid(batch), "n_timesteps": bins}, threads)
		},
	}, nil
}

// withValid is the number of trials of which so many, a multiple of 4, are to train on: four fifths.
func withValid(train int) int { return train / 4 * 5 }

// on opens the task in this process.
func (w training) on(name string, given map[string]any, threads int) (ours, error) {
	tasks := builtin.Plugin().Tasks
	i := slices.IndexFunc(tasks, func(f task.Factory) bool { return f.Info.Name.Short == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no task/%s", name)
	}
	values, problems := tasks[i].Info.Params.Resolve(given)
	if len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	t, err := tasks[i].Open(context.Background(), values, component.Env{Seed: 1, Threads: threads})
	if err != nil {
		return nil, err
	}
	opened, err := w.with(t)
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// onApart opens the task in a process of its own.
func (w training) onApart(name string, given map[string]any, threads int) (ours, error) {
	other, end, err := startBuiltin(threads)
	if err != nil {
		return nil, err
	}
	t, err := other.OpenTask(context.Background(), component.Name{Kind: component.Task, Short: name}, given, component.Env{Seed: 1, Threads: threads})
	if err != nil {
		end()
		return nil, err
	}
	opened, err := w.with(t)
	if err != nil {
		end()
		return nil, err
	}
	opened.closing = func() error { end(); return nil }
	return opened, nil
}

// with is the training on a task, of which nothing is left to validate on, since an epoch's time is to be that of its steps.
func (w training) with(t task.Task) (*training, error) {
	switch k := t.(type) {
	case interface {
		task.ClosedLoop
		task.Distant
	}:
		t = distantLoop{unvalidatedLoop{k}, k.Distant()}
	case task.ClosedLoop:
		t = unvalidatedLoop{k}
	default:
		t = unvalidated{t}
	}
	spec, err := t.Spec(context.Background())
	if err != nil {
		return nil, err
	}
	if spec.TrainTrials != w.trials {
		return nil, fmt.Errorf("there are %d trials to train on, and %d are wanted", spec.TrainTrials, w.trials)
	}
	w.target.Task, w.request.Task = &spec, t
	return &w, nil
}

// unvalidated is a task without trials to validate on.
type unvalidated struct{ task.Task }

func (u unvalidated) Spec(ctx context.Context) (task.Spec, error) {
	return withoutValid(u.Task.Spec(ctx))
}

type unvalidatedLoop struct{ task.ClosedLoop }

func (u unvalidatedLoop) Spec(ctx context.Context) (task.Spec, error) {
	return withoutValid(u.ClosedLoop.Spec(ctx))
}

// distantLoop is in another process, which the trainer must know.
type distantLoop struct {
	unvalidatedLoop
	name string
}

var _ task.Distant = distantLoop{}

func (d distantLoop) Distant() string { return d.name }

func withoutValid(s task.Spec, err error) (task.Spec, error) {
	s.ValidTrials = 0
	return s, err
}
