package report

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// page is what the template is filled with. Everything in it is escaped, save the figures and the style sheet, which are the host's own.
type page struct {
	// Kind is "run" or "study".
	Kind          string
	Title, Status string
	// About are the paragraphs of what the experiment says of itself.
	About []string
	// Lead is the line under the title.
	Lead     []string
	Style    template.CSS
	Sections []section
	Host     string
}

// section is one part of the page, in the table of contents.
type section struct {
	ID, Title string
	Intro     string
	Notes     []string
	Tables    []metricTable
	Readings  []pair
	Facts     []facts
	Figures   []drawing
	Folds     []fold
	Lists     []list
	// What follows is of studies.
	Spread   *spreadTable
	Runs     *runTable
	Points   pointList
	Failures pointList
}

type pair struct{ Name, Text string }

// facts is a titled list of what is known of a stage.
type facts struct {
	Title string
	Pairs []pair
}

// drawing is a figure as set on the page.
type drawing struct {
	ID, Title, Caption string
	SVG                template.HTML
	Problem            string
}

// fold is something long that opens on demand.
type fold struct {
	Title string
	Pairs []pair
	Text  string
}

// list is a plain table.
type list struct {
	Title string
	Head  []string
	Rows  [][]string
	// Right says which columns hold numbers.
	Right []bool
}

// metricTable holds the results of one comparator.
type metricTable struct {
	Comparator string
	Rows       []metricRow
}

type metricRow struct {
	Metric string
	// Span is the number of rows of this metric, 0 where an earlier row has its name.
	Span                                 int
	Subject, Reference                   string
	Value, Low, High, Null, Unit, Better string
	N                                    string
	Reason                               string
	Missing                              bool
	Colour                               template.CSS
}

// metricTables groups results by comparator, in order of appearance, and within it by metric.
func metricTables(results []artifact.Result, colour func(string) string) []metricTable {
	var out []metricTable
	for _, r := range results {
		i := slices.IndexFunc(out, func(t metricTable) bool { return t.Comparator == r.Comparator })
		if i < 0 {
			i = len(out)
			out = append(out, metricTable{Comparator: r.Comparator})
		}
		row := metricRow{
			Metric: r.Metric, Subject: r.Subject, Reference: r.Reference,
			Value: counted(float64(r.Value), r.Unit), Low: number(float64(r.Low)), High: number(float64(r.High)), Null: number(float64(r.Null)),
			Unit: r.Unit, Better: direction(r.Better), Reason: r.Reason, Missing: number(float64(r.Value)) == "",
			Colour: template.CSS("background:" + colour(r.Subject)),
		}
		if r.N > 0 {
			row.N = fmt.Sprint(r.N)
		}
		out[i].Rows = append(out[i].Rows, row)
	}
	for i := range out {
		first := map[string]int{}
		for k, r := range out[i].Rows {
			if _, ok := first[r.Metric]; !ok {
				first[r.Metric] = k
			}
		}
		slices.SortStableFunc(out[i].Rows, func(a, b metricRow) int { return first[a.Metric] - first[b.Metric] })
		for k := 0; k < len(out[i].Rows); {
			n := 1
			for k+n < len(out[i].Rows) && out[i].Rows[k+n].Metric == out[i].Rows[k].Metric {
				n++
			}
			out[i].Rows[k].Span = n
			k += n
		}
	}
	return out
}

func direction(b component.Better) string {
	switch b {
	case component.Higher:
		return "↑ higher"
	case component.Lower:
		return "↓ lower"
	}
	return ""
}

// readings explains the metrics of some tables, each once, as their comparators do.
func readings(tables []metricTable, results artifact.Results) []pair {
	var out []pair
	for _, t := range tables {
		for _, r := range t.Rows {
			reading, ok := results.Reading(t.Comparator, r.Metric)
			if ok && r.Span > 0 && !slices.ContainsFunc(out, func(p pair) bool { return p.Name == reading.Metric }) {
				out = append(out, pair{reading.Metric, explained(reading)})
			}
		}
	}
	return out
}

// explained is a reading with its source.
func explained(r component.Reading) string {
	if r.Source == "" {
		return r.Text
	}
	return r.Text + " (" + r.Source + ")"
}

// component names the component of a stage with its version and plugin.
func componentOf(r artifact.Record) string {
	if r.Component == "" {
		return ""
	}
	s := r.Component
	if r.ComponentVersion != "" {
		s += " " + r.ComponentVersion
	}
	if r.Plugin != "" {
		s += ", plugin " + strings.TrimSpace(r.Plugin+" "+r.PluginVersion)
	}
	return s
}

// training says how a training went.
func training(t *artifact.TrainSummary) []pair {
	if t == nil {
		return nil
	}
	out := []pair{{"trained for", fmt.Sprintf("%d epochs, %d steps", t.Epochs, t.Steps)}}
	if why, ok := map[string]string{"epochs": "all epochs done", "early-stopping": "no more improvement", "steps": "all steps done", "time": "time limit, so not reproducible"}[t.Stopped]; ok {
		out = append(out, pair{"ended by", why})
	} else if t.Stopped != "" {
		out = append(out, pair{"ended by", t.Stopped})
	}
	if v := number(float64(t.BestLoss)); v != "" {
		kept := "weights of the last epoch kept"
		if t.KeptBest {
			kept = "its weights kept"
		}
		out = append(out, pair{"best validation loss", fmt.Sprintf("%s at epoch %d, %s", v, t.BestEpoch, kept)})
	}
	if v := number(float64(t.LastLoss)); v != "" {
		out = append(out, pair{"last training loss", v})
	}
	return out
}

func params(title string, r artifact.Record) fold {
	f := fold{Title: title}
	for _, k := range slices.Sorted(maps.Keys(r.Params)) {
		f.Pairs = append(f.Pairs, pair{k, value(r.Params[k])})
	}
	f.Pairs = append(f.Pairs, pair{"seed of the stage", fmt.Sprint(r.Seed)})
	return f
}

// mean of what is finite, NaN where nothing is.
func mean(v []float64) float64 {
	var s, n float64
	for _, x := range v {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			s, n = s+x, n+1
		}
	}
	return s / n
}

func sorted(m map[string]string) []pair {
	var out []pair
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, pair{k, m[k]})
	}
	slices.SortStableFunc(out, func(a, b pair) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
