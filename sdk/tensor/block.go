package tensor

import (
	"fmt"
	"iter"
)

// Block is a run of trials: the number of each trial within its data set, and arrays whose first axis is the trials.
type Block struct {
	// Trials are the numbers of the trials, in the order of the arrays' rows. Random streams of a trial are keyed by it.
	Trials []int64
	// Arrays all have len(Trials) rows.
	Arrays Set
}

// Blocks is a sequence of blocks. It ends at the first error, which is yielded with a zero Block. Consuming it slowly holds the
// producer back. Whether it can be ranged over again is said where it is made; by default it cannot.
type Blocks = iter.Seq2[Block, error]

// Check checks every array and that it has a row for each trial.
func (b Block) Check() error {
	if err := b.Arrays.Check(); err != nil {
		return err
	}
	for _, t := range b.Arrays {
		if len(t.Shape) == 0 || t.Shape[0] != len(b.Trials) {
			return fmt.Errorf("%w: %q has shape %v in a block of %d trials", ErrShape, t.Name, t.Shape, len(b.Trials))
		}
	}
	return nil
}

// Of is the repeatable sequence of the given blocks.
func Of(blocks ...Block) Blocks {
	return func(yield func(Block, error) bool) {
		for _, b := range blocks {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// Fail is a sequence that yields err alone.
func Fail(err error) Blocks {
	return func(yield func(Block, error) bool) { yield(Block{}, err) }
}

// Collect joins a sequence into one block. The blocks must agree in the names, types and row shapes of their arrays; an empty
// sequence gives an empty block.
func Collect(blocks Blocks) (Block, error) {
	var out Block
	for b, err := range blocks {
		if err != nil {
			return Block{}, err
		}
		if err := b.Check(); err != nil {
			return Block{}, err
		}
		if out.Trials == nil {
			out.Trials = append(out.Trials, b.Trials...)
			for _, t := range b.Arrays {
				out.Arrays = append(out.Arrays, t.Clone())
			}
			continue
		}
		if err := out.join(b); err != nil {
			return Block{}, err
		}
	}
	return out, nil
}

func (b *Block) join(more Block) error {
	if len(more.Arrays) != len(b.Arrays) {
		return fmt.Errorf("%w: a block with arrays %v after one with %v", ErrShape, more.Arrays.Names(), b.Arrays.Names())
	}
	b.Trials = append(b.Trials, more.Trials...)
	for i, t := range b.Arrays {
		m := more.Arrays[i]
		if m.Name != t.Name || m.DType() != t.DType() {
			return fmt.Errorf("%w: a block with %s %q after one with %s %q", ErrShape, m.DType(), m.Name, t.DType(), t.Name)
		}
		want := append([]int{-1}, t.Shape[1:]...)
		if err := m.Expect(want...); err != nil {
			return err
		}
		t.F32 = append(t.F32, m.F32...)
		t.F64 = append(t.F64, m.F64...)
		t.I64 = append(t.I64, m.I64...)
		t.Shape[0] = len(b.Trials)
	}
	return nil
}
