package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
)

var _ experiment.Lookup = (&Catalog{}).Lookup()

// hidden makes the test binary a plugin.
const hidden = "plugin-under-test"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == hidden {
		serve.Main(sample())
		return
	}
	os.Exit(m.Run())
}

type params struct {
	On    bool      `param:"on" default:"true" doc:"a switch"`
	N     int       `param:"n" default:"9007199254740993" min:"1" doc:"a number that float64 cannot hold"`
	Rate  float64   `param:"lr" default:"1e-3" above:"0" unit:"1/step" doc:"a rate"`
	Link  string    `param:"link" default:"exp" choices:"exp,softplus" doc:"a choice"`
	Must  string    `param:"must" doc:"is required"`
	Sizes []int     `param:"sizes" default:"1,2" doc:"sizes"`
	Gains []float64 `param:"gains" default:"" doc:"gains"`
	Names []string  `param:"names" default:"a,b" doc:"names"`
}

func sample() serve.Plugin {
	open := func(context.Context, params, component.Env) (task.Task, error) {
		return nil, errors.New("never opened")
	}
	info := component.Info{Name: component.Name{Kind: component.Task, Short: "silent"}, Version: "0.1.0", Doc: "nothing", Capabilities: []component.Capability{component.Deterministic}}
	return serve.Plugin{
		Name: "sample", Version: "0.3.0", Doc: "for tests", Tasks: []task.Factory{task.New(info, nil, open)},
		Numerics: func() map[string]string { return map[string]string{"kernel": "none"} },
	}
}

func fake(name, version string, components ...string) component.Manifest {
	m := component.Manifest{Name: name, Version: version}
	for _, c := range components {
		n, err := component.ParseName(c)
		if err != nil {
			panic(err)
		}
		m.Components = append(m.Components, component.Info{Name: n, Version: "0.1.0"})
	}
	return m
}

// program is a file that passes for a program of this machine, with a text that makes it unlike others.
func program(text string) []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	machine := map[string]uint16{"amd64": 62, "arm64": 183, "riscv64": 243}[runtime.GOARCH]
	binary.LittleEndian.PutUint16(b[16:], 2)
	binary.LittleEndian.PutUint16(b[18:], machine)
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	return append(b, text...)
}

// world is a search path of programs, each of which is described by a manifest or an error. The key is FOLDER/NAME.
type world struct {
	search registry.Search
	says   map[string]any
	asked  map[string]int
}

func newWorld(t *testing.T, says map[string]any) *world {
	t.Helper()
	root := t.TempDir()
	w := &world{says: map[string]any{}, asked: map[string]int{}}
	for _, folder := range []string{"flag", "path"} {
		dir := filepath.Join(root, folder)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.search.Dirs = append(w.search.Dirs, registry.Dir{Path: dir, Source: map[string]registry.Source{"flag": registry.FlagDir, "path": registry.PathDir}[folder]})
	}
	for key, what := range says {
		path := filepath.Join(root, filepath.Dir(key), registry.Prefix+filepath.Base(key))
		if err := os.WriteFile(path, program(key), 0o700); err != nil {
			t.Fatal(err)
		}
		w.says[path] = what
	}
	return w
}

func (w *world) describe(_ context.Context, c registry.Candidate) (component.Manifest, error) {
	w.asked[c.Path]++
	switch what := w.says[c.Path].(type) {
	case component.Manifest:
		return what, nil
	case error:
		return component.Manifest{}, what
	}
	return component.Manifest{}, fmt.Errorf("nobody knows %s", c.Path)
}

