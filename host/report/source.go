package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// How much is read for figures: rows are bins of trials.
const (
	maxTrials = 200
	maxRows   = 12000
)

// outline is what a report reads from experiment.yaml.
type outline struct {
	Name  string `yaml:"name"`
	About string `yaml:"about"`
	Seed  any    `yaml:"seed"`
	Train *struct {
		Load string `yaml:"load"`
	} `yaml:"train"`
	Simulate *struct {
		Dataset string `yaml:"dataset"`
	} `yaml:"simulate"`
	Fit     []fitOutline `yaml:"fit"`
	Compare []struct {
		Name     string   `yaml:"name"`
		Use      string   `yaml:"use"`
		Subjects []string `yaml:"subjects"`
	} `yaml:"compare"`
}

type fitOutline struct {
	Name string `yaml:"name"`
	Use  string `yaml:"use"`
	Load string `yaml:"load"`
}

// source is a run as the report sees it.
type source struct {
	run        *artifact.Run
	outline    outline
	yaml       string
	provenance artifact.Provenance
	results    artifact.Results
	// notes are remarks by section: what is missing, and why.
	notes map[string][]string

	data   *recording
	models []*inference
	// networks are the labels of those among the experiment's fits that are no models of the data: networks that were trained on the task and loaded.
	networks map[string]bool
}

// recording is the data set of a run: some trials of each split.
type recording struct {
	path string
	spec model.DataSpec
	// train and valid hold counts, true rates and latents where there are any.
	train, valid sample
}

// sample is some trials of a split.
type sample struct {
	trials                 []int64
	counts, rates, latents *cube
}

// inference is what a fitted model inferred for the same trials.
type inference struct {
	label        string
	train, valid sample
}

func (s *source) note(section, format string, args ...any) {
	s.notes[section] = append(s.notes[section], fmt.Sprintf(format, args...))
}

// readOutline reads what was asked for and where it was run. What cannot be read becomes a note.
func readOutline(run *artifact.Run) *source {
	s := &source{run: run, notes: map[string][]string{}}
	if b, err := run.Experiment(); err == nil {
		s.yaml = string(b)
		if err := yaml.Unmarshal(b, &s.outline); err != nil {
			s.note("provenance", "%s cannot be read: %v", artifact.ExperimentFile, err)
		}
	} else {
		s.note("provenance", "There is no %s, so what was asked for is not known.", artifact.ExperimentFile)
	}
	var err error
	if s.provenance, err = run.Provenance(); err != nil {
		s.note("provenance", "%s", absent(err, "There is no provenance.json, so where and when this was run is not known."))
	}
	for _, err := range run.Problems() {
		s.note("results", "A stage is left out, since its record cannot be read: %v", err)
	}
	return s
}

// read collects what the report shows. What cannot be read becomes a note in its section; only a cancelled context is an error.
func read(ctx context.Context, run *artifact.Run) (*source, error) {
	s := readOutline(run)
	var err error
	if s.results, err = run.Results(); err != nil {
		s.collectResults()
	}
	s.findNetworks()
	s.openData(ctx)
	for _, st := range s.stages(artifact.FitStage) {
		m, err := s.openFit(ctx, st)
		if err != nil {
			s.note("fit", "%s: what was inferred cannot be shown: %v", st.Label, err)
			continue
		}
		s.models = append(s.models, m)
	}
	return s, ctx.Err()
}

// absent is the note for a file that is not there, or what is wrong with it.
func absent(err error, note string) string {
	if errors.Is(err, fs.ErrNotExist) {
		return note
	}
	return err.Error()
}

// collectResults joins the results of the comparisons where the run has none as a whole.
func (s *source) collectResults() {
	for _, st := range s.stages(artifact.CompareStage) {
		r, err := st.Results()
		if err != nil {
			s.note("results", "%s: %v", st.Name, err)
			continue
		}
		s.results.Add(r)
	}
}

// stages lists the stages of a kind, fits in the order of the experiment.
func (s *source) stages(kind string) []artifact.Stage {
	var out []artifact.Stage
	for _, st := range s.run.Stages() {
		if st.Kind == kind {
			out = append(out, st)
		}
	}
	if kind == artifact.FitStage {
		place := func(label string) int {
			for i, f := range s.outline.Fit {
				if f.Name == label {
					return i
				}
			}
			return len(s.outline.Fit)
		}
		slices.SortStableFunc(out, func(a, b artifact.Stage) int { return place(a.Label) - place(b.Label) })
	}
	return out
}

