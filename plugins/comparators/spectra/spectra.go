package spectra

import (
	"context"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// Params are the comparator's parameters.
type Params struct {
	Exponents int     `param:"exponents" default:"16" min:"0" max:"10000" doc:"leading Lyapunov exponents to compute, at most as many as a state has elements; 0 computes none"`
	Reported  int     `param:"reported" default:"3" min:"1" max:"10000" doc:"leading exponents that are results of their own; all are in the matrices"`
	Trials    int     `param:"trials" default:"32" min:"1" max:"100000" doc:"validation trials that the dynamics are run along, at even distances"`
	Inputs    string  `param:"inputs" default:"recorded" choices:"recorded,zero,mean" doc:"what drives the dynamics: the inputs of the trials, none, or their mean"`
	Steps     int     `param:"steps" default:"0" min:"0" max:"10000000" unit:"bin" doc:"bins to run under inputs: zero or mean; 0: as many as the trials have"`
	Transient float64 `param:"transient" default:"0.2" min:"0" max:"0.9" doc:"share of each trial at its beginning that does not count"`
	Segment   int     `param:"segment" default:"128" min:"8" max:"1000000" unit:"bin" doc:"length of the segments behind power spectra, cut to what at least half of the trials have; shorter trials are left out"`
	Rank      int     `param:"operator_rank" default:"10" min:"0" max:"200" doc:"most coordinates of the operators behind sgot; 0 leaves it out"`
	Explained float64 `param:"operator_variance" default:"0.95" above:"0" max:"1" doc:"share of the variance that the coordinates of the operators behind sgot explain"`
	Eta       float64 `param:"eta" default:"0.5" min:"0" max:"1" doc:"weight of eigenvalues in sgot; the rest is that of eigenvectors"`
	Resamples int     `param:"bootstrap" default:"1000" min:"0" max:"1000000" doc:"resamples of trials behind each 95% interval; 0 gives none"`
	Interval  string  `param:"interval" default:"percentile" choices:"percentile,bca" doc:"bootstrap interval of exponents and what follows from them: percentile, or bias-corrected and accelerated; those of distances are percentiles of squares, less what sampling alone adds"`
	Null      bool    `param:"null" default:"true" doc:"also compare power spectra with those of bins shuffled within trials"`
	Split     bool    `param:"split_half" default:"true" doc:"also report the distances of each subject's power spectra to themselves, from one half of its trials to the other: what sampling alone makes of 0"`
}

// Factory returns the component comparator/spectra.
func Factory() comparator.Factory {
	return comparator.Sized(comparator.New(component.Info{
		Name:         component.Name{Kind: component.Comparator, Short: "spectra"},
		Version:      "0.1.1",
		Doc:          "Lyapunov exponents of models' dynamics, and distances between power spectra of their trajectories and between spectra of their operators, with intervals.",
		Source:       "Benettin et al. 1980; Kaplan & Yorke 1979; Welch 1967; Germain et al. 2025",
		Readings:     readings(),
		Capabilities: []component.Capability{component.WantsDynamics, component.Deterministic},
	}, nil, Open), memory)
}

// Open makes an instance.
func Open(_ context.Context, p Params, env component.Env) (comparator.Comparator, error) {
	return &spectra{p, env.Seed, max(1, env.Threads)}, nil
}

// spectra implements [comparator.Comparator].
type spectra struct {
	Params
	seed    uint64
	threads int
}

var _ comparator.Comparator = (*spectra)(nil)

// Compare examines each subject, then compares each two. What cannot be computed is a result with a reason; arrays whose shapes contradict each other are an InvalidArgumentError.
func (s *spectra) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	if report == nil {
		report = component.Discard{}
	}
	r, err := trials.Open(req)
	if err != nil {
		return comparator.Outcome{}, err
	}
	return newComparison(s, r, report).run(ctx)
}
