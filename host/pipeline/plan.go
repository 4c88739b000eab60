package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/store"
)

// Planned is what a run would do with one stage.
type Planned struct {
	Stage     string   `json:"stage"`
	Component string   `json:"component"`
	Needs     []string `json:"needs"`
	// From is the file with the weights that the stage's training begins with; empty for none.
	From string `json:"from,omitempty"`
	// Points is how many points of the study have the stage; 1 where there are no axes.
	Points int `json:"points"`
	// Key is empty where it is not yet known, because a stage before must run first.
	Key string `json:"key,omitempty"`
	// Stored is true where the stage would not be run.
	Stored bool `json:"stored"`
	// Changed lists the parts of the key that differ from when a stage of this name was last run in an experiment of this name.
	Changed []string `json:"changed,omitempty"`
	// Reason says in words why the stage would run.
	Reason string `json:"reason,omitempty"`
}

// Plan says, without running anything, which stages are stored and why the others would run.
func (g *Graph) Plan(ctx context.Context) ([]Planned, error) {
	entries := map[*stage]store.Entry{}
	var out []Planned
	for _, s := range g.stages {
		p := Planned{Stage: s.name, Component: s.uses[s.lead()].found.Name.String(), Needs: []string{}, From: s.from(), Points: len(s.points)}
		waits := ""
		for _, need := range s.needs {
			p.Needs = append(p.Needs, need.name)
			if _, ok := entries[need]; !ok && waits == "" {
				waits = need.name
			}
		}
		if waits != "" {
			p.Reason = "after " + waits + " has run"
			out = append(out, p)
			continue
		}
		if err := g.planStage(ctx, s, &p, entries); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

func (g *Graph) planStage(ctx context.Context, s *stage, p *Planned, entries map[*stage]store.Entry) error {
	_, hashes, err := g.locate(s, func(from *stage) store.Entry { return entries[from] })
	if err != nil {
		return err
	}
	parts := s.parts(hashes)
	if p.Key, err = parts.Key(); err != nil {
		return err
	}
	e, ok, err := g.host.Store.Lookup(ctx, p.Key)
	if err != nil {
		return err
	}
	if ok {
		entries[s] = e
		p.Stored = true
		return nil
	}
	p.Reason = "not run before"
	var last lastKey
	switch err := artifact.ReadJSON(g.lastFile(s), &last); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	was, ok, err := g.host.Store.Lookup(ctx, last.Key)
	if err != nil || !ok {
		p.Reason = "its last result is no longer stored"
		return err
	}
	before, err := artifact.ReadRecord(was.Dir)
	if err != nil {
		return err
	}
	now, err := parts.Flat()
	if err != nil {
		return err
	}
	p.Changed = changed(now, whole(before.KeyParts))
	p.Reason = "changed since it last ran"
	if len(p.Changed) == 0 && stopped(before.Train) {
		p.Reason = afterSteps(before.Train) + ", which goes on"
	}
	return nil
}
