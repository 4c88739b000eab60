package recording

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// ArchiveOptions say what an archive does not.
type ArchiveOptions struct {
	// Spikes is the name of the array of counts; "spikes" where it is empty.
	Spikes string
	// BinWidth in seconds; 0 takes the archive's bin_width, or leaves it unknown.
	BinWidth float64
}

// The arrays of an archive besides the spikes.
const (
	lengthsArray  = "lengths"
	neuronsArray  = "neurons"
	binWidthArray = "bin_width"
)

// bins are the arrays with a value for each bin, and what a data set calls them.
var bins = map[string]string{"inputs": task.Inputs, "rates": simulator.Activity, "latents": simulator.Latents}

// conditionsArray are the trials' conditions: whole numbers, or names.
const conditionsArray = "conds"

// ReadArchive reads an archive of NumPy arrays (.npz).
//
// The counts are spikes (trials, bins, neurons), of whole numbers. Trials of unequal length are either padded, with lengths (trials) beside, or one below the
// other, spikes (bins of all trials, neurons), again with lengths. Beside them there may be inputs, latents and rates (the last in spikes a bin), laid out like the spikes; conds (trials), whole
// numbers or names; neurons, their names; and bin_width, in seconds. Anything else is left out, and noted.
func ReadArchive(path string, o ArchiveOptions) (*Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return nil, &Error{File: path, Problems: []string{"it is not a NumPy archive (.npz), or it is cut short: " + strings.TrimPrefix(err.Error(), "zip: ")}}
	}
	a := &archive{members: map[string]*zip.File{}, problems: &Error{File: path}, spikes: o.Spikes}
	if a.spikes == "" {
		a.spikes = "spikes"
	}
	for _, m := range z.File {
		if name, ok := strings.CutSuffix(m.Name, ".npy"); ok {
			a.members[name] = m
			a.names = append(a.names, name)
		}
	}
	r := &Recording{Files: []string{path}, BinWidth: o.BinWidth}
	a.read(r)
	if err := a.problems.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// archive is one as it is read.
type archive struct {
	members  map[string]*zip.File
	names    []string
	spikes   string
	problems *Error
	// stacked is set where the trials stand one below the other: then starts are their first bins, and total the number of all.
	stacked bool
	starts  []int
	total   int
}

// open reads an array's header and calls with; what goes wrong is noted under the array's name.
func (a *archive) open(name string, with func(h header, r io.Reader) error) bool {
	r, err := a.members[name].Open()
	if err == nil {
		defer r.Close()
		var h header
		if h, err = readHeader(r); err == nil {
			err = with(h, r)
		}
	}
	if err != nil {
		if errors.Is(err, zip.ErrChecksum) {
			err = errors.New("its checksum is wrong: the file is damaged")
		}
		a.problems.add("%s: %v", name, err)
	}
	return err == nil
}

func (a *archive) has(name string) bool { return a.members[name] != nil }

func (a *archive) read(r *Recording) {
	if !a.has(a.spikes) {
		hint := fmt.Sprintf("the archive has %s; name one with --spikes", few(a.names))
		if len(a.names) == 0 {
			hint = "the archive has none"
		} else if near := param.DidYouMean(a.spikes, a.names); near != "" {
			hint = near
		}
		a.problems.add("there is no array %q of spike counts (%s)", a.spikes, hint)
		return
	}
	var shape []int
	if !a.open(a.spikes, func(h header, _ io.Reader) error { shape = h.shape; return nil }) {
		return
	}
	var lengths []int64
	if a.has(lengthsArray) {
		if lengths = a.wholes(lengthsArray); lengths == nil {
			return
		}
	}
	switch {
	case len(shape) == 3:
		r.Trials, r.Bins = shape[0], shape[1]
		r.Lengths = lengths
		if lengths == nil {
			r.Lengths = make([]int64, r.Trials)
			for i := range r.Lengths {
				r.Lengths[i] = int64(r.Bins)
			}
		}
	case len(shape) == 2 && lengths != nil:
		a.stacked, a.total = true, shape[0]
		r.Trials, r.Lengths = len(lengths), lengths
		at := 0
		for _, n := range lengths {
			a.starts = append(a.starts, at)
			at += int(n)
			r.Bins = max(r.Bins, int(n))
		}
	default:
		a.problems.add("%s: shape %v: (trials, bins, neurons) is needed, or (bins of all trials, neurons) with an array %s (trials) beside it", a.spikes, shape, lengthsArray)
		return
	}
	neurons := shape[len(shape)-1]
	if slices.Min(shape) < 1 || r.Trials < 1 {
		a.problems.add("%s: shape %v: at least one trial, bin and neuron are needed", a.spikes, shape)
		return
	}
	if !a.lengthsFit(r) {
		return
	}
	if err := room(r.Trials, r.Bins, neurons); err != nil {
		a.problems.add("%s: %v", a.spikes, err)
		return
	}
	r.Counts = a.perBin(a.spikes, r, func(v float64) error {
		if v < 0 || v != math.Trunc(v) || v > 1<<24 {
			return errors.New("counts are whole numbers from 0 to 16777216")
		}
		return nil
	})
	a.neurons(r, neurons)
	for _, name := range a.names {
		switch stored := bins[name]; {
		case name == a.spikes, name == lengthsArray, name == neuronsArray:
		case name == binWidthArray:
			a.width(r)
		case name == conditionsArray:
			a.conditions(r)
		case stored != "":
			a.extra(name, stored, r, neurons)
		default:
			r.Notes = append(r.Notes, fmt.Sprintf("the array %s was left out: spikes, lengths, inputs, latents, rates, conds, neurons and bin_width are read", name))
		}
	}
}

