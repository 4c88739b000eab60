package experiment

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// maxAxes is how many paths a matrix may vary; tooMany is where counting points ends.
const (
	maxAxes = 64
	tooMany = 1_000_000_000_000
)

// axis is an axis with where it stands.
type axis struct {
	// key is where it stands, relative to the file: "seeds" or "matrix.PATH"; path what it varies, in parts.
	key, path string
	parts     []string
	// place are the parts with elements by their index, so that paths to the same place are equal.
	place []string
	nodes []*node
	keyAt position
}

// variations are seeds and matrix as they were read.
type variations struct {
	*decoder
	axes []axis
	// broken is true where anything is wrong; missing are the paths of the axes of which no value could be read.
	broken  bool
	missing []string
	// place is the file's, and key what the points as a whole are told of by.
	place place
	key   string
}

// variations reads seeds and matrix. An axis that is wrong in part keeps its sound values.
func (d *decoder) variations(root *node) *variations {
	v := &variations{decoder: d, place: place{file: d.file, at: root.at, entries: map[string]span{}}}
	for _, e := range root.entries {
		v.place.entries[e.key] = span{e.at, e.value.at}
	}
	if n := root.get("seeds"); n != nil {
		v.seeds(n, root.get("seed") != nil)
	}
	if n := root.get("matrix"); n != nil {
		v.matrix(root, n)
	}
	return v
}

func (v *variations) wrong(key string, onKey bool, hint, format string, args ...any) {
	v.broken = true
	v.complain(v.place, key, onKey, hint, format, args...)
}

// list returns the values of an axis, which must be a list of some.
func (v *variations) list(key string, n *node, example string) []*node {
	switch {
	case n.kind == null:
		v.wrong(key, true, "e.g. "+example, "a list of values is needed")
	case n.kind != sequence:
		v.wrong(key, false, "e.g. "+example, "%s: a list of values is needed", n.show())
	case len(n.items) == 0:
		v.wrong(key, false, "leave it out", "is an empty list: at least one value is needed")
	default:
		return n.items
	}
	return nil
}

// enter notes where an element of a list stands, and returns its key.
func (v *variations) enter(key string, i int, at position) string {
	key = fmt.Sprintf("%s[%d]", key, i)
	v.place.entries[key] = span{at, at}
	return key
}

// repeated reports a value that stands before in its list.
func (v *variations) repeated(seen map[string]*node, key string, n *node) bool {
	text := plain(n.any())
	first, ok := seen[text]
	if !ok {
		seen[text] = n
		return false
	}
	where := fmt.Sprintf("first at line %d, column %d", first.at.line, first.at.column)
	if first.at.set != "" {
		where = "first in the same list"
	}
	v.wrong(key, false, "", "%s is given twice, %s", n.show(), where)
	return true
}

func (v *variations) seeds(n *node, both bool) {
	v.key = "seeds"
	if both {
		v.wrong("seeds", true, "", "seed and seeds are both given: one of them is needed")
	}
	items := v.list("seeds", n, "seeds: [0, 1, 2]")
	a := axis{key: "seeds", path: "seed", parts: []string{"seed"}, place: []string{"seed"}, keyAt: v.place.entries["seeds"].key}
	seen := map[string]*node{}
	for i, item := range items {
		key := v.enter("seeds", i, item.at)
		seed, sound := item.seed()
		switch {
		case item.kind == null:
			v.wrong(key, false, "", "an integer 0..%d is needed", maxSeed)
		case !sound:
			v.wrong(key, false, "", "%s: an integer 0..%d is needed", item.show(), maxSeed)
		default:
			n := &node{value: seed, at: item.at}
			if !v.repeated(seen, key, n) {
				a.nodes = append(a.nodes, n)
			}
		}
	}
	if len(a.nodes) > 0 {
		v.axes = append(v.axes, a)
	}
}

// seed is the value of a scalar that is a seed.
func (n *node) seed() (int64, bool) {
	switch x := n.value.(type) {
	case int64:
		return x, n.kind == scalar && x >= 0
	case float64:
		return int64(x), n.kind == scalar && x == math.Trunc(x) && x >= 0 && x < 1<<53
	}
	return 0, false
}

