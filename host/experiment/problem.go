package experiment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Problem is one thing wrong with an experiment.
type Problem struct {
	// File, Line and Column, both from 1, say where the field, or the key that it should be under, stands. Line is 0 where the file as
	// a whole is meant.
	File         string
	Line, Column int
	// Set is the override that the value came from, e.g. "fit.gru-64.params.latent=0"; empty where it came from the file.
	Set string
	// Path leads to the field, e.g. "fit.gru-64.params.latent"; empty where the file as a whole is meant.
	Path string
	// Point says at which points of a study it is so, e.g. "at latent=0"; empty for all of them.
	Point string
	// Message says what was given and what is allowed, Hint what to do; Hint may be empty.
	Message, Hint string

	// unread is a reference that could not be read, as it may be looked up for what was meant, and kind is what it should have been of.
	unread string
	kind   component.Kind
}

// String returns file:line:column: path: message, points (hint) on one line.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Set != "":
		fmt.Fprintf(&b, "--set %s: ", p.Set)
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	default:
		fmt.Fprintf(&b, "%s: ", p.File)
	}
	message := p.Message
	if p.Point != "" {
		message += ", " + p.Point
	}
	b.WriteString(param.Problem{Path: p.Path, Message: message, Hint: p.Hint}.String())
	return b.String()
}

// Error lists everything that is wrong with an experiment. It has at least one problem.
type Error struct{ Problems []Problem }

// Error returns the problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Join returns an [*Error] with the problems in the order of the file, those from overrides last; nil where there are none.
func Join(problems ...Problem) error {
	if len(problems) == 0 {
		return nil
	}
	sorted := slices.Clone(problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		if (a.Set == "") != (b.Set == "") {
			if a.Set == "" {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{slices.Compact(sorted)}
}

// position is where something stands: in the file, or in an override.
type position struct {
	line, column int
	set          string
}

// span is where a key and its value stand.
type span struct{ key, value position }

// place is where a mapping of the file stands, and its entries; those of params under "params.NAME".
type place struct {
	file, path string
	at         position
	entries    map[string]span
}

// problem is about the value of the entry at the relative path, or about its key where onKey; an entry that is not there leads to
// the nearest one above it.
func (p place) problem(path string, onKey bool, message, hint string) Problem {
	at := p.at
	for q := path; q != ""; q = parent(q) {
		s, ok := p.entries[q]
		if !ok {
			continue
		}
		at = s.value
		if onKey || q != path {
			at = s.key
		}
		break
	}
	return Problem{File: p.file, Line: at.line, Column: at.column, Set: at.set, Path: join(p.path, path), Message: message, Hint: hint}
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

func join(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}

// Problem turns what a component says of its parameters, with a path that is a parameter's name, into a problem with its place in the file.
func (u *Use) Problem(p param.Problem) Problem {
	path := "params"
	if p.Path != "" {
		path = join("params", strings.TrimPrefix(p.Path, "params."))
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "params."), "[")
	unknown := false
	if len(u.Info.Params) > 0 {
		_, known := u.Info.Params.Field(name)
		unknown = !known
	}
	return u.place.problem(path, unknown, p.Message, p.Hint)
}

// Unfit is the problem that the component itself is not one for its place.
func (u *Use) Unfit(message, hint string) Problem {
	return u.place.problem("use", false, message, hint)
}
