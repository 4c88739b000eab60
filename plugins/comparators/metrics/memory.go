package metrics

import (
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// memory is that of the subjects' arrays, with the garbage that their arrival leaves, of what is made of them, and of sums over pairs of columns. The widest
// latents weigh most.
func memory(p Params, s comparator.Sizes, threads int) component.Memory {
	d, z := s.Data, s.Latents
	sum := func(n ...int64) int { return int(tensor.Total(n...)) }
	neurons := int64(d.Neurons)
	all := sum(int64(d.TrainTrials), int64(d.ValidTrials))
	single, double := 4, 8
	made := tensor.Total(
		tensor.Elements(d.TrainTrials, d.Bins, d.Neurons, single),
		tensor.Elements(all, d.Bins, d.Inputs, single),
		tensor.Elements(2, threads, d.Bins, sum(int64(z), neurons), double),
		tensor.Elements(2, d.ValidTrials, sum(neurons, neurons, int64(z)), double),
		min(tensor.Elements(p.Resamples, d.ValidTrials, double), bootstrap.KeptBytes), tensor.Elements(2, p.Resamples, double),
	)
	// Sums of squares and products, a part for each shard and those that are kept: of the widest latents with themselves and with others that are seldom as wide.
	pairs := tensor.Total(
		tensor.Elements(2*trials.Shards+8, z, z, double),
		tensor.Elements(trials.Shards+4, z, d.Neurons, double),
	)
	// Of a readout on each thread: the shots' counts, log-rates, rates and directions of held-out neurons; second moments, three times; and what is read of a trial.
	var shots int64
	if len(p.Shots) > 0 {
		heldOut := max(0, d.Neurons-d.HeldIn)
		most := min(slices.Max(p.Shots), d.TrainTrials)
		shots = tensor.Total(
			tensor.Elements(4, threads, most, d.Bins, heldOut, double), tensor.Elements(3, threads, z, z, double),
			tensor.Elements(threads, d.Bins, sum(int64(z), int64(z), neurons, int64(heldOut)), double), tensor.Elements(2*p.ShotDraws+8*threads, z, heldOut, double),
		)
	}
	return component.Memory{Bytes: tensor.Total(trials.Memory(s), made, pairs, shots)}
}
