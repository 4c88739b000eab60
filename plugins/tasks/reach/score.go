package reach

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// metrics are quantities of a trial with their units; each is NaN, and so left out of means, in trials that it says nothing of.
var metrics = [...]struct{ name, unit string }{
	{"final_distance", "m"},
	{"final_distance_bump", "m"},
	{"reach_distance", "m"},
	{"reaction_time", "s"},
	{"peak_speed", "m/s"},
}

const (
	// settled is how long after the go cue a reach has had its time, in s. The report's figures of reaches are of the same trials: package report has the same number.
	settled = 0.8
	// moving is the part of the peak speed from which on the hand moves.
	moving = 0.1
)

// judge judges a trial from its actions (T, M) and the positions of the hand after each bin (T, 2).
func judge(p *Params, plan *Plan, actions, tip []float64) task.Judgement {
	bins := len(tip) / 2
	var squares, effort float64
	for t := range bins {
		squares += square(distance(tip, t, plan.Goal(t)))
	}
	for _, a := range actions {
		effort += square(a)
	}
	final := distance(tip, bins-1, plan.Goal(bins-1))
	j := task.Judgement{Loss: p.PosWeight*squares/float64(len(tip)) + p.ActWeight*effort/float64(len(actions)), Condition: plan.condition()}
	if final < p.Success {
		j.Success = 1
	}
	for range metrics {
		j.Metrics = append(j.Metrics, math.NaN())
	}
	if plan.BumpOn >= 0 {
		j.Metrics[1] = final
		return j
	}
	j.Metrics[0] = final
	if plan.Catch() || float64(bins-plan.Go)*p.DT < settled-1e-9 {
		return j
	}
	j.Metrics[2] = final
	peak := 0.0
	for t := plan.Go; t < bins; t++ {
		peak = max(peak, step(tip, t))
	}
	j.Metrics[4] = peak / p.DT
	for t := plan.Go; t < bins && peak > 0; t++ {
		if step(tip, t) >= moving*peak {
			j.Metrics[3] = float64(t-plan.Go) * p.DT
			break
		}
	}
	return j
}

func square(x float64) float64 { return x * x }

// distance of the hand after bin t from a place.
func distance(tip []float64, t int, from [2]float64) float64 {
	return math.Hypot(tip[2*t]-from[0], tip[2*t+1]-from[1])
}

// step is how far the hand went in bin t.
func step(tip []float64, t int) float64 {
	if t == 0 {
		return 0
	}
	return distance(tip, t, [2]float64{tip[2*t-2], tip[2*t-1]})
}

// Score judges actions (B, T, 6) and the positions of the hand (B, T, 2), the arrays outputs and fingertip. Success is 1 where the hand ends nearer to the goal than
// success_distance; Loss is the declared one over all bins. The metrics, NaN in trials that they say nothing of: final_distance is that from the goal in the last bin, in
// trials without a push; final_distance_bump the same in those with one; reach_distance is the former of reaches whose go cue was 0.8 s or more before the end, and so
// are reaction_time, from the go cue to a tenth of the peak speed, and peak_speed. Trials that are not of the split, given twice, or have
// arrays of the wrong shape or not finite are an InvalidArgumentError.
func (t *reach) Score(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	trials, number, err := t.splits().Trials(req.Split)
	if err != nil {
		return task.Score{}, err
	}
	s := task.Score{ConditionNames: conditionNames()}
	for _, m := range metrics {
		s.MetricNames, s.MetricUnits = append(s.MetricNames, m.name), append(s.MetricUnits, m.unit)
	}
	want := []task.Array{{Name: "outputs", Shape: []int{t.bins(), t.muscles}}, {Name: Fingertip, Shape: []int{t.bins(), 2}}}
	err = s.Judge(ctx, req.Split, trials, number, outputs, want, func(k int64, of []*tensor.Tensor) task.Judgement {
		plan := t.plan(k)
		return judge(&t.Params, &plan, of[0].Float64s(), of[1].Float64s())
	})
	if err != nil {
		return task.Score{}, err
	}
	return s, nil
}
