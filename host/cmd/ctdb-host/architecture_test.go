package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ctdb-host/ctdb/"

// floors lists the packages below a folder of the SDK that may be imported by it, by their floor: a package imports lower floors only.
var floors = map[string]int{
	"sdk/param": 0, "sdk/tensor": 0, "sdk/random": 0,
	"sdk/component": 1, "sdk/nn": 2, "sdk/nn/kernel": 0,
	"sdk/task": 2, "sdk/simulator": 4,
	"sdk/model":      3,
	"sdk/link":       3,
	"sdk/comparator": 4, "sdk/train": 4,
	"sdk/internal/wire": 5,
	"sdk/client":        6,
	"sdk/serve":         7,
	"sdk/plugintest":    8,
}

// allowed says whether from may import to; both are relative to the module.
func allowed(from, to string) bool {
	top := func(p string) string { return strings.SplitN(p, "/", 2)[0] }
	below := func(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
	switch top(from) {
	case "proto":
		return top(to) == "proto"
	case "sdk":
		if top(to) == "proto" {
			return slices.ContainsFunc([]string{"sdk/internal/wire", "sdk/serve", "sdk/client"}, func(d string) bool { return below(from, d) })
		}
		if top(to) != "sdk" {
			return false
		}
		if below(to, from) || below(from, to) {
			return true
		}
		f, okFrom := floors[from]
		t, okTo := floors[to]
		return okFrom && okTo && t < f
	case "registry":
		return below(to, "registry") || to == "sdk/param" || to == "sdk/component"
	case "plugins":
		return top(to) == "sdk" || top(to) == "plugins"
	case "host":
		if from == "host/cmd/ctdb-host" && to == "plugins/builtin" {
			return true
		}
		return top(to) == "host" || top(to) == "sdk" || top(to) == "registry"
	}
	return false
}

// TestArchitecture holds the arrows of the house: who may import whom.
func TestArchitecture(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Dir", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	seen := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, i := range p.Imports {
			to, ours := strings.CutPrefix(i, module)
			if i+"/" == module && from != "host/scaffold" {
				t.Errorf("%s must not import %s: host/scaffold alone unpacks the sources", from, i)
			}
			if ours && !allowed(from, to) {
				t.Errorf("%s must not import %s", from, to)
			}
			if i == "gonum.org/v1/hdf5" && from != "host/artifact" {
				t.Errorf("%s must not import %s: host/artifact alone touches HDF5", from, i)
			}
		}
	}
	if seen < 20 {
		t.Errorf("go list found only %d packages", seen)
	}
}

// TestArchitectureRefuses shows that the rules can fail.
func TestArchitectureRefuses(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"sdk/task", "proto/ctdb/task/v1"},
		{"sdk/task", "sdk/model"},
		{"sdk/client", "host/launch"},
		{"plugins/tasks/nbff", "host/artifact"},
		{"plugins/tasks/nbff", "registry"},
		{"host/pipeline", "plugins/builtin"},
		{"registry", "sdk/client"},
		{"proto/ctdb/task/v1", "sdk/tensor"},
		{"shiny", "sdk/task"},
	} {
		if allowed(c.from, c.to) {
			t.Errorf("%s may import %s", c.from, c.to)
		}
	}
}
