package pipeline

import (
	"fmt"
	"strconv"
	"strings"
)

// Shard is a share of a study's points: the I-th of N, from 1.
type Shard struct{ I, N int }

// ParseShard reads "2/4"; "" is all, 1/1.
func ParseShard(s string) (Shard, error) {
	if s == "" {
		return Shard{1, 1}, nil
	}
	first, last, ok := strings.Cut(s, "/")
	i, errI := strconv.Atoi(first)
	n, errN := strconv.Atoi(last)
	if !ok || errI != nil || errN != nil || i < 1 || i > n || s != (Shard{i, n}).String() {
		return Shard{}, fmt.Errorf("pipeline: shard %q: I/N is needed with 1 <= I <= N, e.g. 2/4", s)
	}
	return Shard{i, n}, nil
}

// String returns I/N.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.I, s.N) }

// Points are the indices of the shard's points of so many. They lie side by side, so that points that share a training mostly stay together; there are none
// where there are more shards than points.
func (s Shard) Points(total int) []int {
	from, to := (s.I-1)*total/s.N, s.I*total/s.N
	out := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}
