package shape

import (
	"context"
	"fmt"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Params are the comparator's parameters.
type Params struct {
	Alpha          []float64 `param:"alpha" default:"1,0.5" min:"0" max:"1" doc:"whitening of each shape metric: 1 is Procrustes, 0 allows any invertible linear map"`
	Scale          bool      `param:"scale" default:"true" doc:"bring latents to one scale before shape metrics; otherwise they are in their own units, as published"`
	SVCCAVariance  float64   `param:"svcca_variance" default:"0.99" above:"0" max:"1" doc:"share of the variance that the axes of svcca explain"`
	RSAItems       int       `param:"rsa_items" default:"1000" min:"3" max:"10000" doc:"states among which distances are compared"`
	RSACorrelation string    `param:"rsa_correlation" default:"spearman" choices:"spearman,pearson" doc:"correlation of the two subjects' distances"`
	Resamples      int       `param:"bootstrap" default:"1000" min:"0" max:"1000000" doc:"resamples of validation trials behind each 95% interval; 0 gives none"`
	Interval       string    `param:"interval" default:"percentile" choices:"percentile,bca" doc:"bootstrap interval: percentile, or bias-corrected and accelerated"`
	Shuffles       int       `param:"null_shuffles" default:"2" min:"0" max:"10000" doc:"shuffles of trials whose mean value is the null; 0 gives none"`
	Trials         int       `param:"figure_trials" default:"4" min:"0" max:"100" doc:"validation trials in the figure of aligned latents; 0 leaves it out"`
}

// Factory returns the component comparator/shape.
func Factory() comparator.Factory {
	return comparator.Sized(comparator.New(component.Info{
		Name:         component.Name{Kind: component.Comparator, Short: "shape"},
		Version:      "0.1.1",
		Doc:          "How alike the shapes of latents are: Procrustes and partial-whitening shape metrics, canonical correlations, linear CKA and RSA, held out, with intervals and nulls.",
		Source:       "Williams et al. 2021; Kornblith et al. 2019; Raghu et al. 2017; Kriegeskorte et al. 2008",
		Readings:     readings(),
		Capabilities: []component.Capability{component.Deterministic},
	}, check, Open), memory)
}

func check(p Params) []param.Problem {
	sorted := slices.Clone(p.Alpha)
	slices.Sort(sorted)
	if n := len(slices.Compact(sorted)); n < len(p.Alpha) || n == 0 {
		return []param.Problem{{Path: "alpha", Message: fmt.Sprintf("%v is empty or names a value twice", p.Alpha)}}
	}
	return nil
}

// Open makes an instance. Parameters that are not allowed are an InvalidArgumentError.
func Open(_ context.Context, p Params, env component.Env) (comparator.Comparator, error) {
	if problems := check(p); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	return &shape{p, env.Seed, max(1, env.Threads)}, nil
}

// shape implements [comparator.Comparator].
type shape struct {
	Params
	seed    uint64
	threads int
}

var _ comparator.Comparator = (*shape)(nil)

// Compare compares each two subjects: all are in the matrices; results are those against the truth, or, without one, of all pairs. Arrays whose shapes contradict
// each other are an InvalidArgumentError; what cannot be computed is a result with a reason.
func (s *shape) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	if report == nil {
		report = component.Discard{}
	}
	c, err := newComparison(s, req, report)
	if err != nil {
		return comparator.Outcome{}, err
	}
	return c.run(ctx)
}
