package artifact

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// DatasetOptions says what will be written.
type DatasetOptions struct {
	// Trials is the number of all trials that will come. The first TrainTrials go to the arrays train_..., the others to valid_...
	Trials int
	// TrainTrials is from 1 to Trials-1; 0 takes 80%, rounded down.
	TrainTrials int
	// Neurons, of which the first HeldIn are held in, and Bins of every trial.
	Neurons, HeldIn, Bins int
	// FirstBin is the bin of the task's trials that the first one here is; those before it were trimmed.
	FirstBin int
	// BinWidth is in seconds, 0 where unknown.
	BinWidth float64
	// Counts is true where activity is counts: whole numbers from 0.
	Counts bool
	// Attributes say what reproduces the file: component, plugin, versions, parameters, seed.
	Attributes Attributes
}

// TrainTrials is how many of so many trials are for training where nothing else is said: 80%, rounded down.
func TrainTrials(trials int) int { return trials/5*4 + trials%5*4/5 }

const (
	datasetFormat = "ctdb-dataset-1"
	trialNumbers  = "inds"
	trainPrefix   = "train_"
	validPrefix   = "valid_"
)

// storedTypes are the types of the arrays that the published benchmark's files have; others are stored as they come.
func storedTypes(name string) tensor.DType {
	switch name {
	case simulator.Encoded, simulator.Reconstructed, simulator.Readout:
		return tensor.Float64
	case simulator.Activity, simulator.Latents, task.Inputs, task.Extra, simulator.OrigMean, simulator.OrigStd:
		return tensor.Float32
	case simulator.Permutation, trialNumbers:
		return tensor.Int64
	}
	return tensor.Invalid
}

// DatasetWriter writes a data set of simulated activity with the keys, shapes and types of the published benchmark. It needs memory for
// about a chunk (512 KiB) of each array, however many trials there are. Its methods are not for several goroutines.
type DatasetWriter struct {
	h5     *h5Writer
	o      DatasetOptions
	splits [2]table // train, valid
	begun  bool
}

// CreateDataset begins a file. It must be ended with Close or Abort; until Close it has a temporary name in the same folder.
func CreateDataset(path string, o DatasetOptions) (*DatasetWriter, error) {
	if o.TrainTrials == 0 {
		o.TrainTrials = TrainTrials(o.Trials)
	}
	switch {
	case o.TrainTrials < 1 || o.TrainTrials >= o.Trials:
		return nil, fmt.Errorf("artifact: %s: %d trials of which %d are for training: at least one for training and one for validation are needed", path, o.Trials, o.TrainTrials)
	case o.HeldIn < 1 || o.HeldIn > o.Neurons:
		return nil, fmt.Errorf("artifact: %s: %d held-in of %d neurons: from 1 to all are allowed", path, o.HeldIn, o.Neurons)
	case o.Bins < 1:
		return nil, fmt.Errorf("artifact: %s: %d bins: at least 1 is needed", path, o.Bins)
	case !isFinite(o.BinWidth) || o.BinWidth < 0:
		return nil, fmt.Errorf("artifact: %s: a bin width of %v s: a finite one from 0 is needed", path, o.BinWidth)
	}
	h5, err := createH5(path)
	if err != nil {
		return nil, err
	}
	w := &DatasetWriter{h5: h5, o: o}
	w.splits[0] = table{file: h5, prefix: trainPrefix, trials: o.TrainTrials}
	w.splits[1] = table{file: h5, prefix: validPrefix, trials: o.Trials - o.TrainTrials}
	own := Attributes{formatAttribute: datasetFormat, countsAttribute: o.Counts}
	if o.BinWidth > 0 {
		own[binWidthAttribute] = o.BinWidth
	}
	if o.FirstBin > 0 {
		own[firstBinAttribute] = o.FirstBin
	}
	if err := h5.attributes(o.Attributes, own); err != nil {
		h5.abort()
		return nil, h5.fail(err)
	}
	return w, nil
}

// Constants writes arrays that do not belong to trials, such as a simulator's Fit returns: readout, orig_mean, orig_std, perm_neurons and others.
func (w *DatasetWriter) Constants(set tensor.Set) error {
	if err := w.h5.closed(); err != nil {
		return err
	}
	if err := set.Check(); err != nil {
		return w.h5.fail(err)
	}
	for _, t := range set {
		stored, err := stored(t)
		if err == nil {
			err = stored.CheckFinite()
		}
		if err == nil && (t.Name == simulator.Readout) {
			err = t.Expect(-1, w.o.Neurons)
		}
		if err == nil {
			err = w.h5.whole(stored)
		}
		if err != nil {
			return w.h5.fail(err)
		}
	}
	return nil
}

// stored converts a tensor to the type that its name asks for in the file.
func stored(t *tensor.Tensor) (*tensor.Tensor, error) {
	want := storedTypes(t.Name)
	if want == tensor.Invalid || want == t.DType() {
		return t, nil
	}
	out := *t
	out.F32, out.F64, out.I64 = nil, nil, nil
	switch want {
	case tensor.Float32:
		out.F32 = t.Float32s()
	case tensor.Float64:
		out.F64 = t.Float64s()
	default:
		out.I64 = make([]int64, t.Len())
		for i, v := range t.Float64s() {
			if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
				return nil, fmt.Errorf("%q holds %v: whole numbers are needed", t.Name, v)
			}
			out.I64[i] = int64(v)
		}
	}
	return &out, nil
}

