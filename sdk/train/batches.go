package train

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// Batches cuts n trials into batches of size in the order of a permutation that depends on the seed and the epoch alone; the last batch may be smaller. Where
// groups is not nil (one number for each trial), a batch holds trials of one group, and the batches of all groups are mixed.
func Batches(seed, epoch uint64, n, size int, groups []int64) [][]int {
	r := random.NewSource(seed, "batches", epoch)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	permute(r, order)
	if groups == nil {
		return slices.Collect(slices.Chunk(order, size))
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case groups[a] < groups[b]:
			return -1
		case groups[a] > groups[b]:
			return 1
		}
		return 0
	})
	var out [][]int
	for len(order) > 0 {
		k := slices.IndexFunc(order, func(i int) bool { return groups[i] != groups[order[0]] })
		if k < 0 {
			k = len(order)
		}
		out = slices.AppendSeq(out, slices.Chunk(order[:k], size))
		order = order[k:]
	}
	permute(r, out)
	return out
}

// permute is the shuffle of Fisher and Yates, written out so that it is the same in every version of the standard library.
func permute[E any](r rand.Source, x []E) {
	for i := len(x) - 1; i > 0; i-- {
		j, _ := bits.Mul64(r.Uint64(), uint64(i+1))
		x[i], x[j] = x[j], x[i]
	}
}
