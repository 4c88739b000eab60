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
	// Short is the title in the table of contents, where it is another one.
	Short   string
	Intro   string
	Notes   []string
	Facts   []facts
	Figures []drawing
	Folds   []fold
	Lists   []list
	// Overview has a few numbers of every comparison; nil elsewhere than in the first section of a run.
	Overview *overviewTable
	// Comparison is set in the section of a comparison alone.
	Comparison *comparison
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
	// Under is true where the figure stands under a heading of its own.
	Under   bool
	SVG     template.HTML
	Problem string
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

func direction(b component.Better) string {
	switch b {
	case component.Higher:
		return "↑ higher"
	case component.Lower:
		return "↓ lower"
	}
	return ""
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

// training says how a training went; best names the loss that decided which weights were the best.
func training(t *artifact.TrainSummary, best string) []pair {
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
		out = append(out, pair{best, fmt.Sprintf("%s at epoch %d, %s", v, t.BestEpoch, kept)})
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
