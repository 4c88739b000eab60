package report

import (
	"html/template"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	headlineMetrics  = 3 // of a comparison
	headlineSubjects = 6 // with columns of their own; of more, the lowest and the highest value are shown
)

// overviewTable has a few numbers of each comparison, and leads to the others.
type overviewTable struct {
	// Subjects head the columns; none where they are too many.
	Subjects []subjectHead
	Rows     []overviewRow
}

type subjectHead struct {
	Label  string
	Colour template.CSS
}

type overviewRow struct {
	Comparison, Link string
	// Span is the number of rows of this comparison, 0 where an earlier row has its name.
	Span                    int
	Reference, Unit, Better string
	// Parts are the metric's name where it may be broken.
	Parts []string
	// Values by subject; or the lowest and the highest, Low and High being whose they are.
	Values    []string
	Low, High string
}

// headlines chooses the first metric of each comparison and the next ones that have a better and a worse, first those that measure subjects against others, no variants of these; nil where
// no value is known.
func (c *composer) headlines(colour func(string) template.CSS) *overviewTable {
	var out overviewTable
	var of [][]artifact.Result
	for _, at := range c.comparisons {
		s := &c.sections[at]
		chosen := chooseHeadlines(c.results, s.Comparison.Label)
		for i, results := range chosen {
			r := results[0]
			row := overviewRow{Comparison: s.Short, Link: "#" + s.ID, Parts: breakable(r.Metric), Reference: r.Reference, Unit: r.Unit, Better: direction(r.Better)}
			if r.Reference == experiment.Truth || r.Reference == experiment.Recording {
				row.Reference = "" // what comparisons are against where nothing else is said
			}
			if i == 0 {
				row.Span = len(chosen)
			}
			out.Rows, of = append(out.Rows, row), append(of, results)
			for _, r := range results {
				if !slices.ContainsFunc(out.Subjects, func(h subjectHead) bool { return h.Label == r.Subject }) {
					out.Subjects = append(out.Subjects, subjectHead{r.Subject, colour(r.Subject)})
				}
			}
		}
	}
	if len(out.Rows) == 0 {
		return nil
	}
	slices.SortStableFunc(out.Subjects, func(a, b subjectHead) int { return first(a.Label) - first(b.Label) })
	if len(out.Subjects) > headlineSubjects {
		out.Subjects = nil
	}
	for i, results := range of {
		row := &out.Rows[i]
		if out.Subjects == nil {
			low, high := results[0], results[0]
			for _, r := range results {
				if r.Value < low.Value {
					low = r
				}
				if r.Value > high.Value {
					high = r
				}
			}
			row.Values = []string{counted(float64(low.Value), low.Unit), counted(float64(high.Value), high.Unit)}
			row.Low, row.High = low.Subject, high.Subject
			continue
		}
		row.Values = make([]string, len(out.Subjects))
		for _, r := range results {
			row.Values[slices.IndexFunc(out.Subjects, func(h subjectHead) bool { return h.Label == r.Subject })] = counted(float64(r.Value), r.Unit)
		}
	}
	return &out
}

// first is 0 of the truth or recording, which comes before the others, which are 1.
func first(subject string) int {
	if subject == experiment.Truth || subject == experiment.Recording {
		return 0
	}
	return 1
}

// chooseHeadlines are the values of a comparison's headlines, by metric: against the first reference of each.
func chooseHeadlines(all artifact.Results, comparison string) [][]artifact.Result {
	var metrics []string
	of := map[string][]artifact.Result{}
	for _, r := range all.Metrics {
		if r.Comparator != comparison || math.IsNaN(float64(r.Value)) {
			continue
		}
		if of[r.Metric] == nil {
			metrics = append(metrics, r.Metric)
		}
		if of[r.Metric] == nil || of[r.Metric][0].Reference == r.Reference {
			of[r.Metric] = append(of[r.Metric], r)
		}
	}
	var chosen []string
	choose := func(measured bool) {
		for i, m := range metrics {
			_, variant := variantOf(m)
			better := of[m][0].Better
			if len(chosen) < headlineMetrics && !slices.Contains(chosen, m) &&
				(i == 0 || variant == "" && (better == component.Higher || better == component.Lower) && (of[m][0].Reference != "" || !measured)) {
				chosen = append(chosen, m)
			}
		}
	}
	choose(true)
	choose(false)
	var out [][]artifact.Result
	for _, m := range metrics {
		if slices.Contains(chosen, m) {
			out = append(out, of[m])
		}
	}
	return out
}
