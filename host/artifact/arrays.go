package artifact

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Arrays is an open file of named arrays. Its methods may be called from several goroutines.
type Arrays struct {
	h5     *h5Reader
	trials map[task.Split]int
}

// OpenArrays opens a file that [CreateArrays] made, or any HDF5 file with numeric arrays at its top: a split is there where SPLIT_trials is, a list
// of whole numbers, and its arrays are those that begin with SPLIT_ and have as many rows. What is wrong is a *[FormatError].
func OpenArrays(path string) (*Arrays, error) {
	problems := &FormatError{File: path}
	h5, err := openH5(path, problems)
	if err != nil {
		return nil, err
	}
	a := &Arrays{h5: h5, trials: map[task.Split]int{}}
	for _, split := range splits() {
		prefix := string(split) + "_"
		numbers := h5.arrays[prefix+arrayTrials]
		if numbers == nil {
			continue
		}
		if len(numbers.shape) != 1 || numbers.dtype != tensor.Int64 {
			problems.add(numbers.name, "(trials) of whole numbers", "%s of shape %v", numbers.dtype, numbers.shape)
			continue
		}
		a.trials[split] = numbers.shape[0]
		for _, name := range slices.Sorted(maps.Keys(h5.arrays)) {
			if x := h5.arrays[name]; strings.HasPrefix(name, prefix) && (len(x.shape) < 1 || x.shape[0] != a.trials[split]) {
				problems.add(name, fmt.Sprintf("a row for each of the %d trials", a.trials[split]), "shape %v", x.shape)
			}
		}
	}
	if err := problems.err(); err != nil {
		h5.close()
		return nil, err
	}
	return a, nil
}

// Close closes the file.
func (a *Arrays) Close() error { return a.h5.close() }

// Path is where the file is.
func (a *Arrays) Path() string { return a.h5.path }

// Attributes of the file.
func (a *Arrays) Attributes() Attributes { return maps.Clone(a.h5.attributes) }

// Splits lists the splits that the file has arrays of, in the order train, valid, all.
func (a *Arrays) Splits() []task.Split {
	var out []task.Split
	for _, s := range splits() {
		if _, ok := a.trials[s]; ok {
			out = append(out, s)
		}
	}
	return out
}

// Trials is the number of trials of a split, 0 where there are none.
func (a *Arrays) Trials(split task.Split) int { return a.trials[split] }

// Names lists the whole arrays, sorted.
func (a *Arrays) Names() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(a.h5.arrays)) {
		if !slices.ContainsFunc(a.Splits(), func(s task.Split) bool { return strings.HasPrefix(name, string(s)+"_") }) {
			out = append(out, name)
		}
	}
	return out
}

// Arrays describes the arrays of a split, sorted by name.
func (a *Arrays) Arrays(split task.Split) []ArrayInfo {
	if _, ok := a.trials[split]; !ok {
		return nil
	}
	prefix := string(split) + "_"
	var out []ArrayInfo
	for _, full := range slices.Sorted(maps.Keys(a.h5.arrays)) {
		if name, ok := strings.CutPrefix(full, prefix); ok && name != arrayTrials {
			out = append(out, a.h5.arrays[full].info(name, true))
		}
	}
	return out
}

// Has reports whether a split has an array.
func (a *Arrays) Has(split task.Split, name string) bool {
	_, ok := a.trials[split]
	return ok && name != arrayTrials && a.h5.arrays[string(split)+"_"+name] != nil
}

// Blocks reads arrays of a split, all where names is nil, blockTrials at a time (0: about 16 MiB). The sequence can be ranged over as often as wanted.
func (a *Arrays) Blocks(ctx context.Context, split task.Split, names []string, blockTrials int) tensor.Blocks {
	trials, ok := a.trials[split]
	if !ok {
		return tensor.Fail(fmt.Errorf("artifact: %s: there are no arrays of split %q: %w", a.h5.path, split, fs.ErrNotExist))
	}
	if names == nil {
		for _, i := range a.Arrays(split) {
			names = append(names, i.Name)
		}
	}
	for _, name := range names {
		if !a.Has(split, name) {
			return tensor.Fail(fmt.Errorf("artifact: %s: there is no array %q of split %q: %w", a.h5.path, name, split, fs.ErrNotExist))
		}
	}
	prefix := string(split) + "_"
	return a.h5.blocks(ctx, prefix, slices.Clone(names), a.h5.arrays[prefix+arrayTrials], 0, trials, blockTrials, nil)
}

// Get reads an array whole, by its full name in the file: of a split e.g. "train_rates".
func (a *Arrays) Get(name string) (*tensor.Tensor, error) { return a.h5.whole(name) }
