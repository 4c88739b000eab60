package train

import (
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/link"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Footprint is what the memory of a model comes from. Sizes are in bytes unless they say otherwise, and may be math.MaxInt64 where they are beyond counting.
type Footprint struct {
	// Weights is what all parameters take together.
	Weights int64
	// Training, Validation and Rolling are a worker's plans and arrays for trials of a number of rows, without gradients of weights.
	Training, Validation, Rolling func(rows int) int64
	// Trial is a trial in memory for training; Fresh doubles it, since the next epoch's trials are loaded before the last ones are let go.
	Trial int64
	Fresh bool
	// Judged is what a task scores of a validation trial, all of which it is given at once; 0 where it does not.
	Judged int64
	// TrainTrials and ValidTrials are the sizes of the splits, Batch the trials of an optimiser's step.
	TrainTrials, ValidTrials, Batch int
	// In and Out are a trial as it comes into and out of a rollout, BlockTrials how many come at once, at most.
	In, Out     int64
	BlockTrials int
	// Loop says that a task is in closed loop, whose shards may be larger, see link.ShardRows, and of which more than there are threads are taken up at once, see link.Workers; Distant that it is in
	// another process besides.
	Loop, Distant bool
}

// workers is the number of shards of that many trials that are taken up at once.
func (f Footprint) workers(trials, threads int) int {
	if f.Loop {
		return link.Workers(trials, threads, f.Distant)
	}
	return min(threads, kernel.ShardCount(trials, f.shardRows(trials)))
}

// shardRows is the number of trials in the shards of that many.
func (f Footprint) shardRows(trials int) int {
	if f.Loop {
		return link.ShardRows(trials)
	}
	return kernel.ShardRows
}

// BlockBytes is the size of the blocks that the host reads data sets in, and that built-in tasks do not pass unless one trial does.
const BlockBytes = 16 << 20

// Block is the number of trials in a block of about [BlockBytes], at least 1 and at most limit (0: no limit).
func Block(trial int64, limit int) int {
	n := int64(BlockBytes) / max(1, trial)
	if limit > 0 {
		n = min(n, int64(limit))
	}
	return int(max(1, n))
}

// garbage is what a plugin's process lets stand at most, or a tenth of what is in use: see package serve.
const garbage = 256 << 20

// Bytes is the peak of [Fit] and [Rollout] on that many threads: workers are as many, but no more than there are shards, unless a loop is closed, see link.Workers. The garbage collector
// lets as much garbage stand as there is memory in use, up to a bound: what streams through while trials are loaded counts once more.
func (f Footprint) Bytes(threads int) int64 {
	batch := f.Batch
	if f.TrainTrials > 0 {
		batch = min(batch, f.TrainTrials)
	}
	workers, validating := f.workers(batch, threads), f.workers(f.ValidTrials, threads)
	rows := func(n int) int { return min(max(1, n), f.shardRows(n)) }

	// The last batch of an epoch may have shards of another size, and then plans of its own.
	var rest int64
	if batch > 0 {
		if n := f.TrainTrials % batch; n > 0 && f.shardRows(n) != f.shardRows(batch) {
			rest = times(f.Training(rows(n)), int64(f.workers(n, threads)))
			workers = max(workers, f.workers(n, threads))
		}
	}

	data := times(f.Trial, tensor.Total(int64(f.TrainTrials), int64(f.ValidTrials)))
	if f.Fresh {
		data = tensor.Total(data, times(f.Trial, int64(f.TrainTrials)))
	}
	// Weights, their gradient, the optimiser's two means, the best ones and the last; a checkpoint copies four; each worker has a gradient
	// in its graph, one to hand over, and the kernel's in Training.
	training := tensor.Total(
		data, min(data, max(garbage, data/10)),
		times(f.Weights, int64(10+2*workers)),
		times(f.Judged, int64(f.ValidTrials)),
		times(f.Training(rows(batch)), int64(f.workers(batch, threads))), rest,
		times(f.Validation(rows(f.ValidTrials)), int64(validating)),
	)
	block := int64(f.BlockTrials)
	rolling := tensor.Total(
		times(f.Weights, 2),
		times(f.Rolling(rows(f.BlockTrials)), int64(f.workers(f.BlockTrials, threads))),
		// A block as it came and as it was loaded, and results, with the garbage of the block before.
		times(tensor.Total(times(f.In, 3), times(f.Out, 2)), block),
	)
	return max(training, rolling)
}

// Needs is the memory of a training that takes so many bytes, and so many if a batch were all its trials. The parameters are those of the model that it depends on: where most of it is the
// trials held beyond a batch, none of them is to blame.
func Needs(all, ofBatch int64, params []string) component.Memory {
	if ofBatch < all/2 {
		params = nil
	}
	return component.Memory{Bytes: all, Params: params}
}

func times(size, n int64) int64 {
	if n <= 0 || size <= 0 {
		return 0
	}
	return tensor.Elements(int(size), int(n))
}
