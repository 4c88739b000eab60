package pipeline

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// networkRole is the role of a network among the subjects.
func networkRole(label string) role {
	if label == experiment.Truth {
		return roleTruth
	}
	return subjectRole(label)
}

// scoringRole is the task whose validation trials a network is scored on, where it has no score yet.
func scoringRole(label string) role { return role("scoring/" + label) }

// scoreInput is the score of a network that it was given when it was trained.
func scoreInput(label string) string {
	if label == experiment.Truth {
		return "score"
	}
	return subjectInput(label, "score")
}

// score adds the task's judgement of a network, where there is one: the one from its training, or, of a folder without it, one that is made in the same way. The
// task's own trials are not the simulated ones: what it scored goes along under names of its own, with as many rows as there were.
func (r *running) score(ctx context.Context, label string, s *comparator.Subject) error {
	var score task.Score
	var err error
	if input := scoreInput(label); r.has(input) {
		score, err = artifact.ReadScore(filepath.Dir(r.path(input)))
	} else if _, ok := r.uses[scoringRole(label)]; ok {
		score, err = r.scoreNow(ctx, label)
	} else {
		return nil
	}
	if err != nil {
		return err
	}
	s.Scored = tensor.Set{
		tensor.From64(comparator.Success, score.Success, len(score.Success)),
		tensor.From64(comparator.Loss, score.Loss, len(score.Loss)),
	}
	s.Scored = append(s.Scored, scoredParts(score)...)
	return nil
}

func (r *running) scoreNow(ctx context.Context, label string) (task.Score, error) {
	tk, spec, err := r.openTaskSpec(ctx, scoringRole(label))
	if err != nil {
		return task.Score{}, err
	}
	defer tk.Close(context.WithoutCancel(ctx))
	ro := networkRole(label)
	m, err := r.openTrained(ctx, ro, model.Target{Task: spec}, r.path(string(ro)+"/weights"))
	if err != nil {
		return task.Score{}, err
	}
	defer m.Close(context.WithoutCancel(ctx))
	return r.scored(ctx, scoringRole(label), tk, r.rolledOut(ctx, ro, m, tk))
}

// rolledOut are a trained network's outputs in the validation trials of its task.
func (r *running) rolledOut(ctx context.Context, ro role, m model.Model, tk task.Task) tensor.Blocks {
	req := model.RolloutRequest{Seed: r.seed(ro), Noise: true, Split: task.Valid}
	return r.beating(rollout(ctx, m, tk, req, tk.Trials(ctx, task.TrialRequest{Split: task.Valid})))
}

// scored is the task's judgement of outputs in its validation trials.
func (r *running) scored(ctx context.Context, ro role, tk task.Task, outputs tensor.Blocks) (task.Score, error) {
	score, err := tk.Score(ctx, task.ScoreRequest{Split: task.Valid}, outputs)
	if err != nil {
		return task.Score{}, r.failed(ro, "score", err)
	}
	return score, nil
}

// openTaskSpec opens a task and asks for its spec.
func (r *running) openTaskSpec(ctx context.Context, ro role) (client.Task, *task.Spec, error) {
	tk, err := r.openTask(ctx, ro)
	if err != nil {
		return nil, nil, err
	}
	spec, err := tk.Spec(ctx)
	if err != nil {
		return nil, nil, r.failed(ro, "spec", err)
	}
	return tk, &spec, nil
}

// networkSubject is the trained network without spikes: its task's score and, where the comparator asks for them, its dynamics.
func (r *running) networkSubject(ctx context.Context) (comparator.Subject, error) {
	s := comparator.Subject{Label: experiment.Truth, Role: comparator.Truth}
	if err := r.score(ctx, experiment.Truth, &s); err != nil {
		return s, err
	}
	if !r.wantsDynamics {
		s.Why = "the comparator does not ask for dynamics"
		return s, nil
	}
	taskSpec, err := r.taskSpec(ctx)
	if err != nil {
		return s, err
	}
	s.InputChannels = taskSpec.Inputs
	return s, r.lendDynamics(ctx, roleTruth, model.Target{Task: taskSpec}, &s)
}

// onOwnTrials are networks that are observed on the training and validation trials of the task that they were trained on: the experiment's own, which is the truth, and others.
func (r *running) onOwnTrials(ctx context.Context) (comparator.Request, error) {
	var req comparator.Request
	tk, spec, err := r.openTaskSpec(ctx, roleTrials)
	if err != nil {
		return req, err
	}
	defer tk.Close(context.WithoutCancel(ctx))
	labels := r.subjects
	if _, ok := r.uses[roleTruth]; ok {
		labels = append([]string{experiment.Truth}, labels...)
	}
	for _, label := range labels {
		s := comparator.Subject{Label: label, Role: comparator.Fitted, InputChannels: spec.Inputs}
		keep := []string{model.Latents}
		if label == experiment.Truth {
			s.Role, keep = comparator.Truth, nil
			for _, a := range subjectArrays {
				keep = append(keep, a.name)
			}
		}
		if err := r.observed(ctx, tk, spec, keep, &s); err != nil {
			return req, err
		}
		req.Subjects = append(req.Subjects, s)
	}
	return req, nil
}

