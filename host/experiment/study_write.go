package experiment

import (
	"slices"
	"strconv"
	"strings"
)

// lineWidth is how long a list may be in one line.
const lineWidth = 100

// YAML writes the study. The same study gives the same bytes, and [Parse] reads the same study from them, wherever they are put: paths are absolute.
// Without axes it is the experiment as [Experiment.YAML] writes it; else what the file and its overrides gave, without defaults.
func (s *Study) YAML() []byte {
	if len(s.Axes) == 0 {
		return s.Points[0].Experiment.YAML()
	}
	w := &writer{}
	w.line(0, "version", strconv.Itoa(Version))
	w.line(0, "name", text(s.Name))
	for _, key := range topKeys()[2:] {
		if n := s.root.get(key); n != nil {
			w.entry(0, key, n)
		}
	}
	return w.Bytes()
}

// flow is a value in one line, nothing where it would be long.
func (n *node) flow() string {
	switch n.kind {
	case null:
		return "null"
	case scalar:
		return value(n.value)
	}
	var parts []string
	length := 2
	add := func(key string, v *node) bool {
		s := v.flow()
		if s == "" {
			return false
		}
		parts = append(parts, key+s)
		length += len(key) + len(s) + 2
		return length <= lineWidth
	}
	for _, item := range n.items {
		if !add("", item) {
			return ""
		}
	}
	for _, e := range n.entries {
		if !add(text(e.key)+": ", e.value) {
			return ""
		}
	}
	if n.kind == sequence {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// entry writes a key with its value; mappings are written over several lines.
func (w *writer) entry(indent int, key string, n *node) {
	if n.kind == null {
		w.line(indent, text(key), "null")
		return
	}
	if n.kind != mapping || len(n.entries) == 0 {
		if s := n.flow(); s != "" && (n.kind != sequence || !slices.ContainsFunc(n.items, (*node).deep)) {
			w.line(indent, text(key), s)
			return
		}
	}
	w.line(indent, text(key), "")
	w.block(indent+2, n)
}

// deep reports whether a value is a mapping.
func (n *node) deep() bool { return n.kind == mapping }

// block writes the entries or elements of a value, each on lines of its own.
func (w *writer) block(indent int, n *node) {
	for _, e := range n.entries {
		w.entry(indent, e.key, e.value)
	}
	for _, item := range n.items {
		w.WriteString(strings.Repeat(" ", indent))
		if s := item.flow(); s != "" {
			w.WriteString("- " + s + "\n")
			continue
		}
		w.WriteString("-\n")
		w.block(indent+2, item)
	}
}
