package dsa

import (
	"errors"
	"strings"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/distance"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// checkSubjects reports what contradicts itself in a request. Subjects need not have the same trials.
func checkSubjects(req comparator.Request) error {
	if err := trials.CheckSubjects(req.Subjects); err != nil {
		return err
	}
	for i := range req.Subjects {
		for _, which := range []trials.Split{trials.Train, trials.Valid} {
			if _, err := trials.CheckArrays(req.Subjects[i:i+1], i, which); err != nil {
				return err
			}
		}
	}
	return nil
}

// trials takes an array of a subject apart, each trial cut at its length, which is that of the subject or, where it has none, of the first subject.
func (c *comparison) trials(s *comparator.Subject, valid bool, name string) ([]dmd.Trial, error) {
	split, set, first := trials.Train, s.Train, c.subjects[0].Train
	if valid {
		split, set, first = trials.Valid, s.Valid, c.subjects[0].Valid
	}
	a := set.Get(name)
	if a == nil {
		return nil, trials.Omit("%s has no %s of %s", s.Label, name, split.Trials())
	}
	lengths := set.Get(comparator.Lengths)
	if lengths == nil && c.subjects[0].Role != comparator.Fitted {
		lengths = first.Get(comparator.Lengths)
	}
	if lengths != nil && lengths.Shape[0] != a.Shape[0] {
		return nil, trials.Omit("%s has %d %s, the lengths of %s are for %d", s.Label, a.Shape[0], split.Trials(), c.subjects[0].Label, lengths.Shape[0])
	}
	bins, width := a.Shape[1], a.Shape[2]
	if a.Len() == 0 {
		return nil, trials.Omit("%s of %s (%s): shape %v holds nothing", name, s.Label, split.Trials(), a.Shape)
	}
	out := make([]dmd.Trial, a.Shape[0])
	for k := range out {
		n := bins
		if lengths != nil {
			n = min(bins, int(lengths.I64[k]))
		}
		x := make([]float64, n*width)
		at := k * bins * width
		switch {
		case a.F64 != nil:
			copy(x, a.F64[at:])
		case a.F32 != nil:
			for i, v := range a.F32[at : at+len(x)] {
				x[i] = float64(v)
			}
		default:
			for i, v := range a.I64[at : at+len(x)] {
				x[i] = float64(v)
			}
		}
		for i, v := range x {
			if v-v != 0 {
				return nil, trials.Omit("%s of %s (%s trials) is not finite in trial %d, bin %d, channel %d", name, s.Label, split, k, i/width, i%width)
			}
		}
		out[k] = dmd.Trial{Data: x, Width: width}
	}
	return out, nil
}

// shuffled has the bins of each trial in another order, the same for all subjects.
func (c *comparison) shuffled(trials []dmd.Trial) []dmd.Trial {
	out := make([]dmd.Trial, len(trials))
	for k, t := range trials {
		x := make([]float64, len(t.Data))
		for to, from := range random.New(c.seed, "dsa/null", uint64(k)).Perm(t.Bins()) {
			copy(x[to*t.Width:][:t.Width], t.Data[from*t.Width:])
		}
		out[k] = dmd.Trial{Data: x, Width: t.Width}
	}
	return out
}

// rounding is the share of the largest singular value that float32 leaves in doubt.
const rounding = 1e-6

// options of a subject's fit.
func (c *comparison) options(s *comparator.Subject) dmd.Options {
	o := dmd.Options{Delays: c.Delays, Interval: c.Interval, Ridge: c.Ridge, ReducedRank: c.ReducedRank, Threads: 1}
	switch c.RankBy {
	case "number":
		o.Rank.Number, o.Rank.AtMost = c.Rank, c.Common
	case "threshold":
		o.Rank.Threshold = c.Threshold
	case "explained":
		o.Rank.Explained = c.Explained
	case "optimal":
		o.Rank.Optimal = true
	}
	if a := s.Train.Get(comparator.Latents); a != nil && a.F32 != nil {
		o.Rank.Floor = rounding
	}
	return o
}

// reach says which number of delays trials have room for, where it is less than wanted.
func (c *comparison) reach(s *comparator.Subject, x []dmd.Trial, delays int) error {
	longest := 0
	for _, t := range x {
		longest = max(longest, t.Bins())
	}
	// A row of the embedding, and the bin after it.
	if most := 1 + (longest-2)/c.Interval; longest < 2 {
		return trials.Omit("n_delays %d: the longest trial of %s has %d bins: at least 2 are needed", delays, s.Label, longest)
	} else if delays > most {
		return trials.Omit("n_delays %d: the longest trial of %s has %d bins: at most %d are possible with delay_interval %d", delays, s.Label, longest, most, c.Interval)
	}
	return nil
}

// why turns a failed fit into the reason of an omission, without what the fit calls its errors.
func why(s *comparator.Subject, err error) error {
	var o trials.Omission
	if errors.As(err, &o) {
		return err
	}
	text := err.Error()
	for _, kind := range []error{dmd.ErrData, dmd.ErrOption, distance.ErrOperator, distance.ErrDriven} {
		text = strings.TrimPrefix(text, kind.Error()+": ")
	}
	return trials.Omission(s.Label + ": " + strings.TrimPrefix(text, "x: "))
}
