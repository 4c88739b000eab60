package wire

import (
	"fmt"

	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays of a score.
const (
	scoreTrials    = "trials"
	scoreSuccess   = "success"
	scoreLoss      = "loss"
	scoreCondition = "condition"
	scoreMetric    = "metric:"
)

// ToScore returns the messages of a score: the names, and a set of arrays. Slices of different lengths wrap tensor.ErrShape.
func ToScore(s task.Score) (*taskv1.ScoreNames, tensor.Set, error) {
	n := len(s.Trials)
	names := &taskv1.ScoreNames{Conditions: s.ConditionNames, Metrics: s.MetricNames, Units: s.MetricUnits}
	set := tensor.Set{
		tensor.FromInt(scoreTrials, append([]int64{}, s.Trials...), n),
		tensor.From64(scoreSuccess, append([]float64{}, s.Success...), n),
		tensor.From64(scoreLoss, append([]float64{}, s.Loss...), n),
	}
	if s.Condition != nil {
		set = append(set, tensor.FromInt(scoreCondition, s.Condition, n))
	}
	if len(s.Metrics) != len(s.MetricNames) || (len(s.MetricUnits) != 0 && len(s.MetricUnits) != len(s.MetricNames)) {
		return nil, nil, fmt.Errorf("%w: a score with %d metrics has %d names and %d units", tensor.ErrShape, len(s.Metrics), len(s.MetricNames), len(s.MetricUnits))
	}
	for i, m := range s.Metrics {
		set = append(set, tensor.From64(scoreMetric+s.MetricNames[i], append([]float64{}, m...), n))
	}
	return names, set, set.Check()
}

// FromScore reads a score.
func FromScore(names *taskv1.ScoreNames, set tensor.Set) (task.Score, error) {
	out := task.Score{ConditionNames: names.GetConditions(), MetricNames: names.GetMetrics(), MetricUnits: names.GetUnits()}
	trials := set.Get(scoreTrials)
	if trials == nil || trials.I64 == nil {
		return out, component.Invalid("score.trials", "a score needs the trials' numbers as int64")
	}
	out.Trials = trials.I64
	floats := func(name string) ([]float64, error) {
		t := set.Get(name)
		if t == nil || t.F64 == nil || len(t.F64) != len(out.Trials) {
			return nil, component.Invalid("score."+name, "%d float64 values are needed", len(out.Trials))
		}
		return t.F64, nil
	}
	var err error
	if out.Success, err = floats(scoreSuccess); err != nil {
		return out, err
	}
	if out.Loss, err = floats(scoreLoss); err != nil {
		return out, err
	}
	if t := set.Get(scoreCondition); t != nil {
		if t.I64 == nil || len(t.I64) != len(out.Trials) {
			return out, component.Invalid("score.condition", "%d int64 values are needed", len(out.Trials))
		}
		out.Condition = t.I64
	}
	if len(out.MetricUnits) != 0 && len(out.MetricUnits) != len(out.MetricNames) {
		return out, component.Invalid("score.units", "%d for %d metrics: none or one for each is needed", len(out.MetricUnits), len(out.MetricNames))
	}
	for i, c := range out.Condition {
		if c < 0 || (len(out.ConditionNames) > 0 && c >= int64(len(out.ConditionNames))) {
			return out, component.Invalid("score.condition", "trial %d has condition %d of %d", out.Trials[i], c, len(out.ConditionNames))
		}
	}
	for _, name := range out.MetricNames {
		m, err := floats(scoreMetric + name)
		if err != nil {
			return out, err
		}
		out.Metrics = append(out.Metrics, m)
	}
	return out, nil
}
