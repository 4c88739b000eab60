package experiment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// variable walks along a path that is to be varied and says where it leads nowhere, with the nearest path that would do. whole is true where every
// value is an element of fit or compare that defines itself, which may be a new one.
func variable(root *node, parts []string, whole bool) *trouble {
	switch parts[0] {
	case "seed", "seeds":
		return &trouble{"seeds are varied beside matrix, not in it", "write seeds: [0, 1, 2] at the top of the file"}
	case "version", "name", "about", "matrix":
		return &trouble{fmt.Sprintf("%s cannot be varied", parts[0]), ""}
	}
	w := walk{fixed: slices.Clone(parts)}
	if !w.part(0, stageKeys()) {
		return w.trouble()
	}
	stage, here := w.fixed[0], 1
	n := root.get(stage)
	there := n != nil && n.kind != null
	if stage == "fit" || stage == "compare" {
		if len(parts) == 1 {
			return w.trouble()
		}
		if !there {
			n = &node{kind: sequence}
		}
		if n.kind != sequence {
			return &trouble{message: fmt.Sprintf("%s is not a list", stage)}
		}
		k, names := element(n, parts[1])
		switch {
		case k >= 0:
		case len(parts) == 2 && whole && nameForm.MatchString(parts[1]):
			return w.trouble()
		case !there:
			return &trouble{fmt.Sprintf("%s is not there", stage), fmt.Sprintf("only what the experiment has can be varied: add %s, or give mappings with use", stage)}
		case strings.HasPrefix(parts[1], "["):
			return missing(n, stage, parts[1], nil)
		case !w.part(1, names):
			return w.trouble()
		}
		here = 2
	} else if !there && len(parts) > 1 && !slices.Contains([]string{"use", "load", "dataset"}, parts[1]) {
		return &trouble{fmt.Sprintf("%s is not there", stage), fmt.Sprintf("only what the experiment has can be varied: add %s: {use: ...}", stage)}
	}
	return w.keys(stage, here)
}

// walk is a path with what had to be corrected so far.
type walk struct {
	fixed []string
	// wrong is the first part that had to be.
	wrong, at string
	// list are the allowed parts where none is near.
	list []string
}

// part checks one part against those that there are; false where the walk ends.
func (w *walk) part(k int, allowed []string) bool {
	given := w.fixed[k]
	if slices.Contains(allowed, given) {
		return true
	}
	near, ok := param.Nearest(given, allowed)
	if w.wrong == "" {
		w.wrong, w.at = given, joinPath(w.fixed[:k])
		if !ok {
			w.list = allowed
		}
	}
	w.fixed[k] = near
	return ok
}

// keys walks from a stage, or an element of one, to the end.
func (w *walk) keys(place string, k int) *trouble {
	for ; k < len(w.fixed); k++ {
		if w.fixed[k] == "name" && place != "simulate.task" {
			return &trouble{"a name cannot be varied: comparisons and results go by it", ""}
		}
		if !w.part(k, slices.DeleteFunc(keysAt(place), func(key string) bool { return key == "name" })) {
			return w.trouble()
		}
		rest := w.fixed[k+1:]
		switch key := w.fixed[k]; {
		case key == "task":
			place = "simulate.task"
		case key == "params" && len(rest) > 0 && !keyForm.MatchString(rest[0]):
			return &trouble{fmt.Sprintf("%q cannot name a parameter", rest[0]), ""}
		case key == "params" && (len(rest) < 2 || (len(rest) == 2 && strings.HasPrefix(rest[1], "["))),
			key == "subjects" && (len(rest) == 0 || (len(rest) == 1 && strings.HasPrefix(rest[0], "["))),
			len(rest) == 0:
			return w.trouble()
		case key == "params":
			return &trouble{fmt.Sprintf("%s is one parameter: there is nothing in it by the name of %s", joinPath(w.fixed[:k+2]), joinPath(rest[1:])), ""}
		default:
			return &trouble{fmt.Sprintf("%s is one value: there is nothing in it by the name of %s", joinPath(w.fixed[:k+1]), joinPath(rest)), ""}
		}
	}
	return w.trouble()
}

// trouble is what was wrong on the way; nil for nothing.
func (w *walk) trouble() *trouble {
	if w.wrong == "" {
		return nil
	}
	where := "there is no " + w.wrong
	if w.at != "" {
		where = fmt.Sprintf("%s has no %s", w.at, w.wrong)
	}
	switch {
	case len(w.list) > 0:
		return &trouble{where, "there are " + strings.Join(w.list, ", ")}
	case slices.Contains(w.fixed, ""):
		return &trouble{where, ""}
	}
	return &trouble{where, fmt.Sprintf("did you mean %q?", joinPath(w.fixed))}
}
