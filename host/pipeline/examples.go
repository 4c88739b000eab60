package pipeline

import (
	"slices"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

const (
	// exampleTrials of the validation set are kept with a trained model, for the report: as many where trials are alike, about as many where they are of several
	// conditions, and twice as many of a closed-loop task, whose trials are short of channels.
	exampleTrials = 16
	// exampleConditions is the most conditions that trials are kept of.
	exampleConditions = 64
)

// examples keeps the first validation trials, or, of a task of several conditions, the first of each condition.
type examples struct {
	// most is the number of all, each of a condition.
	most, each int
	of         map[int64]int
	kept       []tensor.Block
}

func newExamples(spec task.Spec) *examples {
	e := &examples{most: exampleTrials, each: exampleTrials, of: map[int64]int{}}
	if spec.Loop != nil {
		e.most *= 2
	}
	if n := min(len(spec.ConditionNames), exampleConditions); n > 1 {
		e.each = (e.most + n - 1) / n
		e.most = e.each * n
	} else {
		e.each = e.most
	}
	return e
}

// from passes blocks on, keeping trials on the way.
func (e *examples) from(blocks tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range blocks {
			if err == nil {
				e.keep(b)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// keep copies the rows of a block that are wanted.
func (e *examples) keep(b tensor.Block) {
	conditions := b.Arrays.Get(task.Conditions)
	for i, trial := range b.Trials {
		if len(e.kept) == e.most {
			return
		}
		var condition int64
		if conditions != nil && len(conditions.I64) == len(b.Trials) {
			condition = conditions.I64[i]
		}
		if e.of[condition] == e.each {
			continue
		}
		e.of[condition]++
		row := tensor.Block{Trials: []int64{trial}}
		for _, t := range b.Arrays {
			row.Arrays = append(row.Arrays, t.Slice(i, i+1).Clone())
		}
		e.kept = append(e.kept, row)
	}
}

// all are the trials kept, ascending.
func (e *examples) all() []tensor.Block {
	slices.SortFunc(e.kept, func(a, b tensor.Block) int { return int(a.Trials[0] - b.Trials[0]) })
	return e.kept
}
