package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/cli"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/host/store"
	"github.com/ctdb-host/ctdb/registry"
)

// TestTwoStudiesAtOnce runs two studies side by side in one process, with one store.
func TestTwoStudiesAtOnce(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Chdir(dir)
	if err := os.WriteFile("tiny.yaml", []byte(tinyStudy), 0o600); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			if status, out := inProcess(t, "run", "tiny.yaml", "--store", "store", "--out", fmt.Sprint("out-", i), "--quiet", "--jobs", "2", "--set", fmt.Sprintf("seed=%d", i)); status != cli.Success {
				t.Errorf("exit status %d\n%s", status, out)
			}
		})
	}
	both.Wait()
}

// heavyStudy is a training that computes and does little else.
const heavyStudy = `version: 1
name: heavy
task: {use: task/nbff, params: {n_bits: 3, n_timesteps: 100, n_trials: 200}}
train: {use: model/noisy-gru, params: {hidden: 64, epochs: 25, batch_size: 32}}
`

// children is the processor time that the processes have taken which this one started and has seen the end of.
func children(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestThreadBudgetIsKept measures the processor time of two studies that run side by side in one process with one thread between them: it is no more than the
// time that passes, where two budgets of a thread each would take twice of it.
func TestThreadBudgetIsKept(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	janitor := launch.NewJanitor("plugin", "janitor")
	defer janitor.Close()
	ctx := launch.WithJanitor(t.Context(), janitor)
	search := registry.NewSearch(nil, "", &registry.Candidate{Path: self, Args: []string{"plugin", "serve-builtin"}, Source: registry.Builtin})
	cat, err := catalog.Discover(ctx, search, catalog.Options{CacheDir: filepath.Join(dir, "cache")})
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	// busy is the processor time of two studies at once for each second that passes.
	busy := func(name string, budgets ...*pipeline.Budget) float64 {
		took, began := children(t), time.Now()
		var all sync.WaitGroup
		for i, b := range budgets {
			study, err := experiment.Read("heavy.yaml", []byte(heavyStudy), []string{fmt.Sprintf("seed=%d", i), "name=" + name}, cat.Lookup())
			if err != nil {
				t.Fatal(err)
			}
			run := pipeline.Run{Study: study, Host: pipeline.Host{Catalog: cat, Store: st, Budget: b}, Out: filepath.Join(dir, fmt.Sprint(name, i))}
			all.Go(func() {
				if _, err := run.Execute(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		passed := time.Since(began)
		t.Logf("%s: %v of processor time in %v", name, (children(t) - took).Round(time.Millisecond), passed.Round(time.Millisecond))
		return float64(children(t)-took) / float64(passed)
	}
	one := pipeline.NewBudget(1, 2)
	// What the language's collector and the answers to Health take besides is no thread of the budget.
	if shared := busy("shared", one, one); shared > 1.3 {
		t.Errorf("two studies that share one thread keep %.2f processors busy", shared)
	}
}
