package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestPython runs the real binary with plugins in Python, the examples of sdk/python: each file of testdata/python is a session.
func TestPython(t *testing.T) {
	python := os.Getenv("CTDB_PYTHON")
	if python == "" {
		t.Skip("CTDB_PYTHON does not name a Python with grpcio, protobuf, numpy and jax: make python installs one")
	}
	python, err := exec.LookPath(python)
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := filepath.Abs("../../../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	build(t, ".", filepath.Join(bin, "ctdb-host"))
	// Scripts say #!/usr/bin/env python3.
	wrapper := "#!/bin/sh\nexec '" + python + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "python3"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/python",
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
			e.Setenv("PYTHONPATH", sdk)
			// The examples' own folders stay as they are.
			e.Setenv("PYTHONDONTWRITEBYTECODE", "1")
			e.Setenv("EXAMPLES", filepath.Join(sdk, "examples"))
			return nil
		},
	})
}
