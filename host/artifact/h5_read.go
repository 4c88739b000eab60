package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"gonum.org/v1/hdf5"

	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

const (
	// maxWhole is the largest array, or row of one, that is read at once.
	maxWhole = 4 << 30
	// blockTarget is the size of a block where the caller does not say.
	blockTarget = 16 << 20
)

// ErrFormat is wrapped by every [FormatError].
var ErrFormat = errors.New("artifact: bad file")

// FormatError says all that is wrong with a file.
type FormatError struct {
	File     string
	Problems []FormatProblem
}

// FormatProblem is one thing that is wrong.
type FormatProblem struct {
	// Dataset is the array's name in the file; empty where the file as a whole is meant.
	Dataset string
	// Found is what there is, Allowed what may be.
	Found, Allowed string
}

// Error lists the problems.
func (e *FormatError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return fmt.Sprintf("artifact: %s: %s", e.File, strings.Join(lines, "; "))
}

// Is makes errors.Is(err, ErrFormat) true.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// String is "dataset: found: allowed is needed".
func (p FormatProblem) String() string {
	s := p.Found + ": " + p.Allowed + " is needed"
	if p.Dataset != "" {
		s = p.Dataset + ": " + s
	}
	return s
}

func (e *FormatError) add(dataset, allowed, found string, args ...any) {
	e.Problems = append(e.Problems, FormatProblem{Dataset: dataset, Found: fmt.Sprintf(found, args...), Allowed: allowed})
}

// err is e where there are problems.
func (e *FormatError) err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// ArrayInfo describes an array of a file.
type ArrayInfo struct {
	Name  string
	DType tensor.DType
	// Shape is that of one trial for arrays by trial, else of the whole array.
	Shape []int
	// Axes, with the trials first for arrays by trial, and Unit as the file says them; empty where it does not.
	Axes []string
	Unit string
}

// h5Array is a numeric dataset of an open file.
type h5Array struct {
	name  string
	set   *hdf5.Dataset
	dtype tensor.DType
	shape []int
	cut   *chunking // nil where there are no chunks
	axes  []string
	unit  string
}

// known reports the name of an array by trial that the host looks for, whose absence would otherwise be all that is told.
func known(name string) bool {
	split, name, _ := strings.Cut(name, "_")
	return slices.Contains(splits(), task.Split(split)) && (ranks(name) > 0 || name == arrayTrials || name == model.Rates)
}

// className is how HDF5 calls a class of types.
func className(c hdf5.TypeClass) string {
	names := map[hdf5.TypeClass]string{
		hdf5.T_INTEGER: "integer of more than 8 bytes", hdf5.T_FLOAT: "float of more than 8 bytes", hdf5.T_TIME: "time", hdf5.T_STRING: "string", hdf5.T_BITFIELD: "bit field",
		hdf5.T_OPAQUE: "opaque", hdf5.T_COMPOUND: "compound", hdf5.T_REFERENCE: "reference", hdf5.T_ENUM: "enumeration, as h5py's bool is", hdf5.T_VLEN: "variable length", hdf5.T_ARRAY: "array",
	}
	if n, ok := names[c]; ok {
		return n
	}
	return fmt.Sprint(int(c))
}

func (a *h5Array) bytes() int { return elements(a.shape) * a.dtype.Size() }

// h5Reader is an open file. Its methods may be called from several goroutines.
type h5Reader struct {
	path       string
	file       *hdf5.File // nil once closed; guarded by library
	arrays     map[string]*h5Array
	attributes Attributes
}

