package kernel

// #include "kernel.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// ShardRows is how many trials, 16, one worker takes through a sequence at a time unless it is told otherwise. Sums over trials depend on it, in the last digits. A shard of twice as
// many takes twice as long: a smaller one has less memory, and leaves threads that are done less to wait for.
const ShardRows = C.CTDB_SHARD_ROWS

// MaxShardRows is how many trials, 64, a shard may have. Larger ones are for closed loops, where there is something to do between the bins of each, see SequenceConfig.ShardRows.
const MaxShardRows = C.CTDB_MAX_SHARD_ROWS

// Shards cuts rows trials into shards of each trials (the last may be shorter) and calls f for each: shard s holds the rows lo to hi-1. At
// most threads goroutines (at least 1) pull shards, each with its own worker number below threads, so a worker may own memory. After an
// error no further shards are started; the errors are joined. A panic in f reaches the caller's goroutine, which may recover from it: on a
// goroutine of its own it would end the process.
func Shards(rows, each, threads int, f func(worker, shard, lo, hi int) error) error {
	if rows < 0 {
		return &ShapeError{"shards", "rows", rows, "at least 0"}
	}
	if each < 1 {
		return &ShapeError{"shards", "each", each, "at least 1"}
	}
	n := ShardCount(rows, each)
	call := func(worker, s int) error {
		return f(worker, s, s*each, min(rows, (s+1)*each))
	}
	threads = min(threads, n)
	if threads <= 1 {
		for s := range n {
			if err := call(0, s); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	var failed atomic.Bool
	errs := make([]error, threads)
	var panicked atomic.Pointer[string]
	var wg sync.WaitGroup
	work := func(worker int) {
		defer func() {
			if p := recover(); p != nil {
				failed.Store(true)
				text := fmt.Sprintf("%v\n%s", p, debug.Stack())
				panicked.CompareAndSwap(nil, &text)
			}
		}()
		for !failed.Load() {
			s := int(next.Add(1)) - 1
			if s >= n {
				return
			}
			if err := call(worker, s); err != nil {
				errs[worker] = err
				failed.Store(true)
			}
		}
	}
	for worker := 1; worker < threads; worker++ {
		wg.Go(func() { work(worker) })
	}
	work(0)
	wg.Wait()
	if text := panicked.Load(); text != nil {
		panic(*text)
	}
	return errors.Join(errs...)
}

// ShardCount is the number of shards of each trials that a batch is cut into.
func ShardCount(rows, each int) int { return (rows + each - 1) / each }

// Sum writes the sum of parts, taken in their order, to dst, or adds it to dst one part after the other if add.
func Sum[F Float](dst []F, add bool, parts ...[]F) error {
	for i, p := range parts {
		if len(p) != len(dst) {
			return &ShapeError{"sum", fmt.Sprintf("parts[%d]", i), len(p), fmt.Sprintf("%d elements", len(dst))}
		}
	}
	if !add {
		clear(dst)
	}
	for _, p := range parts {
		for i, v := range p {
			dst[i] += v
		}
	}
	return nil
}
