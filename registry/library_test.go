package registry

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// script is a plugin's executable that says its name and version in its second line, which describeScript reads in place of running it.
func script(title string) []byte { return []byte("#!/bin/sh\n# " + title + "\n") }

func describeScript(_ context.Context, c Candidate) (component.Manifest, error) {
	b, err := os.ReadFile(c.Path)
	if err != nil {
		return component.Manifest{}, err
	}
	lines := strings.Split(string(b), "\n")
	name, version, ok := strings.Cut(strings.TrimPrefix(lines[1], "# "), "@")
	if !ok {
		return component.Manifest{}, errors.New("it does not start")
	}
	return component.Manifest{Name: name, Version: version, Protocol: 1, Components: []component.Info{{Name: component.Name{Kind: component.Task, Short: "one"}, Version: "1.0.0"}}}, nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// entry is a file of an archive that is made by hand.
type entry struct {
	name, body string
	mode       int64
	kind       byte // of a tar's header; 0 is a file
	link       string
}

// mine is a package that is as it should be; change alters its manifest, and further files may come.
func mine(change func(*Manifest), more ...entry) []entry {
	m := Manifest{
		Format: 1, Name: "mine", Version: "1.0.0", Protocol: "1.1", Platform: AnyPlatform, Executable: Prefix + "mine",
		Components: []ManifestComponent{{"task/one", "1.0.0"}}, Files: map[string]string{Prefix + "mine": sum(script("mine@1.0.0")), "lib/weights.bin": sum([]byte("weights"))},
	}
	if change != nil {
		change(&m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return append([]entry{{name: ManifestFile, body: string(b)}, {name: Prefix + "mine", body: string(script("mine@1.0.0")), mode: 0o755}, {name: "lib/weights.bin", body: "weights"}}, more...)
}

func tarGz(t *testing.T, dir string, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		kind := e.kind
		if kind == 0 {
			kind = tar.TypeReg
		}
		h := &tar.Header{Typeflag: kind, Name: e.name, Linkname: e.link, Mode: max(e.mode, 0o644), Size: int64(len(e.body))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, "package.tar.gz"), b.Bytes(), 0o644)
}

func zipped(t *testing.T, dir string, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		mode := os.FileMode(e.mode)
		if e.kind == tar.TypeSymlink {
			mode |= os.ModeSymlink
		}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, e.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, "package.zip"), b.Bytes(), 0o644)
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// tree lists all that is below a folder but the lock.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && path != dir && d.Name() != lockFile {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func options() InstallOptions { return InstallOptions{Describe: describeScript} }

// Each is refused with its own words, and nothing is left of it, in the library or beside it.
func TestHostilePackages(t *testing.T) {
	exe := Prefix + "mine"
	evil := func(name string) []entry { return mine(nil, entry{name: name, body: "evil"}) }
	zeros := strings.Repeat("\x00", 1<<20)
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"out of the folder":       {evil("../evil"), "leads out of the package"},
		"out from within":         {evil("lib/../../evil"), "leads out of the package"},
		"absolute":                {evil("/tmp/ctdb-evil"), "leads out of the package"},
		"of Windows":              {evil(`..\evil`), `\ and : are not allowed`},
		"a drive":                 {evil("c:evil"), `\ and : are not allowed`},
		"obeyed by terminals":     {evil("a\x1b[31m"), "control characters"},
		"no name":                 {evil("."), "leads out of the package"},
		"a link":                  {mine(nil, entry{name: "link", kind: tar.TypeSymlink, link: "/etc/passwd", body: ""}), "is a symbolic link"},
		"a link, then through it": {append([]entry{{name: "lib", kind: tar.TypeSymlink, link: "/tmp"}}, mine(nil)...), "is a symbolic link"},
		"a hard link":             {mine(nil, entry{name: "link", kind: tar.TypeLink, link: "/etc/passwd"}), "is a link to"},
		"a device":                {mine(nil, entry{name: "dev", kind: tar.TypeChar}), "no regular file"},
		"a pipe":                  {mine(nil, entry{name: "fifo", kind: tar.TypeFifo}), "no regular file"},
		"twice":                   {mine(nil, entry{name: exe, body: string(script("evil@1.0.0"))}), "is there twice"},
		"twice but for case":      {mine(nil, entry{name: "LIB/weights.bin", body: "x"}), "is there twice"},
		"a file as a folder":      {mine(nil, entry{name: exe + "/x", body: "x"}), exe},
		"too many files":          {mine(nil, slices.Repeat([]entry{{name: "d", kind: tar.TypeDir}}, 60)...), "more than 50 files and folders"},
		"too many folders":        {evil(strings.Repeat("d/", 60) + "x"), "more than 50 files and folders"},
		"a bomb":                  {mine(nil, entry{name: "a", body: zeros}, entry{name: "b", body: zeros}, entry{name: "c", body: zeros}), "more than 2.0 MiB unpacked"},
		"no manifest":             {mine(nil)[2:], "neither a ctdb-plugin.json in it nor an executable"},
		"a checksum that differs": {mine(func(m *Manifest) { m.Files[exe] = sum(nil) }), exe + ": its checksum is " + sum(script("mine@1.0.0")) + ", the manifest has " + sum(nil)},
		"a file that is missing":  {mine(nil)[:2], "lib/weights.bin is missing"},
		"a file too many":         {evil("lib/evil.py"), "lib/evil.py is not in the manifest"},
		"another's name":          {mine(func(m *Manifest) { m.Name = "../mine" }), "name \"../mine\""},
		"another's executable":    {mine(func(m *Manifest) { m.Executable = "lib/weights.bin" }), "must be named"},
		"no version":              {mine(func(m *Manifest) { m.Version = "latest" }), "a semantic version"},
		"a protocol to come":      {mine(func(m *Manifest) { m.Protocol = "2.0" }), "protocol 2.0: this host speaks 1."},
		"another machine":         {mine(func(m *Manifest) { m.Platform = "linux/s390x" }), "is built for linux/s390x, this machine is " + runtime.GOOS + "/" + runtime.GOARCH},
		"a format to come":        {mine(func(m *Manifest) { m.Format = 9 }), "format 9: this host knows 1"},
		"lists what leads out":    {mine(func(m *Manifest) { m.Files["../x"] = sum(nil) }), "leads out of the package"},
		"lists itself":            {mine(func(m *Manifest) { m.Files[ManifestFile] = sum(nil) }), "cannot be one of them"},
		"says another name":       {mine(func(m *Manifest) { m.Version = "1.0.1" }), "its version is 1.0.0, the manifest says 1.0.1"},
		"says other components":   {mine(func(m *Manifest) { m.Components = append(m.Components, ManifestComponent{"task/two", "1.0.0"}) }), "the manifest lists task/two, which the plugin does not have"},
		"no JSON":                 {append([]entry{{name: ManifestFile, body: "{"}}, mine(nil)[1:]...), "is no JSON"},
		"an unknown field":        {append([]entry{{name: ManifestFile, body: `{"format": 1, "run": "rm"}`}}, mine(nil)[1:]...), `unknown field "run"`},
	} {
		for form, pack := range map[string]func(*testing.T, string, ...entry) string{"tar": tarGz, "zip": zipped} {
			if form == "zip" && slices.ContainsFunc(c.entries, func(e entry) bool { return e.kind != 0 && e.kind != tar.TypeSymlink }) {
				continue
			}
			outside := t.TempDir()
			dir := filepath.Join(outside, "plugins")
			source := pack(t, t.TempDir(), c.entries...)
			_, err := Library{Dir: dir, most: limits{files: 50, bytes: 2 << 20}}.Install(t.Context(), source, options())
			var refused *PackageError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: error %v, want %q", name, form, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%s, %s: a terminal would obey %q", name, form, err)
			}
			if left := tree(t, outside); !slices.Equal(left, []string{"plugins"}) {
				t.Errorf("%s, %s: left is %v", name, form, left)
			}
		}
	}
	if _, err := os.Stat("/tmp/ctdb-evil"); err == nil {
		t.Error("a file was written outside")
	}
}

