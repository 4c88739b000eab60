package pipeline

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// DefaultCheckpointEvery is the time between checkpoints of a training.
const DefaultCheckpointEvery = 30 * time.Second

// train trains a model on a task, saves its weights, and lets the task score it on the validation trials.
func (r *running) train(ctx context.Context) error {
	tk, err := r.openTask(ctx, roleTask)
	if err != nil {
		return err
	}
	spec, err := tk.Spec(ctx)
	if err != nil {
		return r.failed(roleTask, "spec", err)
	}
	m, err := r.openModel(ctx, roleModel, model.Target{Task: &spec})
	if err != nil {
		return err
	}
	result, err := r.fitModel(ctx, m, model.TrainRequest{Task: tk, CheckpointEvery: r.checkpointEvery, MaxTime: r.maxTime})
	if err != nil {
		return err
	}
	r.record.Train = artifact.Summarize(result)
	for _, short := range spec.Loss.Short(spec.Bins, result.Epochs) {
		r.record.Notes = append(r.record.Notes, short+": the network has not learnt what comes later in a trial")
	}

	examples := newExamples(spec)
	score, err := r.scored(ctx, roleTask, tk, examples.from(r.rolledOut(ctx, roleModel, m, tk)))
	if err != nil {
		return err
	}
	if err := r.writeExamples(examples.all(), spec); err != nil {
		return err
	}
	r.logScore(score)
	return artifact.WriteScore(r.dir, score)
}

// logScore says in the log how the network did, by condition where there are several, and by what else the task measures.
func (r *running) logScore(score task.Score) {
	const what = "scored on validation trials"
	r.log.Info(what, "success", task.Part{Values: score.Success}.Mean(), "trials", len(score.Success))
	for _, p := range score.ByCondition() {
		r.log.Info(what, "condition", p.Name, "success", p.Mean(), "trials", len(p.Values))
	}
	for _, p := range score.Measured() {
		if len(p.Values) > 0 {
			r.log.Info(what, "metric", p.Name, "mean", p.Mean(), "unit", p.Unit, "trials", len(p.Values))
		}
	}
}

// writeExamples stores trials for the report.
func (r *running) writeExamples(rows []tensor.Block, spec task.Spec) error {
	o := artifact.ArraysOptions{Attributes: artifact.NewLabels(spec).Attributes()}
	if len(rows) > 0 {
		o.Trials = map[task.Split]int{task.Valid: len(rows)}
	}
	w, err := artifact.CreateArrays(filepath.Join(r.dir, artifact.RolloutFile), o)
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, b := range rows {
		if err := w.Write(task.Valid, b); err != nil {
			return err
		}
	}
	return w.Close()
}

// fitModel trains a model, with its curves and figures going to the stage's folder and progress to the observer, and saves its weights.
func (r *running) fitModel(ctx context.Context, m model.Model, req model.TrainRequest) (model.TrainResult, error) {
	report, err := r.reporter()
	if err != nil {
		return model.TrainResult{}, err
	}
	defer report.abort()
	if err := r.begin(ctx, m); err != nil {
		return model.TrainResult{}, err
	}
	result, err := m.Train(ctx, req, report)
	if err != nil {
		return result, r.failed(roleModel, "training", err)
	}
	if err := report.close(); err != nil {
		return result, err
	}
	weights, err := m.Save(ctx)
	if err != nil {
		return result, r.failed(roleModel, "saving weights", err)
	}
	about := map[string]string{"component": r.record.Component, "version": r.record.ComponentVersion, "format": "pt"}
	if err := artifact.WriteWeights(filepath.Join(r.dir, artifact.WeightsFile), weights, about); err != nil {
		return result, err
	}
	if result.Last == nil {
		return result, nil
	}
	return result, artifact.WriteWeights(filepath.Join(r.dir, artifact.LastWeightsFile), result.Last, about)
}

// rollout runs a model over trials, in the loop of its task where that is closed, and returns what the trials hold together with what the model gives. In a closed loop
// the inputs are what the task recorded under that name, else what the model saw.
func rollout(ctx context.Context, m model.Model, tk task.Task, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	loop, closed := tk.(task.ClosedLoop)
	if !closed {
		return joined(trials, func(in tensor.Blocks) tensor.Blocks { return m.Rollout(ctx, req, in) })
	}
	req.Task = loop
	return joined(trials, func(in tensor.Blocks) tensor.Blocks {
		return func(yield func(tensor.Block, error) bool) {
			for b, err := range m.Rollout(ctx, req, in) {
				if !yield(tensor.Block{Trials: b.Trials, Arrays: seen(b.Arrays)}, err) {
					return
				}
			}
		}
	})
}

// seen is what a rollout in closed loop gave, under the names of an open one.
func seen(arrays tensor.Set) tensor.Set {
	recorded := arrays.Get(task.Inputs) != nil
	var out tensor.Set
	for _, t := range arrays {
		if t.Name == model.SeenInputs {
			if recorded {
				continue
			}
			t = t.Named(task.Inputs)
		}
		out = append(out, t)
	}
	return out
}

// joined is run(in), each block with the arrays of the block of in that it came from.
func joined(in tensor.Blocks, run func(tensor.Blocks) tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		// A stream may take several blocks in before the first comes out; back-pressure bounds how many.
		queue := make(chan tensor.Block, 1024)
		source := func(push func(tensor.Block, error) bool) {
			for b, err := range in {
				if err == nil {
					select {
					case queue <- b:
					default:
						err = fmt.Errorf("%w: %d blocks went in before one came out", component.ErrUnavailable, cap(queue))
					}
				}
				if !push(b, err) || err != nil {
					return
				}
			}
		}
		for out, err := range run(source) {
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			var from tensor.Block
			select {
			case from = <-queue:
			default:
			}
			if !sameTrials(from.Trials, out.Trials) {
				yield(tensor.Block{}, &component.InternalError{Component: "rollout", Message: fmt.Sprintf(
					"a block of trials %s went in, trials %s came out", span(from.Trials), span(out.Trials))})
				return
			}
			for _, t := range from.Arrays {
				if out.Arrays.Get(t.Name) == nil {
					out.Arrays = append(out.Arrays, t)
				}
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

// beating passes blocks on, each of which shows that the stage goes on.
func (r *running) beating(blocks tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range blocks {
			r.pulse.beat()
			if !yield(b, err) {
				return
			}
		}
	}
}

func sameTrials(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func span(trials []int64) string {
	switch len(trials) {
	case 0:
		return "none"
	case 1:
		return fmt.Sprint(trials[0])
	}
	return fmt.Sprintf("%d to %d (%d of them)", trials[0], trials[len(trials)-1], len(trials))
}
