package experiment

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

var segmentForm = regexp.MustCompile(`^([A-Za-z0-9_-]+)(?:\[([0-9]{1,6})\])?$`)

// override sets one value in the tree: PATH=VALUE, where the path's parts are joined by dots, an element of a list is named by its name or
// as LIST[INDEX], and the value is YAML.
func (r *reader) override(root *node, set string) {
	path, text, ok := strings.Cut(set, "=")
	path = strings.TrimSpace(path)
	at := position{set: set}
	bad := func(path, hint, format string, args ...any) {
		r.problems = append(r.problems, Problem{File: r.file, Set: set, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if !ok || path == "" {
		bad("", "", "PATH=VALUE is needed, e.g. fit.gru-64.params.latent=16")
		return
	}
	if strings.TrimSpace(text) == "" {
		bad(path, "", "a value is needed after the =")
		return
	}
	inner := reader{file: r.file, set: set, path: path}
	value := inner.read(text)
	r.problems = append(r.problems, inner.problems...)
	if value == nil {
		if len(inner.problems) == 0 {
			bad(path, "", "a value is needed after the =")
		}
		return
	}
	if len(inner.problems) > 0 {
		return
	}
	var parts []string
	for part := range strings.SplitSeq(path, ".") {
		m := segmentForm.FindStringSubmatch(part)
		if m == nil {
			bad(path, "", "%q is no name: names joined by dots are needed, e.g. fit.gru-64.params.latent", part)
			return
		}
		parts = append(parts, m[1])
		if m[2] != "" {
			parts = append(parts, "["+m[2]+"]")
		}
	}
	n := root
	// Where the path ends in a mistake, what was made on the way is taken back.
	var grown *node
	var before node
	takeBack := func() {
		if grown != nil {
			*grown = before
		}
	}
	for i, part := range parts {
		last := i == len(parts)-1
		here := strings.ReplaceAll(strings.Join(parts[:i], "."), ".[", "[")
		switch {
		case n.kind == sequence:
			k, names := element(n, part)
			if k < 0 {
				hint := param.DidYouMean(part, names)
				if hint == "" && len(names) > 0 {
					hint = "there are " + strings.Join(names, ", ")
				}
				if strings.HasPrefix(part, "[") {
					bad(path, "", "%s has %d entries: there is no %s", here, len(n.items), part)
					return
				}
				bad(path, hint, "%s has no %s", here, part)
				return
			}
			if last {
				n.items[k] = value
				return
			}
			n = n.items[k]
		case strings.HasPrefix(part, "["):
			bad(path, "", "%s is not a list", here)
			takeBack()
			return
		case n.kind == scalar:
			bad(path, "", "%s is %s: it has no %s", here, n.show(), part)
			return
		case (here == "fit" || here == "compare") && n.kind == null:
			bad(path, "", "%s is empty: it has no %s", here, part)
			takeBack()
			return
		default:
			j := slices.IndexFunc(n.entries, func(e entry) bool { return e.key == part })
			if j < 0 {
				j = len(n.entries)
				if grown == nil {
					grown, before = n, *n
				}
				n.kind = mapping
				n.entries = append(n.entries, entry{part, at, &node{kind: null, at: at}})
			}
			if last {
				// Where the key stands keeps its place; what is wrong with the value is the override's.
				n.entries[j].value = value
				return
			}
			n = n.entries[j].value
		}
	}
}

// element finds an element of a list by [INDEX] or by its name, given or by default, and returns all names.
func element(list *node, part string) (int, []string) {
	if strings.HasPrefix(part, "[") {
		k, err := strconv.Atoi(strings.Trim(part, "[]"))
		if err != nil || k >= len(list.items) {
			return -1, nil
		}
		return k, nil
	}
	found := -1
	var names []string
	for k, item := range list.items {
		name := item.name()
		if name == part && found < 0 {
			found = k
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return found, names
}

// name is what an element of fit or compare is called, before anything was checked; empty where nothing can be said.
func (n *node) name() string {
	text := func(key string) string {
		if v := n.get(key); v != nil && v.kind == scalar {
			s, _ := v.value.(string)
			return s
		}
		return ""
	}
	if s := text("name"); s != "" {
		return s
	}
	if s := text("use"); s != "" {
		return s[strings.LastIndexByte(s, '/')+1:]
	}
	if s := strings.TrimRight(text("load"), "/"); s != "" {
		return s[strings.LastIndexByte(s, '/')+1:]
	}
	return ""
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
		if len(s) > 80 {
			s = strings.ToValidUTF8(s[:80], "") + "..."
		}
		return strconv.Quote(s)
	}
	return fmt.Sprint(n.value)
}
