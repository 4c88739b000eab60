package experiment

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// fields is a mapping of which the keys are known to be allowed.
type fields struct {
	*node
	// source is the mapping as it stands in the tree.
	source *node
	place  place
}

func (d *decoder) complain(p place, key string, onKey bool, hint, format string, args ...any) {
	d.problems = append(d.problems, p.problem(key, onKey, fmt.Sprintf(format, args...), hint))
}

// mapping checks the keys of a mapping. Keys that are not allowed are reported and left out.
func (d *decoder) mapping(n *node, path string, allowed []string) (fields, bool) {
	f := fields{node: &node{kind: mapping, at: n.at}, source: n, place: place{file: d.file, path: path, at: n.at, entries: map[string]span{}}}
	if n.kind != mapping {
		d.complain(f.place, "", false, "", "%s: a mapping is needed, with the keys %s", n.show(), strings.Join(allowed, ", "))
		return f, false
	}
	for _, e := range n.entries {
		f.place.entries[e.key] = span{e.at, e.value.at}
		if !slices.Contains(allowed, e.key) {
			hint := param.DidYouMean(e.key, allowed)
			if path == "" && isSweep(e.key) {
				hint = "what is varied stands under matrix, e.g. matrix: {fit.NAME.params.latent: [8, 16]}, and under seeds"
			}
			if hint == "" {
				hint = "keys are " + strings.Join(allowed, ", ")
			}
			d.complain(f.place, e.key, true, hint, "no such key")
			continue
		}
		f.entries = append(f.entries, e)
	}
	return f, true
}

// isSweep reports whether a key is what other programs call a matrix.
func isSweep(key string) bool {
	for _, word := range []string{"sweep", "grid", "axes", "axis", "vary", "variation", "search", "product", "points", "hyperparam", "study", "studies"} {
		if strings.Contains(strings.ToLower(key), word) {
			return true
		}
	}
	return false
}

// given returns the value of a key; false where the key is not there, or has no value, which is reported unless it may be empty.
func (d *decoder) given(f fields, key string, mayBeEmpty bool) (*node, bool) {
	n := f.get(key)
	if n == nil {
		return nil, false
	}
	if n.kind == null {
		if !mayBeEmpty {
			d.complain(f.place, key, true, "", "a value is needed")
		}
		return nil, false
	}
	return n, true
}

func (d *decoder) text(f fields, key string) (string, bool) {
	n, ok := d.given(f, key, false)
	if !ok {
		return "", false
	}
	s, ok := n.value.(string)
	switch {
	case n.kind != scalar:
		d.complain(f.place, key, false, "", "%s: a string is needed", n.show())
	case !ok:
		d.complain(f.place, key, false, fmt.Sprintf("write \"%v\" in quotes", n.value), "%s: a string is needed", n.show())
	case s == "":
		d.complain(f.place, key, false, "", `"" is not allowed: a string is needed`)
	default:
		return s, true
	}
	return "", false
}

func (d *decoder) number(f fields, key string, low, high uint64, otherwise uint64) uint64 {
	n, ok := d.given(f, key, false)
	if !ok {
		return otherwise
	}
	v, whole := uint64(0), false
	negative := false
	switch x := n.value.(type) {
	case int64:
		v, whole, negative = uint64(x), true, x < 0
	case uint64:
		v, whole = x, true
	case float64:
		if whole = x == math.Trunc(x) && math.Abs(x) < 1<<53; whole {
			v, negative = uint64(math.Abs(x)), x < 0
		}
	}
	if low == high && (n.kind != scalar || !whole || negative || v != low) {
		d.complain(f.place, key, false, "", "%s is not allowed: %d", n.show(), low)
		return otherwise
	}
	switch {
	case n.kind != scalar || !whole:
		d.complain(f.place, key, false, "", "%s: an integer %d..%d is needed", n.show(), low, high)
	case negative || v < low || v > high:
		d.complain(f.place, key, false, "", "%s is not allowed: %d..%d", n.show(), low, high)
	default:
		return v
	}
	return otherwise
}

// path returns the absolute path under a key.
func (d *decoder) path(f fields, key string) (string, bool) {
	s, ok := d.text(f, key)
	if !ok {
		return "", false
	}
	if !filepath.IsAbs(s) {
		from := d.folder
		if f.get(key).at.set != "" {
			from = "."
		}
		s = filepath.Join(from, s)
	}
	abs, err := filepath.Abs(s)
	if err != nil {
		d.complain(f.place, key, false, "", "%q: %v", s, err)
		return "", false
	}
	return abs, true
}
