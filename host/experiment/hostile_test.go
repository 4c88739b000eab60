package experiment

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Files that are long or deep in some way are refused, or read, in a time that does not hurt.
func TestHostileFiles(t *testing.T) {
	lines := strings.Repeat
	whole := "version: 1\n" + strings.TrimPrefix(sim, head)
	for name, text := range map[string]string{
		"too long":               lines("# a comment that goes on and on\n", 1<<13+1),
		"long line":              "name: " + lines("a", maxLine),
		"nested keys":            lines("a: ", 1300),
		"nested keys, lines":     lines(lines("a: ", 1000)+"\n", 9),
		"flow":                   lines("{a: ", 1000),
		"flow over lines":        lines("{\n", 100000),
		"list of lists":          lines("- ", 2000),
		"complex keys":           lines("? ", 2000),
		"stairs":                 stairs(1000),
		"list":                   "fit:\n" + lines("- {use: model/x}\n", 9000),
		"long list":              "fit: [\n" + lines("x,\n", 80000) + "]",
		"quotes":                 lines("'", 4000) + "\n" + lines("\"\n", 50001),
		"block scalars":          lines("a: |\n  b\n", 9999),
		"documents":              lines("---\n", 60000),
		"billion laughs":         "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
		"duplicate keys":         lines("a: 1\n", 10000),
		"many different keys":    distinct(10000),
		"comments":               lines("#\n", 100000),
		"many parameters":        "version: 1\ntask: {use: task/nbff, params: {\n" + distinctFlow(9000) + "}}\n",
		"brackets closed early":  lines("]\n", 100000),
		"NUL bytes":              lines("\x00", 100000),
		"UTF-16":                 "\xff\xfe" + lines("a\x00", 1000),
		"binary":                 lines("\x7fELF\x02\x01", 20000),
		"tag bomb":               lines("- !!binary aGVsbG8=\n", 10000),
		"aliases":                "a: &a x\n" + lines("- *a\n", 40000),
		"merge keys":             lines("<<: {a: 1}\n", 9000),
		"tabs":                   lines("\t", 200000),
		"huge number":            head + train + "seed: " + lines("9", 8000) + "\n",
		"huge exponent":          head + train + "seed: 1e" + lines("9", 4000) + "\n",
		"huge text":              head + train + "name: |\n" + lines("  aaaaaaaaaaaaaaaa\n", 13000),
		"huge key":               lines("k", 8000) + ": 1\n",
		"folded":                 "a: >\n" + lines("  b\n\n", 50000),
		"seeds beyond":           whole + "seeds: [\n" + numbers(10001) + "]\n",
		"seeds of a large file":  "version: 1\ntask: {use: task/nbff, params: {\n" + distinctFlow(5000) + "}}\ntrain: {use: model/noisy-gru}\nseeds: [\n" + numbers(10000) + "]\n",
		"axes":                   whole + "matrix:\n" + axesOf(9000),
		"axes beyond counting":   whole + "matrix:\n" + axesOf(64),
		"wrong values":           whole + "seeds: [\n" + lines("x,\n", 50000) + "]\nmatrix: {train.params.hidden: [\n" + lines("~,\n", 10000) + "]}\n",
		"wrong at each point":    whole + "seeds: [\n" + numbers(100) + "]\nmatrix: {train.params.nothing: [\n" + numbers(100) + "]}\n",
		"wrong values at points": whole + "matrix: {train.params.link: [\n" + numbers(10000) + "]}\n",
	} {
		start := time.Now()
		_, err := Read("x.yaml", []byte(text), nil, catalogue)
		var all *Error
		if !errors.As(err, &all) {
			t.Errorf("%s: error is %v", name, err)
		}
		// The bound is loose: it tells quadratic from linear, on a busy machine too.
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s: took %v", name, d)
		} else if d > 2*time.Second {
			t.Logf("%s: %v", name, d)
		}
	}
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,\n", i)
	}
	return b.String()
}

// axesOf varies so many parameters.
func axesOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  train.params.p%d: [1, 2]\n", i)
	}
	return b.String()
}

func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + strings.Repeat("a", i%7) + string(rune('a'+i%26)) + strings.Repeat("b", i%11) + ": 1\n")
	}
	return b.String()
}

func distinctFlow(n int) string { return strings.ReplaceAll(distinct(n), "\n", ",\n") }
