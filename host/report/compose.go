package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// composer makes the sections of a page and gathers the figures on the way: first all figures, then, when the groups in all of them are known, their colours.
type composer struct {
	*source
	sections []section
	figures  []placed
	// subjects take the first colours, in this order.
	subjects []string
	// reaches are animated in the section with that number; nil where there are none.
	reaches   *reaches
	reachesIn int
}

// placed is a figure and the section that it stands in.
type placed struct {
	section int
	figure  component.Figure
	// ticks are the values to mark along x; none where the drawing chooses.
	ticks []float64
}

func (c *composer) begin(id, title, intro string) *section {
	c.sections = append(c.sections, section{ID: id, Title: title, Intro: intro, Notes: c.notes[id]})
	return &c.sections[len(c.sections)-1]
}

func (c *composer) figure(f component.Figure) {
	c.figures = append(c.figures, placed{section: len(c.sections) - 1, figure: f})
}

// own adds the figures that a stage's component returned, under names of their own.
func (c *composer) own(st artifact.Stage) {
	figures, err := st.Figures()
	if err != nil {
		s := &c.sections[len(c.sections)-1]
		s.Notes = append(s.Notes, fmt.Sprintf("%s: its figures cannot be shown: %v", st.Name, err))
		return
	}
	for _, f := range figures {
		f.Name = fileName(st.Name + "-" + f.Name)
		c.figure(f)
	}
}

// fileName makes a figure's name of a stage's and a component's: lower-case letters, digits and single hyphens.
func fileName(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}

func (c *composer) compose(ctx context.Context) {
	c.begin("results", "Results", "")
	c.train(ctx)
	c.simulate()
	c.fit()
	c.compare()
	c.begin("parameters", "Parameters", "")
	c.parameters()
	c.begin("provenance", "Provenance", "What it takes to have these numbers again.")
	c.origin()
}

// missing says why a stage is not there: it failed, was skipped, was not asked for or was loaded from elsewhere.
func (c *composer) missing(stage, notAsked string) string {
	for _, u := range c.provenance.Stages {
		if u.Stage != stage {
			continue
		}
		why := u.Error
		if why != "" {
			why = ": " + why
		}
		switch u.Status {
		case "failed":
			return fmt.Sprintf("The stage %s failed%s", stage, why)
		case "interrupted":
			return fmt.Sprintf("The stage %s was interrupted%s", stage, why)
		case "skipped":
			return fmt.Sprintf("The stage %s was not run%s", stage, why)
		}
		return fmt.Sprintf("The stage %s is %s, but its folder has no record%s", stage, u.Status, why)
	}
	return notAsked
}