// A damaged archive is refused wherever it is cut, and whichever byte of its data is wrong.
func TestDamagedArchives(t *testing.T) {
	for _, pack := range []func(*testing.T, string, ...entry) string{tarGz, zipped} {
		source := pack(t, t.TempDir(), mine(nil)...)
		whole, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		try := func(what string, data []byte) {
			write(t, source, data, 0o644)
			dir := t.TempDir()
			_, err := Library{Dir: dir}.Install(t.Context(), source, options())
			var refused *PackageError
			if err != nil && !errors.As(err, &refused) {
				t.Errorf("%s: %v", what, err)
			}
			left := tree(t, dir)
			if err != nil && len(left) > 0 {
				t.Errorf("%s: left is %v", what, left)
			}
			if err == nil {
				// A byte that says nothing, such as a time: what is installed is as it should be.
				if _, err := verifyPackage(filepath.Join(dir, "mine@1.0.0")); err != nil {
					t.Errorf("%s: installed, but %v", what, err)
				}
			}
		}
		for n := 0; n < len(whole); n += 17 {
			try(fmt.Sprintf("%s cut at %d", source, n), whole[:n])
			flipped := bytes.Clone(whole)
			flipped[n] ^= 0xff
			try(fmt.Sprintf("%s, byte %d", source, n), flipped)
		}
	}
}

