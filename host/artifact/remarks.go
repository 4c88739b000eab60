package artifact

import (
	"math"
	"slices"
	"strings"
)

// Remark is a reason that results have in common: why they could not be computed, or what is to be kept in mind where they were.
type Remark struct {
	Comparator string
	// Missing is true of values that are not there.
	Missing bool
	// Metrics and Subjects are those of the results, each metric of each subject, in order of appearance.
	Metrics, Subjects []string
	Reference, Reason string
}

// Remarks gathers the reasons of results, in order of appearance: of one comparison the metrics of one subject and reference with one reason, and the subjects that have this in common.
// The second value has, for each result, its place among them, -1 where it has no reason.
func Remarks(results []Result) (remarks []Remark, of []int) {
	of = make([]int, len(results))
	type key struct {
		comparator, subject, reference, reason string
		missing                                bool
	}
	var one []Remark
	place := map[key]int{}
	for i, r := range results {
		of[i] = -1
		if r.Reason == "" {
			continue
		}
		k := key{r.Comparator, r.Subject, r.Reference, r.Reason, math.IsNaN(float64(r.Value))}
		at, ok := place[k]
		if !ok {
			at = len(one)
			place[k] = at
			one = append(one, Remark{Comparator: r.Comparator, Missing: k.missing, Subjects: []string{r.Subject}, Reference: r.Reference, Reason: r.Reason})
		}
		if !slices.Contains(one[at].Metrics, r.Metric) {
			one[at].Metrics = append(one[at].Metrics, r.Metric)
		}
		of[i] = at
	}
	// Subjects that lack the same for the same reason share a remark, also where the reason begins with the subject's name: it is then said of each.
	joined := make([]int, len(one))
	shared := map[key]int{}
	for i, r := range one {
		said, named := r.Reason, false
		if rest, ok := strings.CutPrefix(r.Reason, r.Subjects[0]+" "); ok {
			said, named = "each "+rest, true
		}
		k := key{r.Comparator, strings.Join(r.Metrics, "\n"), r.Reference, said, r.Missing}
		at, ok := shared[k]
		if !ok {
			at = len(remarks)
			shared[k], remarks = at, append(remarks, r)
		} else {
			remarks[at].Subjects = append(remarks[at].Subjects, r.Subjects...)
			if named {
				remarks[at].Reason = said
			}
		}
		joined[i] = at
	}
	for i, at := range of {
		if at >= 0 {
			of[i] = joined[at]
		}
	}
	return remarks, of
}

// Values says which values a remark is about, e.g. "dsa, dsa_gap of gru-64, lds-8 against truth".
func (r Remark) Values() string {
	s := strings.Join(r.Metrics, ", ") + " of " + strings.Join(r.Subjects, ", ")
	if r.Reference != "" {
		s += " against " + r.Reference
	}
	return s
}

// String is the remark on one line.
func (r Remark) String() string { return r.Values() + ": " + r.Reason }
