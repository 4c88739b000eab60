package metrics

import (
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// memory is that of the subjects' arrays, with the garbage that their arrival leaves, of what is made of them, and of sums over pairs of columns. The widest
// latents weigh most.
func memory(p Params, s comparator.Sizes, threads int) component.Memory {
	d, z := s.Data, s.Latents
	sum := func(n ...int64) int { return int(tensor.Total(n...)) }
	neurons, inputs := int64(d.Neurons), int64(d.Inputs)
	trials := sum(int64(d.TrainTrials), int64(d.ValidTrials))
	single, double := 4, 8
	arrays := tensor.Total(
		// The truth's latents, rates, spikes, inputs with and without noise, outputs and targets, which are about as wide as inputs; then each model's.
		tensor.Elements(trials, d.Bins, sum(int64(z), neurons, neurons, inputs, inputs, inputs, inputs), single),
		tensor.Elements(s.Subjects-1, trials, d.Bins, sum(int64(z), neurons, inputs), single),
	)
	made := tensor.Total(
		tensor.Elements(d.TrainTrials, d.Bins, d.Neurons, single),
		tensor.Elements(trials, d.Bins, d.Inputs, single),
		tensor.Elements(2, threads, d.Bins, sum(int64(z), neurons), double),
		tensor.Elements(2, d.ValidTrials, sum(neurons, neurons, int64(z)), double),
		min(tensor.Elements(p.Resamples, d.ValidTrials, double), keptBytes), tensor.Elements(2, p.Resamples, double),
	)
	// Sums of squares and products, a part for each shard and those that are kept: of the widest latents with themselves and with others that are seldom as wide.
	pairs := tensor.Total(
		tensor.Elements(2*shardCount+8, z, z, double),
		tensor.Elements(shardCount+4, z, d.Neurons, double),
	)
	return component.Memory{Bytes: tensor.Total(arrays, arrays/2, made, pairs)}
}
