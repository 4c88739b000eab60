package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What is longer is cut, and a hash of the whole put at its end: a value's part of a name, and a name, in bytes.
const (
	maxToken = 40
	maxName  = 120
)

// labels are the shortest tails of the paths that are no tail of another.
func labels(paths [][]string) []string {
	count := map[string]int{}
	for _, parts := range paths {
		for k := range parts {
			count[joinPath(parts[k:])]++
		}
	}
	out := make([]string, len(paths))
	for i, parts := range paths {
		out[i] = joinPath(parts)
		for k := len(parts) - 1; k > 0; k-- {
			if tail := joinPath(parts[k:]); count[tail] == 1 && !strings.HasPrefix(tail, "[") {
				out[i] = tail
				break
			}
		}
	}
	return out
}

// namer names points: LABEL-VALUE for each axis, joined by underscores.
type namer struct {
	axes   []Axis
	tokens [][]string
	taken  map[string]bool
}

func newNamer(axes []Axis) *namer {
	n := &namer{axes: axes, taken: map[string]bool{}}
	for _, a := range axes {
		n.tokens = append(n.tokens, tokens(a.Values))
	}
	return n
}

// point names a point by its place on each axis. Names differ in more than case.
func (n *namer) point(at []int) string {
	parts := make([]string, len(at))
	for k, i := range at {
		parts[k] = safe(n.axes[k].Label, true) + "-" + n.tokens[k][i]
	}
	name := cut(strings.Join(parts, "_"), strings.Join(parts, "_"), maxName)
	for n.taken[strings.ToLower(name)] {
		name += "x"
	}
	n.taken[strings.ToLower(name)] = true
	return name
}

// tokens are what the values of an axis are called in names, each different from those before it whatever the case: a value's name does not depend
// on those that follow.
func tokens(values []any) []string {
	taken := map[string]bool{}
	out := make([]string, len(values))
	for i, v := range values {
		whole := plain(v)
		choices := tokenChoices(v)
		last := choices[len(choices)-1]
		// An empty token has no end to cut: it becomes the hash alone.
		choices = append(choices, strings.TrimPrefix(last+"-"+hash(whole), "-"))
		for _, c := range choices {
			c = cut(c, whole, maxToken)
			if c != "" && !taken[strings.ToLower(c)] {
				out[i] = c
				break
			}
		}
		for out[i] == "" || (taken[strings.ToLower(out[i])]) {
			out[i] = strings.TrimPrefix(out[i]+"-"+hash(whole+out[i]), "-")
		}
		taken[strings.ToLower(out[i])] = true
	}
	return out
}

// tokenChoices are names for a value, the shortest first: for a reference or a path its tails.
func tokenChoices(v any) []string {
	s, ok := v.(string)
	if !ok {
		return []string{safe(brief(v), false)}
	}
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == ':' })
	var out []string
	for k := len(parts) - 1; k >= 0; k-- {
		out = append(out, safe(strings.Join(parts[k:], "-"), false))
	}
	return append(out, safe(s, false))
}

// brief is a value in a few words: a mapping's values, those of parameters with their names.
func brief(v any) string {
	switch v := v.(type) {
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, brief(x))
		}
		return strings.Join(parts, "-")
	case map[string]any:
		var parts, seen []string
		first := []string{"name", "use", "from", "load", "dataset", "task", "params"}
		for _, key := range append(first, slices.Sorted(maps.Keys(v))...) {
			x, ok := v[key]
			switch named := slices.Contains(first, key); {
			case ok && named && !slices.Contains(seen, key):
				parts, seen = append(parts, brief(x)), append(seen, key)
			case !named:
				parts = append(parts, key+"-"+brief(x))
			}
		}
		return strings.Join(parts, "-")
	case string:
		return tokenChoices(v)[0]
	}
	return plain(v)
}

var unsafe = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// safe is text of letters, digits, hyphens and dots, not at its ends unless it is a negative number's; of a label also underscores.
func safe(s string, label bool) string {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return strings.ReplaceAll(s, "+", "")
	}
	words := []string{s}
	if label {
		words = strings.Split(s, "_")
	}
	for i, w := range words {
		words[i] = strings.Trim(unsafe.ReplaceAllString(w, "-"), "-.")
	}
	return strings.Join(words, "_")
}

// cut shortens a name to a length by putting a hash of the whole at its end.
func cut(name, whole string, length int) string {
	if len(name) <= length {
		return name
	}
	return strings.TrimRight(name[:length-13], "-._") + "-" + hash(whole)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

// plain is a value as text, the same for equal values: keys are sorted, and a whole number is written as one whatever its type.
func plain(v any) string {
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) && v > -1<<53 && v < 1<<53 {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return text(v)
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = plain(x)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, text(key)+": "+plain(v[key]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}
