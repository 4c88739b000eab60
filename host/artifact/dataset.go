package artifact

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Dataset is an open data set of recorded or simulated activity. Its methods may be called from several goroutines.
//
// What a file must have is train_encod_data (trials, bins, held-in neurons) and train_recon_data (trials, bins, neurons), and the same with valid_;
// numbers of any size. What it may have, of both splits, is inputs (trials, bins, channels), activity and latents likewise, lengths (trials), inds (trials) and any other
// array with a row for each trial; and arrays without train_ or valid_ before their names. The attribute bin_width is the width of a bin in seconds. Activity is counts
// (whole numbers from 0) unless the attribute counts is 0.
type Dataset struct {
	h5     *h5Reader
	spec   model.DataSpec
	counts bool
	names  []string // of arrays by trial, sorted, without inds
}

// OpenDataset opens a data set and checks all but the data themselves, which are checked as they are read; see [Dataset.Check].
// What is wrong is a *[FormatError] that lists everything.
func OpenDataset(path string) (*Dataset, error) {
	problems := &FormatError{File: path}
	h5, err := openH5(path, problems)
	if err != nil {
		return nil, err
	}
	d := &Dataset{h5: h5}
	d.examine(problems)
	if err := problems.err(); err != nil {
		h5.close()
		return nil, err
	}
	return d, nil
}

// examine fills d and notes what is wrong.
func (d *Dataset) examine(problems *FormatError) {
	unreadable := map[string]bool{}
	for _, p := range problems.Problems {
		unreadable[p.Dataset] = true
	}
	seen := map[string]bool{}
	for full := range d.h5.arrays {
		for _, prefix := range []string{trainPrefix, validPrefix} {
			if name, ok := strings.CutPrefix(full, prefix); ok && name != trialNumbers {
				seen[name] = true
			}
		}
	}
	for _, name := range []string{simulator.Encoded, simulator.Reconstructed} {
		for _, prefix := range []string{trainPrefix, validPrefix} {
			if d.h5.arrays[prefix+name] == nil && !unreadable[prefix+name] {
				problems.add(prefix+name, "an array (trials, bins, neurons) of numbers", "missing")
			}
		}
	}
	d.names = slices.Sorted(maps.Keys(seen))
	trials := map[string]int{}
	for _, prefix := range []string{trainPrefix, validPrefix} {
		if a := d.h5.arrays[prefix+simulator.Encoded]; a != nil && len(a.shape) == 3 {
			trials[prefix] = a.shape[0]
		}
	}
	bins := -1
	if a := d.h5.arrays[trainPrefix+simulator.Encoded]; a != nil && len(a.shape) == 3 {
		bins = a.shape[1]
	}
	for _, name := range append(slices.Clone(d.names), trialNumbers) {
		d.examineArray(name, trials, bins, problems)
	}
	encoded, all := d.h5.arrays[trainPrefix+simulator.Encoded], d.h5.arrays[trainPrefix+simulator.Reconstructed]
	if len(problems.Problems) > 0 || encoded == nil || all == nil {
		return
	}
	d.spec = model.DataSpec{
		Neurons: all.shape[2], HeldIn: encoded.shape[2], Bins: bins,
		TrainTrials: trials[trainPrefix], ValidTrials: trials[validPrefix],
	}
	if d.spec.HeldIn > d.spec.Neurons {
		problems.add(encoded.name, fmt.Sprintf("at most the %d of %s", d.spec.Neurons, all.name), "%d neurons", d.spec.HeldIn)
	}
	if a := d.h5.arrays[trainPrefix+task.Inputs]; a != nil {
		d.spec.Inputs = a.shape[2]
	}
	if width, ok := d.h5.attributes.Float(binWidthAttribute); ok {
		if !isFinite(width) || width < 0 {
			problems.add("attribute "+binWidthAttribute, "seconds, finite and not negative,", "%v", width)
		}
		d.spec.BinWidth = width
	} else if v, there := d.h5.attributes[binWidthAttribute]; there {
		problems.add("attribute "+binWidthAttribute, "a number of seconds", "%.100q", fmt.Sprint(v))
	}
	counts, ok := d.h5.attributes.Int(countsAttribute)
	d.counts = !ok || counts != 0
	if v, there := d.h5.attributes[countsAttribute]; there && !ok {
		problems.add("attribute "+countsAttribute, "1 or 0, an integer or a bool,", "%.100q", fmt.Sprint(v))
	}
	d.examineConstants(problems)
}

// ranks are the ranks of the arrays by trial that the host knows; 0 for others.
func ranks(name string) int {
	switch name {
	case simulator.Encoded, simulator.Reconstructed, simulator.Activity, simulator.Latents, task.Inputs, task.TrueInputs:
		return 3
	case task.Lengths, trialNumbers, task.Conditions:
		return 1
	}
	return 0
}