// openH5 opens a file and lists its numeric arrays at the top level; others are left out. What makes an array unreadable is added to problems.
func openH5(path string, problems *FormatError) (*h5Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	if !info.Mode().IsRegular() {
		problems.add("", "an HDF5 file", "not a regular file")
		return nil, problems
	}
	if f, err := os.Open(path); err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	} else {
		f.Close()
	}
	r := &h5Reader{path: path, arrays: map[string]*h5Array{}}
	err = locked(func() error {
		if !hdf5.IsHDF5(path) {
			problems.add("", "an HDF5 file", "no HDF5 signature in its %d bytes%s", info.Size(), looksLike(path))
			return problems
		}
		if r.file, err = opened(func() (*hdf5.File, error) { return hdf5.OpenFile(path, hdf5.F_ACC_RDONLY) }); err != nil {
			problems.add("", "a whole HDF5 file", "%v", h5Error("damaged or truncated at %d bytes", info.Size()))
			return problems
		}
		return r.list(problems)
	})
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// list fills arrays and attributes, with the lock held.
func (r *h5Reader) list(problems *FormatError) error {
	root, err := r.file.OpenGroup("/")
	if err != nil {
		problems.add("", "a whole HDF5 file", "%v", h5Error("its root cannot be opened"))
		return problems
	}
	defer root.Close()
	if r.attributes, err = fileAttributes(root.ID()); err != nil {
		problems.add("", "readable attributes", "%v", err)
	}
	n, err := root.NumObjects()
	if err != nil {
		problems.add("", "a whole HDF5 file", "%v", h5Error("its contents cannot be listed"))
		return problems
	}
	for i := range n {
		name, err := root.ObjectNameByIndex(i)
		if err != nil {
			problems.add("", "a whole HDF5 file", "%v", h5Error("object %d has no name", i))
			return problems
		}
		kind, err := root.ObjectTypeByIndex(i)
		if err != nil {
			continue
		}
		switch kind {
		case hdf5.H5G_DATASET:
		case hdf5.H5G_LINK, hdf5.H5G_UDLINK:
			// It may lead into any file that this user can read, so it is not even looked where to.
			problems.add(name, "the array itself", "a link to elsewhere: links are not followed")
			continue
		default:
			if known(name) {
				problems.add(name, "an array of numbers", "no array but a group or a type")
			}
			continue
		}
		a, err := r.array(name)
		if err != nil {
			problems.add(name, "a readable array", "%v", err)
		} else if a != nil {
			r.arrays[name] = a
		}
	}
	return nil
}

// array opens a dataset, with the lock held; nil where it is not numeric.
func (r *h5Reader) array(name string) (*h5Array, error) {
	set, err := r.file.OpenDataset(name)
	if err != nil {
		return nil, h5Error("it cannot be opened")
	}
	a := &h5Array{name: name, set: set}
	keep := false
	defer func() {
		if !keep {
			set.Close()
		}
	}()
	dtype, err := set.Datatype()
	if err != nil {
		return nil, h5Error("its type cannot be read")
	}
	defer dtype.Close()
	switch class, size := dtype.Class(), dtype.Size(); {
	case class == hdf5.T_INTEGER && size <= 8:
		a.dtype = tensor.Int64
	case class == hdf5.T_FLOAT && size <= 4:
		a.dtype = tensor.Float32
	case class == hdf5.T_FLOAT && size <= 8:
		a.dtype = tensor.Float64
	case known(name):
		return nil, fmt.Errorf("elements of HDF5 class %v: numbers are read", className(class))
	default:
		return nil, nil
	}
	h := h5SetOf(set)
	if where := h.elsewhere(); where != "" {
		return nil, errors.New(where)
	}
	if !h.plain() {
		return nil, errors.New("numbers of an unusual precision: integers of 1, 2, 4 or 8 bytes or IEEE floats of 2, 4 or 8 are read")
	}
	space := set.Space()
	if space == nil {
		return nil, h5Error("its shape cannot be read")
	}
	defer space.Close()
	if space.SimpleExtentType() != hdf5.S_SCALAR {
		rank := space.SimpleExtentNDims()
		if space.SimpleExtentType() != hdf5.S_SIMPLE || rank < 1 {
			return nil, nil
		}
		dims, _, err := space.SimpleExtentDims()
		if err != nil {
			return nil, h5Error("its shape cannot be read")
		}
		n := 1
		for _, d := range dims {
			if d > math.MaxInt32 || (d > 0 && n > math.MaxInt/8/int(d)) {
				return nil, fmt.Errorf("shape %v is too large", dims)
			}
			a.shape = append(a.shape, int(d))
			n *= max(1, int(d))
		}
		if len(dims) > 0 && n/max(1, int(dims[0])) > maxWhole/8 {
			return nil, fmt.Errorf("shape %v has rows of more than %d elements", dims, maxWhole/8)
		}
	}
	if elements(a.shape) > 0 && h.stored() == 0 {
		return nil, fmt.Errorf("shape %v without any data", a.shape)
	}
	if filter := h.missingFilter(); filter != "" {
		return nil, fmt.Errorf("compressed by HDF5 filter %s, which is not installed here: gzip or none is read", filter)
	}
	if a.cut, err = h.chunking(a.shape, int(dtype.Size())); err != nil {
		return nil, err
	}
	if err := a.cut.claims(a.shape, int(dtype.Size()), h.stored()); err != nil {
		return nil, err
	}
	if about, err := attributesOf(set.ID(), axesAttribute, unitAttribute); err == nil {
		a.axes, a.unit = about.axes(len(a.shape)), about.Text(unitAttribute)
	}
	keep = true
	return a, nil
}

