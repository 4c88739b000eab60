package trials

import (
	"errors"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// A panic on a goroutine is an error of the comparison.
func TestPanicInShards(t *testing.T) {
	for _, threads := range []int{1, 4} {
		err := InShards(t.Context(), threads, 100, func(shard, _, _ int) {
			if shard == 3 {
				var none []int
				none[shard] = 0
			}
		})
		var panicked *component.PanicError
		if !errors.As(err, &panicked) || !strings.Contains(err.Error(), "out of range") || strings.Contains(err.Error(), "goroutine") || !strings.Contains(string(panicked.Stack), "shards_test.go") {
			t.Errorf("%d threads: error %v", threads, err)
		}
	}
}