func (v *variations) matrix(root, n *node) {
	v.key = "matrix"
	switch {
	case n.kind != mapping:
		v.wrong("matrix", n.kind == null, "e.g. matrix: {fit.NAME.params.latent: [8, 16]}", "%s: a mapping from paths to lists of values is needed", n.show())
		return
	case len(n.entries) == 0:
		v.wrong("matrix", false, "leave it out", "is empty: at least one path with a list of values is needed")
	case len(n.entries) > maxAxes:
		v.wrong("matrix", true, "", "%d paths: at most %d are allowed", len(n.entries), maxAxes)
		return
	}
	var taken []axis
	for _, e := range n.entries {
		key := "matrix." + e.key
		v.place.entries[key] = span{e.at, e.value.at}
		a := axis{key: key, path: e.key, keyAt: e.at}
		parts, trouble := splitPath(e.key)
		if trouble == nil {
			a.parts, a.place = parts, located(root, parts)
			trouble = variable(root, parts, e.value.kind == sequence && allDefine(e.value.items))
		}
		if trouble != nil {
			v.wrong(key, true, trouble.hint, "%s", trouble.message)
		}
		v.values(&a, e.value)
		switch {
		case trouble == nil && !v.apart(taken, a):
		case trouble == nil && len(a.nodes) > 0:
			v.axes = append(v.axes, a)
			taken = append(taken, a)
		default:
			v.missing = append(v.missing, e.key)
		}
	}
}

func allDefine(items []*node) bool {
	for _, n := range items {
		if !n.defines() {
			return false
		}
	}
	return len(items) > 0
}

// values reads the values of an axis of the matrix.
func (v *variations) values(a *axis, n *node) {
	seen := map[string]*node{}
	for i, item := range v.list(a.key, n, a.path+": [8, 16]") {
		key := v.enter(a.key, i, item.at)
		name := item.get("name")
		if message := item.varies(); message != "" {
			v.wrong(key, false, "", "%s", message)
		} else if name != nil && len(a.parts) == 2 && (a.parts[0] == "fit" || a.parts[0] == "compare") && name.value != a.parts[1] {
			v.wrong(key, false, fmt.Sprintf("leave the name out: it is %s", a.parts[1]), "a name cannot be varied: comparisons and results go by it")
		} else if !v.repeated(seen, key, item) {
			a.nodes = append(a.nodes, item)
		}
	}
}

// varies says what keeps a node from being a value of an axis.
func (n *node) varies() string {
	switch n.kind {
	case null:
		return "a value is needed"
	case scalar:
		if f, ok := n.value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return fmt.Sprintf("%s is not allowed: a finite number is needed", n.show())
		}
	}
	for i, item := range n.items {
		if s := item.varies(); s != "" {
			return fmt.Sprintf("element %d: %s", i, s)
		}
	}
	for _, e := range n.entries {
		if s := e.value.varies(); s != "" {
			return fmt.Sprintf("%s: %s", e.key, s)
		}
	}
	return ""
}

// apart reports whether an axis varies nothing that one before it varies too, and says so where it does.
func (v *variations) apart(taken []axis, a axis) bool {
	for _, b := range taken {
		over, under := a, b
		if len(b.place) < len(a.place) {
			over, under = b, a
		}
		if !slices.Equal(over.place, under.place[:len(over.place)]) {
			continue
		}
		line := ""
		if b.keyAt.set == "" {
			line = fmt.Sprintf(" at line %d", b.keyAt.line)
		}
		switch {
		case len(over.place) == len(under.place):
			v.wrong(a.key, true, "", "is varied already, as %s%s", b.path, line)
		case over.key == a.key:
			v.wrong(a.key, true, "", "a part of it is varied by itself: %s%s", b.path, line)
		default:
			v.wrong(a.key, true, "", "is a part of %s, which is varied as a whole%s", b.path, line)
		}
		return false
	}
	return true
}

// points is the number of points, at most tooMany.
func (v *variations) points() int {
	n := 1
	for _, a := range v.axes {
		n = min(n*len(a.nodes), tooMany)
	}
	return n
}

