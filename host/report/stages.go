package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
)

func (c *composer) train(ctx context.Context) {
	s := c.begin(artifact.TrainStage, "Task-trained network", "")
	st, ok := c.run.Stage(artifact.TrainStage)
	if !ok {
		why := "The experiment trains no network."
		if c.outline.Train != nil && c.outline.Train.Load != "" {
			why = "The network was not trained here but loaded from " + c.outline.Train.Load + "."
		}
		s.Notes = append(s.Notes, c.missing(artifact.TrainStage, why))
		c.further(s)
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
	c.further(s)
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
		figures, err := exampleTrials(ctx, st, tick)
		for _, f := range figures {
			c.figure(f)
		}
		if err != nil {
			s.Notes = append(s.Notes, without("Example trials", err, err.Error()))
		}
	})
	c.reach(ctx, st)
	c.own(st)
}

// further names the other networks that were trained on the task and loaded to be compared.
func (c *composer) further(s *section) {
	trials := "the trials that the spikes were simulated from"
	if c.outline.Simulate == nil {
		trials = "the trials of the task"
	}
	for _, f := range c.outline.Fit {
		if c.networks[f.Name] {
			s.Notes = append(s.Notes, fmt.Sprintf("%s is another network that was trained on the task%s: loaded from %s, and run over %s.", f.Name, within(c.componentBehind(f.Name)), f.Load, trials))
		}
	}
}

// within puts something into brackets, where it is anything.
func within(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
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
		of   func() (component.Figure, error)
	}{{"Hand paths", c.reaches.paths}, {"Speeds and distances", c.reaches.profiles}, {"Muscle activations", c.reaches.activations}} {
		c.attempt(figure.what, func() {
			f, err := figure.of()
			if err != nil {
				s := &c.sections[len(c.sections)-1]
				s.Notes = append(s.Notes, without(figure.what, err, ""))
			} else if len(f.Panels) > 0 {
				c.figure(f)
			}
		})
	}
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
	out := training(st.Record.Train, bestLoss(st))
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
	models := 0
	for _, f := range c.outline.Fit {
		if c.networks[f.Name] {
			continue
		}
		models++
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
		if models == 0 {
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
