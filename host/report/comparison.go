package report

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// comparison is what a section says of one comparison: what was compared, the numbers, what to keep in mind of them, and how to read them.
type comparison struct {
	Label string
	About facts
	Rows  []metricRow
	// Long is true where the numbers are so many that they open on demand.
	Long bool
	// Caveats are remarks on numbers that are there, with the places that Rows refer to, and Missing what could not be computed.
	Caveats, Missing []remark
	Readings         []pair
}

// mostOpenRows is the number of rows up to which a table stands open.
const mostOpenRows = 150

type metricRow struct {
	Metric string
	// Parts are the metric's name where it may be broken.
	Parts []string
	// Span is the number of rows of this metric, 0 where an earlier row has its name.
	Span                                 int
	Subject, Reference                   string
	Value, Low, High, Null, Unit, Better string
	N                                    string
	Colour                               template.CSS
	// Mark is the number of the caveat, 0 where there is none.
	Mark int
}

// remark is a reason and what it is the reason of.
type remark struct {
	Mark           int
	Values, Reason string
}

// compare begins a section for each comparison, done or not.
func (c *composer) compare() {
	type planned struct {
		label, use string
		subjects   []string
	}
	var all []planned
	add := func(p planned) {
		if p.label != "" && !slices.ContainsFunc(all, func(o planned) bool { return o.label == p.label }) {
			all = append(all, p)
		}
	}
	for _, p := range c.outline.Compare {
		label := p.Name
		if label == "" {
			label = p.Use[strings.LastIndex(p.Use, "/")+1:]
		}
		add(planned{label, p.Use, p.Subjects})
	}
	for _, st := range c.stages(artifact.CompareStage) {
		add(planned{label: st.Label, use: st.Record.Component})
	}
	for _, u := range c.provenance.Stages {
		if label, ok := strings.CutPrefix(u.Stage, artifact.CompareStage+"/"); ok {
			add(planned{label: label})
		}
	}
	for _, r := range c.results.Metrics {
		add(planned{label: r.Comparator})
	}
	for _, p := range all {
		id := "compare-" + fileName(p.label)
		for i := 2; slices.ContainsFunc(c.sections, func(s section) bool { return s.ID == id }); i++ {
			id = fmt.Sprintf("compare-%s-%d", fileName(p.label), i)
		}
		s := c.begin(id, "Comparison: "+p.label, "")
		s.Short, s.Comparison = p.label, &comparison{Label: p.label}
		c.comparisons = append(c.comparisons, len(c.sections)-1)
		st, ok := c.run.Stage(artifact.CompareStage + "/" + p.label)
		if !ok {
			s.Notes = append(s.Notes, c.missing(artifact.CompareStage+"/"+p.label, "This comparison is not complete."))
			s.Comparison.About.Pairs = c.about(p.label, p.use, p.subjects, nil)
			continue
		}
		s.Comparison.About.Pairs = c.about(p.label, componentOf(st.Record), p.subjects, &st)
		s.Notes = append(s.Notes, st.Record.Notes...)
		c.own(st)
	}
}

// about says what was compared: by what, which subjects, on which data, and with which parameters where these are not the defaults.
func (c *composer) about(label, use string, subjects []string, st *artifact.Stage) []pair {
	var out []pair
	add := func(name, text string) {
		if text != "" {
			out = append(out, pair{name, text})
		}
	}
	add("component", use)
	of := artifact.Results{Metrics: slices.DeleteFunc(slices.Clone(c.results.Metrics), func(r artifact.Result) bool { return r.Comparator != label })}
	references := map[string]bool{}
	seen := slices.Clone(subjects)
	for _, r := range of.Metrics {
		if r.Reference != "" {
			references[r.Reference] = true
		}
		// What the experiment calls the truth is a recording where nothing is known of what made it.
		if i := slices.Index(seen, experiment.Truth); i >= 0 && r.Subject == experiment.Recording || i >= 0 && r.Reference == experiment.Recording {
			if !slices.Contains(seen, experiment.Recording) {
				seen[i] = experiment.Recording
			}
		}
		for _, label := range []string{r.Reference, r.Subject} {
			if label != "" && !slices.Contains(seen, label) {
				seen = append(seen, label)
			}
		}
	}
	switch {
	case len(references) == 1:
		for label := range references {
			add("reference", label+": "+c.kindOf(label, true))
		}
	case len(references) > 1:
		add("reference", "none for all: each two are compared, and a number says what it is against")
	}
	add("compared", c.grouped(slices.DeleteFunc(seen, func(l string) bool { return len(references) == 1 && references[l] })))
	add("data", c.dataLine(st))
	if st != nil {
		add("parameters", changed(st.Record))
	}
	return out
}

