package dsa

import (
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// memory is that of the subjects' arrays, with the garbage that their arrival leaves, and, for each thread, of a subject's latents in double precision, their
// coordinates and the second moments of the embedding; of each subject its operator, with what alignments need. A sweep embeds with each of its delays while the operators stand.
func memory(p Params, s comparator.Sizes, threads int) component.Memory {
	d, z := s.Data, s.Latents
	const double = 8
	busy := min(threads, max(1, s.Subjects))
	columns := int(tensor.Elements(p.Delays, z))
	rank := p.Rank
	if p.RankBy != "number" {
		rank = min(columns, 1000)
	}
	kept := rank
	if p.Resamples > 0 {
		kept += spare(rank)
	}
	kept = min(kept, columns)
	// Second moments of the embedding, then those of each draw.
	each := max(fitting(d.TrainTrials, d.Bins, z, columns, kept), tensor.Total(latents(d.TrainTrials, d.Bins, z, kept), tensor.Elements(3, p.Resamples, kept, kept, double)))
	names := []string{"n_delays", "rank"}
	if p.Sweep && len(p.SweepDelays) > 0 && len(p.SweepRanks) > 0 {
		most := int(tensor.Elements(slices.Max(p.SweepDelays), z))
		if swept := fitting(int(tensor.Total(int64(d.TrainTrials), int64(d.ValidTrials))), d.Bins, z, most, min(slices.Max(p.SweepRanks), most)); swept > each {
			each, names = swept, append(names, "sweep_delays")
		}
	}
	// Until all ranks are known each subject has its coordinates, there and back, of all that were kept and of those in use, and perhaps those of its null.
	models := 4
	if p.Nulls {
		models = 8
	}
	perOperator := tensor.Total(tensor.Elements(s.Subjects, int(tensor.Total(32, int64(p.Resamples))), rank, rank, double), tensor.Elements(s.Subjects, models, columns, kept, double))
	if p.Inputs {
		perOperator = tensor.Total(perOperator, tensor.Elements(s.Subjects, p.Resamples, rank, rank, double))
	}
	return component.Memory{Bytes: tensor.Total(trials.Memory(s), tensor.Elements(busy, int(each)), perOperator), Params: names}
}

// latents are those of trials in double precision, there and as they arrive, with the coordinates that are kept of them.
func latents(trials, bins, width, kept int) int64 {
	return tensor.Total(tensor.Elements(2, trials, bins, width, 8), tensor.Elements(trials, bins, kept, 8))
}

// fitting is what an operator is fitted in: the latents, and the second moments of their embedding.
func fitting(trials, bins, width, columns, kept int) int64 {
	return tensor.Total(latents(trials, bins, width, kept), tensor.Elements(3, columns, columns, 8))
}
