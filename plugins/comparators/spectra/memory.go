package spectra

import (
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// memory is that of the subjects' arrays, of Jacobians and directions of the trials under way, and of the power spectra of all neurons. A state is taken to be as wide as the latents.
func memory(p Params, s comparator.Sizes, threads int) component.Memory {
	d, z := s.Data, s.Latents
	const double = 8
	count, along := min(p.Exponents, z), min(p.Trials, d.ValidTrials)
	lines := min(p.Segment, d.Bins)/2 + 1
	bytes := tensor.Total(
		trials.Memory(s),
		// Jacobians are new in each bin, and garbage for a while.
		tensor.Elements(6, min(threads*group, along), z, z, double), tensor.Elements(4, min(threads*group, along), count, z, double),
		tensor.Elements(s.Subjects, marks+2, along, count, double),
		tensor.Elements(2, s.Subjects, d.ValidTrials, d.Neurons+1, lines, double),
		tensor.Elements(2, threads, d.Bins, z, double),
		// Moments of latents, a part for each shard, and those of each trial in common coordinates.
		tensor.Elements(2*trials.Shards+8, z, z, double), tensor.Elements(8, d.ValidTrials, min(p.Rank, z), min(p.Rank, z), double),
		min(tensor.Elements(p.Resamples, d.ValidTrials, double), bootstrap.KeptBytes),
	)
	return component.Memory{Bytes: bytes, Params: []string{"exponents", "segment"}}
}
