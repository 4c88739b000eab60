//go:build unix

package fixedpoints

import (
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/param"
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

// BenchmarkTrainedFlipFlop is 1024 starts in the trained network of 64 units, model and comparator in one process, on two threads: the search alone, with eigenvectors, and with basins too.
//
//	go test -run xx -bench TrainedFlipFlop -count 5 ./plugins/comparators/fixedpoints
func BenchmarkTrainedFlipFlop(b *testing.B) {
	s := trainedFlipFlop(b)
	for _, c := range []struct {
		name   string
		values param.Values
	}{{"search", param.Values{"basin_steps": 0, "eigenvectors": 0}}, {"vectors", param.Values{"basin_steps": 0}}, {"all", nil}} {
		b.Run(c.name, func(b *testing.B) {
			began := used(b)
			for b.Loop() {
				if _, err := open(b, 2, 0, c.values).Compare(b.Context(), comparator.Request{Subjects: []comparator.Subject{s}}, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((used(b)-began).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}
