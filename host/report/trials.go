package report

import (
	"fmt"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// take reads at most n trials.
func take(blocks tensor.Blocks, n int) (tensor.Block, error) {
	return tensor.Collect(func(yield func(tensor.Block, error) bool) {
		left := n
		for b, err := range blocks {
			if err == nil && len(b.Trials) > left {
				b = firstTrials(b, left)
			}
			left -= len(b.Trials)
			if !yield(b, err) || err != nil || left == 0 {
				return
			}
		}
	})
}

func firstTrials(b tensor.Block, n int) tensor.Block {
	out := tensor.Block{Trials: b.Trials[:n]}
	for _, t := range b.Arrays {
		out.Arrays = append(out.Arrays, t.Slice(0, n))
	}
	return out
}

// cube is an array (trials, bins, channels), with the number of valid bins of each trial.
type cube struct {
	data                   []float64
	trials, bins, channels int
	lengths                []int
}

// newCube returns the named array of a block, nil where there is none. A block's array of lengths says where its trials end.
func newCube(b tensor.Block, name string) (*cube, error) {
	t := b.Arrays.Get(name)
	if t == nil {
		return nil, nil
	}
	if err := t.Expect(-1, -1, -1); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	c := &cube{data: t.Float64s(), trials: t.Shape[0], bins: t.Shape[1], channels: t.Shape[2]}
	c.lengths = make([]int, c.trials)
	for i := range c.lengths {
		c.lengths[i] = c.bins
	}
	if l := b.Arrays.Get(task.Lengths); l != nil && l.I64 != nil && len(l.I64) == c.trials {
		for i, n := range l.I64 {
			c.lengths[i] = int(min(max(n, 0), int64(c.bins)))
		}
	}
	return c, nil
}

// series is one channel of one trial over its valid bins.
func (c *cube) series(trial, channel int) []float64 {
	out := make([]float64, c.lengths[trial])
	for t := range out {
		out[t] = c.data[(trial*c.bins+t)*c.channels+channel]
	}
	return out
}

// rows stacks the valid bins of all trials: rows of channels, and the number of them.
func (c *cube) rows(limit int) (data []float64, n int) {
	for b := range c.trials {
		k := min(c.lengths[b], limit-n)
		if k <= 0 {
			break
		}
		start := b * c.bins * c.channels
		data = append(data, c.data[start:start+k*c.channels]...)
		n += k
	}
	return data, n
}

// like reports whether two arrays have the same trials and bins.
func (c *cube) like(d *cube) bool { return c.trials == d.trials && c.bins == d.bins }

// of reports whether targets are those of outputs, as they are not in a closed loop, where outputs are actions and targets are places.
func (c *cube) of(outputs *cube) bool { return c.like(outputs) && c.channels == outputs.channels }

// cut takes over the lengths of the trials of another array of the same trials.
func (c *cube) cut(like *cube) { c.lengths = like.lengths }

// spread picks k of n places evenly, the first and the last among them.
func spread(n, k int) []int {
	if n <= k {
		k = n
	}
	out := make([]int, k)
	for i := range out {
		if k > 1 {
			out[i] = i * (n - 1) / (k - 1)
		}
	}
	return out
}

// clock gives the times of bins, in seconds where the width of a bin is known.
type clock struct{ width float64 }

func (c clock) axis() (label, unit string) {
	if c.width > 0 {
		return "time", "s"
	}
	return "time", "bins"
}

func (c clock) times(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i)
		if c.width > 0 {
			out[i] *= c.width
		}
	}
	return out
}

// end is the end of n bins.
func (c clock) end(n int) float64 {
	if c.width > 0 {
		return float64(n) * c.width
	}
	return float64(n)
}
