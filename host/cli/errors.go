package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// The exit statuses.
const (
	Success     = 0
	Failure     = 1
	Usage       = 2
	Interrupted = 130
	// Killed is of a run that `show --follow` watched and whose host was killed.
	Killed = 137
	// Unread is of a command whose output nobody reads any longer, as a shell calls the end by SIGPIPE.
	Unread = 141
)

// errReported marks an error that the user has been told of.
var errReported = errors.New("reported")

// usageError is an error of the one who calls.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// statusError ends the program with a status of its own.
type statusError struct {
	error
	status int
}

func (e statusError) Unwrap() error { return e.error }

func exitStatus(ctx context.Context, err error) int {
	if err == nil {
		return Success
	}
	var own statusError
	if errors.As(err, &own) {
		return own.status
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return Interrupted
	}
	if errors.Is(err, pipeline.ErrStages) {
		return Failure
	}
	var usage usageError
	var file *experiment.Error
	var format *artifact.FormatError
	var missing *catalog.NotFoundError
	var ambiguous *catalog.AmbiguousError
	var refused *registry.PackageError
	var pinned *registry.LockError
	var used *registry.InUseError
	if errors.As(err, &used) || errors.As(err, &usage) || errors.As(err, &file) || errors.As(err, &missing) || errors.As(err, &ambiguous) || errors.As(err, &format) || errors.As(err, &refused) || errors.As(err, &pinned) {
		return Usage
	}
	for _, refused := range []error{pipeline.ErrFolder, pipeline.ErrShard, pipeline.ErrStudies, pipeline.ErrMemory, artifact.ErrRunLocked} {
		if errors.Is(err, refused) {
			return Usage
		}
	}
	if errors.Is(err, component.ErrInvalidArgument) && !errors.Is(err, errReported) {
		return Usage
	}
	return Failure
}

// shownProblem is one of the things that an error says, as JSON. All but the message are of an experiment file.
type shownProblem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Set     string `json:"set,omitempty"`
	Path    string `json:"path,omitempty"`
	Point   string `json:"point,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`

	// text is the whole of it, with its place.
	text string
}

// problemsOf takes an error apart into the things that it says, where it was joined from several, or is an experiment's.
func problemsOf(err error) []shownProblem {
	switch e := err.(type) {
	case *experiment.Error:
		out := make([]shownProblem, len(e.Problems))
		for i, q := range e.Problems {
			out[i] = shownProblem{q.File, q.Line, q.Column, q.Set, q.Path, q.Point, q.Message, q.Hint, q.String()}
		}
		return out
	case interface{ Unwrap() []error }:
		// Of those that wrap several errors, the joined ones say nothing of their own.
		if parts := e.Unwrap(); err.Error() == errors.Join(parts...).Error() {
			var out []shownProblem
			for _, part := range parts {
				out = append(out, problemsOf(part)...)
			}
			return out
		}
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil && inner.Error() == err.Error() {
			return problemsOf(inner)
		}
	}
	if err == pipeline.ErrStages || err == errReported {
		return nil
	}
	return []shownProblem{{Message: err.Error(), text: err.Error()}}
}

// tell says on the error writer what went wrong: as one line, or a line for each thing and their number; as JSON where the command was to print JSON.
func (p Program) tell(err error, status int, asJSON bool) {
	all := problemsOf(err)
	if status == Interrupted {
		for i := range all {
			q := &all[i]
			q.text = strings.ReplaceAll(q.text, context.Canceled.Error(), "interrupted")
			q.Message = strings.ReplaceAll(q.Message, context.Canceled.Error(), "interrupted")
		}
	}
	if asJSON {
		message := "failed"
		if len(all) > 0 {
			message = all[0].text
		}
		if len(all) > 1 {
			message = inAll(err, len(all))
		}
		b, encodeErr := artifact.EncodeJSON(map[string]any{"error": map[string]any{"status": status, "message": message, "problems": all}})
		if encodeErr == nil {
			_, _ = p.Err.Write(b)
			return
		}
	}
	s := newScreen(p.Err)
	name := "ctdb-host: "
	switch len(all) {
	case 0:
		fmt.Fprintf(p.Err, "%s%s\n", name, s.paint(bad, err.Error()))
	case 1:
		fmt.Fprintf(p.Err, "%s%s\n", name, all[0].text)
	default:
		var b strings.Builder
		for _, q := range all {
			b.WriteString(q.text + "\n")
		}
		fmt.Fprintf(p.Err, "%s%s\n%s%s\n", name, heading(err), b.String(), s.paint(bad, inAll(err, len(all))))
	}
}

// heading comes before several problems, and inAll after them.
func heading(err error) string {
	if errors.Is(err, pipeline.ErrStages) {
		return "the run has failed:"
	}
	return "this cannot be done:"
}

// inAll says how many things n problems are: the stages that failed, and others.
func inAll(err error, n int) string {
	told, failed := failedStages(err)
	if failed == 0 {
		return fmt.Sprintf("%d problems", n)
	}
	text := english.Plural(failed, "stage", "") + " failed"
	if n > told {
		text += ", and " + english.Plural(n-told, "other problem", "")
	}
	return text
}

// failedStages is how many stages an error says have failed, and in how many problems it tells them.
func failedStages(err error) (told, failed int) {
	switch e := err.(type) {
	case *pipeline.StageError:
		return 1, 1
	case *pipeline.MoreError:
		return 1, e.N
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			t, f := failedStages(part)
			told, failed = told+t, failed+f
		}
	case interface{ Unwrap() error }:
		return failedStages(e.Unwrap())
	}
	return told, failed
}