// openData reads the run's data set, simulated or given.
func (s *source) openData(ctx context.Context) {
	path := ""
	var err error
	if st, ok := s.run.Stage(artifact.SimulateStage); ok {
		path, err = st.Path(artifact.DatasetFile), st.Check(artifact.DatasetFile)
	} else if s.outline.Simulate != nil && s.outline.Simulate.Dataset != "" {
		path = s.outline.Simulate.Dataset
		err = s.checkGiven(path)
	}
	if path == "" {
		return
	}
	if err != nil {
		s.note("simulate", "The data set cannot be shown: %v", err)
		return
	}
	d, err := artifact.OpenDataset(path)
	if err != nil {
		s.note("simulate", "The data set cannot be shown: %v", err)
		return
	}
	defer d.Close()
	r := &recording{path: path, spec: d.Spec()}
	var names []string
	for _, name := range []string{simulator.Reconstructed, simulator.Activity, simulator.Latents, task.Lengths} {
		if d.Has(name) {
			names = append(names, name)
		}
	}
	for _, part := range r.parts(nil) {
		n := trialsFor(r.spec.Bins)
		b, err := take(d.Blocks(ctx, part.split, names, min(n, 32)), n)
		if err == nil {
			*part.into, err = newSample(b, simulator.Reconstructed, simulator.Activity, simulator.Latents)
		}
		if err != nil {
			s.note("simulate", "The data set cannot be shown: %v", err)
			return
		}
		if c := part.into.rates; c != nil && c.channels != r.spec.Neurons {
			s.note("simulate", "The true rates are not shown: they are of %d neurons, the spikes of %d.", c.channels, r.spec.Neurons)
			part.into.rates = nil
		}
	}
	s.data = r
}

// checkGiven holds a data set that the experiment names against what the stages of the run have read.
func (s *source) checkGiven(path string) error {
	for _, st := range s.run.Stages() {
		was := st.Record.Inputs["dataset"]
		if was == "" {
			continue
		}
		is, err := artifact.HashFile(path)
		if err != nil {
			return err
		}
		if is != was {
			return fmt.Errorf("%s has changed since %s read it", path, st.Name)
		}
		return nil
	}
	return errors.New("no stage has read it, so it may not be the one that was meant")
}

type part struct {
	split task.Split
	into  *sample
	like  *sample
}

// parts are the two splits of a data set or of what a model inferred for it.
func (r *recording) parts(m *inference) []part {
	if m == nil {
		return []part{{task.Train, &r.train, nil}, {task.Valid, &r.valid, nil}}
	}
	return []part{{task.Train, &m.train, &r.train}, {task.Valid, &m.valid, &r.valid}}
}

func trialsFor(bins int) int { return min(max(maxRows/max(bins, 1), 4), maxTrials) }

func newSample(b tensor.Block, counts, rates, latents string) (out sample, err error) {
	out.trials = b.Trials
	if out.counts, err = newCube(b, counts); err != nil {
		return out, err
	}
	if out.rates, err = newCube(b, rates); err != nil {
		return out, err
	}
	out.latents, err = newCube(b, latents)
	return out, err
}

// openFit reads what a model inferred for the trials of the data set that are shown.
func (s *source) openFit(ctx context.Context, st artifact.Stage) (*inference, error) {
	if s.data == nil {
		return nil, errors.New("the data set that it was fitted to is not at hand")
	}
	if err := st.Check(artifact.InferredFile); err != nil {
		return nil, err
	}
	a, err := st.Arrays(artifact.InferredFile)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	m := &inference{label: st.Label}
	for _, part := range s.data.parts(m) {
		var names []string
		for _, name := range []string{model.Rates, model.Latents} {
			if a.Has(part.split, name) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			continue
		}
		n := len(part.like.trials)
		b, err := take(a.Blocks(ctx, part.split, names, min(n, 32)), n)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(b.Trials, part.like.trials) {
			return nil, fmt.Errorf("its %s trials are not those of the data set", part.split)
		}
		if *part.into, err = newSample(b, "", model.Rates, model.Latents); err != nil {
			return nil, err
		}
		for _, c := range []*cube{part.into.rates, part.into.latents} {
			switch {
			case c == nil || part.like.counts == nil:
			case !c.like(part.like.counts):
				return nil, fmt.Errorf("its arrays have %d bins for the %d of the data set", c.bins, part.like.counts.bins)
			default:
				c.cut(part.like.counts)
			}
		}
		if r := part.into.rates; r != nil && r.channels != s.data.spec.Neurons {
			return nil, fmt.Errorf("its rates are of %d neurons, the data set has %d", r.channels, s.data.spec.Neurons)
		}
	}
	return m, nil
}
