// Package trials gives comparators the arrays of their subjects: looked at once, cut at each trial's length, paired with those of other trials for a null, and
// walked through in parts whose sums do not depend on the number of threads.
package trials

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Omission says why a metric cannot be had; it becomes the reason of a result without a value. Other errors end the comparison.
type Omission string

func (o Omission) Error() string { return string(o) }

// Omit makes an [Omission].
func Omit(format string, args ...any) error { return Omission(fmt.Sprintf(format, args...)) }

// Series is an array (B, T, D) cut at the length of each trial.
type Series struct {
	Data *tensor.Tensor
	// Lengths holds the valid bins of each trial; Ragged is true where they differ.
	Lengths []int
	Ragged  bool
}

// Trials is the number of trials, Width that of channels.
func (s Series) Trials() int { return s.Data.Shape[0] }
func (s Series) Width() int  { return s.Data.Shape[2] }

// Total is the number of valid bins.
func (s Series) Total() int {
	n := 0
	for _, l := range s.Lengths {
		n += l
	}
	return n
}

// Longest is the largest number of valid bins of a trial.
func (s Series) Longest() int {
	n := 0
	for _, l := range s.Lengths {
		n = max(n, l)
	}
	return n
}

// Constant is true of a series whose every channel holds one value in all valid bins.
func (s Series) Constant() bool {
	d := s.Width()
	buffer := make([]float64, s.Longest()*d)
	var first []float64
	for k, n := range s.Lengths {
		rows := s.Read(buffer, k, n)
		for i, v := range rows {
			if first == nil {
				first = append(first, rows[:d]...)
			}
			if v != first[i%d] {
				return false
			}
		}
	}
	return true
}

// Read writes the first bins of trial k, (bins, D) in double precision, into the beginning of to.
func (s Series) Read(to []float64, k, bins int) []float64 {
	d := s.Width()
	from := k * s.Data.Shape[1] * d
	to = to[:bins*d]
	switch {
	case s.Data.F64 != nil:
		copy(to, s.Data.F64[from:])
	case s.Data.F32 != nil:
		for i, x := range s.Data.F32[from : from+len(to)] {
			to[i] = float64(x)
		}
	default:
		for i, x := range s.Data.I64[from : from+len(to)] {
			to[i] = float64(x)
		}
	}
	return to
}

// Row writes bin of trial k to to, in double precision.
func (s Series) Row(to []float64, k, bin int) {
	d := s.Width()
	from := (k*s.Data.Shape[1] + bin) * d
	switch {
	case s.Data.F64 != nil:
		copy(to, s.Data.F64[from:from+d])
	case s.Data.F32 != nil:
		for i, x := range s.Data.F32[from : from+d] {
			to[i] = float64(x)
		}
	default:
		for i, x := range s.Data.I64[from : from+d] {
			to[i] = float64(x)
		}
	}
}

// CheckFinite looks at the valid bins alone: padding may hold anything.
func (s Series) CheckFinite(of string) error {
	if s.Data.I64 != nil {
		return nil
	}
	row := s.Data.Shape[1] * s.Width()
	for k, n := range s.Lengths {
		from, to := k*row, k*row+n*s.Width()
		bad := -1
		if s.Data.F32 != nil {
			bad = firstBad(s.Data.F32[from:to])
		} else {
			bad = firstBad(s.Data.F64[from:to])
		}
		if bad >= 0 {
			return Omit("%s is not finite in row %d, bin %d, channel %d", of, k, bad/s.Width(), bad%s.Width())
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

// Pairing says which trial of y goes with each trial of x; nil pairs each with itself.
type Pairing []int

// Of is the partner of trial k.
func (p Pairing) Of(k int) int {
	if p == nil {
		return k
	}
	return p[k]
}

// Common is the number of bins that trial k of x has in common with its partner in y.
func (p Pairing) Common(x, y Series, k int) int { return min(x.Lengths[k], y.Lengths[p.Of(k)]) }

// Shards is the number of parts that trials are summed in. It is fixed so that sums, taken in the parts' order, do not depend on the
// number of threads.
const Shards = 16

// InShards calls f for Shards runs of trials [from, to), some of which may be empty, on up to threads goroutines. A panic there is an error here: on a
// goroutine of its own it would end the process.
func InShards(ctx context.Context, threads, trials int, f func(shard, from, to int)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(threads)
	for shard := range Shards {
		g.Go(func() (err error) {
			defer component.Recover(&err)
			if err := ctx.Err(); err != nil {
				return err
			}
			f(shard, shard*trials/Shards, (shard+1)*trials/Shards)
			return nil
		})
	}
	return g.Wait()
}

// Add adds from to to.
func Add(to, from []float64) {
	for i, x := range from {
		to[i] += x
	}
}