// examineArray checks an array by trial in both splits.
func (d *Dataset) examineArray(name string, trials map[string]int, bins int, problems *FormatError) {
	rank := ranks(name)
	var other *h5Array
	for _, prefix := range []string{trainPrefix, validPrefix} {
		a := d.h5.arrays[prefix+name]
		if a == nil {
			continue
		}
		n, known := trials[prefix]
		switch {
		case rank > 0 && len(a.shape) != rank:
			problems.add(a.name, []string{"", "one axis, (trials)", "", "three axes, (trials, bins, channels)"}[rank], "shape %v", a.shape)
			continue
		case len(a.shape) == 0 || (known && a.shape[0] != n):
			problems.add(a.name, fmt.Sprintf("a row for each of the %d trials of %s", n, prefix+simulator.Encoded), "shape %v", a.shape)
			continue
		case a.shape[0] == 0:
			problems.add(a.name, "at least one trial", "shape %v, without trials", a.shape)
			continue
		case rank == 3 && bins >= 0 && a.shape[1] != bins:
			problems.add(a.name, fmt.Sprintf("the %d bins of %s", bins, trainPrefix+simulator.Encoded), "shape %v", a.shape)
			continue
		case rank == 3 && (a.shape[1] == 0 || a.shape[2] == 0) && name != task.Inputs && name != task.TrueInputs:
			problems.add(a.name, "at least one bin and one channel", "shape %v", a.shape)
			continue
		case (name == trialNumbers || name == task.Lengths) && a.dtype != tensor.Int64:
			problems.add(a.name, "whole numbers", "%s", a.dtype)
			continue
		}
		if other == nil {
			other = a
		} else if !slices.Equal(other.shape[1:], a.shape[1:]) || other.dtype != a.dtype {
			problems.add(a.name, fmt.Sprintf("trials like those of %s, %s %v,", other.name, other.dtype, other.shape[1:]), "trials of %s %v", a.dtype, a.shape[1:])
		}
	}
	required := name == simulator.Encoded || name == simulator.Reconstructed // whose absence has been noted
	train, valid := d.h5.arrays[trainPrefix+name] != nil, d.h5.arrays[validPrefix+name] != nil
	switch {
	case required || train == valid:
	case train:
		problems.add(validPrefix+name, "both or neither of train_"+name+" and valid_"+name, "missing")
	default:
		problems.add(trainPrefix+name, "both or neither of train_"+name+" and valid_"+name, "missing")
	}
}

func (d *Dataset) examineConstants(problems *FormatError) {
	if a := d.h5.arrays[simulator.Readout]; a != nil && (len(a.shape) != 2 || a.shape[1] != d.spec.Neurons) {
		problems.add(a.name, fmt.Sprintf("(latents, %d)", d.spec.Neurons), "shape %v", a.shape)
	}
	if a := d.h5.arrays[simulator.Permutation]; a != nil && !slices.Equal(a.shape, []int{d.spec.Neurons}) {
		problems.add(a.name, fmt.Sprintf("(%d)", d.spec.Neurons), "shape %v", a.shape)
	}
}

// Close closes the file.
func (d *Dataset) Close() error { return d.h5.close() }

// Path is where the file is.
func (d *Dataset) Path() string { return d.h5.path }

// Spec is the sizes that a model must fit.
func (d *Dataset) Spec() model.DataSpec { return d.spec }

// Counts reports whether activity is counts.
func (d *Dataset) Counts() bool { return d.counts }

// FirstBin is the bin of the task's trials that the file's trials begin with: those before it were trimmed.
func (d *Dataset) FirstBin() int {
	n, _ := d.h5.attributes.Int(firstBinAttribute)
	return int(max(n, 0))
}

// Attributes of the file.
func (d *Dataset) Attributes() Attributes { return maps.Clone(d.h5.attributes) }

// Arrays describes the arrays by trial, sorted by name; inds is not among them.
func (d *Dataset) Arrays() []ArrayInfo {
	out := make([]ArrayInfo, len(d.names))
	for i, name := range d.names {
		out[i] = d.h5.arrays[trainPrefix+name].info(name, true)
	}
	return out
}

// Has reports whether there is an array by trial of that name, e.g. "latents".
func (d *Dataset) Has(name string) bool { return slices.Contains(d.names, name) }

