package metrics

import (
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
	return component.Memory{Bytes: tensor.Total(trials.Memory(s), made, pairs)}
}
