package pipeline

import "testing"

// Stages that can run side by side share the threads; one that runs alone has them all, whatever the number of jobs.
func TestShare(t *testing.T) {
	train := &stage{name: "train"}
	simulate := &stage{name: "simulate", files: map[string]source{"weights": {from: train}}}
	fits := []*stage{}
	compare := &stage{name: "compare/a", files: map[string]source{"dataset": {from: simulate}}}
	for _, name := range []string{"fit/a", "fit/b", "fit/c"} {
		f := &stage{name: name, files: map[string]source{"dataset": {from: simulate}, "other": {file: "x"}}}
		fits = append(fits, f)
		compare.files[name] = source{from: f}
	}
	stages := append([]*stage{train, simulate, compare}, fits...)
	for _, c := range []struct{ threads, jobs, alone, beside int }{
		{1, 1, 1, 1}, {2, 1, 2, 2}, {2, 2, 2, 1}, {8, 2, 8, 4}, {8, 9, 8, 2}, {1, 4, 1, 1},
	} {
		g := &Graph{host: Host{Threads: c.threads, Jobs: c.jobs}, stages: stages}
		for _, s := range []*stage{train, simulate, compare} {
			if got := g.share(s); got != c.alone {
				t.Errorf("%d threads, %d jobs: %s has %d, want %d", c.threads, c.jobs, s.name, got, c.alone)
			}
		}
		if got := g.share(fits[1]); got != c.beside {
			t.Errorf("%d threads, %d jobs: a fit has %d, want %d", c.threads, c.jobs, got, c.beside)
		}
	}
}
