package component

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// The kinds of failure that cross a plugin's boundary as types. Test with [errors.Is]; the value that carries the details is found
// with [errors.As]. Anything else arrives as an [*InternalError] with the plugin's own message. Context errors cross as themselves.
var (
	// ErrInvalidArgument: what was given is not allowed; see [*InvalidArgumentError].
	ErrInvalidArgument = errors.New("invalid argument")
	// ErrNotFound: no such component, instance, trial or array.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: the process at the other end is gone, or draining; a call that can be repeated may be.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnsupported: the component does not offer this.
	ErrUnsupported = errors.New("not supported")
	// ErrDiverged: training or simulation left the finite numbers; see [*DivergedError].
	ErrDiverged = errors.New("diverged")
	// ErrChecksum: data was damaged on its way.
	ErrChecksum = errors.New("checksum mismatch")
)

// InvalidArgumentError lists everything that was wrong with a call.
type InvalidArgumentError struct{ Problems []param.Problem }

// Error returns all problems, one a line if there are several.
func (e *InvalidArgumentError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return "invalid argument: " + strings.Join(lines, "\n  ")
}

// Is makes errors.Is(err, ErrInvalidArgument) true.
func (e *InvalidArgumentError) Is(target error) bool { return target == ErrInvalidArgument }

// Invalid returns an [*InvalidArgumentError] with one problem.
func Invalid(path, format string, args ...any) error {
	return &InvalidArgumentError{Problems: []param.Problem{{Path: path, Message: fmt.Sprintf(format, args...)}}}
}

// DivergedError says where numbers left the finite range.
type DivergedError struct {
	// Step is the optimiser's or the simulation's step, from 0.
	Step int64
	// Quantity is what diverged, e.g. "loss" or "gradient of cell.weight_hh".
	Quantity string
	// Value is what it became: NaN, an infinity, or a number beyond a limit.
	Value float64
	// Hint says what to try, e.g. a lower learning rate.
	Hint string
}

// Error names the step, the quantity and its value.
func (e *DivergedError) Error() string {
	s := fmt.Sprintf("diverged at step %d: %s is %v", e.Step, e.Quantity, e.Value)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Is makes errors.Is(err, ErrDiverged) true.
func (e *DivergedError) Is(target error) bool { return target == ErrDiverged }

// InternalError is a failure inside a component that has no type of its own, as the other end of the boundary sees it.
type InternalError struct {
	// Component is the name of the failing component, or of its plugin.
	Component string
	// Message is the plugin's own message.
	Message string
}

// Error returns the component and its message.
func (e *InternalError) Error() string { return e.Component + ": " + e.Message }
