package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// gauge counts threads and stages that are busy at a time.
type gauge struct {
	mu                      sync.Mutex
	threads, jobs           int
	mostThreads, mostStages int
}

func (g *gauge) enter(threads int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.threads += threads
	g.jobs++
	g.mostThreads, g.mostStages = max(g.mostThreads, g.threads), max(g.mostStages, g.jobs)
}

func (g *gauge) leave(threads int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.threads -= threads
	g.jobs--
}

// hollow makes the stages of a graph write the file that the next one reads, and nothing else, with do in their midst.
func hollow(g *Graph, do func(context.Context, *running) error) {
	for _, s := range g.stages {
		s.body = func(r *running, ctx context.Context) error {
			if do != nil {
				if err := do(ctx, r); err != nil {
					return err
				}
			}
			for _, name := range []string{artifact.WeightsFile, artifact.ScoreFile, artifact.DatasetFile, artifact.InferredFile} {
				if err := os.WriteFile(filepath.Join(r.dir, name), []byte(r.name+" "+name), 0o666); err != nil {
					return err
				}
			}
			return artifact.Results{}.Write(r.dir)
		}
	}
}

// Two studies at once in one process share the budget: never are more threads handed out, or more stages at work, than it has; and none is lost.
func TestStudiesShareTheBudget(t *testing.T) {
	for _, c := range []struct{ threads, jobs int }{{1, 1}, {2, 2}, {5, 3}, {4, 8}} {
		h := toyHost(t, c.threads, c.jobs)
		var busy gauge
		var runs sync.WaitGroup
		for _, name := range []string{"one", "two"} {
			s := study(t, h, toyStudy+"seeds: [0, 1, 2]\nmatrix: {fit.a.params.latent: [3, 4]}\n", "name="+name, "train.params.steps="+map[string]string{"one": "1", "two": "2"}[name])
			g, err := New(s, nil, h)
			if err != nil {
				t.Fatal(err)
			}
			hollow(g, func(_ context.Context, r *running) error {
				busy.enter(r.threads)
				defer busy.leave(r.threads)
				for range 200 {
					if threads, jobs := h.Budget.InUse(); threads > c.threads || jobs > c.jobs {
						t.Errorf("%d threads and %d jobs in use of %d and %d", threads, jobs, c.threads, c.jobs)
					}
				}
				return nil
			})
			runs.Go(func() {
				if _, err := g.Run(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		runs.Wait()
		if busy.mostThreads > c.threads || busy.mostStages > c.jobs || busy.mostThreads == 0 {
			t.Errorf("%d threads, %d jobs: %d threads and %d stages were busy at once", c.threads, c.jobs, busy.mostThreads, busy.mostStages)
		}
		if threads, jobs := h.Budget.InUse(); threads != 0 || jobs != 0 {
			t.Errorf("%d threads and %d jobs are not given back", threads, jobs)
		}
	}
}

// A stage that runs alone has all threads; those that may run beside it divide them.
func TestShare(t *testing.T) {
	for _, c := range []struct{ threads, jobs, beside, want int }{
		{1, 1, 1, 1}, {2, 1, 3, 2}, {2, 2, 1, 2}, {2, 2, 3, 1}, {8, 2, 3, 4}, {8, 9, 3, 2}, {1, 4, 1000, 1}, {8, 4, 1000, 2},
	} {
		if got := NewBudget(c.threads, c.jobs).share(c.beside); got != c.want {
			t.Errorf("%d threads, %d jobs, %d stages side by side: %d each, want %d", c.threads, c.jobs, c.beside, got, c.want)
		}
	}
	h := toyHost(t, 8, 4)
	g, err := New(study(t, h, toyStudy+"matrix: {fit.a.params.latent: [3, 4, 5]}\n"), nil, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range g.stages {
		if want := map[string]int{"train": 1, "simulate": 1}[s.kind]; want != 0 && s.beside != want || s.kind == "fit" && s.beside != 3 {
			t.Errorf("%s has %d beside it", s.name, s.beside)
		}
	}
}

// Two graphs over one store do the work once between them; the one that finds a stage being run goes on with others meanwhile.
func TestTwoHostsDoTheWorkOnce(t *testing.T) {
	h := toyHost(t, 4, 1)
	s := study(t, h, toyStudy+"seeds: [0, 1, 2, 3]\n")
	var mu sync.Mutex
	times := map[string]int{}
	var runs sync.WaitGroup
	var outcomes [2][]Outcome
	for i := range outcomes {
		own := h
		own.Budget = NewBudget(2, 1) // each its own, as two processes
		g, err := New(s, nil, own)
		if err != nil {
			t.Fatal(err)
		}
		hollow(g, func(_ context.Context, r *running) error {
			mu.Lock()
			defer mu.Unlock()
			times[r.name]++
			return nil
		})
		runs.Go(func() {
			var err error
			if outcomes[i], err = g.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
	for name, n := range times {
		if n != 1 {
			t.Errorf("%s was run %d times", name, n)
		}
	}
	if len(times) != 16 {
		t.Errorf("%d stages were run", len(times))
	}
	for i := range outcomes[0] {
		a, b := outcomes[0][i], outcomes[1][i]
		if a.Key != b.Key || a.Entry.Digest != b.Entry.Digest || a.Key == "" {
			t.Errorf("%s differs between the hosts", a.Stage)
		}
	}
}

// What depends on a failure is not run and says why; the rest is.
func TestFailuresLeaveTheOthers(t *testing.T) {
	h := toyHost(t, 2, 2)
	s := study(t, h, toyStudy+"seeds: [0, 1]\nmatrix: {fit.a.params.latent: [3, 4]}\n")
	g, err := New(s, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	hollow(g, func(_ context.Context, r *running) error {
		if r.name == "simulate [seed=1]" || r.name == "fit/a [seed=0 latent=4]" {
			return broken
		}
		return nil
	})
	outcomes, err := g.Run(t.Context())
	if !errors.Is(err, ErrStages) || !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	got := map[Status][]string{}
	for _, o := range outcomes {
		got[o.Status] = append(got[o.Status], o.Stage)
	}
	want := map[Status][]string{
		Done:   {"train [seed=0]", "simulate [seed=0]", "fit/a [seed=0 latent=3]", "compare/c [seed=0 latent=3]", "train [seed=1]"},
		Failed: {"fit/a [seed=0 latent=4]", "simulate [seed=1]"},
		Skipped: {
			"compare/c [seed=0 latent=4]", "fit/a [seed=1 latent=3]", "compare/c [seed=1 latent=3]", "fit/a [seed=1 latent=4]", "compare/c [seed=1 latent=4]",
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, o := range outcomes {
		if o.Status == Skipped && !strings.HasPrefix(o.Err.Error(), "it needs ") {
			t.Errorf("%s: %v", o.Stage, o.Err)
		}
	}
}

// An error tells the first failures and how many more there are.
func TestManyFailures(t *testing.T) {
	if failures(nil) != nil {
		t.Error("no failures are an error")
	}
	var all []error
	for range 30 {
		all = append(all, errors.New("broken"))
	}
	for n, lines := range map[int]int{1: 2, 10: 11, 11: 12, 12: 12, 30: 12} {
		err := failures(all[:n])
		if got := strings.Count(err.Error(), "\n") + 1; got != lines || !errors.Is(err, ErrStages) {
			t.Errorf("%d failures: %d lines, want %d", n, got, lines)
		}
	}
}

// An interruption ends what runs, keeps the rest from beginning, leaves no goroutine, and is told from a failure.
func TestInterruption(t *testing.T) {
	h := toyHost(t, 2, 2)
	leaks := goleak.IgnoreCurrent()
	s := study(t, h, toyStudy+"seeds: [0, 1, 2, 3]\n")
	g, err := New(s, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hollow(g, func(ctx context.Context, r *running) error {
		if r.name == "fit/a [seed=1]" {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	outcomes, err := g.Run(ctx)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrStages) {
		t.Errorf("error %v", err)
	}
	counts := map[Status]int{}
	for _, o := range outcomes {
		counts[o.Status]++
		if o.Err != nil && !o.cut() {
			t.Errorf("%s: %s, %v", o.Stage, o.Status, o.Err)
		}
	}
	if counts[Failed] != 0 || counts[Interrupted] == 0 || counts[Done] == 0 || counts[Skipped] == 0 {
		t.Errorf("outcomes %v", counts)
	}
	if statusOf(outcomes) != statusInterrupted {
		t.Errorf("status %s", statusOf(outcomes))
	}
	if err := goleak.Find(leaks); err != nil {
		t.Error(err)
	}
}

// A study of many points runs without a goroutine for each.
func TestNoGoroutineStorm(t *testing.T) {
	h := toyHost(t, 2, 2)
	s := study(t, h, "version: 1\nname: many\ntask: {use: task/toy}\ntrain: {use: model/toy}\nseeds: ["+numbers(100)+"]\n")
	g, err := New(s, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	var most atomic.Int64
	hollow(g, func(context.Context, *running) error {
		most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
		return nil
	})
	outcomes, err := g.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if more := int(most.Load()) - before; len(outcomes) != 100 || more > 20 {
		t.Errorf("%d stages, %d goroutines more than before", len(outcomes), more)
	}
}

// numbers is "0, 1, 2" and so on.
func numbers(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint(i))
	}
	return strings.Join(out, ", ")
}
