package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// known makes a component.DivergedError of what an adaptive method could not integrate, and leaves other errors as they are.
func known(err error) error {
	var e *kernel.IntegrationError
	switch {
	case errors.As(err, &e) && errors.Is(e, kernel.ErrSteps):
		what := "number of steps of dopri5"
		if e.Backward {
			what += ", on the way back"
		}
		return &component.DivergedError{Quantity: fmt.Sprintf("%s, in bin %d of trial %d", what, e.Bin, e.Trial), Value: float64(e.MaxSteps),
			Hint: "which are not enough: try larger tolerances, more max_steps, or a lower learning rate"}
	case errors.As(err, &e):
		what := "state"
		if e.Backward {
			what = "gradient"
		}
		return &component.DivergedError{Quantity: fmt.Sprintf("%s or its rate of change, in bin %d of trial %d", what, e.Bin, e.Trial), Value: math.NaN(),
			Hint: "are inputs and weights finite? else try a lower learning rate or a smaller clip"}
	case errors.Is(err, kernel.ErrNotFinite):
		return &component.DivergedError{Quantity: err.Error(), Value: math.NaN(), Hint: "are states, inputs and weights finite?"}
	case errors.Is(err, kernel.ErrSteps):
		return &component.DivergedError{Quantity: err.Error(), Value: math.Inf(1), Hint: "try larger tolerances or more max_steps"}
	}
	return err
}
