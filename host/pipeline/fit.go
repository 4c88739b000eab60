package pipeline

import (
	"context"
	"path/filepath"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// fit fits a data-trained model to a data set and stores what it infers for the training and the validation trials.
func (r *running) fit(ctx context.Context) error {
	data, err := artifact.OpenDataset(r.path("dataset"))
	if err != nil {
		return err
	}
	defer data.Close()
	spec := data.Spec()
	m, err := r.openModel(ctx, roleModel, model.Target{Data: &spec})
	if err != nil {
		return err
	}
	result, err := r.fitModel(ctx, m, model.TrainRequest{Data: data.Source(), CheckpointEvery: r.checkpointEvery, MaxTime: r.maxTime})
	if err != nil {
		return err
	}
	r.record.Train = artifact.Summarize(result)

	out, err := artifact.CreateArrays(filepath.Join(r.dir, artifact.InferredFile), artifact.ArraysOptions{
		Trials: map[task.Split]int{task.Train: spec.TrainTrials, task.Valid: spec.ValidTrials},
	})
	if err != nil {
		return err
	}
	defer out.Abort()
	want := []string{model.Rates, model.Latents}
	if r.uses[roleModel].found.Can(component.InfersInputs) {
		want = append(want, model.InferredInputs)
	}
	for _, split := range []task.Split{task.Train, task.Valid} {
		blocks := m.Rollout(ctx, model.RolloutRequest{Seed: r.seed(roleModel), Split: split, Want: want}, data.Source().Data(ctx, split))
		for b, err := range blocks {
			if err != nil {
				return r.failed(roleModel, "rollout", err)
			}
			r.pulse.beat()
			if err := out.Write(split, b); err != nil {
				return err
			}
		}
	}
	return out.Close()
}
