package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestPython runs the real binary with plugins in Python, the examples of sdk/python: each file of testdata/python is a session.
func TestPython(t *testing.T) { runPython(t, "python") }

// TestTorch does the same with the example in PyTorch.
func TestTorch(t *testing.T) {
	python, _ := interpreter(t)
	if err := exec.Command(python, "-c", "import torch").Run(); err != nil {
		t.Skip("CTDB_PYTHON does not name a Python with torch: make python-torch has one")
	}
	runPython(t, "torch")
}

func runPython(t *testing.T, sessions string) {
	python, sdk := interpreter(t)
	bin := t.TempDir()
	build(t, ".", filepath.Join(bin, "ctdb-host"))
	wrapper(t, filepath.Join(bin, "python3"), python)
	// The compiler's caches are everybody's.
	caches, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", sessions),
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"status": status},
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			for name, dir := range map[string]string{"HOME": "home", "XDG_DATA_HOME": "home/data", "XDG_CACHE_HOME": "home/cache", "XDG_CONFIG_HOME": "home/config"} {
				path := filepath.Join(e.WorkDir, dir)
				if err := os.MkdirAll(path, 0o777); err != nil {
					return err
				}
				e.Setenv(name, path)
			}
			if f := strings.Fields(string(caches)); len(f) == 2 {
				e.Setenv("GOCACHE", f[0])
				e.Setenv("GOMODCACHE", f[1])
				e.Setenv("GOPROXY", "off")
			}
			e.Setenv("PYTHONPATH", sdk)
			// The examples' own folders stay as they are.
			e.Setenv("PYTHONDONTWRITEBYTECODE", "1")
			e.Setenv("EXAMPLES", filepath.Join(sdk, "examples"))
			return nil
		},
	})
}
