package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/store"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

var nan = math.NaN()

// Host is what graphs run with. One value may serve several runs at once.
type Host struct {
	Catalog *catalog.Catalog
	Store   *store.Store
	// Budget is shared by all runs that are given this one; nil for one thread and one job.
	Budget *Budget
	// CheckpointEvery is the time between checkpoints of a training; 0 is DefaultCheckpointEvery. What a training computes does not depend on it.
	CheckpointEvery time.Duration
	// MaxTime ends a training that takes longer, at the attempt's next step; 0: none does. What comes of it depends on the machine's speed; the training is gone on with
	// when the stage is run again.
	MaxTime time.Duration
	// Memory is how many bytes each plugin process may use before it is killed; 0 sets no limit.
	Memory int64
	// Stall is how long a stage may go without any progress before its plugins are killed; 0: for ever.
	Stall time.Duration
	// CheckFile reads a file of the user's before this process does, see [ChildCheck]; nil leaves that out.
	CheckFile FileCheck
	// Observer is told what happens; nil for none.
	Observer Observer
	// Log takes the host's and the plugins' messages; nil for none.
	Log *slog.Logger
}

// complete gives what is not set its default.
func (h Host) complete() Host {
	if h.Observer == nil {
		h.Observer = Unobserved{}
	}
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	if h.Budget == nil {
		h.Budget = NewBudget(1, 1)
	}
	h.CheckpointEvery = cmp.Or(h.CheckpointEvery, DefaultCheckpointEvery)
	return h
}

// Graph is the stages of a study's points, each stage once however many points have it, and after those that it depends on.
type Graph struct {
	study  *experiment.Study
	host   Host
	stages []*stage
	points []*point
	hashes hashes
}

// point is a point of the study with its stages, each after those that it depends on.
type point struct {
	experiment.Point
	stages []*stage
}

// stage is one node: a call of components that makes one entry of the store.
type stage struct {
	// name is unique in the graph: that of the stage in its experiment, e.g. "fit/gru-64", and where the study has several of it the values that it
	// depends on, "fit/gru-64 [seed=0 latent=8]".
	name string
	// local is the name in its experiment, and its folder within the run's of a point.
	local, kind, label string
	// id is the same for stages that do the same, see identify.
	id       string
	uses     map[role]use
	files    map[string]source
	settings map[string]any
	subjects []string
	// networks are those of the subjects that were trained on the task and not fitted to spikes.
	networks []string
	// ownTrials is true where there is no data set and networks are observed on their task's own trials.
	ownTrials     bool
	wantsDynamics bool
	body          func(*running, context.Context) error

	// needs are the stages that must be done before, depth is the length of the longest way to the stage, and beside how many are as deep.
	needs         []*stage
	depth, beside int
	points        []*point
}

// source is a file that a stage reads: of an earlier stage, or of the user's.
type source struct {
	from *stage
	file string
}

// New builds the graph of a resolved study, of the points with these indices or, where they are nil, of all. The problems that it returns are of what only the
// graph knows, such as a folder to load from that holds no trained model; Validate tells them all at once and with their places.
func New(study *experiment.Study, points []int, host Host) (*Graph, error) {
	g := &Graph{study: study, host: host.complete()}
	b := builder{catalog: g.host.Catalog, known: map[string]*stage{}, found: map[string]catalog.Component{}, folders: map[string]loadedFolder{}}
	all := make([]*point, len(study.Points))
	for i, p := range study.Points {
		stages, err := b.point(p.Experiment)
		if err != nil {
			return nil, err
		}
		all[i] = &point{Point: p, stages: stages}
	}
	nameStages(study, all)
	if points == nil {
		g.points = all
	} else {
		for _, i := range slices.Sorted(slices.Values(points)) {
			if i < 0 || i >= len(all) {
				return nil, fmt.Errorf("pipeline: point %d: the study has %d", i, len(all))
			}
			g.points = append(g.points, all[i])
		}
	}
	g.collect()
	return g, nil
}

// collect lists the stages of the graph's points.
func (g *Graph) collect() {
	seen := map[*stage]bool{}
	deep := map[int]int{}
	for _, p := range g.points {
		for _, s := range p.stages {
			s.points = append(s.points, p)
			if !seen[s] {
				seen[s] = true
				deep[s.depth]++
				g.stages = append(g.stages, s)
			}
		}
	}
	for _, s := range g.stages {
		s.beside = deep[s.depth]
	}
}

// Stages returns the names of the stages, each after those that it depends on.
func (g *Graph) Stages() []string {
	out := make([]string, len(g.stages))
	for i, s := range g.stages {
		out[i] = s.name
	}
	return out
}

// Plugins lists the plugins that the stages use, each once, by name and version.
func (g *Graph) Plugins() []*catalog.Plugin {
	seen := map[*catalog.Plugin]bool{}
	for _, s := range g.stages {
		for _, u := range s.uses {
			seen[u.found.Plugin] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b *catalog.Plugin) int { return strings.Compare(a.Title(), b.Title()) })
}

// Points is how many points of the study the graph has.
func (g *Graph) Points() int { return len(g.points) }

// folder is where a stage's entry is linked to within a run's folder.
func (s *stage) folder() string { return filepath.FromSlash(s.local) }

// parts returns what the stage's key is made of, given the content hashes of its inputs.
func (s *stage) parts(inputs map[string]string) KeyParts {
	k := KeyParts{Layout: layout, Stage: s.kind, Components: map[string]KeyComponent{}, Inputs: inputs, Settings: s.settings}
	for ro, u := range s.uses {
		m := u.found.Plugin.Manifest
		k.Components[string(ro)] = KeyComponent{
			Component: u.found.Name.String(), Version: u.found.Version,
			Plugin: m.Name, PluginVersion: m.Version, Executable: u.found.Plugin.Candidate.Sum(),
			Numerics: m.Numerics, Params: u.params, Seed: u.seed,
		}
	}
	return k
}

// lead is the role whose component the stage is named after in its record.
func (s *stage) lead() role {
	switch s.kind {
	case artifact.SimulateStage:
		return roleSimulator
	case artifact.CompareStage:
		return roleComparator
	}
	return roleModel
}

// newRecord is the record of a stage that is about to run.
func (s *stage) newRecord(key string, parts KeyParts) (artifact.Record, error) {
	flat, err := parts.Flat()
	if err != nil {
		return artifact.Record{}, err
	}
	c := parts.Components[string(s.lead())]
	rec := artifact.Record{
		Stage: s.kind, Component: c.Component, Plugin: c.Plugin, PluginVersion: c.PluginVersion, ComponentVersion: c.Version,
		Params: c.Params, Seed: c.Seed, Key: key, KeyParts: flat, Numerics: c.Numerics, Inputs: parts.Inputs, Deterministic: true,
	}
	for _, f := range s.uses[s.lead()].found.Params {
		if f.Default == nil {
			continue
		}
		if rec.Defaults == nil {
			rec.Defaults = param.Values{}
		}
		rec.Defaults[f.Name] = f.Default
	}
	for _, ro := range slices.Sorted(maps.Keys(s.uses)) {
		if u := s.uses[ro]; !u.found.Can(component.Deterministic) {
			rec.Deterministic = false
			rec.Notes = append(rec.Notes, u.found.Name.String()+" does not promise the same bytes on every run")
		}
	}
	return rec, nil
}
