package multitask

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

const (
	// tolerance of a response's direction, in rad.
	tolerance = math.Pi / 10
	// quiet is the norm below which a response is none.
	quiet = 0.1
)

// Success judges the response output of the last response bin against the answer, which is (0, 0) where there should be none. A response is right when its direction
// is less than pi/10 from the answer's, and none is right when the output is shorter than 0.1. Under compat it is right when cos + sin, which may be negative,
// is below 0.1, and also when the direction is less than pi/10 from 0, which is what the direction of (0, 0) counts as.
func Success(cos, sin, wantCos, wantSin float64, compat bool) bool {
	if responds := wantCos != 0 || wantSin != 0; !responds && !compat {
		return math.Hypot(cos, sin) < quiet
	} else if !responds && cos+sin < quiet {
		return true
	}
	return distance(math.Atan2(sin, cos), math.Atan2(wantSin, wantCos)) < tolerance
}

// SquaredError is the declared loss of a trial of outputs (T, 3): the squared error times the weights (T), summed over time, averaged over channels. Its mean over
// trials is the loss that a network is trained with.
func SquaredError[F float32 | float64](y []F, targets, weights []float64) float64 {
	sum := 0.0
	for t, w := range weights {
		for i := t * outputs; w != 0 && i < (t+1)*outputs; i++ {
			d := float64(y[i]) - targets[i]
			sum += w * d * d
		}
	}
	return sum / outputs
}

// fixation is the fraction of the bins that count before the response in which the fixation output is on its target's side of 0.5; 1 where no such bin counts.
func fixation[F float32 | float64](y []F, targets, weights []float64, response int) float64 {
	right, n := 0.0, 0.0
	for t, w := range weights[:response] {
		if w == 0 {
			continue
		}
		n++
		if (y[t*outputs] > 0.5) == (targets[t*outputs] > 0.5) {
			right++
		}
	}
	if n == 0 {
		return 1
	}
	return right / n
}

// judge is one trial's judgement.
type judge struct {
	*multitask
	targets, weights []float64
}

func score[F float32 | float64](j *judge, y []F, p *Plan) task.Judgement {
	Targets(j.targets, p, j.Compat)
	Weights(j.weights, p)
	out := task.Judgement{Loss: SquaredError(y, j.targets, j.weights), Condition: j.condition(p.Rule), Metrics: []float64{fixation(y, j.targets, j.weights, p.Starts[Response])}}
	last := (p.End() - 1) * outputs
	if Success(float64(y[last+1]), float64(y[last+2]), j.targets[last+1], j.targets[last+2], j.Compat) {
		out.Success = 1
	}
	return out
}

// Score judges outputs (B, T, 3); what they are after a trial's end does not matter, but for being finite. Success of a trial is 1 or 0, see the function [Success]; Loss
// is the declared one, without a penalty of the latents; Condition is the trial's rule as in the array conds; the metric fixation_held is the fraction of
// the bins before the response in which the fixation output is on the right side of 0.5. Trials that are not of the split, given twice, or have outputs of the
// wrong shape or not finite are an InvalidArgumentError.
func (t *multitask) Score(ctx context.Context, req task.ScoreRequest, answers tensor.Blocks) (task.Score, error) {
	trials, number, err := t.splits.Trials(req.Split)
	if err != nil {
		return task.Score{}, err
	}
	s := task.Score{ConditionNames: t.conditionNames(), MetricNames: []string{"fixation_held"}, MetricUnits: []string{""}}
	j := &judge{t, make([]float64, t.Bins*outputs), make([]float64, t.Bins)}
	err = s.Judge(ctx, req.Split, trials, number, answers, []task.Array{{Name: "outputs", Shape: []int{t.Bins, outputs}}}, func(k int64, of []*tensor.Tensor) task.Judgement {
		p := t.plan(k)
		if of[0].F32 != nil {
			return score(j, of[0].F32, &p)
		}
		return score(j, of[0].F64, &p)
	})
	if err != nil {
		return task.Score{}, err
	}
	return s, nil
}
