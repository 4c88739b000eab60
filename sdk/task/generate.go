package task

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Generate is a task's Trials for trials of which each can be made by its number alone: it cuts a split of n trials, the i-th of which has the number number(i), into blocks of req.BlockTrials
// trials, or of size where req does not say, and has fill make their arrays, on so many threads, in order. A negative req.BlockTrials is an InvalidArgumentError.
func Generate(ctx context.Context, req TrialRequest, n, size, threads int, number func(i int) int64, fill func(ctx context.Context, b tensor.Block) (tensor.Block, error)) tensor.Blocks {
	if req.BlockTrials < 0 {
		return tensor.Fail(component.Invalid("block_trials", "%d is not allowed: >= 0", req.BlockTrials))
	}
	if req.BlockTrials > 0 {
		size = req.BlockTrials
	}
	numbers := func(yield func(tensor.Block, error) bool) {
		for from := 0; from < n; from += min(size, n-from) {
			b := tensor.Block{Trials: make([]int64, min(size, n-from))}
			for i := range b.Trials {
				b.Trials[i] = number(from + i)
			}
			if !yield(b, nil) {
				return
			}
		}
	}
	return tensor.Map(ctx, numbers, threads, fill)
}
