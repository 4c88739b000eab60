package main

import (
	"os"
	"strings"
	"testing"
)

// TestDocsAreCurrent: plugins/README.md says what the built-in components say of themselves.
func TestDocsAreCurrent(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../plugins/README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := newWorld(t).must("describe", "--markdown").stdout.String()
	if _, have, ok := strings.Cut(string(page), "\n\n## "); !ok || "## "+have != want {
		t.Error("plugins/README.md is out of date: make docs")
	}
}
