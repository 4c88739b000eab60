package artifact

import (
	"math"
	"slices"
	"testing"
)

func TestRemarks(t *testing.T) {
	nan := Number(math.NaN())
	results := []Result{
		{Comparator: "dsa", Metric: "dsa", Subject: "a", Reference: "truth", Value: nan, Reason: "too short"},
		{Comparator: "dsa", Metric: "dsa", Subject: "b", Reference: "truth", Value: nan, Reason: "too short"},
		{Comparator: "dsa", Metric: "gap", Subject: "a", Reference: "truth", Value: nan, Reason: "too short"},
		{Comparator: "dsa", Metric: "gap", Subject: "b", Reference: "truth", Value: nan, Reason: "too short"},
		{Comparator: "dsa", Metric: "dsa", Subject: "b", Reference: "a", Value: nan, Reason: "too short"},
		{Comparator: "dsa", Metric: "gap", Subject: "c", Reference: "truth", Value: nan, Reason: "too short"},
		{Comparator: "dsa", Metric: "mase", Subject: "a", Value: 1.2, Reason: "too short"},
		{Comparator: "dsa", Metric: "floor", Subject: "a", Value: 1},
		{Comparator: "dsa-2", Metric: "dsa", Subject: "a", Reference: "truth", Value: nan, Reason: "too short"},
		{Comparator: "dsa", Metric: "dsa", Subject: "d", Reference: "truth", Value: nan, Reason: "another reason"},
	}
	remarks, of := Remarks(results)
	want := []string{
		"dsa, gap of a, b against truth: too short",
		"dsa of b against a: too short",
		"gap of c against truth: too short",
		"mase of a: too short",
		"dsa of a against truth: too short",
		"dsa of d against truth: another reason",
	}
	var got []string
	for _, r := range remarks {
		got = append(got, r.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("remarks\n%q, want\n%q", got, want)
	}
	if !slices.Equal(of, []int{0, 0, 0, 0, 1, 2, 3, -1, 4, 5}) {
		t.Errorf("places %v", of)
	}
	for i, r := range remarks {
		if r.Missing != (i != 3) {
			t.Errorf("%s: missing %v", r, r.Missing)
		}
	}
	remarks, of = Remarks([]Result{
		{Comparator: "m", Metric: "r2", Subject: "a", Value: nan, Reason: "a infers no inputs"}, {Comparator: "m", Metric: "r2", Subject: "b", Value: nan, Reason: "b infers no inputs"},
		{Comparator: "m", Metric: "r2", Subject: "c", Value: nan, Reason: "a infers no inputs"}, {Comparator: "m", Metric: "bps", Subject: "d", Value: nan, Reason: "d infers no inputs"},
	})
	got = nil
	for _, r := range remarks {
		got = append(got, r.String())
	}
	if want := []string{"r2 of a, b: each infers no inputs", "r2 of c: a infers no inputs", "bps of d: d infers no inputs"}; !slices.Equal(got, want) || !slices.Equal(of, []int{0, 0, 1, 2}) {
		t.Errorf("remarks\n%q %v, want\n%q", got, of, want)
	}
	remarks, of = Remarks(results)
	// None of the values gets lost, whatever is grouped.
	for i, r := range results {
		if r.Reason == "" {
			continue
		}
		m := remarks[of[i]]
		if m.Comparator != r.Comparator || m.Reference != r.Reference || m.Reason != r.Reason || !slices.Contains(m.Metrics, r.Metric) || !slices.Contains(m.Subjects, r.Subject) {
			t.Errorf("result %d, %+v, is under %+v", i, r, m)
		}
	}
	if remarks, of := Remarks(nil); len(remarks) != 0 || len(of) != 0 {
		t.Errorf("of nothing: %v, %v", remarks, of)
	}
}
