package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// A plugin that says nonsense of itself is refused, each time with what is wrong, and the one beside it can be used.
func TestGarbageManifests(t *testing.T) {
	nan := math.NaN()
	field := func(change func(*param.Field)) func(*component.Manifest) {
		return func(m *component.Manifest) {
			f := param.Field{Name: "x", Type: param.Int, Default: int64(1), Min: nan, Max: nan, Above: nan, Below: nan, Doc: "x"}
			change(&f)
			m.Components[0].Params = param.Schema{f}
		}
	}
	info := func(change func(*component.Info)) func(*component.Manifest) {
		return func(m *component.Manifest) { change(&m.Components[0]) }
	}
	huge, escape := strings.Repeat("x", 10<<20), "\x1b]0;owned\x07"
	for name, c := range map[string]struct {
		change func(*component.Manifest)
		want   string
	}{
		"nothing":            {func(m *component.Manifest) { *m = component.Manifest{} }, "plugin name \"\""},
		"no name":            {func(m *component.Manifest) { m.Name = "" }, "plugin name"},
		"long name":          {func(m *component.Manifest) { m.Name = strings.Repeat("a", 200) }, "plugin name"},
		"name of a path":     {func(m *component.Manifest) { m.Name = "../../bin" }, "plugin name"},
		"name that escapes":  {func(m *component.Manifest) { m.Name = escape }, "plugin name"},
		"version":            {func(m *component.Manifest) { m.Version = "latest" }, "plugin version"},
		"long version":       {func(m *component.Manifest) { m.Version = "1.0.0-" + strings.Repeat("a", 300) }, "plugin version"},
		"protocol":           {func(m *component.Manifest) { m.Protocol = -1 }, "protocol"},
		"no components":      {func(m *component.Manifest) { m.Components = nil }, "no components"},
		"many components":    {func(m *component.Manifest) { m.Components = many(5000) }, "at most 1000"},
		"twice":              {func(m *component.Manifest) { m.Components = append(m.Components, m.Components[0]) }, "twice"},
		"huge doc":           {func(m *component.Manifest) { m.Doc = huge }, "plugin doc"},
		"doc that escapes":   {func(m *component.Manifest) { m.Doc = "red \x1b[31m" }, "U+001B"},
		"doc from the right": {func(m *component.Manifest) { m.Doc = "good \u202e evil" }, "U+202E"},
		"doc of bytes":       {func(m *component.Manifest) { m.Doc = "\xff\xfe" }, "UTF-8"},
		"language":           {func(m *component.Manifest) { m.Language = "py\nthon" }, "language"},
		"numerics":           {func(m *component.Manifest) { m.Numerics = map[string]string{"a": escape} }, "numerics"},
		"numerics' name":     {func(m *component.Manifest) { m.Numerics = map[string]string{escape: "a"} }, "numerics"},
		"component's kind":   {info(func(i *component.Info) { i.Name.Kind = "tasks" }), "component name"},
		"component's name":   {info(func(i *component.Info) { i.Name.Short = "../x" }), "component name"},
		"component's age":    {info(func(i *component.Info) { i.Version = "1" }), "component task/good: version"},
		"component's doc":    {info(func(i *component.Info) { i.Doc = huge }), "component task/good: doc"},
		"component's source": {info(func(i *component.Info) { i.Source = "a\rb" }), "source"},
		"capability":         {info(func(i *component.Info) { i.Capabilities = []component.Capability{component.Capability(escape)} }), "capability"},
		"many parameters":    {info(func(i *component.Info) { i.Params = make(param.Schema, 100_000) }), "at most 1000"},
		"default too large":  {field(func(f *param.Field) { f.Max = 0 }), "1 is not allowed: <= 0"},
		"default's type":     {field(func(f *param.Field) { f.Default = "one" }), "default"},
		"default that is":    {field(func(f *param.Field) { f.Type, f.Default = param.String, escape }), "default"},
		"no type":            {field(func(f *param.Field) { f.Type, f.Default = 0, nil }), "type 0"},
		"parameter's name":   {field(func(f *param.Field) { f.Name = escape }), "name"},
		"parameter's doc":    {field(func(f *param.Field) { f.Doc = "a\x00b" }), "U+0000"},
		"parameter's unit":   {field(func(f *param.Field) { f.Unit = escape }), "unit"},
		"choices":            {field(func(f *param.Field) { f.Type, f.Default, f.Choices = param.String, nil, []string{escape} }), "choice"},
		"range":              {field(func(f *param.Field) { f.Min, f.Max = 9, 1 }), "no number"},
	} {
		bad := fake("bad", "1.0.0", "task/good")
		c.change(&bad)
		w := newWorld(t, map[string]any{"path/bad": bad, "path/fine": fake("fine", "1.0.0", "task/fine")})
		dir := t.TempDir()
		for range 2 {
			got := w.discover(t, dir)
			p := got.plugins[0]
			if p.Err == nil || p.Cached || !strings.Contains(p.Err.Error(), c.want) {
				t.Errorf("%s: error %.300v", name, p.Err)
				continue
			}
			if text := p.Err.Error(); len(text) > 20_000 || strings.ContainsAny(text, "\x1b\x07\x00\r\u202e") {
				t.Errorf("%s: %d bytes: %.100q", name, len(text), text)
			}
			if x, err := got.Find("task/fine"); err != nil || x.Plugin.Manifest.Name != "fine" {
				t.Errorf("%s: the other plugin: %v", name, err)
			}
		}
	}
	// A plugin for a later minor version is used for what this host knows of it.
	later := fake("later", "1.0.0", "task/later")
	later.Protocol = component.ProtocolMinor + 7
	w := newWorld(t, map[string]any{"path/later": later})
	if p := w.discover(t, "").plugins[0]; p.Err != nil {
		t.Error(p.Err)
	}
}

