package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
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

// Host is what a graph runs with.
type Host struct {
	Catalog *catalog.Catalog
	Store   *store.Store
	// Threads that all running stages together may keep busy, and Jobs, the number of stages that may run side by side; at least 1 each.
	Threads, Jobs int
	// CheckpointEvery is the time between checkpoints of a training; 0 is DefaultCheckpointEvery. What a training computes does not depend on it.
	CheckpointEvery time.Duration
	// Observer is told what happens; nil for none.
	Observer Observer
	// Log takes the host's and the plugins' messages; nil for none.
	Log *slog.Logger
}

// Graph is the stages of one experiment, each after those that it depends on.
type Graph struct {
	exp    *experiment.Experiment
	host   Host
	stages []*stage
}

// stage is one node: a call of components that makes one entry of the store.
type stage struct {
	name, kind, label string
	uses              map[role]use
	files             map[string]source
	settings          map[string]any
	subjects          []string
	wantsDynamics     bool
	body              func(*running, context.Context) error
}

// source is a file that a stage reads: of an earlier stage, or of the user's.
type source struct {
	from *stage
	file string
}

// needs lists the stages that must be done before.
func (s *stage) needs() []*stage {
	var out []*stage
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if f := s.files[name].from; f != nil && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// New builds the graph of a resolved experiment. The problems that it returns are of what only the graph knows, such as a folder to load from
// that holds no trained model.
func New(exp *experiment.Experiment, host Host) (*Graph, error) {
	if host.Observer == nil {
		host.Observer = Unobserved{}
	}
	if host.Log == nil {
		host.Log = slog.New(slog.DiscardHandler)
	}
	host.CheckpointEvery = cmp.Or(host.CheckpointEvery, DefaultCheckpointEvery)
	host.Threads, host.Jobs = max(1, host.Threads), max(1, host.Jobs)
	g := &Graph{exp: exp, host: host}
	b := builder{Graph: g}
	if err := b.build(); err != nil {
		return nil, err
	}
	return g, nil
}

type builder struct {
	*Graph
	task    *use
	trained *use
	weights source
	// score is the task's judgement of the trained network; nil where there is none.
	score   *source
	dataset *source
	fits    map[string]fitted
}

type fitted struct {
	use     use
	weights source
	arrays  source
}

func (b *builder) build() error {
	e := b.exp
	b.fits = map[string]fitted{}
	if e.Task != nil {
		u, err := b.find(e.Task)
		if err != nil {
			return err
		}
		b.task = &u
	}
	if e.Train != nil {
		if err := b.addTrain(e.Train); err != nil {
			return err
		}
	}
	if e.Simulate != nil {
		if err := b.addSimulate(e.Simulate); err != nil {
			return err
		}
	}
	for _, f := range e.Fit {
		if err := b.addFit(f); err != nil {
			return err
		}
	}
	for _, c := range e.Compare {
		if err := b.addCompare(c); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) find(u *experiment.Use) (use, error) {
	found, err := b.host.Catalog.Find(u.Ref.String())
	if err != nil {
		return use{}, err
	}
	return use{found: found, params: u.Params, seed: u.Seed}, nil
}

// loaded is the component that made a folder with weights, as its record says.
func (b *builder) loaded(folder string) (use, error) {
	rec, err := artifact.ReadRecord(folder)
	if err != nil {
		return use{}, fmt.Errorf("%s: not the folder of a trained model: %w", folder, err)
	}
	found, err := b.host.Catalog.Find(rec.Component)
	if err != nil {
		return use{}, fmt.Errorf("%s: %w", folder, err)
	}
	params, problems := found.Params.Resolve(rec.Params)
	if len(problems) > 0 {
		return use{}, fmt.Errorf("%s: made with parameters that %s does not have now: %w", folder, rec.Component, &component.InvalidArgumentError{Problems: problems})
	}
	return use{found: found, params: params, seed: rec.Seed}, nil
}

func (b *builder) add(s *stage) *stage {
	b.stages = append(b.stages, s)
	return s
}

func (b *builder) addTrain(t *experiment.Train) error {
	if t.Load != "" {
		u, err := b.loaded(t.Load)
		if err != nil {
			return err
		}
		b.trained, b.weights = &u, source{file: filepath.Join(t.Load, artifact.WeightsFile)}
		if file := filepath.Join(t.Load, artifact.ScoreFile); isFile(file) {
			b.score = &source{file: file}
		}
		return nil
	}
	u, err := b.find(t.Use)
	if err != nil {
		return err
	}
	train := b.add(&stage{
		name: "train", kind: "train",
		uses: map[role]use{roleTask: *b.task, roleModel: u},
		body: (*running).train,
	})
	b.trained, b.weights, b.score = &u, source{train, artifact.WeightsFile}, &source{train, artifact.ScoreFile}
	return nil
}

// isFile reports whether there is a regular file.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (b *builder) addSimulate(s *experiment.Simulate) error {
	if s.Dataset != "" {
		b.dataset = &source{file: s.Dataset}
		return nil
	}
	sim, err := b.find(s.Use)
	if err != nil {
		return err
	}
	trials := *b.task
	trials.seed, trials.overlay = s.Trials.Seed, s.Trials.Params
	if trials.overlay == nil {
		trials.overlay = param.Values{}
	}
	st := b.add(&stage{
		name: "simulate", kind: "simulate",
		uses:     map[role]use{roleTask: trials, roleModel: *b.trained, roleSimulator: sim},
		files:    map[string]source{"weights": b.weights},
		settings: map[string]any{"trials": s.Trials.Params},
		body:     (*running).simulate,
	})
	b.dataset = &source{st, artifact.DatasetFile}
	return nil
}

func (b *builder) addFit(f experiment.Fit) error {
	if f.Load != "" {
		u, err := b.loaded(f.Load)
		if err != nil {
			return err
		}
		b.fits[f.Name] = fitted{u, source{file: filepath.Join(f.Load, artifact.WeightsFile)}, source{file: filepath.Join(f.Load, artifact.InferredFile)}}
		return nil
	}
	u, err := b.find(f.Use)
	if err != nil {
		return err
	}
	st := b.add(&stage{
		name: "fit/" + f.Name, kind: "fit", label: f.Name,
		uses:  map[role]use{roleModel: u},
		files: map[string]source{"dataset": *b.dataset},
		body:  (*running).fit,
	})
	b.fits[f.Name] = fitted{u, source{st, artifact.WeightsFile}, source{st, artifact.InferredFile}}
	return nil
}

func (b *builder) addCompare(c experiment.Compare) error {
	u, err := b.find(c.Use)
	if err != nil {
		return err
	}
	st := &stage{
		name: "compare/" + c.Name, kind: "compare", label: c.Name,
		uses:          map[role]use{roleComparator: u},
		files:         map[string]source{"dataset": *b.dataset},
		wantsDynamics: u.found.Can(component.NeedsDynamics),
		body:          (*running).compare,
	}
	truth := b.dataset.from != nil && slices.Contains(c.Subjects, experiment.Truth)
	if truth && b.score != nil {
		st.files["score"] = *b.score
	}
	if truth && st.wantsDynamics {
		st.uses[roleTask], st.uses[roleTruth] = *b.task, *b.trained
		st.files[string(roleTruth)+"/weights"] = b.weights
	}
	for _, label := range c.Subjects {
		f, ok := b.fits[label]
		if !ok {
			continue // the truth
		}
		st.subjects = append(st.subjects, label)
		st.files[subjectInput(label, "inferred")] = f.arrays
		if st.wantsDynamics {
			st.uses[subjectRole(label)] = f.use
			st.files[subjectInput(label, "weights")] = f.weights
		}
	}
	// The name is written into the results.
	st.settings = map[string]any{"name": c.Name, "subjects": st.subjects}
	b.add(st)
	return nil
}

// parts returns what the stage's key is made of, given the content hashes of its inputs.
func (s *stage) parts(inputs map[string]string) KeyParts {
	k := KeyParts{Layout: layout, Stage: s.kind, Components: map[string]KeyComponent{}, Inputs: inputs, Settings: s.settings}
	for ro, u := range s.uses {
		m := u.found.Plugin.Manifest
		k.Components[string(ro)] = KeyComponent{
			Component: u.found.Name.String(), Version: u.found.Version,
			Plugin: m.Name, PluginVersion: m.Version, Executable: u.found.Plugin.Candidate.SHA256,
			Numerics: m.Numerics, Params: u.params, Seed: u.seed,
		}
	}
	return k
}

// lead is the role whose component the stage is named after in its record.
func (s *stage) lead() role {
	switch s.kind {
	case "simulate":
		return roleSimulator
	case "compare":
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
	for _, ro := range slices.Sorted(maps.Keys(s.uses)) {
		if u := s.uses[ro]; !u.found.Can(component.Deterministic) {
			rec.Deterministic = false
			rec.Notes = append(rec.Notes, u.found.Name.String()+" does not promise the same bytes on every run")
		}
	}
	return rec, nil
}

// Stages returns the names of the stages, each after those that it depends on.
func (g *Graph) Stages() []string {
	out := make([]string, len(g.stages))
	for i, s := range g.stages {
		out[i] = s.name
	}
	return out
}

// folder is where a stage's entry is linked to within a run's folder.
func (s *stage) folder() string { return filepath.FromSlash(strings.Trim(s.name, "/")) }
