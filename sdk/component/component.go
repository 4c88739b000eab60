// Package component holds what the four kinds of component (tasks, models, simulators, comparators) share: how they are named
// and described, the environment they are opened in, the typed errors, events and figures that cross a plugin's boundary.
//
// Nothing here knows of protobuf or of processes: a component is a plain Go value, and whether it is in this process or in
// another is the affair of packages serve and client.
package component

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// Kind says what a component is.
type Kind string

// The four kinds.
const (
	Task       Kind = "task"
	Model      Kind = "model"
	Simulator  Kind = "simulator"
	Comparator Kind = "comparator"
)

// Kinds lists the kinds in the order in which an experiment uses them.
func Kinds() []Kind { return []Kind{Task, Model, Simulator, Comparator} }

// Name is a component's name within its plugin: its kind and a short name, e.g. task/nbff.
type Name struct {
	Kind  Kind
	Short string
}

var shortForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// ParseName reads kind/name. The short name is lower-case letters and digits, in words joined by hyphens.
func ParseName(s string) (Name, error) {
	kind, short, ok := strings.Cut(s, "/")
	if !ok || !slices.Contains(Kinds(), Kind(kind)) || !shortForm.MatchString(short) {
		return Name{}, fmt.Errorf("component: name %q: kind/name is needed, with kind one of task, model, simulator, comparator and a name such as noisy-gru", s)
	}
	return Name{Kind(kind), short}, nil
}

// String returns kind/name.
func (n Name) String() string { return string(n.Kind) + "/" + n.Short }

// Capability is something that a component can do beyond what its kind demands, or a promise that it makes.
type Capability string

// The capabilities that the host and other components ask for.
const (
	// ClosedLoop: a task whose observations depend on the actions; it offers episodes.
	ClosedLoop Capability = "closed-loop"
	// CustomLoss: a task whose loss cannot be declared; it computes the loss and its cotangents itself.
	CustomLoss Capability = "custom-loss"
	// TrainsOnTask: a model that is trained on a task.
	TrainsOnTask Capability = "trains-on-task"
	// TrainsOnData: a model that is fitted to recorded or simulated spikes.
	TrainsOnData Capability = "trains-on-data"
	// TrainsClosedLoop: a task-trained model that can be linked to a closed-loop task.
	TrainsClosedLoop Capability = "trains-closed-loop"
	// HasDynamics: a model that offers its step function and derivatives.
	HasDynamics Capability = "dynamics"
	// InfersInputs: a data-trained model that infers inputs.
	InfersInputs Capability = "infers-inputs"
	// Samples: a model with a posterior that can be sampled.
	Samples Capability = "posterior-samples"
	// NeedsDynamics: a comparator that says nothing about models without Dynamics.
	NeedsDynamics Capability = "needs-dynamics"
	// WantsDynamics: a comparator that looks at the Dynamics of models that have some, and has something to say of others too. Without it or NeedsDynamics none are handed over.
	WantsDynamics Capability = "wants-dynamics"
	// Deterministic: same parameters, seed, inputs and numeric environment, same bytes, whatever the number of threads.
	Deterministic Capability = "deterministic"
)

// Info describes a component.
type Info struct {
	Name Name
	// Version is the component's own semantic version: it must change whenever results change.
	Version string
	// Doc is one sentence on what the component is.
	Doc string
	// Source cites what defines it, e.g. "Sussillo & Barak 2013"; may be empty.
	Source string
	Params param.Schema
	// Capabilities in any order.
	Capabilities []Capability
	// Readings say how to read the metrics that a comparator gives; reports show them beside the numbers.
	Readings []Reading
}

// Reading says how to read a metric.
type Reading struct {
	// Metric is the name in results. Where one quantity has several values, by a condition or a parameter, they are named metric/VALUE, and one reading serves them all.
	Metric string `json:"metric"`
	// Text says in a sentence or two what the metric measures, and when it misleads.
	Text string `json:"text"`
	// Source cites what defines it; may be empty.
	Source string `json:"source,omitempty"`
}

// FindReading returns the reading of a metric by its whole name, or by what stands before a slash.
func FindReading(readings []Reading, metric string) (Reading, bool) {
	stem, _, _ := strings.Cut(metric, "/")
	for _, name := range []string{metric, stem} {
		if i := slices.IndexFunc(readings, func(r Reading) bool { return r.Metric == name }); i >= 0 {
			return readings[i], true
		}
	}
	return Reading{}, false
}

// Can reports whether the component has a capability.
func (i Info) Can(c Capability) bool { return slices.Contains(i.Capabilities, c) }

// Env is what every instance is opened with besides its parameters.
type Env struct {
	// Seed from which all of the instance's random streams are derived (package random).
	Seed uint64
	// Threads the instance may keep busy; at least 1. Results must not depend on it if the component is Deterministic.
	Threads int
	// Dir is a private folder for checkpoints; empty where the host gives none. Nothing may be written elsewhere.
	Dir string
	// Log goes to the run's log with the component's name. Never nil when opened through this SDK.
	Log *slog.Logger
}
