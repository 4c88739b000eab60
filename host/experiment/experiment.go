// Package experiment reads the file that says what a run does: which component at each stage, its parameters and seeds.
//
//	version: 1
//	name: nbff-gru
//	seed: 0
//	task:     {use: task/nbff, params: {n_bits: 3}}
//	train:    {use: model/noisy-gru, params: {hidden: 64, epochs: 500}}
//	simulate: {use: simulator/spikes}
//	fit:
//	  - {name: gru-64, use: model/sae-gru, params: {latent: 64, epochs: 500}}
//	compare:
//	  - {use: comparator/metrics}
//
// Instead of seed a file may have seeds, and beside it a matrix, which multiply the experiment to a [Study]: one point for each combination of their values.
//
//	seeds: [0, 1, 2]
//	matrix:
//	  train.use: [model/noisy-gru, model/lstm]
//	  fit.gru-64.params.latent: [8, 16, 64]
//
// A model that is trained may begin with weights of another training, train: {use: ..., from: RUN} and the same in fit; with load in place of use it is taken as
// it is and not trained.
//
// A file is read in two steps. [Parse] knows the format alone: it applies overrides from the command line and checks the keys, types,
// names, references and which stages go together. [Experiment.Resolve] looks the components up, completes their parameters and checks them
// against the schemas, and what the components can do against what the stages ask for. Both report everything that is wrong at once, each
// problem with its line and column, the path to the field, what was given, what is allowed and the nearest valid name.
//
// The package knows no processes: components are looked up through a function.
package experiment

import (
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Version is the version of the file's format.
const Version = 1

// DefaultTrialsSeed is the seed of the trials that are simulated from, so that they are others than those that the network was trained on.
const DefaultTrialsSeed = 100

// Truth is the label of the subject that fitted models are compared with: the trained network and what was simulated from it, or the
// data set. No fit may have this name.
const Truth = "truth"

// Recording is what [Truth] is called in results where the data set holds no truth: unless a fit has that name.
const Recording = "recording"

// Experiment is one experiment. Stages that the file leaves out are nil or empty.
type Experiment struct {
	// File is what the experiment was read from, as given to Parse.
	File string
	// Name is safe as the name of a folder. Without one in the file it is the file's name without its extension.
	Name string
	// About says what is asked, and what is expected, in plain text of up to 1024 bytes, paragraphs apart by empty lines: it stands at the top of the report. May be empty.
	About string
	// Seed is the seed of every stage that has none of its own.
	Seed     uint64
	Task     *Use
	Train    *Train
	Simulate *Simulate
	Fit      []Fit
	Compare  []Compare
}

// Use is a component with its parameters at one place of the experiment.
type Use struct {
	Ref registry.Ref
	// Params are as given, until Resolve completes them.
	Params param.Values
	Seed   uint64
	// Info is empty until Resolve.
	Info component.Info

	place place
	// read is what was read of it, apart from the seed; shared between the points of a study.
	read *Use
}

// Train is where the task-trained network comes from: Use or Load is set.
type Train struct {
	Use *Use
	// From is the absolute path of what the training begins with instead of random weights: a run's folder, the folder of a trained model, or a safetensors
	// file. Empty for random weights, and beside Load.
	From string
	// Load is the absolute path of a folder with a trained network, a run's train folder.
	Load string

	place place
}

// Simulate is where the spikes come from: Use or Dataset is set.
type Simulate struct {
	Use *Use
	// Trials says what trials are simulated from: the experiment's task with these parameters, of which only the given ones are there, laid over its own,
	// and with this seed. Nil beside Dataset.
	Trials *Use
	// Dataset is the absolute path of an HDF5 file.
	Dataset string

	place place
}

// Fit is one data-trained model: Use or Load is set.
type Fit struct {
	// Name is unique among the fits and safe as the name of a folder; by default the component's short name, or the folder's.
	Name string
	Use  *Use
	// From is as [Train.From]; of a run's folder it means the fit of this name.
	From string
	// Load is the absolute path of a folder with a fitted model, a run's fit/NAME folder; or with another network that was trained on the task, a run's train
	// folder, which is run over the simulated trials to be compared with the others.
	Load string

	place place
}

// Compare is one comparator.
type Compare struct {
	// Name is unique among the comparisons and safe as the name of a folder; by default the component's short name.
	Name string
	Use  *Use
	// Subjects are the labels of what is compared, in the order of the experiment: Truth first if it is among them, then names of fits. By default
	// everything there is.
	Subjects []string

	place place
}

// HasTruth reports whether there is a subject with the label [Truth].
func (e *Experiment) HasTruth() bool { return e.Train != nil || e.Simulate != nil }

// Uses returns the components in the order of the stages.
func (e *Experiment) Uses() []*Use {
	var out []*Use
	add := func(u *Use) {
		if u != nil {
			out = append(out, u)
		}
	}
	add(e.Task)
	if e.Train != nil {
		add(e.Train.Use)
	}
	if e.Simulate != nil {
		add(e.Simulate.Use)
	}
	for _, f := range e.Fit {
		add(f.Use)
	}
	for _, c := range e.Compare {
		add(c.Use)
	}
	return out
}

// Path leads to the component's place in the file, e.g. "task" or "fit.gru-64".
func (u *Use) Path() string { return u.place.path }