// observed runs a network over both splits of a task's trials and adds those of the arrays that are to be kept, its score and its dynamics.
func (r *running) observed(ctx context.Context, tk client.Task, spec *task.Spec, keep []string, s *comparator.Subject) error {
	ro := networkRole(s.Label)
	m, err := r.openTrained(ctx, ro, model.Target{Task: spec}, r.path(string(ro)+"/weights"))
	if err != nil {
		return err
	}
	done, all := 0, int64(spec.TrainTrials+spec.ValidTrials)
	for split, into := range map[task.Split]*tensor.Set{task.Train: &s.Train, task.Valid: &s.Valid} {
		req := model.RolloutRequest{Seed: r.noiseSeed(s.Label), Noise: true, Split: split}
		blocks := rollout(ctx, m, tk, req, tk.Trials(ctx, task.TrialRequest{Split: split}))
		b, err := tensor.Collect(func(yield func(tensor.Block, error) bool) {
			for b, err := range blocks {
				b.Arrays = slices.DeleteFunc(b.Arrays, func(t *tensor.Tensor) bool { return !slices.Contains(keep, t.Name) })
				done += len(b.Trials)
				r.progress("rollout of "+s.Label, int64(done), all)
				if !yield(b, err) {
					return
				}
			}
		})
		if err != nil {
			return r.failed(ro, "rollout", err)
		}
		if b.Arrays.Get(model.Latents) == nil {
			return fmt.Errorf("%s: its rollout gave no latents, so it cannot be compared", r.use(ro).Component)
		}
		*into = b.Arrays
	}
	if err := r.score(ctx, s.Label, s); err != nil {
		return err
	}
	if !r.wantsDynamics {
		s.Why = "the comparator does not ask for dynamics"
		return nil
	}
	return r.dynamicsOf(ctx, ro, m, s)
}

// noiseSeed is the seed of a network's own noise as it is observed: one of its own, since two networks that shared their noise would look more alike than they are.
func (r *running) noiseSeed(label string) uint64 {
	return random.Key(r.seed(roleTrials), "network noise/"+label)
}

// replay runs a network that was trained on the task over the trials that the data set was simulated from, and adds its latents, in the data set's bins, its score and its
// dynamics. It has no rates.
func (r *running) replay(ctx context.Context, label string, data *artifact.Dataset, s *comparator.Subject) error {
	role := subjectRole(label)
	tk, taskSpec, err := r.openTaskSpec(ctx, roleTrials)
	if err != nil {
		return err
	}
	defer tk.Close(context.WithoutCancel(ctx))
	m, err := r.openTrained(ctx, role, model.Target{Task: taskSpec}, r.path(string(role)+"/weights"))
	if err != nil {
		return err
	}
	spec := data.Spec()
	splits := []*tensor.Tensor{nil, nil}
	trials := []int{spec.TrainTrials, spec.ValidTrials}
	done := 0
	blocks := rollout(ctx, m, tk, model.RolloutRequest{Seed: r.noiseSeed(label), Noise: true, Split: task.All}, tk.Trials(ctx, task.TrialRequest{Split: task.All}))
	for b, err := range blocks {
		if err != nil {
			return r.failed(role, "rollout", err)
		}
		z := b.Arrays.Get(model.Latents)
		if z == nil {
			return fmt.Errorf("%s: its rollout gave no latents, so it cannot be compared", r.use(role).Component)
		}
		bins, width := z.Shape[1], z.Shape[2]
		if done+len(b.Trials) > spec.TrainTrials+spec.ValidTrials || data.FirstBin()+spec.Bins > bins {
			return fmt.Errorf("%s: trials of %d bins, at least %d of them: the data set has %d trials, and its %d bins begin with bin %d", r.use(roleTrials).Component, bins,
				done+len(b.Trials), spec.TrainTrials+spec.ValidTrials, spec.Bins, data.FirstBin())
		}
		values := z.Float32s()
		for i := range b.Trials {
			split, row := 0, done
			if row >= spec.TrainTrials {
				split, row = 1, row-spec.TrainTrials
			}
			if splits[split] == nil {
				splits[split] = tensor.New32(comparator.Latents, trials[split], spec.Bins, width).With("", tensor.Trial, tensor.Bin, tensor.Latent)
			}
			size := spec.Bins * width
			copy(splits[split].F32[row*size:(row+1)*size], values[(i*bins+data.FirstBin())*width:])
			done++
		}
		r.progress("rollout of "+label, int64(done), int64(spec.TrainTrials+spec.ValidTrials))
	}
	if done < spec.TrainTrials+spec.ValidTrials {
		return fmt.Errorf("%s: %d trials: the data set has %d", r.use(roleTrials).Component, done, spec.TrainTrials+spec.ValidTrials)
	}
	s.HeldIn = 0
	s.Train, s.Valid = tensor.Set{splits[0]}, tensor.Set{splits[1]}
	if err := r.score(ctx, label, s); err != nil {
		return err
	}
	if !r.wantsDynamics {
		s.Why = "the comparator does not ask for dynamics"
		return nil
	}
	return r.dynamicsOf(ctx, role, m, s)
}
