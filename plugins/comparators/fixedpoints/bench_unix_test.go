//go:build unix

package fixedpoints

import (
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

// used is the processor time of all threads so far: on a machine that does other work too, time by the clock says little.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestMain(m *testing.M) {
	opened.Main(m, serve.Plugin{Name: "flipflop-test", Version: "1.0.0", Doc: "the models of a flip-flop in a process of their own", Models: gru.Factories()})
}

// flipflopElsewhere is [trainedFlipFlop] with the model in another process.
func flipflopElsewhere(t testing.TB) comparator.Subject {
	t.Helper()
	_, spec := flipflopTask(t)
	// Initial states have the noise that those of [flipflopModel] have, for the same starts.
	m, err := opened.Elsewhere(t).OpenModel(t.Context(), component.Name{Kind: component.Model, Short: "noisy-gru"}, param.Values{"hidden": 64, "ic_noise": 0.05, "noise": 0.01},
		component.Env{Seed: 1, Threads: 2, Log: slog.New(slog.DiscardHandler)}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	return flipflopSubject(t, m)
}

// BenchmarkTrainedFlipFlop is 1024 starts in the trained network of 64 units on two threads, model and comparator in one process or in two: the search alone, with eigenvectors, and with basins too.
//
//	go test -run xx -bench TrainedFlipFlop -count 5 ./plugins/comparators/fixedpoints
func BenchmarkTrainedFlipFlop(b *testing.B) {
	here, there := trainedFlipFlop(b), flipflopElsewhere(b)
	search, vectors := param.Values{"basin_steps": 0, "eigenvectors": 0}, param.Values{"basin_steps": 0}
	for _, c := range []struct {
		name   string
		s      comparator.Subject
		values param.Values
	}{{"search", here, search}, {"vectors", here, vectors}, {"all", here, nil}, {"two processes/search", there, search}, {"two processes/vectors", there, vectors}, {"two processes/all", there, nil}} {
		b.Run(c.name, func(b *testing.B) {
			began := used(b)
			for b.Loop() {
				if _, err := open(b, 2, 0, c.values).Compare(b.Context(), comparator.Request{Subjects: []comparator.Subject{c.s}}, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((used(b)-began).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}