// Constants reads the arrays that do not belong to trials, sorted by name.
func (d *Dataset) Constants() (tensor.Set, error) {
	var out tensor.Set
	for _, name := range slices.Sorted(maps.Keys(d.h5.arrays)) {
		if strings.HasPrefix(name, trainPrefix) || strings.HasPrefix(name, validPrefix) {
			continue
		}
		t, err := d.h5.whole(name)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// Blocks reads arrays of a split (All: the training trials, then the validation ones), all arrays where names is nil, blockTrials at a time (0: about 16 MiB). Types
// are those of the file, widened to float32, float64 or int64. Block.Trials are the inds of the file, or where it has none the positions 0, 1, ...,
// the validation trials after the training ones. Data are checked as they are read. The sequence can be ranged over as often as wanted.
func (d *Dataset) Blocks(ctx context.Context, split task.Split, names []string, blockTrials int) tensor.Blocks {
	if names == nil {
		names = d.names
	}
	for _, name := range names {
		if !d.Has(name) {
			return tensor.Fail(fmt.Errorf("artifact: %s: there are no arrays train_%s and valid_%s: %w", d.h5.path, name, name, fs.ErrNotExist))
		}
	}
	names = slices.Clone(names)
	switch split {
	case task.Train:
		return d.h5.blocks(ctx, trainPrefix, names, d.h5.arrays[trainPrefix+trialNumbers], 0, d.spec.TrainTrials, blockTrials, d.check)
	case task.Valid:
		return d.h5.blocks(ctx, validPrefix, names, d.h5.arrays[validPrefix+trialNumbers], d.spec.TrainTrials, d.spec.ValidTrials, blockTrials, d.check)
	case task.All:
		train, valid := d.Blocks(ctx, task.Train, names, blockTrials), d.Blocks(ctx, task.Valid, names, blockTrials)
		return func(yield func(tensor.Block, error) bool) {
			for _, part := range []tensor.Blocks{train, valid} {
				for b, err := range part {
					if !yield(b, err) || err != nil {
						return
					}
				}
			}
		}
	}
	return tensor.Fail(fmt.Errorf("artifact: split %q: train, valid or all is needed", split))
}

// check checks the data of some trials.
func (d *Dataset) check(t *tensor.Tensor) error {
	if err := t.CheckFinite(); err != nil {
		return err
	}
	switch t.Name {
	case simulator.Encoded, simulator.Reconstructed:
		if d.counts {
			return checkCounts(t)
		}
	case task.Lengths:
		return checkLengths(t, d.spec.Bins)
	}
	return nil
}

// Check reads everything once and reports all arrays with data that the format does not allow in one *[FormatError]; and where the file has the digest
// of its contents that the writer leaves, data that are not those that were written.
func (d *Dataset) Check(ctx context.Context) error {
	problems := &FormatError{File: d.h5.path}
	sums := map[string]string{}
	for _, split := range []task.Split{task.Train, task.Valid} {
		prefix := string(split) + "_"
		for _, name := range append(slices.Clone(d.names), trialNumbers) {
			a := d.h5.arrays[prefix+name]
			if a == nil {
				continue
			}
			h := sha256.New()
			for b, err := range d.h5.blocks(ctx, prefix, []string{name}, nil, 0, a.shape[0], 0, d.check) {
				if bad := (*FormatError)(nil); errors.As(err, &bad) {
					problems.Problems = append(problems.Problems, bad.Problems...)
					continue
				}
				if err != nil {
					return err
				}
				hashRows(h, b.Arrays[0])
			}
			sums[a.name] = summary(a.dtype, a.shape, h)
		}
	}
	constants, err := d.Constants()
	if err != nil {
		return err
	}
	for _, t := range constants {
		if err := t.CheckFinite(); err != nil {
			problems.add(t.Name, "finite values", "%v", err)
		}
		h := sha256.New()
		hashRows(h, t)
		sums[t.Name] = summary(t.DType(), t.Shape, h)
	}
	if want := d.h5.attributes.Text(contentAttribute); want != "" && len(problems.Problems) == 0 {
		if got := contentDigest(sums); got != want {
			problems.add("attribute "+contentAttribute, "the digest of the contents, or none where they were changed on purpose,", "%s, but the contents have %s", want, got)
		}
	}
	return problems.err()
}

// Source is what a data-trained model may see: encod_data, recon_data and inputs as float32 and lengths, of the split that is asked for and no other.
// Counts are exact in float32 up to 16777216.
func (d *Dataset) Source() model.DataSource { return source{d} }

type source struct{ d *Dataset }

// Data reads a split; All is refused, since a model that trains must not see the validation trials unasked.
func (s source) Data(ctx context.Context, split task.Split) tensor.Blocks {
	if split != task.Train && split != task.Valid {
		return tensor.Fail(fmt.Errorf("artifact: split %q: train or valid is needed", split))
	}
	var names []string
	for _, name := range []string{model.Encoded, model.Reconstructed, model.Inputs, model.Lengths} {
		if s.d.Has(name) && (name != model.Inputs || s.d.spec.Inputs > 0) {
			names = append(names, name)
		}
	}
	blocks := s.d.Blocks(ctx, split, names, 0)
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range blocks {
			for i, t := range b.Arrays {
				if t.Name != model.Lengths && t.DType() != tensor.Float32 {
					v := *t
					v.F32, v.F64, v.I64 = t.Float32s(), nil, nil
					b.Arrays[i] = &v
				}
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
