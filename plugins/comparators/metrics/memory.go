package metrics

import (
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// memory is that of the subjects' arrays, with the garbage that their arrival leaves, of what is made of them, and of sums over pairs of columns. The widest
// latents weigh most.
func memory(p Params, s comparator.Sizes, threads int) component.Memory {
	d, z := s.Data, s.Latents
	trials := d.TrainTrials + d.ValidTrials
	single, double := 4, 8
	arrays := component.Total(
		// The truth's latents, rates, spikes, inputs with and without noise, outputs and targets, which are about as wide as inputs; then each model's.
		component.Elements(trials, d.Bins, z+2*d.Neurons+4*d.Inputs, single),
		component.Elements(s.Subjects-1, trials, d.Bins, z+d.Neurons+d.Inputs, single),
	)
	made := component.Total(
		component.Elements(d.TrainTrials, d.Bins, d.Neurons, single),
		component.Elements(trials, d.Bins, d.Inputs, single),
		component.Elements(threads, d.Bins, 2*(z+d.Neurons), double),
		component.Elements(d.ValidTrials, 4*d.Neurons+2*z, double),
		min(component.Elements(p.Resamples, d.ValidTrials, double), keptBytes), component.Elements(2, p.Resamples, double),
	)
	// Sums of squares and products, a part for each shard and those that are kept: of the widest latents with themselves and with others that are seldom as wide.
	pairs := component.Total(
		component.Elements(2*shardCount+8, z, z, double),
		component.Elements(shardCount+4, z, d.Neurons, double),
	)
	return component.Memory{Bytes: component.Total(arrays, arrays/2, made, pairs)}
}