func sum(v []int64) int {
	total := 0
	for _, n := range v {
		total += int(n)
	}
	return total
}

// wholes reads an array (n) of whole numbers.
func (a *archive) wholes(name string) []int64 {
	var out []int64
	ok := a.open(name, func(h header, r io.Reader) error {
		n, ok := h.len()
		if len(h.shape) != 1 || !ok || n > 1<<30 {
			return fmt.Errorf("shape %v: (trials) is needed", h.shape)
		}
		out = make([]int64, n)
		var bad error
		err := h.numbers(r, func(i int, v float64) {
			if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
				bad = fmt.Errorf("%v in row %d: whole numbers are needed", v, i)
			}
			out[i] = int64(v)
		})
		return errors.Join(err, bad)
	})
	if !ok {
		return nil
	}
	return out
}

// lengthsFit checks the trials' lengths against the spikes.
func (a *archive) lengthsFit(r *Recording) bool {
	if len(r.Lengths) != r.Trials {
		a.problems.add("%s: %d trials: %s has %d", lengthsArray, len(r.Lengths), a.spikes, r.Trials)
		return false
	}
	longest := r.Bins
	if a.stacked {
		longest = a.total
	}
	for i, n := range r.Lengths {
		if n < 1 || n > int64(longest) {
			a.problems.add("%s: %d bins in trial %d: 1 to the %d of %s are allowed", lengthsArray, n, i, longest, a.spikes)
			return false
		}
	}
	if a.stacked && sum(r.Lengths) != a.total {
		a.problems.add("%s: they add up to %d bins: %s has %d", lengthsArray, sum(r.Lengths), a.spikes, a.total)
		return false
	}
	return true
}

// perBin reads an array that is laid out like the spikes into (trials, bins, channels), 0 behind a trial's end.
func (a *archive) perBin(name string, r *Recording, check func(float64) error) []float32 {
	var out []float32
	a.open(name, func(h header, in io.Reader) error {
		want := []int{r.Trials, r.Bins}
		if a.stacked {
			want = []int{a.total}
		}
		if len(h.shape) != len(want)+1 || !slices.Equal(h.shape[:len(want)], want) {
			return fmt.Errorf("shape %v: %v and its channels are needed, as the spikes have", h.shape, want)
		}
		channels := h.shape[len(want)]
		if err := room(r.Trials, r.Bins, channels); err != nil {
			return err
		}
		out = make([]float32, r.Trials*r.Bins*channels)
		var bad error
		err := h.numbers(in, func(i int, v float64) {
			bin := i / channels
			trial, t := bin/r.Bins, bin%r.Bins
			if a.stacked {
				k, exact := slices.BinarySearch(a.starts, bin)
				if !exact {
					k--
				}
				trial, t = k, bin-a.starts[k]
			}
			if int64(t) >= r.Lengths[trial] {
				return // padding, whatever it holds
			}
			err := check(v)
			if math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) > math.MaxFloat32 {
				err = errors.New("finite numbers are needed")
			}
			if err != nil && bad == nil {
				bad = fmt.Errorf("%v in trial %d, bin %d, channel %d: %w", v, trial, t, i%channels, err)
			}
			out[(trial*r.Bins+t)*channels+i%channels] = float32(v)
		})
		return errors.Join(err, bad)
	})
	return out
}

