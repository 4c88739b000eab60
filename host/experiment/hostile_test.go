//go:build unix

package experiment

import (
	"errors"
	"runtime"
	"strings"
	"syscall"
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
		cpu, allocated := spent()
		_, err := Read("x.yaml", []byte(text), nil, catalogue)
		var all *Error
		if !errors.As(err, &all) {
			t.Errorf("%s: error is %v", name, err)
		}
		// The bounds are loose: they tell quadratic from linear, with the race detector too.
		cpuNow, allocatedNow := spent()
		took, megabytes := cpuNow-cpu, (allocatedNow-allocated)>>20
		if took > 10*time.Second || megabytes > 1024 {
			t.Errorf("%s: took %v of a processor and %d MB", name, took, megabytes)
		} else if took > time.Second || megabytes > 256 {
			t.Logf("%s: %v, %d MB", name, took, megabytes)
		}
	}
}

// spent is the process's time on processors, whatever else the machine does, and the bytes that it has allocated.
func spent() (time.Duration, uint64) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, m.TotalAlloc
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), m.TotalAlloc
}
