package catalog

import (
	"testing"

	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// A script whose modules were changed is not what was pinned, though its own file is the same. A program, and a package, whose sum has all files, are told by theirs.
func TestPinned(t *testing.T) {
	of := func(source string, c registry.Candidate) string {
		c.SHA256 = "abc"
		p := &Plugin{Candidate: c, Manifest: component.Manifest{Numerics: map[string]string{"source": source}}}
		return p.Pinned()
	}
	script := registry.Candidate{Script: true}
	if of("1", script) == of("2", script) || of("", script) != "abc" {
		t.Errorf("a script: %s, %s, %s", of("1", script), of("2", script), of("", script))
	}
	if got := of("1", registry.Candidate{}); got != "abc" {
		t.Errorf("a program: %s", got)
	}
	packed := registry.Candidate{Script: true, Package: &registry.Package{Manifest: registry.Manifest{Executable: "x", Files: map[string]string{"x": "def"}}}}
	if got := of("1", packed); got != "def" {
		t.Errorf("a package: %s", got)
	}
}
