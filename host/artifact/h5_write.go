package artifact

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"gonum.org/v1/hdf5"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

const (
	// compression is zlib's level: on shuffled spike counts level 1 gives nearly the size of higher ones in a fraction of the time
	// (BenchmarkDatasetWrite).
	compression = 1
	// chunkTarget is the size of a chunk before compression, at most: the library's cache per dataset is 1 MiB, so a chunk that fits is
	// decompressed once although it is read in pieces.
	chunkTarget = 512 << 10
	// contiguousBelow is the size up to which a whole array is stored as it is.
	contiguousBelow = 16 << 10
)

// h5Writer is an HDF5 file under a temporary name. Its methods are not for several goroutines.
type h5Writer struct {
	path    string
	pending *renameio.PendingFile // nil once closed
	file    *hdf5.File
	sums    map[string]string // of each dataset: its type, shape and digest
	open    []h5Set
}

func createH5(path string) (*h5Writer, error) {
	pending, err := createPending(path)
	if err != nil {
		return nil, err
	}
	w := &h5Writer{path: path, pending: pending, sums: map[string]string{}}
	err = locked(func() error {
		// The library opens the same file by its name; what it writes is synced through the descriptor that is open already.
		var err error
		if w.file, err = opened(func() (*hdf5.File, error) { return hdf5.CreateFile(pending.Name(), hdf5.F_ACC_TRUNC) }); err != nil {
			return h5Error("creating the file")
		}
		return nil
	})
	if err != nil {
		pending.Cleanup()
		return nil, fmt.Errorf("artifact: %s: %w", path, err)
	}
	return w, nil
}

func (w *h5Writer) closed() error {
	if w.pending == nil {
		return fmt.Errorf("artifact: %s: %w", w.path, os.ErrClosed)
	}
	return nil
}

func (w *h5Writer) fail(err error) error { return fmt.Errorf("artifact: %s: %w", w.path, err) }

// attributes writes the caller's attributes of the file and some of the host's own, which come first where names are the same.
func (w *h5Writer) attributes(a, own Attributes) error {
	out, err := a.flat()
	if err != nil {
		return err
	}
	for _, name := range []string{namesAttribute, contentAttribute} {
		if _, ok := a[name]; ok {
			return fmt.Errorf("attribute %q is written by the host itself", name)
		}
	}
	names, err := flatten(slices.Sorted(maps.Keys(a)))
	if err != nil {
		return err
	}
	flat, err := own.flat()
	if err != nil {
		return err
	}
	maps.Copy(out, flat)
	if len(a) > 0 {
		out[namesAttribute] = names
	}
	return w.put(out)
}

func (w *h5Writer) put(flat Attributes) error {
	return locked(func() error {
		root, err := w.file.OpenGroup("/")
		if err != nil {
			return h5Error("writing the file's attributes")
		}
		defer root.Close()
		return flat.put(root.ID())
	})
}

// contentDigest is the digest of all names, types, shapes and data, which does not depend on HDF5; sums are those of h5Writer.
func contentDigest(sums map[string]string) string {
	lines := make([]string, 0, len(sums))
	for name, sum := range sums {
		lines = append(lines, name+" "+sum+"\n")
	}
	slices.Sort(lines)
	return HashBytes([]byte(strings.Join(lines, "")))
}

// whole writes an array that is had at once.
func (w *h5Writer) whole(t *tensor.Tensor) error {
	if err := checkName(t.Name); err != nil {
		return err
	}
	if _, ok := w.sums[t.Name]; ok {
		return fmt.Errorf("%q is written twice", t.Name)
	}
	var chunk []int
	if t.Len()*t.DType().Size() > contiguousBelow {
		chunk = chunkShape(t.Shape, t.DType().Size())
	}
	h := sha256.New()
	hashRows(h, t)
	w.sums[t.Name] = summary(t.DType(), t.Shape, h)
	return locked(func() error {
		set, err := w.create(t.Name, t.DType(), t.Shape, chunk, t.Axes, t.Unit)
		if err != nil {
			return err
		}
		return set.rows(t.Name, t, 0, true)
	})
}

// create makes a dataset, which close closes. The lock is held.
func (w *h5Writer) create(name string, dtype tensor.DType, shape, chunk []int, axes []string, unit string) (h5Set, error) {
	set, err := createSet(w.file, name, dtype, shape, chunk)
	if err != nil {
		return h5Set{}, err
	}
	w.open = append(w.open, set)
	flat, err := describe(axes, unit).flat()
	if err != nil {
		return h5Set{}, err
	}
	return set, flat.put(int64(set.id))
}

// release closes everything in the library.
func (w *h5Writer) release() error {
	return locked(func() error {
		var first error
		for _, set := range w.open {
			if err := set.close(); err != nil && first == nil {
				first = err
			}
		}
		w.open = nil
		if err := w.file.Close(); err != nil && first == nil {
			first = h5Error("closing the file")
		}
		return first
	})
}

// close completes the file and gives it its name.
func (w *h5Writer) close() error {
	pending := w.pending
	w.pending = nil
	defer pending.Cleanup()
	if err := w.release(); err != nil {
		return w.fail(err)
	}
	return replace(pending, w.path)
}

// abort removes the file; it does nothing once closed.
func (w *h5Writer) abort() {
	if w.pending == nil {
		return
	}
	// What the library says of a file that is thrown away does not matter.
	_ = w.release()
	w.pending.Cleanup()
	w.pending = nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/\x00") || name == "." {
		return fmt.Errorf("%q: a dataset's name is not empty and has no slash", name)
	}
	return nil
}

// chunkShape cuts an array of shape into chunks of at most chunkTarget bytes: as many whole rows as fit, or where a row is larger, parts of it.
func chunkShape(shape []int, size int) []int {
	chunk := slices.Clone(shape)
	for i := range chunk {
		rest := size
		for _, s := range chunk[i+1:] {
			rest *= s
		}
		chunk[i] = min(chunk[i], max(1, chunkTarget/rest))
		if rest <= chunkTarget {
			break
		}
	}
	return chunk
}

func hashRows(h hash.Hash, t *tensor.Tensor) {
	buf := make([]byte, 0, 64<<10)
	flush := func(force bool) {
		if force || len(buf) > cap(buf)-8 {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	for _, x := range t.F32 {
		buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
		flush(false)
	}
	for _, x := range t.F64 {
		buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(x))
		flush(false)
	}
	for _, x := range t.I64 {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(x))
		flush(false)
	}
	flush(true)
}

func summary(dtype tensor.DType, shape []int, h hash.Hash) string {
	return fmt.Sprintf("%s %v %s", dtype, shape, hex.EncodeToString(h.Sum(nil)))
}
