// Package dsa compares the dynamics of models with those of the truth, and with each other, whatever coordinates their latents are in: dynamical
// similarity analysis (Ostrow, Eisen, Kozachkov & Fiete 2023).
//
// Each subject's latents of training trials are delay-embedded and the linear operator that advances them is estimated (package dmd); two subjects are
// as far apart as their operators are under the best orthogonal change of coordinates (package distance). Beside the distance stand its
// bootstrap interval over trials, without what sampling alone adds to the distance, the bound that no rotation can pass, what it would be for latents with the same values and no dynamics (the bins of each trial shuffled), and
// the distance of each subject to itself from halves of its trials, below which so many trials cannot tell from 0. With inputs, driven systems are compared (Huang et al. 2025, InputDSA).
package dsa

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Params are the comparator's parameters.
type Params struct {
	Delays      int     `param:"n_delays" default:"20" min:"1" max:"1000" unit:"bin" doc:"bins that are joined in the delay embedding"`
	Interval    int     `param:"delay_interval" default:"1" min:"1" max:"1000" unit:"bin" doc:"bins between those that are joined"`
	RankBy      string  `param:"rank_by" default:"number" choices:"number,threshold,explained,optimal,all" doc:"how many coordinates an operator keeps: a number, those of singular values above a threshold, those that explain a share of variance, those above the optimal hard threshold, or all"`
	Rank        int     `param:"rank" default:"50" min:"1" max:"1000" doc:"the number, for rank_by number"`
	Threshold   float64 `param:"rank_threshold" default:"1" above:"0" doc:"the singular value, for rank_by threshold"`
	Explained   float64 `param:"rank_explained" default:"0.99" above:"0" max:"1" doc:"the share of variance, for rank_by explained"`
	Common      bool    `param:"common_rank" default:"true" doc:"lower all ranks to the lowest among subjects, so that their operators can be compared; otherwise subjects of other ranks are compared by spectra alone"`
	Ridge       float64 `param:"ridge" default:"1e-8" min:"0" doc:"added to the diagonal of the whitened second moments"`
	ReducedRank bool    `param:"reduced_rank_regression" default:"false" doc:"keep the directions that predict best instead of those that vary most"`
	Starts      int     `param:"starts" default:"0" min:"0" max:"100000" doc:"descents behind each distance; 0: chosen by size"`
	Nulls       bool    `param:"null" default:"true" doc:"also compare with latents whose bins are shuffled within trials"`
	Split       bool    `param:"split_half" default:"true" doc:"also report each subject's distance to itself, from one half of its trials to the other: what sampling alone makes of 0; intervals of dsa and dsa_wasserstein begin lower by it"`
	Resamples   int     `param:"bootstrap" default:"100" min:"0" max:"10000" doc:"resamples of trials behind each 95% interval; 0 gives none, nor do reduced_rank_regression and identify subspace"`
	Inputs      bool    `param:"inputs" default:"false" doc:"also compare as systems driven by the known inputs of the truth or recording (InputDSA)"`
	Identify    string  `param:"identify" default:"dmd" choices:"dmd,subspace" doc:"how driven systems are found: dmd takes the delay-embedded latents for the state; subspace (N4SID) takes the latents' leading principal components for outputs of a state that is not seen"`
	Horizon     int     `param:"subspace_horizon" default:"5" min:"2" max:"50" unit:"bin" doc:"bins of the past, and of the future, that subspace finds states from"`
	States      int     `param:"subspace_states" default:"8" min:"1" max:"200" doc:"states that subspace finds"`
	Sweep       bool    `param:"sweep" default:"false" doc:"also report the error of predicting validation trials over delays and ranks"`
	SweepDelays []int   `param:"sweep_delays" default:"1,2,5,10,20" min:"1" max:"1000" unit:"bin" doc:"delays of the sweep"`
	SweepRanks  []int   `param:"sweep_ranks" default:"2,5,10,20,50" min:"1" max:"1000" doc:"ranks of the sweep; those above what the latents hold are left out"`
	Compat      bool    `param:"compat" default:"false" doc:"also report dsa_wasserstein_squared, which the published implementation calls the Wasserstein score"`
}

// Factory returns the component comparator/dsa.
func Factory() comparator.Factory {
	return comparator.Sized(comparator.New(component.Info{
		Name:         component.Name{Kind: component.Comparator, Short: "dsa"},
		Version:      "0.1.1",
		Doc:          "Dynamical similarity: how far the linear operators of two subjects' latents are apart under the best rotation.",
		Source:       "Ostrow et al. 2023; Huang et al. 2025",
		Capabilities: []component.Capability{component.Deterministic},
		Readings:     readings(),
	}, check, Open), memory)
}

func check(p Params) []param.Problem {
	var out []param.Problem
	for _, l := range []struct {
		name   string
		values []int
	}{{"sweep_delays", p.SweepDelays}, {"sweep_ranks", p.SweepRanks}} {
		if p.Sweep && len(l.values) == 0 {
			out = append(out, param.Problem{Path: l.name, Message: "it is empty: a sweep needs at least 1"})
		}
	}
	return out
}

// Open makes an instance.
func Open(_ context.Context, p Params, env component.Env) (comparator.Comparator, error) {
	return &dsa{p, env.Seed, max(1, env.Threads)}, nil
}

// dsa implements [comparator.Comparator].
type dsa struct {
	Params
	seed    uint64
	threads int
}

var _ comparator.Comparator = (*dsa)(nil)

// Compare estimates each subject's operator once and compares all pairs. A subject without usable latents is a result with a reason; a request that
// contradicts itself is an InvalidArgumentError.
func (d *dsa) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	if report == nil {
		report = component.Discard{}
	}
	c, err := newComparison(d, req, report)
	if err != nil {
		return comparator.Outcome{}, err
	}
	if err := c.run(ctx); err != nil {
		return comparator.Outcome{}, err
	}
	return c.outcome(), nil
}