func (c *composer) train(ctx context.Context) {
	s := c.begin(artifact.TrainStage, "Task-trained network", "")
	st, ok := c.run.Stage(artifact.TrainStage)
	if !ok {
		why := "The experiment trains no network."
		if c.outline.Train != nil && c.outline.Train.Load != "" {
			why = "The network was not trained here but loaded from " + c.outline.Train.Load + "."
		}
		s.Notes = append(s.Notes, c.missing(artifact.TrainStage, why))
		return
	}
	f := facts{Pairs: []pair{{"component", componentOf(st.Record)}}}
	f.Pairs = append(f.Pairs, c.training(st)...)
	if score, err := st.Score(); err == nil {
		if v := mean(score.Success); v == v {
			f.Pairs = append(f.Pairs, pair{"success", fmt.Sprintf("%s on %d validation trials", number(v), len(score.Success))})
		}
		if v := mean(score.Loss); v == v {
			f.Pairs = append(f.Pairs, pair{"task loss", fmt.Sprintf("%s on validation trials", number(v))})
		}
		for i, name := range score.MetricNames {
			if i < len(score.Metrics) {
				unit := ""
				if i < len(score.MetricUnits) {
					unit = score.MetricUnits[i]
				}
				f.Pairs = append(f.Pairs, pair{name, strings.TrimSpace(number(mean(score.Metrics[i])) + " " + unit)})
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		s.Notes = append(s.Notes, err.Error())
	}
	s.Facts = append(s.Facts, f)
	s.Notes = append(s.Notes, st.Record.Notes...)
	c.attempt("Successes", func() {
		score, err := st.Score()
		if err != nil {
			return
		}
		if f, ok := success(score); ok {
			c.figure(f)
		}
		if l, ok := successList(score); ok {
			s.Lists = append(s.Lists, l)
		}
	})
	c.curves("train-", []artifact.Stage{st}, "the training reported none")
	c.attempt("Scores over the training", func() {
		if f, ok, err := scores("train-scores", st); err != nil {
			s.Notes = append(s.Notes, without("Scores over the training", err, ""))
		} else if ok {
			c.figure(f)
		}
	})
	c.attempt("Example trials", func() {
		tick := clock{}
		if c.data != nil {
			tick = c.data.clock()
		}
		if f, err := exampleTrials(ctx, st, tick); err == nil {
			c.figure(f)
		} else {
			s.Notes = append(s.Notes, without("Example trials", err, err.Error()))
		}
	})
	c.reach(ctx, st)
	c.own(st)
}

// curves adds what trainings reported of themselves.
func (c *composer) curves(prefix string, stages []artifact.Stage, none string) {
	c.attempt("Learning curves", func() {
		if f, ok, err := learningCurves(prefix+"learning-curves", stages); ok {
			c.figure(f)
		} else {
			s := &c.sections[len(c.sections)-1]
			s.Notes = append(s.Notes, without("Learning curves", err, none))
		}
	})
	c.attempt("Rates of learning", func() {
		if f, ok := optimisation(prefix+"optimisation", stages); ok {
			c.figure(f)
		}
	})
}

// reach adds the figures of a reaching task.
func (c *composer) reach(ctx context.Context, st artifact.Stage) {
	c.attempt("Reaches", func() {
		r, err := c.openReaches(ctx, st)
		if err != nil {
			s := &c.sections[len(c.sections)-1]
			s.Notes = append(s.Notes, without("Reaches", err, ""))
		}
		if r != nil {
			c.reaches, c.reachesIn = r, len(c.sections)-1
		}
	})
	if c.reaches == nil {
		return
	}
	for _, figure := range []struct {
		what string
		of   func() (component.Figure, bool)
	}{{"Hand paths", c.reaches.paths}, {"Speeds and distances", c.reaches.profiles}, {"Muscle activations", c.reaches.activations}} {
		c.attempt(figure.what, func() {
			if f, ok := figure.of(); ok {
				c.figure(f)
			}
		})
	}
}

// attempt adds something to the last section, see attemptIn.
func (c *composer) attempt(what string, add func()) { c.attemptIn(len(c.sections)-1, what, add) }

// attemptIn adds something to a section. Figures are made of what anyone's components wrote: what is odder than was thought of, and panics, is left out with a note,
// since a figure is never worth a report.
func (c *composer) attemptIn(in int, what string, add func()) {
	defer func() {
		if r := recover(); r != nil {
			c.sections[in].Notes = append(c.sections[in].Notes, without(what, fmt.Errorf("they cannot be composed: %v", r), ""))
		}
	}()
	add()
}

func without(what string, err error, why string) string {
	if err != nil {
		why = err.Error()
	}
	return what + " are not shown: " + why + "."
}

func (c *composer) simulate() {
	s := c.begin(artifact.SimulateStage, "Spikes", "")
	st, simulated := c.run.Stage(artifact.SimulateStage)
	var f facts
	switch {
	case simulated:
		f.Pairs = append(f.Pairs, pair{"component", componentOf(st.Record)})
		s.Notes = append(s.Notes, st.Record.Notes...)
	case c.outline.Simulate != nil && c.outline.Simulate.Dataset != "":
		f.Pairs = append(f.Pairs, pair{"data set", c.outline.Simulate.Dataset})
	default:
		s.Notes = append(s.Notes, c.missing(artifact.SimulateStage, "The experiment has no spikes, neither simulated nor given."))
	}
	if c.data == nil {
		if len(f.Pairs) > 0 {
			s.Facts = append(s.Facts, f)
		}
		return
	}
	d := c.data.spec
	f.Pairs = append(f.Pairs,
		pair{"trials", fmt.Sprintf("%d to train on, %d to validate on", d.TrainTrials, d.ValidTrials)},
		pair{"neurons", fmt.Sprintf("%d, of them %d held in", d.Neurons, d.HeldIn)},
		pair{"bins", binsOf(d.Bins, d.BinWidth)},
	)
	if n := c.data.valid.counts; n != nil {
		f.Pairs = append(f.Pairs, pair{"mean count", fmt.Sprintf("%s %s, in the validation trials read for this report", number(meanCount(n)), rateUnit)})
	}
	s.Facts = append(s.Facts, f)
	if c.data.valid.rates == nil && c.data.valid.latents == nil {
		s.Notes = append(s.Notes, "The data set holds neither true rates nor true latents: what was inferred is shown as it is, and cannot be judged against a truth.")
	}
	c.attempt("Spikes", func() {
		if fig, ok := spikes(c.data, c.models); ok {
			c.figure(fig)
		}
	})
	if simulated {
		c.own(st)
	}
}

func binsOf(n int, width float64) string {
	if width <= 0 {
		return fmt.Sprintf("%d a trial", n)
	}
	return fmt.Sprintf("%d a trial, of %g ms", n, 1000*width)
}

// training says how a stage's training went, from where it began and how long it took.
func (c *composer) training(st artifact.Stage) []pair {
	out := training(st.Record.Train)
	if sum := st.Record.Inputs["from"]; sum != "" {
		from := "the weights " + short(sum)
		for _, u := range c.provenance.Stages {
			if u.Stage == st.Name && u.From != "" {
				from += " in " + u.From
			}
		}
		out = append(out, pair{"began with", from})
	}
	for _, u := range c.provenance.Stages {
		if took := span(float64(u.Seconds)); u.Stage == st.Name && !u.Stored && took != "" {
			out = append(out, pair{"took", took})
		}
	}
	return out
}

func meanCount(c *cube) float64 {
	rows, _ := c.rows(maxRows)
	return mean(rows)
}

func (c *composer) fit() {
	s := c.begin(artifact.FitStage, "Data-trained models", "")
	stages := c.stages(artifact.FitStage)
	for _, f := range c.outline.Fit {
		if _, ok := c.run.Stage(artifact.FitStage + "/" + f.Name); ok || f.Name == "" {
			continue
		}
		why := f.Name + " has not been fitted."
		if f.Load != "" {
			why = f.Name + " was not fitted here but loaded from " + f.Load + "."
		}
		s.Notes = append(s.Notes, c.missing(artifact.FitStage+"/"+f.Name, why))
	}
	if len(stages) == 0 {
		if len(c.outline.Fit) == 0 {
			s.Notes = append(s.Notes, "The experiment fits no models.")
		}
		return
	}
	for _, st := range stages {
		s.Facts = append(s.Facts, facts{st.Label, append([]pair{{"component", componentOf(st.Record)}}, c.training(st)...)})
		for _, n := range st.Record.Notes {
			s.Notes = append(s.Notes, st.Label+": "+n)
		}
	}
	c.curves("", stages, "the trainings reported none")
	if c.data != nil {
		c.attempt("Rates", func() {
			if f, ok := rates(c.data, c.models); ok {
				c.figure(f)
			}
		})
		c.attempt("Latents", func() {
			f, ok, err := latents(c.data, c.models)
			if ok {
				c.figure(f)
			}
			if err != nil {
				s.Notes = append(s.Notes, without("Latents", err, ""))
			}
		})
	}
	for _, st := range stages {
		c.own(st)
	}
}

func (c *composer) compare() {
	s := c.begin(artifact.CompareStage, "Comparisons", "")
	stages := c.stages(artifact.CompareStage)
	if len(stages) == 0 {
		s.Notes = append(s.Notes, "The experiment compares nothing.")
		if len(c.outline.Compare) > 0 {
			s.Notes[len(s.Notes)-1] = "No comparison is complete."
		}
	}
	for _, u := range c.provenance.Stages {
		if _, done := c.run.Stage(u.Stage); strings.HasPrefix(u.Stage, artifact.CompareStage+"/") && !done {
			s.Notes = append(s.Notes, c.missing(u.Stage, ""))
		}
	}
	for _, st := range stages {
		s.Facts = append(s.Facts, facts{st.Label, []pair{{"component", componentOf(st.Record)}}})
		for _, n := range st.Record.Notes {
			s.Notes = append(s.Notes, st.Label+": "+n)
		}
		c.own(st)
	}
}

func (c *composer) parameters() {
	s := &c.sections[len(c.sections)-1]
	for _, st := range c.run.Stages() {
		title := st.Name
		if st.Record.Component != "" {
			title += ": " + st.Record.Component
		}
		s.Folds = append(s.Folds, params(title, st.Record))
	}
	if c.yaml != "" {
		s.Folds = append(s.Folds, fold{Title: "the experiment, resolved (" + artifact.ExperimentFile + ")", Text: c.yaml})
	}
}

// origin is the section on where the run comes from.
func (c *composer) origin() {
	s := &c.sections[len(c.sections)-1]
	p := c.provenance
	var pairs []pair
	for _, q := range []pair{
		{"program", strings.TrimSpace("ctdb-host " + p.Host)}, {"compiler", p.Go}, {"platform", p.Platform}, {"processor", p.CPU},
		{"started", day(p.Started)}, {"finished", day(p.Finished)}, {"command", strings.Join(p.Command, " ")},
	} {
		if q.Text != "" && (q.Name != "program" || p.Host != "") {
			pairs = append(pairs, q)
		}
	}
	if p.Threads > 0 {
		pairs = append(pairs, pair{"threads", fmt.Sprint(p.Threads)})
	}
	if len(pairs) > 0 {
		s.Facts = append(s.Facts, facts{"", pairs})
	}
	s.Lists = append(s.Lists, c.stageList())
	if len(p.Plugins) > 0 {
		l := list{Title: "Plugins", Head: []string{"plugin", "version", "checksum", "made with", "numerics"}, Right: make([]bool, 5)}
		for _, u := range p.Plugins {
			var numerics []string
			for _, n := range sorted(u.Numerics) {
				numerics = append(numerics, n.Name+" "+n.Text)
			}
			l.Rows = append(l.Rows, []string{u.Name, u.Version, short(u.SHA256), strings.TrimSpace(u.Language + " " + u.Build), strings.Join(numerics, ", ")})
		}
		s.Lists = append(s.Lists, l)
	}
	if len(p.Libraries) > 0 {
		s.Folds = append(s.Folds, fold{Title: "libraries", Pairs: sorted(p.Libraries)})
	}
	if len(p.Environment) > 0 {
		s.Folds = append(s.Folds, fold{Title: "environment", Pairs: sorted(p.Environment)})
	}
}

// mostStages is the number of stages that are listed; a study may have thousands.
const mostStages = 100

// stageList is the table of stages: times from the provenance, keys from there or from the records.
func (c *composer) stageList() list {
	l := list{Title: "Stages", Head: []string{"stage", "component", "state", "time", "key"}, Right: []bool{false, false, false, true, false}}
	seen := map[string]bool{}
	for _, u := range c.provenance.Stages {
		seen[u.Stage] = true
		state := u.Status
		if u.Stored {
			state = "from the store"
		}
		if u.Stopped != "" {
			state += ", its training ended by a limit of time"
		}
		name := ""
		if st, ok := c.run.Stage(u.Stage); ok {
			name = st.Record.Component
		}
		l.Rows = append(l.Rows, []string{u.Stage, name, state, span(float64(u.Seconds)), short(u.Key)})
	}
	for _, st := range c.run.Stages() {
		if !seen[st.Name] {
			l.Rows = append(l.Rows, []string{st.Name, st.Record.Component, "done", "", short(st.Record.Key)})
		}
	}
	if n := len(l.Rows); n > mostStages {
		good := func(row []string) int {
			if row[2] == "done" || row[2] == "from the store" {
				return 1
			}
			return 0
		}
		slices.SortStableFunc(l.Rows, func(a, b []string) int { return good(a) - good(b) })
		l.Rows = l.Rows[:mostStages]
		l.Title = fmt.Sprintf("Stages: %d of %d, those that are not done first; %s has all", mostStages, n, artifact.ProvenanceFile)
	}
	return l
}

// draw draws every figure in one palette, for the page and, where asked, as files.
func (c *composer) draw(ctx context.Context, asFiles bool) (files map[string][]byte, palette figure.Palette, err error) {
	groups := slices.Clone(c.subjects)
	for _, st := range c.stages(artifact.FitStage) {
		groups = append(groups, st.Label)
	}
	for _, p := range c.figures {
		groups = append(groups, figure.Groups(p.figure)...)
	}
	palette = figure.NewPalette(groups...)
	drawer := figure.New(palette)
	files = map[string][]byte{}
	for _, p := range c.figures {
		if err := ctx.Err(); err != nil {
			return nil, palette, err
		}
		f := p.figure
		d := drawing{ID: "figure-" + f.Name, Title: f.Title, Caption: f.Caption}
		drawer := drawer.TicksAt(p.ticks...)
		var inline, svg, png bytes.Buffer
		err := drawer.Inline(&inline, f)
		if err == nil && asFiles {
			err = errors.Join(drawer.SVG(&svg, f), drawer.PNG(&png, f))
		}
		if err != nil {
			d.Problem = "This figure cannot be drawn: " + err.Error()
		} else {
			d.SVG = template.HTML(inline.String())
		}
		if err == nil && asFiles {
			files[filepath.Join(artifact.FiguresDir, f.Name+".svg")] = svg.Bytes()
			files[filepath.Join(artifact.FiguresDir, f.Name+".png")] = png.Bytes()
		}
		s := &c.sections[p.section]
		s.Figures = append(s.Figures, d)
	}
	if c.reaches != nil {
		c.attemptIn(c.reachesIn, "Reaches, animated,", func() {
			if inline, file, ok := c.reaches.animation(palette); ok {
				s := &c.sections[c.reachesIn]
				s.Figures = append(s.Figures, moving(inline))
				if asFiles {
					files[filepath.Join(artifact.FiguresDir, animationName+".svg")] = []byte(file)
				}
			}
		})
	}
	return files, palette, nil
}
