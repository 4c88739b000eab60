package dsa

import (
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// memory is that of the subjects' arrays, with the garbage that their arrival leaves, and, for each thread, of a subject's latents in double precision, their
// coordinates and the second moments of the embedding; of each subject its operator, with what alignments need.
func memory(p Params, s comparator.Sizes, threads int) component.Memory {
	d, z := s.Data, s.Latents
	const double = 8
	busy := min(threads, max(1, s.Subjects))
	columns := int(tensor.Elements(p.Delays, z))
	rank := p.Rank
	if p.RankBy != "number" {
		rank = min(columns, 1000)
	}
	latents := tensor.Elements(d.TrainTrials, d.Bins, z, double)
	kept := rank
	if p.Resamples > 0 {
		kept += spare(rank)
	}
	kept = min(kept, columns)
	coordinates := tensor.Elements(d.TrainTrials, d.Bins, kept, double)
	// Second moments of the embedding, then those of each draw.
	sums := max(tensor.Elements(3, columns, columns, double), tensor.Elements(3, p.Resamples, kept, kept, double))
	each := tensor.Total(latents, latents, coordinates, sums)
	// Until all ranks are known each subject has its coordinates, there and back, of all that were kept and of those in use, and perhaps those of its null.
	models := 4
	if p.Nulls {
		models = 8
	}
	perOperator := tensor.Total(tensor.Elements(s.Subjects, int(tensor.Total(32, int64(p.Resamples))), rank, rank, double), tensor.Elements(s.Subjects, models, columns, kept, double))
	if p.Inputs {
		perOperator = tensor.Total(perOperator, tensor.Elements(s.Subjects, p.Resamples, rank, rank, double))
	}
	return component.Memory{Bytes: tensor.Total(trials.Memory(s), tensor.Elements(busy, int(each)), perOperator), Params: []string{"n_delays", "rank"}}
}