func many(n int) []component.Info {
	out := make([]component.Info, n)
	for i := range out {
		out[i] = component.Info{Name: component.Name{Kind: component.Task, Short: fmt.Sprint("t", i)}, Version: "1.0.0"}
	}
	return out
}

// What another version of the host left behind, a folder in the place of a file, a folder that is read-only: each costs a start of the plugin and no more.
func TestCacheOfOthers(t *testing.T) {
	w := newWorld(t, map[string]any{"path/one": fake("one", "1.0.0", "task/one")})
	dir := t.TempDir()
	w.discover(t, dir)
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(whole), "\n")
	signed := func(body string) []byte {
		sum := sha256.Sum256([]byte(body))
		return []byte(hex.EncodeToString(sum[:]) + "\n" + body)
	}
	for name, content := range map[string][]byte{
		"later format":   signed(strings.Replace(body, `"format": 2`, `"format": 99`, 1)),
		"other machine":  signed(strings.Replace(body, `"machine": "`, `"machine": "x`, 1)),
		"bad name":       signed(strings.Replace(body, `"name": "one"`, `"name": "O N E"`, 1)),
		"bad component":  signed(strings.Replace(body, `task/one`, `task/../one`, 1)),
		"no JSON":        signed("}"),
		"another's JSON": signed(`[1, 2]`),
		"two gigabytes":  []byte("sparse"),
	} {
		if err := os.WriteFile(files[0], content, 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "two gigabytes" {
			if err := os.Truncate(files[0], 2<<30); err != nil {
				t.Fatal(err)
			}
		}
		if p := w.discover(t, dir).plugins[0]; p.Cached || p.Err != nil {
			t.Errorf("%s: %+v", name, p)
		}
		if p := w.discover(t, dir).plugins[0]; !p.Cached {
			t.Errorf("%s: the file was not made anew", name)
		}
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(files[0], 0o700); err != nil {
		t.Fatal(err)
	}
	if p := w.discover(t, dir).plugins[0]; p.Err != nil {
		t.Errorf("a folder in place of the file: %v", p.Err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if p := w.discover(t, dir).plugins[0]; p.Err != nil {
		t.Errorf("a read-only folder: %v", p.Err)
	}
	// A file in place of the folder.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p := w.discover(t, file).plugins[0]; p.Err != nil {
		t.Errorf("a file in place of the folder: %v", p.Err)
	}
}

// Several hosts that write and prune one folder at once: whatever is read is whole.
func TestCacheAtOnce(t *testing.T) {
	dir := t.TempDir()
	m := fake("one", "1.0.0", "task/one")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			c := newCache(dir, nil)
			for i := range 100 {
				sum := fmt.Sprintf("%064x", i%10)
				if err := c.write(sum, m); err != nil {
					t.Error(err)
				}
				if got, err := c.read(sum); err != nil || got.Name != "one" {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
	wait.Wait()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 10 {
		t.Errorf("the folder has %v", left)
	}
	if hidden, _ := filepath.Glob(filepath.Join(dir, ".*")); len(hidden) != 0 {
		t.Errorf("left over: %v", hidden)
	}
}

// A file whose name a terminal would obey is quoted where it is told.
func TestSkippedNamesAreQuoted(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, registry.Prefix+"\x1b[31m"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, skipped, err := registry.Search{Dirs: []registry.Dir{{Path: dir, Source: registry.FlagDir}}}.Find(context.Background())
	if err != nil || len(skipped) != 1 || strings.Contains(skipped[0].Path+skipped[0].Reason, "\x1b") {
		t.Errorf("%q, %v", skipped, err)
	}
}