// extra reads inputs, latents or rates.
func (a *archive) extra(name, stored string, r *Recording, neurons int) {
	v := a.perBin(name, r, func(v float64) error {
		if stored == simulator.Activity && v < 0 {
			return errors.New("rates are at least 0")
		}
		return nil
	})
	if v == nil {
		return
	}
	channels := len(v) / (r.Trials * r.Bins)
	if stored == simulator.Activity && channels != neurons || channels < 1 {
		a.problems.add("%s: %d channels: %d are needed, one for each neuron", name, channels, neurons)
		return
	}
	axis := map[string]string{task.Inputs: tensor.Channel, simulator.Activity: tensor.Neuron, simulator.Latents: tensor.Latent}[stored]
	unit := map[string]string{simulator.Activity: "spikes/bin"}[stored]
	r.Others = append(r.Others, tensor.From32(stored, v, r.Trials, r.Bins, channels).With(unit, tensor.Trial, tensor.Bin, axis))
}

// neurons reads their names, or numbers them from 0.
func (a *archive) neurons(r *Recording, n int) {
	if !a.has(neuronsArray) {
		for i := range n {
			r.Neurons = append(r.Neurons, strconv.Itoa(i))
		}
		return
	}
	a.open(neuronsArray, func(h header, in io.Reader) (err error) {
		if len(h.shape) != 1 || h.shape[0] != n {
			return fmt.Errorf("shape %v: a name for each of the %d neurons is needed", h.shape, n)
		}
		if r.Neurons, err = h.texts(in); err != nil {
			return err
		}
		return distinct(r.Neurons)
	})
}

// distinct checks names.
func distinct(names []string) error {
	seen := map[string]bool{}
	for i, n := range names {
		switch {
		case strings.TrimSpace(n) != n || n == "" || strings.Contains(n, ","):
			return fmt.Errorf("%q in row %d: a name without commas and without spaces around it is needed", n, i)
		case seen[n]:
			return fmt.Errorf("%q is there twice: each neuron needs a name of its own", n)
		}
		seen[n] = true
	}
	return nil
}

// conditions reads whole numbers, or names, which are numbered in the order of the alphabet.
func (a *archive) conditions(r *Recording) {
	a.open(conditionsArray, func(h header, in io.Reader) error {
		if len(h.shape) != 1 || h.shape[0] != r.Trials {
			return fmt.Errorf("shape %v: (%d), a condition for each trial, is needed", h.shape, r.Trials)
		}
		names, err := h.texts(in)
		if err != nil {
			return err
		}
		return r.condition(names, h.kind != 'U' && h.kind != 'S')
	})
}

// condition sets the trials' conditions.
func (r *Recording) condition(of []string, numbers bool) error {
	conds := make([]int64, len(of))
	if numbers {
		for i, text := range of {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("%s in row %d: whole numbers from 0, or names, are needed", text, i)
			}
			conds[i] = n
		}
	} else {
		r.Conditions = slices.Compact(slices.Sorted(slices.Values(of)))
		for i, text := range of {
			n, _ := slices.BinarySearch(r.Conditions, text)
			conds[i] = int64(n)
		}
	}
	r.Others = append(r.Others, tensor.FromInt(task.Conditions, conds, len(conds)).With("", tensor.Trial))
	return nil
}

// width reads the width of a bin, unless the user gave one.
func (a *archive) width(r *Recording) {
	given := r.BinWidth
	a.open(binWidthArray, func(h header, in io.Reader) error {
		n, _ := h.len()
		if n != 1 {
			return fmt.Errorf("shape %v: one number is needed", h.shape)
		}
		var v float64
		if err := h.numbers(in, func(_ int, x float64) { v = x }); err != nil {
			return err
		}
		switch {
		case !(v > 0) || math.IsInf(v, 0):
			return fmt.Errorf("%v: seconds above 0 are needed", v)
		case given > 0 && math.Abs(given-v) > 1e-9*v:
			return fmt.Errorf("%v s, but --bin-width says %v", v, given)
		}
		r.BinWidth = v
		return nil
	})
}

// room reports why an array cannot stand in memory.
func room(trials, bins, channels int) error {
	n, ok := cells(trials, bins, channels)
	free := machine.ReadMemory().Free()
	if ok && (free <= 0 || int64(n)*4 <= free) {
		return nil
	}
	have := ""
	if free > 0 {
		have = fmt.Sprintf("; %s of memory are free", humanize.IBytes(uint64(free)))
	}
	return fmt.Errorf("%d trials x %d bins x %d channels are too many%s: split the recording, or take wider bins", trials, bins, channels, have)
}

// Archive reports whether a file's name is that of an archive.
func Archive(path string) bool { return strings.EqualFold(filepath.Ext(path), ".npz") }
