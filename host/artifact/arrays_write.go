package artifact

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// ArraysOptions says what will be written.
type ArraysOptions struct {
	// Trials is the number of rows that will come for each split: train, valid or all. It may be empty.
	Trials map[task.Split]int
	// Attributes of the file.
	Attributes Attributes
}

const (
	arraysFormat = "ctdb-arrays-1"
	arrayTrials  = "trials"
)

// ArraysWriter writes an HDF5 file of named arrays: by trial, as SPLIT_NAME with the trials' numbers as SPLIT_trials, or whole. Types are kept, and axes
// and units become attributes. Its methods are not for several goroutines. The file's bytes depend on the order in which splits and whole arrays are
// written, but not on how a split was cut into blocks.
type ArraysWriter struct {
	h5     *h5Writer
	splits map[task.Split]*table
}

// CreateArrays begins a file. It must be ended with Close or Abort; until Close it has a temporary name in the same folder.
func CreateArrays(path string, o ArraysOptions) (*ArraysWriter, error) {
	for split, n := range o.Trials {
		if !slices.Contains(splits(), split) {
			return nil, fmt.Errorf("artifact: %s: split %q: train, valid or all is allowed", path, split)
		}
		if n < 1 {
			return nil, fmt.Errorf("artifact: %s: %d trials of %s: at least 1 is needed", path, n, split)
		}
	}
	h5, err := createH5(path)
	if err != nil {
		return nil, err
	}
	w := &ArraysWriter{h5: h5, splits: map[task.Split]*table{}}
	for split, n := range o.Trials {
		w.splits[split] = &table{file: h5, prefix: string(split) + "_", trials: n}
	}
	if err := h5.attributes(o.Attributes, Attributes{formatAttribute: arraysFormat}); err != nil {
		h5.abort()
		return nil, h5.fail(err)
	}
	return w, nil
}

func splits() []task.Split { return []task.Split{task.Train, task.Valid, task.All} }

// Write adds the next trials of a split. Every block must have the same arrays.
func (w *ArraysWriter) Write(split task.Split, b tensor.Block) error {
	if err := w.h5.closed(); err != nil {
		return err
	}
	if err := w.write(split, b); err != nil {
		return w.h5.fail(err)
	}
	return nil
}

func (w *ArraysWriter) write(split task.Split, b tensor.Block) error {
	t := w.splits[split]
	if t == nil {
		return fmt.Errorf("trials of split %q, of which none were announced", split)
	}
	if err := b.Check(); err != nil {
		return err
	}
	rows := len(b.Trials)
	if rows == 0 {
		return nil
	}
	if b.Arrays.Get(arrayTrials) != nil {
		return fmt.Errorf("%q is made from the trials' numbers: a block must not have it", arrayTrials)
	}
	set := append(slices.Clone(b.Arrays), tensor.FromInt(arrayTrials, b.Trials, rows).With("", tensor.Trial))
	if t.columns == nil {
		if err := t.begin(set); err != nil {
			return err
		}
	}
	return t.add(set, rows)
}

// WriteAll writes every block of a sequence, until it ends or ctx does.
func (w *ArraysWriter) WriteAll(ctx context.Context, split task.Split, blocks tensor.Blocks) error {
	return drain(ctx, blocks, func(b tensor.Block) error { return w.Write(split, b) })
}

// WriteSet writes whole arrays under their own names, which must not begin like a split's.
func (w *ArraysWriter) WriteSet(set tensor.Set) error {
	if err := w.h5.closed(); err != nil {
		return err
	}
	if err := set.Check(); err != nil {
		return w.h5.fail(err)
	}
	for _, t := range set {
		for split := range w.splits {
			if strings.HasPrefix(t.Name, string(split)+"_") {
				return w.h5.fail(fmt.Errorf("%q: names that begin with %s_ are those of arrays by trial", t.Name, split))
			}
		}
		if err := w.h5.whole(t); err != nil {
			return w.h5.fail(err)
		}
	}
	return nil
}

// Close completes the file, brings it to the disk and gives it its name. If trials are missing, or anything else fails, the file is removed.
func (w *ArraysWriter) Close() error {
	if err := w.h5.closed(); err != nil {
		return err
	}
	defer w.h5.abort()
	for _, t := range w.splits {
		if err := t.finish(); err != nil {
			return w.h5.fail(err)
		}
	}
	if err := w.h5.put(Attributes{contentAttribute: contentDigest(w.h5.sums)}); err != nil {
		return w.h5.fail(err)
	}
	return w.h5.close()
}

// Abort removes what was written. It does nothing after Close, so that it may be deferred.
func (w *ArraysWriter) Abort() { w.h5.abort() }
