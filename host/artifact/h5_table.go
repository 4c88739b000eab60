package artifact

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// table is a group of arrays with a row for each of a known number of trials, written block by block. Chunks are written when their
// last row has come, in the order in which that happens row by row, so that the file does not depend on how the rows were cut into blocks.
type table struct {
	file    *h5Writer
	prefix  string
	trials  int // all rows that will come
	done    int // rows that have come
	columns []*column
}

type column struct {
	name   string // without prefix
	set    h5Set
	dtype  tensor.DType
	shape  []int // of all rows
	chunk  int   // rows of a chunk
	buffer *tensor.Tensor
	hash   hash.Hash
}

// errTrials is for rows beyond those that were announced.
var errTrials = errors.New("more trials than announced")

// begin creates the datasets for arrays like those of b.
func (t *table) begin(b tensor.Set) error {
	sorted := slices.Clone(b)
	slices.SortFunc(sorted, func(x, y *tensor.Tensor) int { return strings.Compare(x.Name, y.Name) })
	for _, a := range sorted {
		if err := checkName(a.Name); err != nil {
			return err
		}
		c := &column{name: a.Name, dtype: a.DType(), shape: slices.Clone(a.Shape), hash: sha256.New()}
		c.shape[0] = t.trials
		var chunk []int
		c.chunk = max(1, t.trials)
		if n := elements(c.shape); n*c.dtype.Size() > contiguousBelow {
			chunk = chunkShape(c.shape, c.dtype.Size())
			c.chunk = chunk[0]
		}
		name := t.prefix + a.Name
		if _, ok := t.file.sums[name]; ok {
			return fmt.Errorf("%q is written twice", name)
		}
		t.file.sums[name] = "" // until finish
		err := locked(func() (err error) {
			c.set, err = t.file.create(name, c.dtype, c.shape, chunk, a.Axes, a.Unit)
			return err
		})
		if err != nil {
			return err
		}
		t.columns = append(t.columns, c)
	}
	return nil
}

// add takes rows, which must be of the names, types and shapes that begin was given.
func (t *table) add(b tensor.Set, rows int) error {
	if rows > t.trials-t.done {
		return fmt.Errorf("%w: %d and %d more of %d", errTrials, t.done, rows, t.trials)
	}
	from := make([]*tensor.Tensor, len(t.columns))
	for i, c := range t.columns {
		a := b.Get(c.name)
		if a == nil || len(b) != len(t.columns) {
			return fmt.Errorf("a block with arrays %v after one with %v", b.Names(), t.names())
		}
		if a.DType() != c.dtype {
			return fmt.Errorf("a block with %s %q after one with %s", a.DType(), c.name, c.dtype)
		}
		if want := append([]int{rows}, c.shape[1:]...); !slices.Equal(a.Shape, want) {
			return fmt.Errorf("a block with %q of shape %v: %v is needed", c.name, a.Shape, want)
		}
		from[i] = a
	}
	for at := 0; at < rows; {
		step := rows - at
		for _, c := range t.columns {
			step = min(step, c.chunk-c.held())
		}
		for i, c := range t.columns {
			c.take(from[i].Slice(at, at+step))
		}
		at, t.done = at+step, t.done+step
		for _, c := range t.columns {
			if c.held() == c.chunk || t.done == t.trials {
				if err := t.flush(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t *table) names() []string {
	out := make([]string, len(t.columns))
	for i, c := range t.columns {
		out[i] = c.name
	}
	return out
}

func (c *column) held() int {
	if c.buffer == nil {
		return 0
	}
	return c.buffer.Shape[0]
}

// take appends rows to the buffer.
func (c *column) take(rows *tensor.Tensor) {
	if c.buffer == nil {
		c.buffer = rows.Clone()
		c.buffer.Name = c.name
		return
	}
	b := c.buffer
	b.F32, b.F64, b.I64 = append(b.F32, rows.F32...), append(b.F64, rows.F64...), append(b.I64, rows.I64...)
	b.Shape[0] += rows.Shape[0]
}

// flush writes the buffer, whose last row is the newest of the table.
func (t *table) flush(c *column) error {
	rows := c.held()
	if rows == 0 {
		return nil
	}
	hashRows(c.hash, c.buffer)
	err := locked(func() error { return c.set.rows(t.prefix+c.name, c.buffer, t.done-rows, true) })
	b := c.buffer
	b.F32, b.F64, b.I64, b.Shape[0] = b.F32[:0], b.F64[:0], b.I64[:0], 0
	return err
}

// finish checks that all rows have come and notes the digests.
func (t *table) finish() error {
	if t.done != t.trials {
		return fmt.Errorf("%s: %d trials came, %d were announced", strings.TrimSuffix(t.prefix, "_"), t.done, t.trials)
	}
	for _, c := range t.columns {
		t.file.sums[t.prefix+c.name] = summary(c.dtype, c.shape, c.hash)
	}
	return nil
}

func elements(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}
