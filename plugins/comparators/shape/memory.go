package shape

import (
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// memory is that of the subjects' arrays, of sums over pairs of latents, of the products of all trials for a few latents at a time, and of distances between states.
func memory(p Params, s comparator.Sizes, threads int) component.Memory {
	d, z := s.Data, s.Latents
	const double = 8
	projectors := len(p.Alpha) + 2
	block := max(z, blockColumns)
	bytes := tensor.Total(
		trials.Memory(s),
		tensor.Elements(2, threads, d.Bins, 2, z, double),
		// Moments come in a part for each shard, and are kept of each two subjects while these are compared; fits, and what is left of them to the garbage collector.
		tensor.Elements(3*trials.Shards+3*threads+8, z, z, double),
		tensor.Elements(6*projectors, z, z, double),
		tensor.Elements(projectors*5, d.ValidTrials, z, double),
		// Products of trials with resamples.
		tensor.Elements(min(threads, (z*z+block-1)/block), d.ValidTrials+blockWeights, min(z*z, block), double),
		min(tensor.Elements(p.Resamples, d.ValidTrials, double), bootstrap.KeptBytes), tensor.Elements(s.Subjects+2, p.Resamples, double),
		// Distances of both, their ranks and their order.
		tensor.Elements(4, p.RSAItems, p.RSAItems/2, double),
	)
	return component.Memory{Bytes: bytes, Params: []string{"rsa_items", "bootstrap"}}
}
