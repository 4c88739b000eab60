package experiment

import (
	"embed"
	"slices"
	"strings"
)

//go:embed examples/*.yaml
var exampleFiles embed.FS

// Example is an experiment file that comes with the program.
type Example struct {
	// Name is what it is called by, e.g. "quickstart".
	Name string
	// Title is its first comment, up to the end of the sentence.
	Title string
	// Data is the file, with its comments.
	Data []byte
}

// exampleOrder puts what to try first first; others follow by name.
func exampleOrder() []string {
	return []string{"quickstart", "sizes", "multitask-small", "random-target-small", "nbff", "nbff-node-sizes", "multitask", "random-target"}
}

// Examples lists the examples, what to try first first.
func Examples() []Example {
	entries, err := exampleFiles.ReadDir("examples")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	rank := func(name string) int {
		if i := slices.Index(exampleOrder(), name); i >= 0 {
			return i
		}
		return len(names)
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	var out []Example
	for _, name := range names {
		if x, ok := FindExample(name); ok {
			out = append(out, x)
		}
	}
	return out
}

// FindExample returns the example of that name.
func FindExample(name string) (Example, bool) {
	data, err := exampleFiles.ReadFile("examples/" + name + ".yaml")
	if err != nil {
		return Example{}, false
	}
	return Example{Name: name, Title: title(string(data)), Data: data}, true
}

// title joins the comment lines at the head of a file up to the first full stop or colon that ends a sentence.
func title(data string) string {
	var words []string
	for line := range strings.Lines(data) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !ok {
			break
		}
		for _, w := range strings.Fields(rest) {
			words = append(words, w)
			if strings.HasSuffix(w, ".") || strings.HasSuffix(w, ":") {
				return strings.TrimRight(strings.Join(words, " "), ".:")
			}
		}
	}
	return strings.Join(words, " ")
}
