package nbff

import (
	"context"
	"sort"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Score judges outputs (B, T, bits). Success of a trial is the fraction of bins in which every unmasked output is on the right side of 0.5;
// Loss is the declared one, see [SquaredError]; the metric bit_accuracy is the fraction of unmasked outputs that are right. Trials
// that are not of the split, given twice, or have outputs of the wrong shape or not finite are an InvalidArgumentError.
func (t *nbff) Score(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	trials, number, err := t.split(req.Split)
	if err != nil {
		return task.Score{}, err
	}
	s := task.Score{MetricNames: []string{"bit_accuracy"}, MetricUnits: []string{""}, Metrics: make([][]float64, 1)}
	spec, err := t.Spec(ctx)
	if err != nil {
		return task.Score{}, err
	}
	s.ConditionNames = spec.ConditionNames
	tr, seen := t.newTrial(), make([]bool, trials)
	for b, err := range outputs {
		if err != nil {
			return task.Score{}, err
		}
		if err := ctx.Err(); err != nil {
			return task.Score{}, err
		}
		y, err := t.outputs(b)
		if err != nil {
			return task.Score{}, err
		}
		for row, k := range b.Trials {
			at := sort.Search(trials, func(i int) bool { return number(i) >= k })
			if at == trials || number(at) != k || seen[at] {
				return task.Score{}, component.Invalid("outputs.trials", "trial %d is not one of split %s, or is given twice", k, req.Split)
			}
			seen[at] = true
			t.draw(tr, k)
			var loss, bins, elements float64
			n := t.Bins * t.Bits
			if y.F32 != nil {
				loss, bins, elements = judge(y.F32[row*n:(row+1)*n], tr, t.Bits)
			} else {
				loss, bins, elements = judge(y.F64[row*n:(row+1)*n], tr, t.Bits)
			}
			s.Trials = append(s.Trials, k)
			s.Success = append(s.Success, bins)
			s.Loss = append(s.Loss, loss)
			s.Condition = append(s.Condition, int64(tr.bit))
			s.Metrics[0] = append(s.Metrics[0], elements)
		}
	}
	return s, nil
}

func judge[F float32 | float64](y []F, tr *trial, bits int) (loss, bins, elements float64) {
	bins, elements = Correct(y, tr.targets, tr.mask, bits)
	return SquaredError(y, tr.targets, tr.mask), bins, elements
}

// outputs returns the array that is judged.
func (t *nbff) outputs(b tensor.Block) (*tensor.Tensor, error) {
	if err := b.Check(); err != nil {
		return nil, component.Invalid("outputs", "%v", err)
	}
	y := b.Arrays.Get("outputs")
	if y == nil {
		return nil, component.Invalid("outputs", "no array \"outputs\" among %v", b.Arrays.Names())
	}
	if err := y.Expect(-1, t.Bins, t.Bits); err != nil {
		return nil, component.Invalid("outputs", "%v", err)
	}
	if y.I64 != nil {
		return nil, component.Invalid("outputs", "type int64 is not allowed: float32 or float64")
	}
	if err := y.CheckFinite(); err != nil {
		return nil, component.Invalid("outputs", "%v", err)
	}
	return y, nil
}
