package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPythonReadme does what sdk/python/README.md tells a reader to do, with the very text that stands there, but for making an environment: it is given one.
func TestPythonReadme(t *testing.T) {
	python, sdk := interpreter(t)
	text, err := os.ReadFile(filepath.Join(sdk, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]string{}
	for _, m := range regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	if len(blocks["python"]) != 2 || len(blocks["yaml"]) != 1 || len(blocks["sh"]) != 2 {
		t.Fatalf("%d blocks of Python, %d of YAML, %d of shell: 2, 1 and 2 are expected", len(blocks["python"]), len(blocks["yaml"]), len(blocks["sh"]))
	}
	w := newWorld(t)
	for _, dir := range []string{"plugins", "venv", "venv/bin"} {
		if err := os.Mkdir(w.path(dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	w.write("plugins/ctdb-plugin-mine", blocks["python"][0])
	w.write("study.yaml", blocks["yaml"][0])
	w.write("test_mine.py", blocks["python"][1])
	wrapper(t, w.path("venv", "bin", "python3"), python)
	cmd, out := w.shell("set -euo pipefail\n" + blocks["sh"][1] + "\npython3 -m unittest test_mine 2>&1")
	cmd.Env = append(cmd.Env, "PYTHONPATH="+sdk)
	if status := w.finish(cmd, out); status != 0 || strings.Contains(out.stdout.String(), "FAIL") {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	for _, want := range []string{"mine 1.0.0: ", "leak of the integrator in a bin", "report ", "Ran 1 test"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
}

// interpreter is the Python that $CTDB_PYTHON names, and the folder of the SDK for it.
func interpreter(t *testing.T) (python, sdk string) {
	t.Helper()
	python = os.Getenv("CTDB_PYTHON")
	if python == "" {
		t.Skip("CTDB_PYTHON does not name a Python with grpcio, protobuf, numpy and jax: make python installs one")
	}
	python, err := exec.LookPath(python)
	if err != nil {
		t.Fatal(err)
	}
	if sdk, err = filepath.Abs("../../../sdk/python"); err != nil {
		t.Fatal(err)
	}
	return python, sdk
}

// wrapper makes a program that is the interpreter under another name: scripts say #!/usr/bin/env python3.
func wrapper(t *testing.T, path, python string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec '"+python+"' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