func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	l := Library{Dir: dir}
	install := func(source string) (*Installed, error) { return l.Install(t.Context(), source, options()) }
	want := []string{"mine@1.0.0", "mine@1.0.0/" + Prefix + "mine", "mine@1.0.0/" + ManifestFile, "mine@1.0.0/lib", "mine@1.0.0/lib/weights.bin"}
	within := func(entries []entry) []entry {
		out := []entry{{name: "mine-1.0.0/", kind: tar.TypeDir}}
		for _, e := range entries {
			e.name = "./mine-1.0.0/" + e.name
			out = append(out, e)
		}
		return out
	}
	unpacked := t.TempDir()
	for _, e := range mine(nil) {
		write(t, filepath.Join(unpacked, e.name), []byte(e.body), os.FileMode(max(e.mode, 0o644)))
	}
	// What a manifest does not list is not taken from a folder, and stays where it is.
	write(t, filepath.Join(unpacked, ".git", "config"), []byte("secret"), 0o600)
	bare := t.TempDir()
	write(t, filepath.Join(bare, Prefix+"mine"), script("mine@1.0.0"), 0o755)
	write(t, filepath.Join(bare, "lib", "weights.bin"), []byte("weights"), 0o644)
	write(t, filepath.Join(bare, "lib", "__pycache__", "x.pyc"), []byte("x"), 0o644)
	write(t, filepath.Join(bare, ".venv", "bin", "python"), []byte("x"), 0o755)
	for name, source := range map[string]string{
		"tar": tarGz(t, t.TempDir(), mine(nil)...), "tar with a folder": tarGz(t, t.TempDir(), within(mine(nil))...),
		// An archive made where no file is executable.
		"zip": zipped(t, t.TempDir(), mine(nil)...), "folder": unpacked, "folder without a manifest": bare,
	} {
		got, err := install(source)
		if err != nil || got.Already || got.Title() != "mine@1.0.0" || !slices.Equal(tree(t, dir), want) {
			t.Errorf("%s: %+v, error %v, there is %v", name, got, err, tree(t, dir))
			continue
		}
		if again, err := install(source); err != nil || !again.Already {
			t.Errorf("%s again: %+v, error %v", name, again, err)
		}
		found, skipped, err := Search{Dirs: []Dir{{dir, UserDir}}}.Find(t.Context())
		if err != nil || len(found) != 1 || len(skipped) != 0 || found[0].Package == nil || found[0].Sum() != got.Sum() || found[0].Package.Verify() != nil {
			t.Errorf("%s: found %+v, passed over %v, error %v", name, found, skipped, err)
		}
		if err := l.Remove(t.Context(), *got); err != nil || len(tree(t, dir)) != 0 {
			t.Errorf("%s: after its removal there is %v, error %v", name, tree(t, dir), err)
		}
	}
	// An executable alone, by any name.
	alone := write(t, filepath.Join(t.TempDir(), "a.out"), script("mine@1.0.0"), 0o755)
	if got, err := install(alone); err != nil || got.Sum() != sum(script("mine@1.0.0")) {
		t.Errorf("an executable: %+v, error %v", got, err)
	}
	// The same version with other contents is no release.
	_, err := install(unpacked)
	if err == nil || !strings.Contains(err.Error(), sum(script("mine@1.0.0"))) || !strings.Contains(err.Error(), "a release does not change") {
		t.Errorf("other contents: error %v", err)
	}
	for what, c := range map[string]struct {
		source string
		want   string
	}{
		"nothing":       {filepath.Join(dir, "none"), "no such file"},
		"no run bit":    {write(t, filepath.Join(t.TempDir(), "x"), script("mine@1.0.0"), 0o644), "is not executable: chmod +x"},
		"no program":    {write(t, filepath.Join(t.TempDir(), "x"), []byte("hello"), 0o755), "neither a program nor a script"},
		"other machine": {write(t, filepath.Join(t.TempDir(), "x"), foreignELF(), 0o755), "is built for linux/EM_SPARC"},
		"no Python":     {write(t, filepath.Join(t.TempDir(), "x"), []byte("#!/usr/bin/env python9\n"), 0o755), `needs "python9", which its first line names and which is not on the PATH: install Python`},
		"no /bin/shx":   {write(t, filepath.Join(t.TempDir(), "x"), []byte("#!/bin/shx\n"), 0o755), `needs "/bin/shx", which its first line names and which does not exist`},
		"line ends":     {write(t, filepath.Join(t.TempDir(), "x"), []byte("#!/bin/sh\r\n"), 0o755), "line ends of Windows"},
		"does not run":  {write(t, filepath.Join(t.TempDir(), "x"), []byte("#!/bin/sh\nexit 1\n"), 0o755), "it does not start"},
		"empty folder":  {t.TempDir(), "nor an executable"},
	} {
		_, err := install(c.source)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", what, err, c.want)
			continue
		}
		// What else could be installed helps only who gave something that is no program at all.
		if helps := strings.Contains(err.Error(), "or an executable is needed"); helps != (what == "no program") {
			t.Errorf("%s: error %v", what, err)
		}
	}
	if got := tree(t, dir); len(got) != 3 {
		t.Errorf("there is %v", got)
	}
}

