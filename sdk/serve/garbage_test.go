package serve

import (
	"math"
	"testing"
)

func TestGarbagePercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 100}, {1 << 20, 100}, {maxGarbage, 100}, {2 * maxGarbage, 50}, {5 * maxGarbage, 20}, {10 * maxGarbage, 10}, {1000 * maxGarbage, 10}, {math.MaxUint64, 10}} {
		if got := garbagePercent(c.live); got != c.want {
			t.Errorf("%d bytes: %d percent, want %d", c.live, got, c.want)
		}
	}
}
