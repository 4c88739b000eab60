package serve

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Go's collector lets as much garbage stand as there is memory in use: a data set of a gigabyte would cost a second one. Plugins hold arrays of numbers, which cost the collector nothing to keep, so
// it runs oftener there.
const (
	// maxGarbage is the garbage that stands, in bytes, where the memory in use is no more than ten times of it.
	maxGarbage = 256 << 20
	// leastPercent is the share of the memory in use that garbage may have in any case.
	leastPercent = 10
)

// limitGarbage keeps garbage below maxGarbage from now on, unless the environment says how often the collector is to run.
func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		(&collector{percent: 100}).watch()
	}
}

// collector is told of each collection.
type collector struct{ percent int }

// sentinel is garbage at once: its end is that of a collection. A pointer keeps it from sharing its memory with others.
type sentinel struct{ _ *int }

func (c *collector) watch() {
	runtime.AddCleanup(&sentinel{}, func(c *collector) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if p := garbagePercent(live[0].Value.Uint64()); p != c.percent {
			c.percent = p
			debug.SetGCPercent(p)
		}
		c.watch()
	}, c)
}

// garbagePercent is the GOGC for that many bytes in use.
func garbagePercent(live uint64) int {
	return int(max(leastPercent, min(100, 100*maxGarbage/max(1, live))))
}
