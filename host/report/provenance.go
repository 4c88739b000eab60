package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
)

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