// Write adds the next trials: encod_data (B, Bins, HeldIn), recon_data (B, Bins, Neurons) and any other arrays, the same ones in every block. The
// trials' numbers become inds. Where there is no extra, a column of zeros takes its place, as in the published files.
func (w *DatasetWriter) Write(b tensor.Block) error {
	if err := w.h5.closed(); err != nil {
		return err
	}
	if err := w.write(b); err != nil {
		return w.h5.fail(err)
	}
	return nil
}

func (w *DatasetWriter) write(b tensor.Block) error {
	if err := b.Check(); err != nil {
		return err
	}
	rows := len(b.Trials)
	if rows == 0 {
		return nil
	}
	set := make(tensor.Set, 0, len(b.Arrays)+2)
	for _, t := range b.Arrays {
		if t.Name == task.Extra && t.Len() == 0 {
			continue
		}
		if t.Name == trialNumbers {
			return fmt.Errorf("%q is made from the trials' numbers: a block must not have it", trialNumbers)
		}
		if err := w.check(t, rows); err != nil {
			return err
		}
		s, err := stored(t)
		if err != nil {
			return err
		}
		// Conversion to float32 may overflow, so what is stored is checked.
		if err := s.CheckFinite(); err != nil {
			return err
		}
		set = append(set, s)
	}
	for _, name := range []string{simulator.Encoded, simulator.Reconstructed} {
		if set.Get(name) == nil {
			return fmt.Errorf("a block with arrays %v: %q is needed", b.Arrays.Names(), name)
		}
	}
	if set.Get(task.Extra) == nil {
		set = append(set, tensor.New32(task.Extra, rows, 1).With("", tensor.Trial, tensor.Channel))
	}
	set = append(set, tensor.FromInt(trialNumbers, slices.Clone(b.Trials), rows).With("", tensor.Trial))
	if !w.begun {
		for i := range w.splits {
			if err := w.splits[i].begin(set); err != nil {
				return err
			}
		}
		w.begun = true
	}
	if have := w.splits[0].done + w.splits[1].done; rows > w.o.Trials-have {
		return fmt.Errorf("%w: %d and %d more of %d", errTrials, have, rows, w.o.Trials)
	}
	train := min(rows, w.splits[0].trials-w.splits[0].done)
	if train > 0 {
		if err := w.splits[0].add(part(set, 0, train), train); err != nil {
			return err
		}
	}
	if train < rows {
		return w.splits[1].add(part(set, train, rows), rows-train)
	}
	return nil
}

// check checks the arrays whose shape is known.
func (w *DatasetWriter) check(t *tensor.Tensor, rows int) error {
	var err error
	switch t.Name {
	case simulator.Encoded:
		err = t.Expect(rows, w.o.Bins, w.o.HeldIn)
	case simulator.Reconstructed, simulator.Activity:
		err = t.Expect(rows, w.o.Bins, w.o.Neurons)
	case simulator.Latents, task.Inputs:
		err = t.Expect(rows, w.o.Bins, -1)
	case task.Lengths:
		if err = t.Expect(rows); err == nil {
			err = checkLengths(t, w.o.Bins)
		}
	}
	if err == nil && w.o.Counts && (t.Name == simulator.Encoded || t.Name == simulator.Reconstructed) {
		err = checkCounts(t)
	}
	return err
}

// part is a view of the rows [from, to).
func part(set tensor.Set, from, to int) tensor.Set {
	out := make(tensor.Set, len(set))
	for i, t := range set {
		out[i] = t.Slice(from, to)
	}
	return out
}

// WriteAll writes every block of a sequence, until it ends or ctx does.
func (w *DatasetWriter) WriteAll(ctx context.Context, blocks tensor.Blocks) error {
	return drain(ctx, blocks, w.Write)
}

func drain(ctx context.Context, blocks tensor.Blocks, write func(tensor.Block) error) error {
	for b, err := range blocks {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := write(b); err != nil {
			return err
		}
	}
	return nil
}

// Close completes the file, brings it to the disk and gives it its name. If trials are missing, or anything else fails, the file is removed.
func (w *DatasetWriter) Close() error {
	if err := w.h5.closed(); err != nil {
		return err
	}
	defer w.h5.abort()
	if !w.begun {
		return w.h5.fail(errors.New("no trials came"))
	}
	for i := range w.splits {
		if err := w.splits[i].finish(); err != nil {
			return w.h5.fail(err)
		}
	}
	if err := w.h5.put(Attributes{contentAttribute: contentDigest(w.h5.sums)}); err != nil {
		return w.h5.fail(err)
	}
	return w.h5.close()
}

// Abort removes what was written. It does nothing after Close, so that it may be deferred.
func (w *DatasetWriter) Abort() { w.h5.abort() }

// checkCounts reports the first element that is not a whole number from 0.
func checkCounts(t *tensor.Tensor) error {
	bad := func(i int, v any) error {
		return fmt.Errorf("%q holds %v at element %d of shape %v: counts are whole numbers from 0", t.Name, v, i, t.Shape)
	}
	for i, v := range t.F32 {
		if v < 0 || v != float32(math.Trunc(float64(v))) {
			return bad(i, v)
		}
	}
	for i, v := range t.F64 {
		if v < 0 || v != math.Trunc(v) {
			return bad(i, v)
		}
	}
	for i, v := range t.I64 {
		if v < 0 {
			return bad(i, v)
		}
	}
	return nil
}

func checkLengths(t *tensor.Tensor, bins int) error {
	for i, v := range t.Float64s() {
		if v < 1 || v > float64(bins) || v != math.Trunc(v) {
			return fmt.Errorf("%q is %v in row %d: whole numbers from 1 to the number of bins, %d, are allowed", t.Name, v, i, bins)
		}
	}
	return nil
}
