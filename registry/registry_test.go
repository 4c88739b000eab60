package registry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

func TestParseRef(t *testing.T) {
	nbff := component.Name{Kind: component.Task, Short: "nbff"}
	for _, c := range []struct {
		text string
		want Ref
	}{
		{"task/nbff", Ref{Name: nbff}},
		{"builtin:task/nbff", Ref{Plugin: "builtin", Name: nbff}},
		{"my-plugin@1.2.0:task/nbff", Ref{"my-plugin", "1.2.0", nbff}},
		{"p@^1.2:task/nbff", Ref{"p", "^1.2", nbff}},
		{"p@>=1.2, <2:task/nbff", Ref{"p", ">=1.2, <2", nbff}},
	} {
		r, err := ParseRef(c.text)
		if err != nil || r != c.want || r.String() != c.text {
			t.Errorf("%q is %+v, written %q, error %v", c.text, r, r, err)
		}
	}
	for _, bad := range []string{"", "nbff", "task/", "/nbff", "tool/nbff", "task/NBFF", "task/a/b", ":task/nbff", "P:task/nbff", "a b:task/nbff", "p@:task/nbff", "p@latest:task/nbff", "@1:task/nbff", "p:q:task/nbff", "../p:task/nbff"} {
		if r, err := ParseRef(bad); err == nil {
			t.Errorf("%q is %+v", bad, r)
		}
	}
}

func TestParsePluginRef(t *testing.T) {
	for text, want := range map[string]Ref{"p": {Plugin: "p"}, "my-plugin@^1.2": {Plugin: "my-plugin", Constraint: "^1.2"}} {
		if r, err := ParsePluginRef(text); err != nil || r != want {
			t.Errorf("%q is %+v, error %v", text, r, err)
		}
	}
	for _, bad := range []string{"", "P", "p@", "p@latest", "p:task/nbff", "../p", "task/nbff", "a b"} {
		if r, err := ParsePluginRef(bad); err == nil {
			t.Errorf("%q is %+v", bad, r)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		ref, plugin, version string
		want                 bool
	}{
		{"task/a", "any", "1.0.0", true},
		{"p:task/a", "p", "1.0.0", true},
		{"p:task/a", "q", "1.0.0", false},
		{"p@1.0.0:task/a", "p", "1.0.0", true},
		{"p@1.0.0:task/a", "p", "1.0.1", false},
		{"p@^1.2:task/a", "p", "1.9.3", true},
		{"p@^1.2:task/a", "p", "2.0.0", false},
		{"p@^1.2:task/a", "p", "1.3.0-rc.1", false},
		{"p@1.3.0-rc.1:task/a", "p", "1.3.0-rc.1", true},
		{"p@1.3.0+x:task/a", "p", "1.3.0+x", true},
	} {
		r, err := ParseRef(c.ref)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Matches(c.plugin, c.version); got != c.want {
			t.Errorf("%s and %s %s: %v", c.ref, c.plugin, c.version, got)
		}
	}
}

// foreignELF is the head of a 64-bit program for a machine that is none of ours.
func foreignELF() []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 2)
	binary.LittleEndian.PutUint16(b[18:], 2) // SPARC
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	return b
}

func TestFind(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	write := func(dir, name string, data []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	script := []byte("#!/bin/sh\n")
	one := write(first, "ctdb-plugin-one", script, 0o755)
	self, err := os.Executable()
	must(err)
	must(os.Symlink(self, filepath.Join(first, "ctdb-plugin-self")))
	must(os.Symlink(one, filepath.Join(second, "ctdb-plugin-one-again")))
	must(os.Symlink(filepath.Join(second, "none"), filepath.Join(second, "ctdb-plugin-gone")))
	must(os.Symlink(filepath.Join(second, "ctdb-plugin-round"), filepath.Join(second, "ctdb-plugin-round")))
	must(os.Mkdir(filepath.Join(second, "ctdb-plugin-folder"), 0o755))
	write(first, "other-program", script, 0o755)
	write(second, "ctdb-plugin-plain", script, 0o644)
	write(second, "ctdb-plugin-Bad_Name", script, 0o755)
	write(second, "ctdb-plugin-empty", nil, 0o755)
	write(second, "ctdb-plugin-text", []byte("hello"), 0o755)
	write(second, "ctdb-plugin-sparc", foreignELF(), 0o755)
	write(second, "ctdb-plugin-damaged", []byte("\x7fELF\x02\x01\x01"), 0o755)

	s := NewSearch([]string{first, ""}, second+string(filepath.ListSeparator)+filepath.Join(second, "nowhere"), &Candidate{Path: self, Args: []string{"serve"}})
	s.Dirs[len(s.Dirs)-1].Path = filepath.Join(second, "not-installed")
	found, skipped, err := s.Find(t.Context())
	must(err)
	sum := sha256.Sum256(script)
	selfSum, err := Checksum(self)
	must(err)
	real := func(p string) string {
		r, err := filepath.EvalSymlinks(p)
		must(err)
		return r
	}
	want := []Candidate{
		{Path: real(one), Source: FlagDir, SHA256: hex.EncodeToString(sum[:]), Script: true},
		{Path: real(self), Source: FlagDir, SHA256: selfSum},
		{Path: self, Args: []string{"serve"}, Source: Builtin, SHA256: selfSum},
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("found %+v, want %+v", found, want)
	}
	why := map[string]string{}
	for _, k := range skipped {
		why[filepath.Base(k.Path)] = k.Reason
	}
	for name, reason := range map[string]string{
		"ctdb-plugin-gone":     "is a link to nothing",
		"ctdb-plugin-round":    "cannot be followed",
		"ctdb-plugin-folder":   "is a folder",
		"ctdb-plugin-plain":    "is not executable: chmod +x",
		"ctdb-plugin-Bad_Name": "cannot name a plugin",
		"ctdb-plugin-empty":    "is empty",
		"ctdb-plugin-text":     "neither a program nor a script",
		"ctdb-plugin-sparc":    "is built for linux/EM_SPARC",
		"ctdb-plugin-damaged":  "is a damaged executable",
		"nowhere":              "cannot be searched",
	} {
		if !strings.Contains(why[name], reason) {
			t.Errorf("%s: %q, want %q", name, why[name], reason)
		}
		delete(why, name)
	}
	if len(why) > 0 {
		t.Errorf("also skipped: %v", why)
	}
	if got := found[0].Name() + " " + found[2].Name(); got != "one builtin" {
		t.Errorf("names are %s", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Find(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