// grouped lists subjects by what they are, e.g. "gru-64, gru-128: data-trained (model/sae-gru); net2: another network ...".
func (c *composer) grouped(subjects []string) string {
	var kinds []string
	of := map[string][]string{}
	for _, label := range subjects {
		kind := c.kindOf(label, false)
		if of[kind] == nil {
			kinds = append(kinds, kind)
		}
		of[kind] = append(of[kind], label)
	}
	for i, kind := range kinds {
		kinds[i] = strings.Join(of[kind], ", ") + ": " + kind
	}
	return strings.Join(kinds, "; ")
}

// kindOf says what a subject is.
func (c *composer) kindOf(label string, reference bool) string {
	isFit := slices.ContainsFunc(c.outline.Fit, func(f fitOutline) bool { return f.Name == label })
	switch {
	case c.networks[label]:
		return "another network trained on the task" + within(c.componentBehind(label)) + ", run over the same trials"
	case !isFit && label == experiment.Truth:
		what := "the network trained on the task"
		switch _, here := c.run.Stage(artifact.TrainStage); {
		case !here && c.outline.Train == nil:
			what = "the true latents or rates that the data set holds"
		case c.data != nil || c.outline.Simulate != nil:
			what += within(c.componentBehind(label)) + " and the spikes simulated from it"
		default:
			what += within(c.componentBehind(label))
		}
		return what
	case !isFit && label == experiment.Recording:
		return "the recorded data, of which no truth is known"
	}
	return "data-trained" + within(c.componentBehind(label))
}

// componentBehind is the component of a subject's model, as far as that is on record.
func (c *composer) componentBehind(label string) string {
	name, load := artifact.FitStage+"/"+label, ""
	if label == experiment.Truth {
		name = artifact.TrainStage
		if c.outline.Train != nil {
			load = c.outline.Train.Load
		}
	}
	if st, ok := c.run.Stage(name); ok {
		return st.Record.Component
	}
	role := "subject/" + label
	if label == experiment.Truth {
		role = "truth"
	}
	for _, st := range c.stages(artifact.CompareStage) {
		if k, ok := st.Record.Keyed(role); ok {
			return k.Component
		}
	}
	for _, f := range c.outline.Fit {
		if f.Name == label {
			if f.Use != "" {
				return f.Use
			}
			load = f.Load
		}
	}
	if rec, err := artifact.ReadRecord(load); load != "" && err == nil {
		return rec.Component
	}
	return ""
}

// findNetworks tells the task-trained networks among the experiment's fits: by what the comparisons have on record, or by the folders that they were loaded from.
func (s *source) findNetworks() {
	s.networks = map[string]bool{}
	for _, st := range s.stages(artifact.CompareStage) {
		var labels []string
		if json.Unmarshal([]byte(st.Record.KeyParts["settings.networks"]), &labels) == nil {
			for _, label := range labels {
				s.networks[label] = true
			}
		}
	}
	for _, f := range s.outline.Fit {
		if f.Load == "" || f.Name == "" {
			continue
		}
		if rec, err := artifact.ReadRecord(filepath.FromSlash(f.Load)); err == nil && rec.Stage == artifact.TrainStage {
			s.networks[f.Name] = true
		}
	}
}

