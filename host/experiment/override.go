package experiment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// override returns the tree with one value set: PATH=VALUE, where the path's parts are joined by dots, an element of a list is named by its name or
// as LIST[INDEX], and the value is YAML. What was set is added to sets.
func (r *reader) override(root *node, set string, sets *[]assignment) *node {
	path, text, ok := strings.Cut(set, "=")
	path = strings.TrimSpace(path)
	at := position{set: set}
	bad := func(path, hint, format string, args ...any) {
		r.problems = append(r.problems, Problem{File: r.file, Set: set, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if !ok || path == "" {
		bad("", "", "PATH=VALUE is needed, e.g. fit.gru-64.params.latent=16")
		return root
	}
	if strings.TrimSpace(text) == "" {
		bad(path, "", "a value is needed after the =")
		return root
	}
	inner := reader{file: r.file, set: set, path: path}
	value := inner.read(text)
	r.problems = append(r.problems, inner.problems...)
	if value == nil {
		if len(inner.problems) == 0 {
			bad(path, "", "a value is needed after the =")
		}
		return root
	}
	if len(inner.problems) > 0 {
		return root
	}
	var parts []string
	switch axis, within := strings.CutPrefix(path, "matrix."); {
	case within:
		// An axis is one key of the matrix, dots and all.
		parts = []string{"matrix", axis}
	default:
		var wrong *trouble
		if parts, wrong = splitPath(path); wrong != nil {
			bad(path, wrong.hint, "%s", wrong.message)
			return root
		}
	}
	if len(parts) == 2 && parts[0] == "matrix" && value.kind == null {
		axes := root.get("matrix").keys()
		if !slices.Contains(axes, parts[1]) {
			message := fmt.Sprintf("the matrix does not vary %s", parts[1])
			if len(axes) > 0 {
				message += ": it varies " + strings.Join(axes, ", ")
			}
			bad(path, param.DidYouMean(parts[1], axes), "%s", message)
			return root
		}
	}
	changed, wrong := (&change{parts: parts, value: value, at: at}).in(root)
	if wrong != nil {
		bad(path, wrong.hint, "%s", wrong.message)
		return root
	}
	switch {
	case path == "seed":
		changed = changed.without("seeds")
	case path == "seeds" && value.kind == null, path == "matrix" && value.kind == null:
		changed = changed.without(path)
	case path == "seeds":
		changed = changed.without("seed")
	case parts[0] == "matrix" && value.kind == null:
		changed = changed.lessAxis(parts[1])
	}
	if parts[0] != "matrix" {
		*sets = append(*sets, assignment{set, path, parts})
	}
	return changed
}

// keys are those of a mapping, none of anything else.
func (n *node) keys() []string {
	if n == nil {
		return nil
	}
	out := make([]string, len(n.entries))
	for i, e := range n.entries {
		out[i] = e.key
	}
	return out
}

// lessAxis is the file without an axis of its matrix, and without a matrix that had no other.
func (n *node) lessAxis(path string) *node {
	m := n.get("matrix").without(path)
	if len(m.entries) == 0 {
		return n.without("matrix")
	}
	out, _ := (&change{parts: []string{"matrix"}, value: m, at: m.at}).in(n)
	return out
}

// show is a value in a message.
func (n *node) show() string {
	switch n.kind {
	case null:
		return "nothing"
	case sequence:
		return fmt.Sprintf("a list of %d", len(n.items))
	case mapping:
		return "a mapping"
	}
	if s, ok := n.value.(string); ok {
		return quoted(s)
	}
	return fmt.Sprint(n.value)
}

// quoted is text in a message: its beginning where it is long.
func quoted(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "..."
	}
	return strconv.Quote(s)
}