// at returns which value each axis has at a point; the last axis is the fastest.
func (v *variations) at(i int) []int {
	out := make([]int, len(v.axes))
	for k := len(v.axes) - 1; k >= 0; k-- {
		n := len(v.axes[k].nodes)
		out[k], i = i%n, i/n
	}
	return out
}

// eachValue returns points that have every value of every axis once, beside the first of the others; at most a number of them.
func (v *variations) eachValue(limit int) [][]int {
	out := [][]int{make([]int, len(v.axes))}
	for k, a := range v.axes {
		for i := 1; i < len(a.nodes) && len(out) < limit; i++ {
			at := make([]int, len(v.axes))
			at[k] = i
			out = append(out, at)
		}
	}
	return out
}

func (v *variations) exported() []Axis {
	var paths [][]string
	for _, a := range v.axes {
		paths = append(paths, a.parts)
	}
	out := make([]Axis, len(v.axes))
	for k, label := range labels(paths) {
		out[k] = Axis{Path: v.axes[k].path, Label: label}
		for _, n := range v.axes[k].nodes {
			out[k].Values = append(out[k].Values, n.any())
		}
	}
	return out
}

// assignment is an override that was made.
type assignment struct {
	set, path string
	parts     []string
}

// against reports overrides of what the matrix varies.
func (v *variations) against(root *node, sets []assignment) {
	for _, s := range sets {
		parts := located(root, s.parts)
		for _, a := range v.axes {
			if a.path == "seed" || len(a.place) > len(parts) || !slices.Equal(a.place, parts[:len(a.place)]) {
				continue
			}
			v.problems = append(v.problems, Problem{
				File: v.file, Set: s.set, Path: s.path, Message: "is varied by the matrix: matrix." + a.path,
				Hint: fmt.Sprintf("set matrix.%s=[...] for other values, or matrix.%s=null to vary it no more", a.path, a.path),
			})
		}
	}
}

// any is a node as a plain value.
func (n *node) any() any {
	switch n.kind {
	case sequence:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.any()
		}
		return out
	case mapping:
		out := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			out[e.key] = e.value.any()
		}
		return out
	}
	return n.value
}

// absolute returns the tree at a path with absolute paths of files, those from the file starting at its folder.
func (d *decoder) absolute(n *node, path []string) *node {
	if n.kind == scalar {
		key := strings.Join(path, ".")
		s, ok := n.value.(string)
		if !slices.Contains([]string{"train.from", "train.load", "simulate.dataset", "fit.*.from", "fit.*.load"}, key) || !ok || s == "" {
			return n
		}
		from := d.folder
		if n.at.set != "" {
			from = "."
		}
		if !filepath.IsAbs(s) {
			s = filepath.Join(from, s)
		}
		if abs, err := filepath.Abs(s); err == nil {
			s = abs
		}
		return &node{value: s, at: n.at}
	}
	if len(path) > 2 {
		return n
	}
	out := *n
	out.items, out.entries = slices.Clone(n.items), slices.Clone(n.entries)
	for i, item := range n.items {
		out.items[i] = d.absolute(item, append(slices.Clip(path), "*"))
	}
	for i, e := range n.entries {
		switch {
		case len(path) == 0 && e.key == "matrix" && e.value.kind == mapping:
			out.entries[i].value = d.absoluteAxes(e.value)
		case len(path) > 0 || slices.Contains(stageKeys(), e.key):
			out.entries[i].value = d.absolute(e.value, append(slices.Clip(path), e.key))
		}
	}
	return &out
}

func (d *decoder) absoluteAxes(matrix *node) *node {
	out := *matrix
	out.entries = slices.Clone(matrix.entries)
	for i, e := range matrix.entries {
		parts, wrong := splitPath(e.key)
		if wrong != nil || e.value.kind != sequence {
			continue
		}
		if parts[0] == "fit" && len(parts) > 1 {
			parts[1] = "*"
		}
		list := *e.value
		list.items = nil
		for _, item := range e.value.items {
			list.items = append(list.items, d.absolute(item, parts))
		}
		out.entries[i].value = &list
	}
	return &out
}
