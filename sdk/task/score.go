package task

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
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

// ByCondition is success in the trials of each condition, in the conditions' order. Conditions without a name have none of their own, and where all trials are of one
// there is nothing to tell apart.
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

// Judgement is what a task says of one trial.
type Judgement struct {
	Success, Loss float64
	Condition     int64
	// Metrics are in the order of Score.MetricNames.
	Metrics []float64
}

// Array is one that a task judges: of float32 or float64, its rows of that shape.
type Array struct {
	Name  string
	Shape []int
}

// Judge is a task's Score, as [Generate] is its Trials, into a Score that has its names: it has each trial judged by the arrays that the outputs hold of it, a row each in the order in
// which they are wanted. The split has n trials, the i-th the number number(i), which rises. Trials that are not of the split or are given twice, and arrays that are missing,
// of another shape or type or not finite are an InvalidArgumentError.
func (s *Score) Judge(ctx context.Context, split Split, n int, number func(i int) int64, outputs tensor.Blocks, want []Array, judge func(trial int64, of []*tensor.Tensor) Judgement) error {
	s.Metrics = make([][]float64, len(s.MetricNames))
	seen, rows := make([]bool, n), make([]*tensor.Tensor, len(want))
	for b, err := range outputs {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		arrays, err := wanted(b, want)
		if err != nil {
			return err
		}
		for row, k := range b.Trials {
			i, ok := Find(n, number, k)
			if !ok || seen[i] {
				return component.Invalid("outputs.trials", "trial %d is not one of split %s, or is given twice", k, split)
			}
			seen[i] = true
			for a := range arrays {
				rows[a] = arrays[a].Slice(row, row+1)
			}
			j := judge(k, rows)
			s.Trials, s.Success, s.Loss, s.Condition = append(s.Trials, k), append(s.Success, j.Success), append(s.Loss, j.Loss), append(s.Condition, j.Condition)
			for m := range s.Metrics {
				s.Metrics[m] = append(s.Metrics[m], j.Metrics[m])
			}
		}
	}
	return nil
}

// wanted are the arrays of a block that are judged.
func wanted(b tensor.Block, want []Array) ([]*tensor.Tensor, error) {
	if err := b.Check(); err != nil {
		return nil, component.Invalid("outputs", "%v", err)
	}
	var out []*tensor.Tensor
	for _, w := range want {
		a := b.Arrays.Get(w.Name)
		if a == nil {
			return nil, component.Invalid("outputs", "no array %q among %v", w.Name, b.Arrays.Names())
		}
		if err := a.Expect(append([]int{-1}, w.Shape...)...); err != nil {
			return nil, component.Invalid("outputs", "%v", err)
		}
		if a.I64 != nil {
			return nil, component.Invalid("outputs", "%q has type int64, which is not allowed: float32 or float64", w.Name)
		}
		if err := a.CheckFinite(); err != nil {
			return nil, component.Invalid("outputs", "%v", err)
		}
		out = append(out, a)
	}
	return out, nil
}
