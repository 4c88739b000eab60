package task

import (
	"maps"
	"math"
	"slices"
)

// Part is a quantity of a [Score] in some of its trials, all of its values finite.
type Part struct {
	// Name is that of the condition or of the metric.
	Name, Unit string
	Values     []float64
}

// Mean is that of the values; NaN where there is none.
func (p Part) Mean() float64 {
	sum := 0.0
	for _, v := range p.Values {
		sum += v
	}
	return sum / float64(len(p.Values))
}

// ByCondition is success in the trials of each condition, in the conditions' order. Conditions without a name have none of their own, and where all trials are of one there is nothing to tell apart.
func (s *Score) ByCondition() []Part {
	names := map[int64]string{}
	for _, c := range s.Condition {
		if c >= 0 && c < int64(len(s.ConditionNames)) && s.ConditionNames[c] != "" {
			names[c] = s.ConditionNames[c]
		}
	}
	if len(names) < 2 || len(s.Condition) != len(s.Success) {
		return nil
	}
	var parts []Part
	for _, c := range slices.Sorted(maps.Keys(names)) {
		var of []float64
		for i, v := range s.Success {
			if s.Condition[i] == c {
				of = append(of, v)
			}
		}
		parts = distinct(parts, Part{Name: names[c], Values: finite(of)})
	}
	return parts
}

// Measured are the metrics, each in the trials that it is finite in, which may be none.
func (s *Score) Measured() []Part {
	var parts []Part
	for i, name := range s.MetricNames {
		if i >= len(s.Metrics) || name == "" {
			continue
		}
		p := Part{Name: name, Values: finite(s.Metrics[i])}
		if i < len(s.MetricUnits) {
			p.Unit = s.MetricUnits[i]
		}
		parts = distinct(parts, p)
	}
	return parts
}

// distinct appends a part unless one before it has its name.
func distinct(parts []Part, p Part) []Part {
	if slices.ContainsFunc(parts, func(q Part) bool { return q.Name == p.Name }) {
		return parts
	}
	return append(parts, p)
}

func finite(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}
