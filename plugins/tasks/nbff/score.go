package nbff

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Score judges outputs (B, T, bits). Success of a trial is the fraction of bins in which every unmasked output is on the right side of 0.5;
// Loss is the declared one, see [SquaredError]; the metric bit_accuracy is the fraction of unmasked outputs that are right. Trials
// that are not of the split, given twice, or have outputs of the wrong shape or not finite are an InvalidArgumentError.
func (t *nbff) Score(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	trials, number, err := t.splits().Trials(req.Split)
	if err != nil {
		return task.Score{}, err
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return task.Score{}, err
	}
	s := task.Score{ConditionNames: spec.ConditionNames, MetricNames: []string{"bit_accuracy"}, MetricUnits: []string{""}}
	tr := t.newTrial()
	err = s.Judge(ctx, req.Split, trials, number, outputs, []task.Array{{Name: "outputs", Shape: []int{t.Bins, t.Bits}}}, func(k int64, of []*tensor.Tensor) task.Judgement {
		t.draw(tr, k)
		if of[0].F32 != nil {
			return judge(of[0].F32, tr, t.Bits)
		}
		return judge(of[0].F64, tr, t.Bits)
	})
	if err != nil {
		return task.Score{}, err
	}
	return s, nil
}

func judge[F float32 | float64](y []F, tr *trial, bits int) task.Judgement {
	bins, elements := Correct(y, tr.targets, tr.mask, bits)
	return task.Judgement{Success: bins, Loss: SquaredError(y, tr.targets, tr.mask), Condition: int64(tr.bit), Metrics: []float64{elements}}
}
