package experiment

import (
	"fmt"
	"strings"
)

// numbers are lines of so many numbers from 0, each with a comma.
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

// stairs are so many keys, each in the one before.
func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// distinct are so many keys, some of them given twice.
func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + strings.Repeat("a", i%7) + string(rune('a'+i%26)) + strings.Repeat("b", i%11) + ": 1\n")
	}
	return b.String()
}

func distinctFlow(n int) string { return strings.ReplaceAll(distinct(n), "\n", ",\n") }
