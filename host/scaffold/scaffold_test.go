package scaffold

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

func project(dir string, kind component.Kind) Project {
	return Project{Name: "mine", Kind: kind, Language: "go", Dir: dir, Host: "test"}
}

// Projects of every kind have their files, without a trace of templates, and the SDK without its tests.
func TestBegin(t *testing.T) {
	for _, kind := range component.Kinds() {
		dir := filepath.Join(t.TempDir(), "deep", "mine")
		files, err := project(dir, kind).Begin()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{".gitignore", "Makefile", "README.md", "experiment.yaml", "go.mod", "go.sum", "main.go", string(kind) + ".go", string(kind) + "_test.go"} {
			if !slices.Contains(files, want) {
				t.Errorf("%s: no %s in %v", kind, want, files)
			}
		}
		seen := 0
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			within, _ := filepath.Rel(dir, path)
			ofSDK := strings.HasPrefix(within, sdkFolder("go"))
			seen++
			switch {
			case err != nil:
				return err
			case ofSDK && (strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") || strings.Contains(path, "python")):
				t.Errorf("%s: %s is of no use to an author", kind, within)
			case !ofSDK && (bytes.Contains(data, []byte("[[.")) || strings.HasSuffix(path, ".tmpl")):
				t.Errorf("%s: %s is a template still", kind, within)
			case !ofSDK && !slices.Contains(files, within):
				t.Errorf("%s: %s is not told", kind, within)
			}
			return nil
		})
		if err != nil || seen < 100 {
			t.Errorf("%s: %d files, error %v", kind, seen, err)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); err != nil || len(left) > 0 {
			t.Errorf("left is %v, error %v", left, err)
		}
	}
}

func TestBeginRefuses(t *testing.T) {
	dir := t.TempDir()
	used := filepath.Join(dir, "used")
	if err := os.MkdirAll(filepath.Join(used, "work"), 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p    Project
		want string
	}{
		{Project{Name: "My Task", Kind: "task", Language: "go", Dir: filepath.Join(dir, "a")}, "lower-case letters"},
		{Project{Name: "../mine", Kind: "task", Language: "go", Dir: filepath.Join(dir, "a")}, "lower-case letters"},
		{Project{Name: "mine", Kind: "tsk", Language: "go", Dir: filepath.Join(dir, "a")}, `did you mean "task"`},
		{Project{Name: "mine", Kind: "task", Language: "julia", Dir: filepath.Join(dir, "a")}, "one of go, python"},
		{project(used, component.Task), "is not empty"},
		{project(file, component.Task), "not a directory"},
	} {
		files, err := c.p.Begin()
		if !errors.Is(err, component.ErrInvalidArgument) || !strings.Contains(err.Error(), c.want) || files != nil {
			t.Errorf("%+v: files %v, error %v, want %q", c.p, files, err, c.want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("there is %v, error %v", entries, err)
	}
	// An empty folder is as good as none.
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := project(empty, component.Task).Begin(); err != nil {
		t.Error(err)
	}
}

func TestRefresh(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	if _, err := project(dir, component.Task).Begin(); err != nil {
		t.Fatal(err)
	}
	gone, stale, mine := filepath.Join(dir, sdkFolder("go"), "sdk", "task", "task.go"), filepath.Join(dir, sdkFolder("go"), "sdk", "old.go"), filepath.Join(dir, "task.go")
	if err := errors.Join(os.Remove(gone), os.WriteFile(stale, []byte("package sdk\n"), 0o666), os.WriteFile(mine, []byte("package main // mine\n"), 0o666)); err != nil {
		t.Fatal(err)
	}
	if err := Refresh(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not in the SDK any more is still there: %v", err)
	}
	if b, err := os.ReadFile(mine); err != nil || string(b) != "package main // mine\n" {
		t.Errorf("the author's file is %q, error %v", b, err)
	}
	if err := Refresh(t.TempDir()); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a folder that is no project: %v", err)
	}
}

// A project of Python has the whole package, also what begins with an underscore, and a script that may be run.
func TestPythonProject(t *testing.T) {
	for _, kind := range component.Kinds() {
		dir := filepath.Join(t.TempDir(), "mine")
		p := project(dir, kind)
		p.Language = "python"
		if _, err := p.Begin(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, "ctdb-plugin-mine")); err != nil || info.Mode().Perm()&0o100 == 0 {
			t.Errorf("%s: the script is %v, error %v", kind, info, err)
		}
		want, err := filepath.Glob("../../sdk/python/ctdb_sdk/*.*")
		if err != nil || len(want) < 20 {
			t.Fatalf("%v, error %v", want, err)
		}
		for _, from := range want {
			a, errA := os.ReadFile(from)
			b, errB := os.ReadFile(filepath.Join(dir, "ctdb_sdk", filepath.Base(from)))
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Errorf("%s: %s differs or is missing: %v %v", kind, from, errA, errB)
			}
		}
		if err := os.Remove(filepath.Join(dir, "ctdb_sdk", "_wire.py")); err != nil {
			t.Fatal(err)
		}
		if err := Refresh(dir); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "ctdb_sdk", "_wire.py")); err != nil {
			t.Error(err)
		}
	}
}