func (r *h5Reader) close() error {
	return locked(func() error {
		if r.file == nil {
			return nil
		}
		for _, a := range r.arrays {
			a.set.Close()
		}
		err := r.file.Close()
		r.file = nil
		if err != nil {
			return fmt.Errorf("artifact: %s: %w", r.path, h5Error("closing"))
		}
		return nil
	})
}

// rows reads the rows [from, to) of an array.
func (r *h5Reader) rows(a *h5Array, name string, from, to int) (*tensor.Tensor, error) {
	shape := slices.Clone(a.shape)
	if len(shape) > 0 {
		shape[0] = to - from
	}
	t := a.make(name, shape)
	err := locked(func() error {
		if r.file == nil {
			return os.ErrClosed
		}
		if err := a.cut.guard(h5SetOf(a.set), a.name, a.shape, from, to); err != nil {
			return err
		}
		return h5SetOf(a.set).rows(a.name, t, from, false)
	})
	switch {
	case errors.Is(err, os.ErrClosed):
		return nil, fmt.Errorf("artifact: %s: %w", r.path, err)
	case err != nil:
		return nil, r.bad(a.name, "undamaged data", "%v", err)
	}
	return t, nil
}

func (a *h5Array) make(name string, shape []int) *tensor.Tensor {
	var t *tensor.Tensor
	switch a.dtype {
	case tensor.Float32:
		t = tensor.New32(name, shape...)
	case tensor.Float64:
		t = tensor.New64(name, shape...)
	default:
		t = tensor.NewInt(name, shape...)
	}
	return t.With(a.unit, slices.Clone(a.axes)...)
}

// whole reads an array.
func (r *h5Reader) whole(name string) (*tensor.Tensor, error) {
	a := r.arrays[name]
	if a == nil {
		return nil, fmt.Errorf("artifact: %s: there is no array %q: %w", r.path, name, fs.ErrNotExist)
	}
	if a.bytes() > maxWhole {
		return nil, r.bad(name, fmt.Sprintf("at most %d bytes, or reading by trials,", maxWhole), "%d bytes", a.bytes())
	}
	rows := 0
	if len(a.shape) > 0 {
		rows = a.shape[0]
	}
	return r.rows(a, name, 0, rows)
}

func (r *h5Reader) bad(dataset, allowed, found string, args ...any) error {
	e := &FormatError{File: r.path}
	e.add(dataset, allowed, found, args...)
	return e
}

func (a *h5Array) info(name string, byTrial bool) ArrayInfo {
	i := ArrayInfo{Name: name, DType: a.dtype, Shape: slices.Clone(a.shape), Axes: a.axes, Unit: a.unit}
	if byTrial {
		i.Shape = i.Shape[1:]
	}
	return i
}

// blocks reads arrays by trial: those of names under the prefix, with numbers (nil: from first on) for the trials. check, if given, is called for each array.
func (r *h5Reader) blocks(ctx context.Context, prefix string, names []string, numbers *h5Array, first, trials, blockTrials int, check func(*tensor.Tensor) error) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		if blockTrials <= 0 {
			blockTrials = r.blockTrials(prefix, names, trials)
		}
		for from := 0; from < trials; from += blockTrials {
			to := min(from+blockTrials, trials)
			if err := ctx.Err(); err != nil {
				yield(tensor.Block{}, err)
				return
			}
			b := tensor.Block{Trials: make([]int64, to-from)}
			for i := range b.Trials {
				b.Trials[i] = int64(first + from + i)
			}
			if numbers != nil {
				t, err := r.rows(numbers, numbers.name, from, to)
				if err != nil {
					yield(tensor.Block{}, err)
					return
				}
				b.Trials = t.I64
			}
			for _, name := range names {
				t, err := r.rows(r.arrays[prefix+name], name, from, to)
				if err == nil && check != nil {
					if err = check(t); err != nil {
						err = r.bad(prefix+name, "what the format promises", "trials %d to %d of the split: %v", from, to, err)
					}
				}
				if err != nil {
					yield(tensor.Block{}, err)
					return
				}
				b.Arrays = append(b.Arrays, t)
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// blockTrials chooses a block of about blockTarget bytes that ends with the chunks of the largest array.
func (r *h5Reader) blockTrials(prefix string, names []string, trials int) int {
	row, largest, chunk := 1, 0, 1
	for _, name := range names {
		a := r.arrays[prefix+name]
		size := a.bytes() / max(1, a.shape[0])
		row += size
		if size > largest {
			largest, chunk = size, 1
			if a.cut != nil {
				chunk = a.cut.shape[0]
			}
		}
	}
	n := max(1, blockTarget/row)
	if n > chunk {
		n -= n % chunk
	}
	return min(n, max(1, trials))
}
