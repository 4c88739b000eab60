package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// TestPluginInit begins a plugin of each kind, which without an edit builds, passes its own tests and the conformance suite, and runs its experiment.
func TestPluginInit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		t.Fatal(err)
	}
	// The world has a home of its own, the compiler's caches are everybody's.
	caches := strings.Fields(string(out))
	w.env = append(w.env, "GOCACHE="+caches[0], "GOMODCACHE="+caches[1], "GOPATH="+caches[2], "GOPROXY=off")
	// Fewer epochs than the experiments have: that they run is what is shown.
	quick := map[component.Kind][]string{
		component.Task:       {"train.params.epochs=2", "fit.gru-8.params.epochs=1", "task.params.n_trials=60"},
		component.Model:      {"train.params.epochs=2", "fit.gru-8.params.epochs=1", "fit.my-model.params.epochs=3"},
		component.Simulator:  {"train.params.epochs=2", "fit.gru-8.params.epochs=1"},
		component.Comparator: {"train.params.epochs=2", "fit.gru-8.params.epochs=1", "fit.linear-8.params.epochs=1"},
	}
	for _, kind := range component.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			w := *w
			w.t = t
			name := "my-" + string(kind)
			w.must("plugin", "init", "--kind", string(kind), name)
			cmd, printed := w.shell("cd " + name + " && make build test BUILDFLAGS=")
			if status := w.finish(cmd, printed); status != 0 {
				t.Fatalf("make: exit status %d\n%s", status, printed)
			}
			w.must("plugin", "check", name+"/build")
			args := []string{"run", name + "/experiment.yaml", "--plugin-dir", name + "/build", "--store", "store", "--out", "run-" + name, "--json"}
			for _, s := range quick[kind] {
				args = append(args, "--set", s)
			}
			if got := w.must(args...); !strings.Contains(got.String(), `"metrics"`) {
				t.Errorf("no metrics in\n%s", got)
			}
			if described := w.must("describe", string(kind)+"/"+name, "--plugin-dir", name+"/build"); !strings.Contains(described.String(), "0.1.0") {
				t.Error(described)
			}
		})
	}
	if status, out := w.run("plugin", "init", "--kind", "task", "my-task"); status != 2 || !strings.Contains(out.String(), "is not empty") {
		t.Errorf("a project over another: exit status %d\n%s", status, out)
	}
	if status, out := w.run("plugin", "init", "My", "--kind", "tusk"); status != 2 || !strings.Contains(out.String(), "2 problems") || !strings.Contains(out.String(), `did you mean "task"`) {
		t.Errorf("a wrong name and kind: exit status %d\n%s", status, out)
	}
	w.must("plugin", "init", "--refresh", "my-task")
	w.quiet()
}
