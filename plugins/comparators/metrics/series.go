package metrics

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// omission says why a metric cannot be had; it becomes the reason of a result without a value. Other errors end the comparison.
type omission string

func (o omission) Error() string { return string(o) }

func omit(format string, args ...any) error { return omission(fmt.Sprintf(format, args...)) }

// series is an array (B, T, D) cut at the length of each trial.
type series struct {
	data *tensor.Tensor
	// lengths holds the valid bins of each trial; ragged is true where they differ.
	lengths []int
	ragged  bool
}

func (s series) trials() int { return s.data.Shape[0] }
func (s series) width() int  { return s.data.Shape[2] }

// total is the number of valid bins.
func (s series) total() int {
	n := 0
	for _, l := range s.lengths {
		n += l
	}
	return n
}

// longest is the largest number of valid bins of a trial.
func (s series) longest() int {
	n := 0
	for _, l := range s.lengths {
		n = max(n, l)
	}
	return n
}

// read writes the first bins of trial k, (bins, D) in double precision, into the beginning of to.
func (s series) read(to []float64, k, bins int) []float64 {
	d := s.width()
	from := k * s.data.Shape[1] * d
	to = to[:bins*d]
	switch {
	case s.data.F64 != nil:
		copy(to, s.data.F64[from:])
	case s.data.F32 != nil:
		for i, x := range s.data.F32[from : from+len(to)] {
			to[i] = float64(x)
		}
	default:
		for i, x := range s.data.I64[from : from+len(to)] {
			to[i] = float64(x)
		}
	}
	return to
}

// checkFinite looks at the valid bins alone: padding may hold anything.
func (s series) checkFinite(of string) error {
	if s.data.I64 != nil {
		return nil
	}
	row := s.data.Shape[1] * s.width()
	for k, n := range s.lengths {
		from, to := k*row, k*row+n*s.width()
		bad := -1
		if s.data.F32 != nil {
			bad = firstBad(s.data.F32[from:to])
		} else {
			bad = firstBad(s.data.F64[from:to])
		}
		if bad >= 0 {
			return omit("%s is not finite in row %d, bin %d, channel %d", of, k, bad/s.width(), bad%s.width())
		}
	}
	return nil
}

func firstBad[F float32 | float64](x []F) int {
	for i, v := range x {
		if v-v != 0 {
			return i
		}
	}
	return -1
}

// pairing says which trial of y goes with each trial of x; nil pairs each with itself.
type pairing []int

func (p pairing) of(k int) int {
	if p == nil {
		return k
	}
	return p[k]
}

// common is the number of bins that trial k of x has in common with its partner in y.
func (p pairing) common(x, y series, k int) int { return min(x.lengths[k], y.lengths[p.of(k)]) }

// shardCount is the number of parts that trials are summed in. It is fixed so that sums, taken in the parts' order, do not depend on the
// number of threads.
const shardCount = 16

// inShards calls f for shardCount runs of trials [from, to), some of which may be empty, on up to threads goroutines. A panic there is an error here: on a
// goroutine of its own it would end the process.
func inShards(ctx context.Context, threads, trials int, f func(shard, from, to int)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(threads)
	for shard := range shardCount {
		g.Go(func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = &panicError{fmt.Sprint(p), debug.Stack()}
				}
			}()
			if err := ctx.Err(); err != nil {
				return err
			}
			f(shard, shard*trials/shardCount, (shard+1)*trials/shardCount)
			return nil
		})
	}
	return g.Wait()
}

// panicError is a panic of a goroutine.
type panicError struct {
	value string
	stack []byte
}

// Error is the panic's own message; the stack is for the log.
func (e *panicError) Error() string { return "metrics: panic: " + e.value }

func add(to, from []float64) {
	for i, x := range from {
		to[i] += x
	}
}