// dataLine says in a line which data a comparison was made on, empty where that is not known.
func (c *composer) dataLine(st *artifact.Stage) string {
	if c.data == nil {
		if _, simulated := c.run.Stage(artifact.SimulateStage); simulated || c.outline.Simulate != nil || st == nil {
			return ""
		}
		if on, ok := st.Record.Keyed("trials"); ok && st.Record.KeyParts["settings.networks"] != "" {
			return "no spikes: the trials of the task" + within(on.Component) + ", which each network was run over"
		}
		return "none: the network alone, its dynamics and its task's score"
	}
	d := c.data.spec
	of := "simulated spikes"
	if _, simulated := c.run.Stage(artifact.SimulateStage); !simulated {
		of = "the data set " + c.outline.Simulate.Dataset
	}
	bins := fmt.Sprintf("%d bins", d.Bins)
	if d.BinWidth > 0 {
		bins += fmt.Sprintf(" of %g ms", 1000*d.BinWidth)
	}
	return fmt.Sprintf("%s: %d trials to fit on and %d to validate on, of %s; %d neurons, of them %d held in", of, d.TrainTrials, d.ValidTrials, bins, d.Neurons, d.HeldIn)
}

// changed lists the parameters that are not the component's defaults; empty where these are not on record.
func changed(r artifact.Record) string {
	if len(r.Defaults) == 0 {
		return ""
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(r.Params)) {
		is, was := value(r.Params[k]), "must be given"
		if d, ok := r.Defaults[k]; ok {
			was = value(d) + " by default"
		}
		if is != strings.TrimSuffix(was, " by default") {
			out = append(out, fmt.Sprintf("%s: %s (%s)", k, is, was))
		}
	}
	if out == nil {
		return "the defaults"
	}
	return strings.Join(out, "; ") + "; the others are the defaults"
}

// breakable parts a long name after underscores and slashes.
func breakable(name string) []string {
	const short = 18
	if len(name) <= short {
		return []string{name}
	}
	var out []string
	for {
		i := strings.IndexAny(name, "_/")
		if i < 0 || i == len(name)-1 {
			return append(out, name)
		}
		out, name = append(out, name[:i+1]), name[i+1:]
	}
}

// fill adds the numbers of the comparison, its remarks and readings. Results are grouped by metric, in order of appearance.
func (c *comparison) fill(results artifact.Results, colour func(string) template.CSS) {
	own := slices.DeleteFunc(slices.Clone(results.Metrics), func(r artifact.Result) bool { return r.Comparator != c.Label })
	order := map[string]int{}
	// Only numbers that are there need to be read.
	var metrics []string
	for _, r := range own {
		if _, ok := order[r.Metric]; !ok {
			order[r.Metric] = len(order)
		}
		if !math.IsNaN(float64(r.Value)) && !slices.Contains(metrics, r.Metric) {
			metrics = append(metrics, r.Metric)
		}
	}
	slices.SortStableFunc(own, func(a, b artifact.Result) int { return order[a.Metric] - order[b.Metric] })
	// Where all are measured against one subject, it is said once, of the comparison.
	references := map[string]bool{}
	for _, r := range own {
		references[r.Reference] = true
	}
	delete(references, "")
	several := len(references) > 1
	remarks, of := artifact.Remarks(own)
	marks := make([]int, len(remarks))
	for i, r := range remarks {
		out := remark{Values: r.Values(), Reason: r.Reason}
		if r.Missing {
			c.Missing = append(c.Missing, out)
			continue
		}
		out.Mark = len(c.Caveats) + 1
		marks[i] = out.Mark
		c.Caveats = append(c.Caveats, out)
	}
	first := -1
	for i, r := range own {
		if math.IsNaN(float64(r.Value)) {
			continue
		}
		row := metricRow{
			Metric: r.Metric, Parts: breakable(r.Metric), Subject: r.Subject, Reference: r.Reference,
			Value: counted(float64(r.Value), r.Unit), Low: number(float64(r.Low)), High: number(float64(r.High)), Null: number(float64(r.Null)),
			Unit: r.Unit, Better: direction(r.Better), Colour: colour(r.Subject),
		}
		if r.N > 0 {
			row.N = fmt.Sprint(r.N)
		}
		if of[i] >= 0 {
			row.Mark = marks[of[i]]
		}
		if !several {
			row.Reference = ""
		}
		if first < 0 || c.Rows[first].Metric != r.Metric {
			first = len(c.Rows)
		}
		c.Rows = append(c.Rows, row)
		c.Rows[first].Span++
	}
	c.Long = len(c.Rows) > mostOpenRows
	var readings []component.Reading
	for _, metric := range metrics {
		if r, ok := results.Reading(c.Label, metric); ok && !slices.Contains(readings, r) {
			readings = append(readings, r)
		}
	}
	c.Readings = folded(readings)
}
