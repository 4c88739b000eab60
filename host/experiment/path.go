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

// trouble is why a path leads nowhere.
type trouble struct{ message, hint string }

// splitPath returns the parts of a path such as fit.gru-64.params.sizes[0]; an index is a part of its own, "[0]".
func splitPath(path string) ([]string, *trouble) {
	var parts []string
	for part := range strings.SplitSeq(path, ".") {
		m := segmentForm.FindStringSubmatch(part)
		if m == nil {
			return nil, &trouble{message: fmt.Sprintf("%q is no name: names joined by dots are needed, e.g. fit.gru-64.params.latent", part)}
		}
		parts = append(parts, m[1])
		if m[2] != "" {
			parts = append(parts, "["+m[2]+"]")
		}
	}
	return parts, nil
}

func joinPath(parts []string) string { return strings.ReplaceAll(strings.Join(parts, "."), ".[", "[") }

// change sets the value at a path. at is where a key that is made stands.
type change struct {
	parts []string
	value *node
	at    position
	// path is parts as they are told apart in made; made keeps what was made of which node, so that the same change of one node is one node again.
	// Nil where nothing is kept.
	path string
	made map[changed]*node
}

type changed struct {
	node, value *node
	path        string
	k           int
}

// in returns the tree after the change. What is not on the way is shared with the old one, which is left as it was. Keys that are not there are made,
// and a mapping with use or load may add an element to fit or compare.
func (c *change) in(root *node) (*node, *trouble) { return c.from(root, 0) }

// from is in for the node that the first k parts lead to.
func (c *change) from(n *node, k int) (*node, *trouble) {
	if k == len(c.parts) {
		return c.value, nil
	}
	// The root is another at each point.
	if c.made == nil || k == 0 {
		return c.make(n, k)
	}
	key := changed{n, c.value, c.path, k}
	if out, ok := c.made[key]; ok {
		return out, nil
	}
	out, wrong := c.make(n, k)
	if wrong == nil {
		c.made[key] = out
	}
	return out, wrong
}

func (c *change) make(n *node, k int) (*node, *trouble) {
	part, here := c.parts[k], joinPath(c.parts[:k])
	list := here == "fit" || here == "compare"
	whole := list && k == len(c.parts)-1 && !strings.HasPrefix(part, "[")
	switch {
	case n.kind == sequence, n.kind == null && whole && c.value.defines():
		i, names := element(n, part)
		out := *n
		out.kind = sequence
		switch {
		case i < 0 && whole && c.value.defines() && nameForm.MatchString(part):
			out.items = append(slices.Clip(n.items), c.value.named(part))
			return &out, nil
		case i < 0:
			return nil, missing(n, here, part, names)
		}
		under, wrong := c.from(n.items[i], k+1)
		if wrong != nil {
			return nil, wrong
		}
		if whole {
			under = under.named(part)
		}
		out.items = slices.Clone(n.items)
		out.items[i] = under
		return &out, nil
	case strings.HasPrefix(part, "["):
		return nil, &trouble{message: fmt.Sprintf("%s is not a list", here)}
	case n.kind == scalar:
		return nil, &trouble{message: fmt.Sprintf("%s is %s: it has no %s", here, n.show(), part)}
	case list && n.kind == null:
		return nil, &trouble{message: fmt.Sprintf("%s is empty: it has no %s", here, part)}
	}
	i := slices.IndexFunc(n.entries, func(e entry) bool { return e.key == part })
	e := entry{part, c.at, &node{kind: null, at: c.at}}
	if i >= 0 {
		e = n.entries[i]
	}
	under, wrong := c.from(e.value, k+1)
	if wrong != nil {
		return nil, wrong
	}
	e.value = under
	out := *n
	out.kind = mapping
	out.entries = slices.Clone(n.entries)
	if i < 0 {
		out.entries = append(out.entries, e)
	} else {
		out.entries[i] = e
	}
	return &out, nil
}

func missing(list *node, here, part string, names []string) *trouble {
	if strings.HasPrefix(part, "[") {
		return &trouble{message: fmt.Sprintf("%s has %d entries: there is no %s", here, len(list.items), part)}
	}
	hint := param.DidYouMean(part, names)
	if hint == "" && len(names) > 0 {
		hint = "there are " + strings.Join(names, ", ")
	}
	return &trouble{fmt.Sprintf("%s has no %s", here, part), hint}
}

// defines reports whether an element of fit or compare stands here whole.
func (n *node) defines() bool {
	return n.kind == mapping && (n.get("use") != nil || n.get("load") != nil)
}

// named is a mapping with a name, its own or the given one.
func (n *node) named(name string) *node {
	if n.kind != mapping || n.get("name") != nil {
		return n
	}
	out := *n
	out.entries = append([]entry{{"name", n.at, &node{value: name, at: n.at}}}, n.entries...)
	return &out
}

// without is a mapping without some keys.
func (n *node) without(keys ...string) *node {
	out := *n
	out.entries = slices.DeleteFunc(slices.Clone(n.entries), func(e entry) bool { return slices.Contains(keys, e.key) })
	return &out
}

// size counts the values of a tree.
func (n *node) size() int {
	sum := 1
	for _, item := range n.items {
		sum += item.size()
	}
	for _, e := range n.entries {
		sum += e.value.size()
	}
	return sum
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

// located replaces names of elements by their indices, so that two paths to one place are equal.
func located(root *node, parts []string) []string {
	out := slices.Clone(parts)
	if len(parts) > 1 && (parts[0] == "fit" || parts[0] == "compare") {
		if list := root.get(parts[0]); list != nil {
			if k, _ := element(list, parts[1]); k >= 0 {
				out[1] = "[" + strconv.Itoa(k) + "]"
			}
		}
	}
	return out
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

// The keys of the file, and of each place in it.
func topKeys() []string {
	return append([]string{"version", "name", "about", "seed", "seeds", "matrix"}, stageKeys()...)
}

func stageKeys() []string { return []string{"task", "train", "simulate", "fit", "compare"} }

// keysAt are the keys that a stage, or a place in it, may have.
func keysAt(place string) []string {
	switch place {
	case "task":
		return []string{"use", "params", "seed"}
	case "train":
		return []string{"use", "params", "seed", "from", "load"}
	case "simulate":
		return []string{"use", "params", "seed", "task", "dataset"}
	case "simulate.task":
		return []string{"params", "seed"}
	case "fit":
		return []string{"name", "use", "params", "seed", "from", "load"}
	case "compare":
		return []string{"name", "use", "params", "seed", "subjects"}
	}
	return nil
}