// A folder whose files lead elsewhere is not followed.
func TestFolderWithLinks(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, Prefix+"mine"), script("mine@1.0.0"), 0o755)
	if err := os.Symlink("/etc/passwd", filepath.Join(from, "data")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := (Library{Dir: dir}).Install(t.Context(), from, options()); err == nil || !strings.Contains(err.Error(), "data is a symbolic link") || len(tree(t, dir)) != 0 {
		t.Errorf("error %v, there is %v", err, tree(t, dir))
	}
}

// An upgrade takes the place of what is older; two versions may be there at once; what was changed afterwards is found and can be installed again.
func TestVersions(t *testing.T) {
	l := Library{Dir: t.TempDir()}
	release := func(version string) string {
		return write(t, filepath.Join(t.TempDir(), "x"), script("mine@"+version), 0o755)
	}
	upgrade := options()
	upgrade.Upgrade = true
	if _, err := l.Install(t.Context(), release("1.0.0"), upgrade); err == nil || !strings.Contains(err.Error(), "no version of mine is installed") {
		t.Errorf("an upgrade of nothing: %v", err)
	}
	for _, v := range []string{"1.10.0", "1.9.0", "1.9.0-rc.1"} {
		if _, err := l.Install(t.Context(), release(v), options()); err != nil {
			t.Fatal(err)
		}
	}
	titles := func() string {
		all, broken, err := l.List()
		if err != nil || len(broken) > 0 {
			t.Fatal(broken, err)
		}
		var out []string
		for _, i := range all {
			out = append(out, i.Version)
		}
		return strings.Join(out, " ")
	}
	if got := titles(); got != "1.9.0-rc.1 1.9.0 1.10.0" {
		t.Errorf("there are %s", got)
	}
	if _, err := l.Install(t.Context(), release("1.9.5"), upgrade); err == nil || !strings.Contains(err.Error(), "1.9.5 is not newer") {
		t.Errorf("a downgrade: %v", err)
	}
	got, err := l.Install(t.Context(), release("2.0.0"), upgrade)
	if err != nil || len(got.Removed) != 3 || titles() != "2.0.0" {
		t.Errorf("an upgrade: %+v, error %v, there are %s", got, err, titles())
	}
	upgrade.Keep = true
	if _, err := l.Install(t.Context(), release("2.0.1"), upgrade); err != nil || titles() != "2.0.0 2.0.1" {
		t.Errorf("an upgrade that keeps: %v, there are %s", err, titles())
	}
	exe := filepath.Join(l.Dir, "mine@2.0.1", Prefix+"mine")
	if err := os.Chmod(exe, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, exe, script("evil@2.0.1"), 0o755)
	found, skipped, err := Search{Dirs: []Dir{{l.Dir, UserDir}}}.Find(t.Context())
	if err != nil || len(found) != 1 || len(skipped) != 1 || !strings.Contains(skipped[0].Reason, "is damaged, install it again") || !strings.Contains(skipped[0].Reason, sum(script("evil@2.0.1"))) {
		t.Errorf("found %+v, passed over %v, error %v", found, skipped, err)
	}
	if _, err := l.Install(t.Context(), release("2.0.1"), options()); err != nil {
		t.Error(err)
	}
	if found, skipped, err := (Search{Dirs: []Dir{{l.Dir, UserDir}}}).Find(t.Context()); err != nil || len(found) != 2 || len(skipped) > 0 {
		t.Errorf("after it was installed again: found %+v, passed over %v, error %v", found, skipped, err)
	}
	// A folder without a manifest where one was, or under another's name.
	if err := os.Remove(filepath.Join(l.Dir, "mine@2.0.1", ManifestFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(l.Dir, "mine@2.0.0"), filepath.Join(l.Dir, "yours@2.0.0")); err != nil {
		t.Fatal(err)
	}
	all, broken, err := l.List()
	if err != nil || len(all) != 0 || len(broken) != 2 || !strings.Contains(broken[0].Reason, "is missing") || !strings.Contains(broken[1].Reason, "is of mine@2.0.0") {
		t.Errorf("listed %+v, broken %v, error %v", all, broken, err)
	}
}

// Several installations at once, of the same and of others, and what a killed one has left behind.
func TestInstallAtOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, making+"123", "package", "half"), []byte("x"), 0o644)
	var wait sync.WaitGroup
	for n := range 12 {
		source := write(t, filepath.Join(t.TempDir(), "x"), script(fmt.Sprintf("mine@1.%d.0", n%3)), 0o755)
		wait.Go(func() {
			if _, err := (Library{Dir: dir}).Install(t.Context(), source, options()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := tree(t, dir); len(got) != 9 {
		t.Errorf("there is %v", got)
	}
	// One that waits can be told to stop.
	unlock, err := Library{Dir: dir}.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits := Library{Dir: dir, Waiting: cancel}
	if _, err := waits.Install(ctx, dir, options()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}
