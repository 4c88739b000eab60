package launch

import (
	"fmt"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// StartError says why a plugin could not be started.
type StartError struct {
	Plugin, Path string
	// State is how the process ended, e.g. "exit status 3"; empty where it never ran or had to be killed.
	State string
	// Lines are the last that it printed.
	Lines []string
	Err   error
}

// Error names the plugin, what went wrong, and its last lines.
func (e *StartError) Error() string {
	s := fmt.Sprintf("launch: plugin %s (%s) cannot be started: %v", e.Plugin, e.Path, e.Err)
	if e.State != "" {
		s = fmt.Sprintf("launch: plugin %s (%s) cannot be started: it ended with %s before it was ready", e.Plugin, e.Path, e.State)
	}
	return s + lastLines(e.Lines)
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// ExitError says that a plugin's process died. It is component.ErrUnavailable.
type ExitError struct {
	Plugin, Path string
	PID          int
	// State is how it ended, e.g. "exit status 2" or "signal: killed".
	State string
	// Lines are the last that it logged or printed.
	Lines []string
	// Err is the call's error that the death showed itself by; may be nil.
	Err error
}

// Error names the plugin, how it ended, and its last lines.
func (e *ExitError) Error() string {
	return fmt.Sprintf("launch: plugin %s (process %d) died: %s", e.Plugin, e.PID, e.State) + lastLines(e.Lines)
}

// Is makes errors.Is(err, component.ErrUnavailable) true.
func (e *ExitError) Is(target error) bool { return target == component.ErrUnavailable }

// Unwrap returns the call's error.
func (e *ExitError) Unwrap() error { return e.Err }

func lastLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "; its last lines:\n  " + strings.Join(lines, "\n  ")
}
