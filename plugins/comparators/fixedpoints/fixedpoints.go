package fixedpoints

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Params are the comparator's parameters.
type Params struct {
	Starts      int       `param:"starts" default:"1024" min:"1" max:"1000000" doc:"starts of the search for fixed points, under each input"`
	Noise       float64   `param:"noise" default:"0.1" min:"0" doc:"standard deviation of the noise on starts, in units of the visited states' root mean square deviation"`
	Between     float64   `param:"between" default:"0.5" min:"0" max:"1" doc:"fraction of starts that lie between two visited states, where saddles are, rather than at one"`
	TolQ        float64   `param:"tol_q" default:"1e-12" above:"0" doc:"a state with q = |F(x,u)-x|^2/2 at most this is a fixed point"`
	SlowQ       float64   `param:"slow_q" default:"1e-4" min:"0" doc:"a minimum of q that is at most this, but not 0, is reported as a slow point; 0 reports none"`
	TolUnique   float64   `param:"tol_unique" default:"1e-3" above:"0" doc:"points nearer than this are one point"`
	Outlier     float64   `param:"outlier" default:"10" above:"0" doc:"points farther from the starts' centroid than this times the mean distance of a start are dropped"`
	Iterations  int       `param:"iterations" default:"60" min:"1" max:"100000" doc:"bound of the iterations of a start"`
	Rounds      int       `param:"rounds" default:"3" min:"0" max:"100" doc:"bound of the further searches from the middles between the points found, which end when nothing new is found"`
	Exact       bool      `param:"exact" default:"true" doc:"of piecewise-linear models (rectified units), go through the linear regions for all fixed points"`
	Inputs      string    `param:"inputs" default:"zero" choices:"zero,mean,conditions,phases,given" doc:"constant inputs to search under: zero, the mean input, that of each condition, each that is held in a phase of a condition, or input_values"`
	InputValues []float64 `param:"input_values" default:"" doc:"the inputs under inputs: given, one after the other, each as wide as the model's input"`
	MaxInputs   int       `param:"max_inputs" default:"16" min:"1" max:"10000" doc:"most inputs to search under; of more, the first"`
	Hold        int       `param:"hold" default:"10" min:"1" unit:"bin" doc:"under inputs: phases, for how long an input must be held"`
	Continue    int       `param:"continuation" default:"0" min:"0" max:"10000" doc:"steps in which each input is moved to the next, of phases within a condition, while the points are followed; 0 does not"`
	BasinSteps  int       `param:"basin_steps" default:"50" min:"0" max:"1000000" unit:"bin" doc:"for how long starts are iterated forward to find the basins, before what is then slow is followed in leaps; 0 reports none"`
	Vectors     int       `param:"eigenvectors" default:"8" min:"0" max:"100000" doc:"leading eigenvectors, left and right, to store of each point"`
	NullDraws   int       `param:"null_draws" default:"20" min:"0" max:"100000" doc:"draws of visited states in place of a subject's points, and of points in place of partners, whose means are the nulls of a comparison; 0 gives none"`
}

// Factory returns the component comparator/fixedpoints.
func Factory() comparator.Factory {
	return comparator.Sized(comparator.New(component.Info{
		Name:         component.Name{Kind: component.Comparator, Short: "fixedpoints"},
		Version:      "0.1.0",
		Doc:          "Fixed and slow points of models' dynamics, their stability, spectra and basins, and how alike those of two models are.",
		Source:       "Sussillo & Barak 2013; Golub & Sussillo 2018; Eisenmann et al. 2023",
		Readings:     readings(),
		Capabilities: []component.Capability{component.NeedsDynamics, component.Deterministic},
	}, check, Open), memory)
}

func check(p Params) []param.Problem {
	var problems []param.Problem
	if (p.Inputs == "given") != (len(p.InputValues) > 0) {
		problems = append(problems, param.Problem{Path: "input_values", Message: fmt.Sprintf("%d values under inputs: %s: at least 1 under inputs: given, none under others", len(p.InputValues), p.Inputs)})
	}
	if p.SlowQ > 0 && p.SlowQ < p.TolQ {
		problems = append(problems, param.Problem{Path: "slow_q", Message: fmt.Sprintf("%v is not allowed: 0, or at least tol_q, which is %v", p.SlowQ, p.TolQ)})
	}
	return problems
}

// Open makes an instance. Parameters that are not allowed are an InvalidArgumentError.
func Open(_ context.Context, p Params, env component.Env) (comparator.Comparator, error) {
	if problems := check(p); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	return &fixedPoints{p, env.Seed, max(1, env.Threads)}, nil
}

// fixedPoints implements [comparator.Comparator].
type fixedPoints struct {
	Params
	seed    uint64
	threads int
}

var _ comparator.Comparator = (*fixedPoints)(nil)

// Compare examines each subject that offers dynamics, then compares each with the first of them. What cannot be computed is a result with a reason.
func (c *fixedPoints) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	if report == nil {
		report = component.Discard{}
	}
	if err := checkRequest(req); err != nil {
		return comparator.Outcome{}, err
	}
	var out comparator.Outcome
	var reference *examined
	for i := range req.Subjects {
		s := &req.Subjects[i]
		e, err := c.examine(ctx, &req, s, report)
		var why trials.Omission
		switch {
		case errors.As(err, &why):
			out.Results = append(out.Results, without("fixed_points", s.Label, "", string(why)))
			continue
		case err != nil:
			return comparator.Outcome{}, fmt.Errorf("%s: %w", s.Label, err)
		}
		out.Results = append(out.Results, e.results()...)
		out.Matrices = append(out.Matrices, e.matrices()...)
		out.Figures = append(out.Figures, e.figures()...)
		if reference == nil {
			reference = e
			continue
		}
		report.Progress(component.Progress{Phase: "comparing " + s.Label, Done: int64(i), Total: int64(len(req.Subjects)), Loss: math.NaN()})
		p, err := c.pair(ctx, &req, reference, e)
		if err != nil {
			return comparator.Outcome{}, fmt.Errorf("%s and %s: %w", reference.Label, s.Label, err)
		}
		out.Results = append(out.Results, p.results...)
		out.Figures = append(out.Figures, p.figures...)
		out.Matrices = append(out.Matrices, p.matrices...)
	}
	return out, nil
}

func checkRequest(req comparator.Request) error {
	if err := trials.CheckLabels(req.Subjects); err != nil {
		return err
	}
	for i, s := range req.Subjects {
		path := fmt.Sprintf("subjects[%d]", i)
		for _, which := range []trials.Split{trials.Train, trials.Valid} {
			if err := trials.Arrays(s, which).Check(); err != nil {
				return component.Invalid(fmt.Sprintf("%s.%s", path, which), "%v", err)
			}
		}
	}
	return nil
}

// without is a result that has no value.
func without(metric, subject, reference, why string) component.Result {
	r := value(metric, subject, math.NaN(), "", 0)
	r.Reference, r.Reason = reference, why
	return r
}

func value(metric, subject string, v float64, unit string, n int) component.Result {
	return component.Result{Metric: metric, Subject: subject, Value: v, Low: math.NaN(), High: math.NaN(), Null: math.NaN(), Unit: unit, Better: component.Neither, N: int64(n)}
}
