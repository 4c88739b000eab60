package registry

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzUnpack unpacks what are almost archives: nothing is written outside the folder, whatever they say, and what is a package afterwards is whole.
func FuzzUnpack(f *testing.F) {
	t := &testing.T{}
	dir := f.TempDir()
	for _, pack := range []func(*testing.T, string, ...entry) string{tarGz, zipped} {
		for _, entries := range [][]entry{mine(nil), mine(nil, entry{name: "../evil", body: "x"}), mine(nil, entry{name: "a/../../evil", body: "x"})} {
			data, err := os.ReadFile(pack(t, dir, entries...))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		outside := t.TempDir()
		source := write(t, filepath.Join(outside, "archive"), data, 0o644)
		within := filepath.Join(outside, "within")
		if err := os.Mkdir(within, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(within)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		archive, err := os.Open(source)
		if err != nil {
			t.Fatal(err)
		}
		defer archive.Close()
		if isArchive(data) {
			err = newReceiver(t.Context(), root, limits{files: 100, bytes: 1 << 20}).unpack(archive, int64(len(data)))
		}
		if got, readErr := os.ReadDir(outside); readErr != nil || len(got) != 2 {
			t.Errorf("there is %v, error %v", got, readErr)
		}
		if _, verifyErr := verifyPackage(within); err == nil && verifyErr == nil {
			if m, _, err := readManifest(root); err != nil || m.check() != nil {
				t.Errorf("a package that is whole: %v", err)
			}
		}
	})
}

// FuzzManifest reads what are almost manifests: what is taken says the same when it is written and read again.
func FuzzManifest(f *testing.F) {
	for _, e := range [][]entry{mine(nil), mine(func(m *Manifest) { m.Platform = "linux/amd64" }), mine(func(m *Manifest) { m.Files["../x"] = "" })} {
		f.Add([]byte(e[0].body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		n, err := parseManifest(again)
		if err != nil || n.Sum() != m.Sum() || n.Title() != m.Title() {
			t.Errorf("%s became %s: %v", data, again, err)
		}
		if bytes.Contains(again, []byte("\x1b")) {
			t.Errorf("a terminal would obey %q", again)
		}
	})
}
