package node

import (
	"fmt"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Integration are the parameters that say how a vector field is integrated over a bin.
type Integration struct {
	Integrator string  `param:"integrator" default:"euler" choices:"euler,rk4,dopri5" doc:"method that integrates over a bin, inputs held: Euler's, the classical one of Runge and Kutta, or in double precision that of Dormand and Prince, which chooses its steps"`
	Substeps   int     `param:"substeps" default:"1" min:"1" max:"1000" doc:"steps of the integrator in a bin; dopri5 tries a step that long first"`
	DT         float64 `param:"dt" default:"0.1" above:"0" doc:"time that passes in a bin, in the vector field's own unit"`
	RTol       float64 `param:"rtol" default:"1e-6" min:"0" max:"1" doc:"error that dopri5 allows itself in a step, relative to the state"`
	ATol       float64 `param:"atol" default:"1e-6" above:"0" max:"1" doc:"error that dopri5 allows itself in a step besides"`
	MaxSteps   int     `param:"max_steps" default:"1000" min:"1" max:"100000" doc:"steps that dopri5 may try in a bin; a trial that needs more ends the training"`
	Gradient   string  `param:"gradient" default:"discretise" choices:"discretise,adjoint" doc:"of dopri5: gradient of the steps it took, their lengths held, or of the differential equation, integrated backwards to the same tolerances"`
}

// Problems reports what does not go together, with a model's parameter recompute.
func (i Integration) Problems(recompute int) []param.Problem {
	var problems []param.Problem
	if i.Gradient == "adjoint" && !i.KeepsAll() {
		problems = append(problems, param.Problem{Path: "gradient", Message: "adjoint needs integrator dopri5, not " + i.Integrator, Hint: "discretise is the exact gradient of " + i.Integrator})
	}
	if recompute > 0 && i.KeepsAll() {
		problems = append(problems, param.Problem{Path: "recompute", Message: fmt.Sprintf("%d is not allowed with integrator dopri5, which keeps the steps that it chose: 0 is needed", recompute),
			Hint: "euler and rk4 can compute their bins once more"})
	}
	return problems
}

// KeepsAll says that no bin can be computed once more: the steps that were chosen are kept.
func (i Integration) KeepsAll() bool { return i.Integrator == "dopri5" }

// Sizes are the parameters that memory depends on: every step in a bin is kept, and for the gradient of steps that are chosen there is room for as many as may be tried.
func (i Integration) Sizes() []string {
	switch {
	case !i.KeepsAll():
		return []string{"substeps"}
	case i.Gradient == "discretise":
		return []string{"max_steps"}
	}
	return nil
}

// Field is that of a vector field of that many linear maps, with width units between them.
func (i Integration) Field(layers, width int) kernel.SequenceConfig {
	c := kernel.SequenceConfig{Layers: layers, Width: width, DT: i.DT, Substeps: i.Substeps}
	switch i.Integrator {
	case "rk4":
		c.RK4 = true
	case "dopri5":
		c.Dopri5, c.RTol, c.ATol, c.MaxSteps, c.Adjoint = true, i.RTol, i.ATol, i.MaxSteps, i.Gradient == "adjoint"
	}
	return c
}