func (w *world) discover(t *testing.T, cache string) *Catalog {
	t.Helper()
	c, err := Discover(t.Context(), w.search, Options{CacheDir: cache, Describe: w.describe})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFind(t *testing.T) {
	broken := errors.New("no libfoo")
	w := newWorld(t, map[string]any{
		"flag/dev":    fake("lfads", "0.9.0", "model/lfads-dev"),
		"path/lfads":  fake("lfads", "1.0.0", "model/lfads"),
		"path/mine1":  fake("mine", "1.0.0", "task/nbff", "model/gru"),
		"path/mine2":  fake("mine", "2.1.0", "task/nbff", "model/gru", "model/esn"),
		"path/mine3":  fake("mine", "2.1.0", "task/nbff"),
		"path/others": fake("others", "0.1.0", "task/nbff", "task/unique", "comparator/dsa"),
		"path/broken": broken,
		"path/bad":    fake("Bad Name", "one", "task/nbff"),
	})
	c := w.discover(t, "")
	for _, f := range []struct{ ref, plugin, version string }{
		{"task/unique", "others", "0.1.0"},
		{"comparator/dsa", "others", "0.1.0"},
		{"others:task/nbff", "others", "0.1.0"},
		{"mine@1.0.0:task/nbff", "mine", "1.0.0"},
		{"mine@^2:model/gru", "mine", "2.1.0"},
		{"mine@>=1,<2:model/gru", "mine", "1.0.0"},
		{"model/esn", "mine", "2.1.0"},
		{"model/lfads-dev", "lfads", "0.9.0"},
	} {
		x, err := c.Find(f.ref)
		if err != nil || x.Plugin.Manifest.Name != f.plugin || x.Plugin.Manifest.Version != f.version {
			t.Errorf("%s: %v, error %v", f.ref, x, err)
		}
	}
	for _, f := range []struct{ ref, want string }{
		{"task/nbff", `catalog: "task/nbff" could be any of mine@1.0.0:task/nbff, mine@2.1.0:task/nbff, others:task/nbff (write one of them)`},
		{"mine:model/gru", `catalog: "mine:model/gru" could be any of mine@1.0.0:model/gru, mine@2.1.0:model/gru (write one of them)`},
		{"task/uniqe", `catalog: "task/uniqe": no plugin has this component (did you mean "task/unique"?; these plugins could not be asked: bad (manifest: plugin name "Bad Name": lower-case letters, digits and hyphens are needed), broken (no libfoo))`},
		{"model/zzzzzzzzzzzz", `catalog: "model/zzzzzzzzzzzz": no plugin has this component (there are model/esn, model/gru, model/lfads-dev; these plugins could not be asked: bad (manifest: plugin name "Bad Name": lower-case letters, digits and hyphens are needed), broken (no libfoo))`},
		{"other:task/nbff", `catalog: "other:task/nbff": there is no plugin "other" (did you mean "others"?; these plugins could not be asked: bad (manifest: plugin name "Bad Name": lower-case letters, digits and hyphens are needed), broken (no libfoo))`},
		{"task/uni_que", `catalog: "task/uni_que": '_' cannot be in a component's name: lower-case letters, digits and hyphens are needed (did you mean "task/unique"?)`},
		{"model/ESN", `catalog: "model/ESN": 'E', 'S', 'N' cannot be in a component's name: lower-case letters, digits and hyphens are needed (did you mean "model/esn"?)`},
		{"model/a--z", `catalog: "model/a--z": "a--z" cannot name a component: words of lower-case letters and digits are needed, with one hyphen between them (there are model/esn, model/gru, model/lfads-dev)`},
		{"dsa", `catalog: "dsa": kind/name or plugin@version:kind/name is needed, e.g. model/noisy-gru (did you mean "comparator/dsa"?)`},
		{"tsk/nbff", `catalog: "tsk/nbff": there is no kind "tsk": kinds are task, model, simulator, comparator (did you mean "task/nbff"?)`},
		{"nope/zzzzzzzzzzzz", `catalog: "nope/zzzzzzzzzzzz": there is no kind "nope": kinds are task, model, simulator, comparator`},
		{"model/", `catalog: "model/": kind/name or plugin@version:kind/name is needed, e.g. model/noisy-gru (there are model/esn, model/gru, model/lfads-dev)`},
		{"mine@^3:task/nbff", `catalog: "mine@^3:task/nbff": plugin "mine" has no version ^3, it has 1.0.0, 2.1.0 (these plugins could not be asked: bad (manifest: plugin name "Bad Name": lower-case letters, digits and hyphens are needed), broken (no libfoo))`},
		{"others:task/nbf", `catalog: "others:task/nbf": plugin "others" has no such component (did you mean "task/nbff"?; these plugins could not be asked: bad (manifest: plugin name "Bad Name": lower-case letters, digits and hyphens are needed), broken (no libfoo))`},
	} {
		_, err := c.Find(f.ref)
		if err == nil || err.Error() != f.want {
			t.Errorf("got  %v\nwant %s", err, f.want)
		}
		var ambiguous *AmbiguousError
		if !errors.Is(err, component.ErrNotFound) && !errors.As(err, &ambiguous) {
			t.Errorf("%s: error is a %T", f.ref, err)
		}
	}
	if _, err := c.Find("nbff"); err == nil {
		t.Error("a name without a kind was found")
	}
	// An older plugin given on the command line stands before a newer one that is installed; of two with one name and version the first counts.
	for _, p := range c.Plugins() {
		shadowed := strings.HasSuffix(p.Path, "-lfads") || strings.HasSuffix(p.Path, "mine3")
		if (p.Shadowed != "") != shadowed {
			t.Errorf("%s: shadowed by %q", p.Path, p.Shadowed)
		}
		if strings.HasSuffix(p.Path, "broken") && !errors.Is(p.Err, broken) {
			t.Errorf("%s: error %v", p.Path, p.Err)
		}
		if strings.HasSuffix(p.Path, "-bad") && (p.Err == nil || !strings.Contains(p.Err.Error(), `plugin name "Bad Name"`) || !strings.Contains(p.Err.Error(), `plugin version "one"`)) {
			t.Errorf("%s: error %v", p.Path, p.Err)
		}
	}
	var names []string
	for _, x := range c.Components() {
		names = append(names, x.Qualified())
	}
	want := []string{
		"mine@1.0.0:task/nbff", "mine@2.1.0:task/nbff", "others@0.1.0:task/nbff", "others@0.1.0:task/unique", "mine@2.1.0:model/esn", "mine@1.0.0:model/gru", "mine@2.1.0:model/gru",
		"lfads@0.9.0:model/lfads-dev", "others@0.1.0:comparator/dsa",
	}
	if !slices.Equal(names, want) {
		t.Errorf("components are %v, want %v", names, want)
	}
}

func TestCache(t *testing.T) {
	m := fake("one", "1.0.0", "task/nbff")
	m.Components[0].Params = param.MustOf(params{})
	m.Numerics = map[string]string{"kernel": "avx512"}
	m.Doc, m.Protocol, m.Language, m.Build = "d", 1, "go", "linux/amd64"
	c := &m.Components[0]
	c.Doc, c.Source, c.Capabilities = "d", "s", []component.Capability{component.Deterministic}
	c.Readings = []component.Reading{{Metric: "r2", Text: "how well", Source: "t"}}
	// What a manifest comes to hold must be remembered too.
	for _, v := range []reflect.Value{reflect.ValueOf(m), reflect.ValueOf(*c)} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Fatalf("%s is not tried", v.Type().Field(i).Name)
			}
		}
	}
	w := newWorld(t, map[string]any{"path/one": m, "path/two": errors.New("does not start")})
	dir := filepath.Join(t.TempDir(), "not", "yet")
	path := func(i int) string { return w.search.Dirs[1].Path + "/" + registry.Prefix + []string{"one", "two"}[i] }
	first := w.discover(t, dir)
	again := w.discover(t, dir)
	if w.asked[path(0)] != 1 || w.asked[path(1)] != 2 {
		t.Errorf("asked %v: once for what works, each time for what does not", w.asked)
	}
	a, b := first.plugins[0], again.plugins[0]
	if a.Cached || !b.Cached {
		t.Errorf("cached %v, then %v", a.Cached, b.Cached)
	}
	// NaN is unequal to itself, so the fields are compared as text.
	if got, want := fmt.Sprintf("%#v", b.Manifest), fmt.Sprintf("%#v", a.Manifest); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i, f := range b.Manifest.Components[0].Params {
		if want := m.Components[0].Params[i]; !reflect.DeepEqual(f.Default, want.Default) || math.IsNaN(f.Min) != math.IsNaN(want.Min) {
			t.Errorf("%s: default %#v, want %#v", f.Name, f.Default, want.Default)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, error %v", files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string][]byte{"empty": {}, "cut": whole[:len(whole)/2], "changed": []byte(strings.Replace(string(whole), "nbff", "nbfg", 1)), "noise": []byte("\x00\xff{")} {
		if err := os.WriteFile(files[0], damage, 0o600); err != nil {
			t.Fatal(err)
		}
		before := w.asked[path(0)]
		if c := w.discover(t, dir); c.plugins[0].Cached || c.plugins[0].Err != nil || w.asked[path(0)] != before+1 {
			t.Errorf("%s: plugin %+v", name, c.plugins[0])
		}
		if got, err := os.ReadFile(files[0]); err != nil || string(got) != string(whole) {
			t.Errorf("%s: the file was not made anew: %v", name, err)
		}
	}
	// Another executable under the same name is asked again.
	if err := os.WriteFile(path(0), program("new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if c := w.discover(t, dir); c.plugins[0].Cached {
		t.Error("the old manifest was used for a new executable")
	}
	// What a script says depends on more than its checksum.
	if err := os.WriteFile(path(0), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.discover(t, dir)
	if c := w.discover(t, dir); c.plugins[0].Cached || c.plugins[0].Err != nil {
		t.Errorf("the manifest of a script was remembered: %+v", c.plugins[0])
	}
	// For who needs names alone it is enough.
	before := w.asked[path(0)]
	named, err := Discover(t.Context(), w.search, Options{CacheDir: dir, Describe: w.describe, Remembered: true})
	if err != nil || !named.plugins[0].Cached || w.asked[path(0)] != before || len(named.Components()) == 0 {
		t.Errorf("a script that is remembered was asked: %+v, error %v", named, err)
	}
	// A folder that cannot be written costs nothing but time.
	if c := w.discover(t, "/dev/null/x"); c.plugins[0].Err != nil {
		t.Error(c.plugins[0].Err)
	}
	if fingerprint([]string{"OPENBLAS_CORETYPE=Haswell"}) == fingerprint(nil) || fingerprint([]string{"EDITOR=vi"}) != fingerprint(nil) {
		t.Error("the fingerprint must hold the settings of numeric libraries and no others")
	}
}

func TestCacheIsBounded(t *testing.T) {
	dir := t.TempDir()
	c := newCache(dir, nil)
	for i := range 2 * maxCacheFiles {
		if err := c.write(fmt.Sprintf("%064x", i), fake("one", "1.0.0", "task/nbff")); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > maxCacheFiles {
		t.Errorf("%d files, error %v", len(entries), err)
	}
}

func TestByProcess(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := registry.Search{Builtin: &registry.Candidate{Path: path, Args: []string{hidden}}}
	c, err := Discover(t.Context(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.Find("sample@0.3:task/silent")
	if err != nil {
		t.Fatalf("%v; plugin %+v", err, c.Plugins()[0])
	}
	if !x.Can(component.Deterministic) || x.Plugin.Manifest.Numerics["kernel"] != "none" || x.Plugin.Source != registry.Builtin {
		t.Errorf("got %+v", x)
	}
	if f, ok := x.Params.Field("n"); !ok || f.Default != int64(9007199254740993) {
		t.Errorf("parameter is %+v", f)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Discover(ended, s, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// FuzzCacheFile feeds files of remembered manifests: what is read and passes the checks is fit to be shown, is written, and is read as the same.
func FuzzCacheFile(f *testing.F) {
	machine := newCache("", nil).machine
	f.Add([]byte(`{"format":1,"executable_sha256":"` + strings.Repeat("a", 64) + `","machine":"` + machine + `","name":"one","version":"1.0.0","numerics":{"kernel":"avx2"},` +
		`"components":[{"name":"task/a","version":"0.1.0","capabilities":["dynamics"],"params":[{"name":"x","type":2,"default":1,"min":0,"max":3,"doc":"x"},{"name":"s","type":4,"default":"a","choices":["a","b"]}]}]}`))
	f.Add([]byte(`{"format":1,"executable_sha256":"` + strings.Repeat("a", 64) + `","machine":"` + machine + `","components":[{"name":"task/a","params":[{"name":"x","type":5,"default":[1,2.5]}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		dir := t.TempDir()
		c := newCache(dir, nil)
		sum := strings.Repeat("a", 64)
		head := sha256.Sum256(body)
		if err := os.WriteFile(c.path(sum), append([]byte(hex.EncodeToString(head[:])+"\n"), body...), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := c.read(sum)
		if err != nil {
			return
		}
		if err := check(m); err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r != '\n' && !component.Printable(r) }) {
				t.Errorf("%q is shown", err)
			}
			return
		}
		for _, i := range m.Components {
			if _, problems := i.Params.Resolve(nil); len(problems) > len(i.Params) {
				t.Errorf("%+v: %v", i.Params, problems)
			}
		}
		if err := c.write(sum, m); err != nil {
			t.Fatal(err)
		}
		if again, err := c.read(sum); err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", m) {
			t.Errorf("got  %#v (%v)\nwant %#v", again, err, m)
		}
	})
}

// A lock chooses between versions, refuses what it does not pin, and leaves what is being developed alone.
func TestLocked(t *testing.T) {
	w := newWorld(t, map[string]any{
		"path/mine1": fake("mine", "1.0.0", "task/one"), "path/mine2": fake("mine", "2.0.0", "task/one"), "path/yours": fake("yours", "1.0.0", "task/two"), "flag/dev": fake("dev", "0.1.0", "task/three"),
	})
	c := w.discover(t, "")
	path := filepath.Join(t.TempDir(), registry.LockFile)
	sums := map[string]string{}
	for _, p := range c.Plugins() {
		sums[p.Title()] = p.Sum()
	}
	lock := func(plugins ...registry.Pinned) *registry.Pins {
		if _, err := registry.WriteLock(path, map[string][]registry.Pinned{"study.yaml": plugins}); err != nil {
			t.Fatal(err)
		}
		l, err := registry.ReadLock(path)
		if err != nil {
			t.Fatal(err)
		}
		return l.Of("study.yaml")
	}
	pinned := func(name, version, sum string) registry.Pinned {
		return registry.Pinned{Name: name, Version: version, PinnedBuild: registry.PinnedBuild{Sum: sum}}
	}
	var ambiguous *AmbiguousError
	var refused *registry.LockError
	if _, err := c.Locked(nil).Find("task/one"); !errors.As(err, &ambiguous) {
		t.Errorf("without a lock: %v", err)
	}
	l := lock(pinned("mine", "1.0.0", sums["mine@1.0.0"]))
	for _, k := range []*Catalog{c.Locked(l), c.Preferring(l)} {
		if x, err := k.Find("task/one"); err != nil || x.Plugin.Title() != "mine@1.0.0" {
			t.Errorf("found %v, error %v", x.Plugin, err)
		}
		if x, err := k.Find("task/three"); err != nil || x.Plugin.Title() != "dev@0.1.0" {
			t.Errorf("found %v, error %v", x.Plugin, err)
		}
	}
	for _, ref := range []string{"mine@2.0.0:task/one", "task/two"} {
		if _, err := c.Locked(l).Find(ref); !errors.As(err, &refused) {
			t.Errorf("%s: error %v", ref, err)
		}
		if _, err := c.Preferring(l).Find(ref); err != nil {
			t.Errorf("%s: error %v", ref, err)
		}
	}
	both := lock(pinned("mine", "1.0.0", sums["mine@1.0.0"]), pinned("mine", "2.0.0", sums["yours@1.0.0"]))
	if _, err := c.Locked(both).Find("task/one"); !errors.As(err, &ambiguous) {
		t.Errorf("with both pinned: %v", err)
	}
	if _, err := c.Locked(both).Find("mine@2.0.0:task/one"); !errors.As(err, &refused) || !strings.Contains(err.Error(), sums["mine@2.0.0"]) || !strings.Contains(err.Error(), sums["yours@1.0.0"]) {
		t.Errorf("with another checksum: %v", err)
	}
	// A pinned plugin that is not there may have what is sought.
	var missing *NotFoundError
	if _, err := c.Locked(lock(pinned("gone", "1.2.0", sums["mine@1.0.0"]), pinned("mine", "1.0.0", sums["mine@1.0.0"]))).Find("task/four"); !errors.As(err, &missing) ||
		!strings.Contains(err.Error(), "pinned by ctdb.lock and not installed: gone@1.2.0") || len(missing.Absent) != 1 {
		t.Errorf("with a pinned plugin that is not there: %v", err)
	}
	// One that is not pinned is told of once in an experiment.
	lookup := c.Locked(l).Lookup()
	if _, err := lookup("task/two", component.Task); !errors.As(err, &refused) {
		t.Errorf("first: %v", err)
	}
	if info, err := lookup("task/two", component.Task); err != nil || info.Name.Short != "two" {
		t.Errorf("again: %v, %v", info, err)
	}
	// One that is there and cannot be used is told as that, and not as missing too.
	w = newWorld(t, map[string]any{"path/mine": fake("mine", "1.0.0", "task/one")})
	if err := os.WriteFile(filepath.Join(w.search.Dirs[1].Path, registry.Prefix+"damaged"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	c = w.discover(t, "")
	if _, err := c.Locked(lock(pinned("damaged", "1.0.0", sums["mine@1.0.0"]))).Find("task/four"); !errors.As(err, &missing) || len(missing.Absent) != 0 || len(missing.Broken) != 1 {
		t.Errorf("with a pinned plugin that is damaged: %v", err)
	}
	// A script runs on what the lock has of it besides: another version is a mismatch that shows both.
	p := &Plugin{Candidate: registry.Candidate{Script: true, SHA256: sums["mine@1.0.0"]}, Manifest: component.Manifest{
		Name: "mine", Version: "1.0.0", Language: "python3.11.2", Numerics: map[string]string{"python": "3.11.2", "numpy": "1.26.4", "environment": "b0"},
	}}
	l = lock(p.Build())
	if err := l.Check(p.Build()); err != nil {
		t.Error(err)
	}
	p.Manifest.Numerics = map[string]string{"python": "3.11.2", "numpy": "2.0.1", "scipy": "1.11.0", "environment": "b1"}
	if err := l.Check(p.Build()); !errors.As(err, &refused) || !strings.Contains(err.Error(), "numpy 2.0.1, scipy 1.11.0, pinned is numpy 1.26.4, no scipy") {
		t.Errorf("in another environment: %v", err)
	}
	p.Manifest.Language = "go1.26"
	if b := p.Build(); b.Environment != nil {
		t.Errorf("a Go program behind a script is pinned with %v", b.Environment)
	}
}
