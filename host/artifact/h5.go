package artifact

/*
#cgo pkg-config: hdf5
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What gonum.org/v1/hdf5 lacks: object times off, the shuffle filter, a defined fill value, native memory types, string attributes, error texts.

static void ctdb_quiet(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); H5Eclear2(H5E_DEFAULT); }

#define CTDB_MAX_SAID 8192 // what the library says of a failed read or write holds the file's path

static herr_t ctdb_first_error(unsigned n, const H5E_error2_t *e, void *text) {
	if (n == 0 && e->desc != NULL) snprintf((char *)text, CTDB_MAX_SAID, "%s", e->desc);
	return 0;
}

static void ctdb_error_text(char *text) {
	text[0] = 0;
	H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, ctdb_first_error, text);
}

static herr_t ctdb_creation(hid_t plist, int filters) {
	double zero = 0;
	if (H5Pset_obj_track_times(plist, 0) < 0) return -1;
	if (H5Pset_fill_value(plist, H5T_NATIVE_DOUBLE, &zero) < 0) return -1;
	if (filters && H5Pset_shuffle(plist) < 0) return -1;
	return 0;
}

#define CTDB_MAX_TEXT 65000

enum { ctdb_f32, ctdb_f64, ctdb_i64 };

static hid_t ctdb_type(int t, int in_file) {
	switch (t) {
	case ctdb_f32: return in_file ? H5T_IEEE_F32LE : H5T_NATIVE_FLOAT;
	case ctdb_f64: return in_file ? H5T_IEEE_F64LE : H5T_NATIVE_DOUBLE;
	}
	return in_file ? H5T_STD_I64LE : H5T_NATIVE_INT64;
}

static herr_t ctdb_read(hid_t set, int t, hid_t mem, hid_t file, void *to) { return H5Dread(set, ctdb_type(t, 0), mem, file, H5P_DEFAULT, to); }
static herr_t ctdb_write(hid_t set, int t, hid_t mem, hid_t file, const void *from) { return H5Dwrite(set, ctdb_type(t, 0), mem, file, H5P_DEFAULT, from); }
static hid_t ctdb_create(hid_t loc, const char *name, int t, hid_t space, hid_t plist) {
	return H5Dcreate2(loc, name, ctdb_type(t, 1), space, H5P_DEFAULT, plist, H5P_DEFAULT);
}

// A UTF-8 string of fixed length. Strings of variable length lie in the file's global heap, which libhdf5 reads without checking: one
// wrong byte there ends the process. So they are neither written nor read.
static hid_t ctdb_text_type(size_t size) {
	hid_t t = H5Tcopy(H5T_C_S1);
	if (t >= 0 && (H5Tset_size(t, size) < 0 || H5Tset_strpad(t, H5T_STR_NULLPAD) < 0 || H5Tset_cset(t, H5T_CSET_UTF8) < 0)) { H5Tclose(t); return -1; }
	return t;
}

static herr_t ctdb_put(hid_t obj, const char *name, hid_t in_file, hid_t in_memory, const void *value) {
	herr_t err = -1;
	hid_t space = H5Screate(H5S_SCALAR), a;
	if (space < 0) return -1;
	a = H5Acreate2(obj, name, in_file, space, H5P_DEFAULT, H5P_DEFAULT);
	if (a >= 0) {
		err = H5Awrite(a, in_memory, value);
		if (H5Aclose(a) < 0) err = -1;
	}
	H5Sclose(space);
	return err;
}

static herr_t ctdb_put_text(hid_t obj, const char *name, const char *value) {
	herr_t err;
	size_t n = strlen(value);
	hid_t t = ctdb_text_type(n > 0 ? n : 1);
	if (t < 0) return -1;
	err = ctdb_put(obj, name, t, t, value);
	H5Tclose(t);
	return err;
}

static herr_t ctdb_put_number(hid_t obj, const char *name, int t, const void *value) { return ctdb_put(obj, name, ctdb_type(t, 1), ctdb_type(t, 0), value); }

// Whether a type is a whole number of 1, 2, 4 or 8 bytes or an IEEE float of 2, 4 or 8. The library converts others without bounds where a damaged
// file gives them an impossible precision.
static int ctdb_plain(hid_t t) {
	size_t size = H5Tget_size(t), spos, epos, esize, mpos, msize;
	switch (H5Tget_class(t)) {
	case H5T_INTEGER:
		return (size == 1 || size == 2 || size == 4 || size == 8) && H5Tget_precision(t) == 8 * size && H5Tget_offset(t) == 0;
	case H5T_FLOAT:
		if (size == 4) return H5Tequal(t, H5T_IEEE_F32LE) > 0 || H5Tequal(t, H5T_IEEE_F32BE) > 0;
		if (size == 8) return H5Tequal(t, H5T_IEEE_F64LE) > 0 || H5Tequal(t, H5T_IEEE_F64BE) > 0;
		return size == 2 && H5Tget_precision(t) == 16 && H5Tget_offset(t) == 0 && H5Tget_fields(t, &spos, &epos, &esize, &mpos, &msize) >= 0 &&
			spos == 15 && epos == 10 && esize == 5 && mpos == 0 && msize == 10;
	default:
		return 0;
	}
}

static int ctdb_plain_set(hid_t set) {
	hid_t t = H5Dget_type(set);
	int plain = t >= 0 && ctdb_plain(t);
	if (t >= 0) H5Tclose(t);
	return plain;
}

enum { ctdb_attr_other, ctdb_attr_int, ctdb_attr_float, ctdb_attr_text };

typedef struct { int kind; char *text; long long i; double f; } ctdb_attr;

// Reads an attribute by its name. Arrays and what is not a number, a boolean or a string of fixed length is "other", like one that is not there.
// (To list an object's attributes libhdf5 makes a table of them, and where one is damaged it ends the process.)
static herr_t ctdb_get(hid_t obj, const char *name, ctdb_attr *out) {
	herr_t err = 0;
	size_t size;
	hid_t t, s, a;
	htri_t there = H5Aexists(obj, name);
	memset(out, 0, sizeof *out);
	if (there <= 0) return (herr_t)there;
	a = H5Aopen(obj, name, H5P_DEFAULT);
	if (a < 0) return -1;
	t = H5Aget_type(a);
	s = H5Aget_space(a);
	if (t < 0 || s < 0) err = -1;
	else if (H5Sget_simple_extent_type(s) == H5S_NULL || H5Sget_simple_extent_npoints(s) != 1) out->kind = ctdb_attr_other;
	else switch (H5Tget_class(t)) {
	case H5T_INTEGER: case H5T_ENUM: {
		// h5py stores booleans as an enumeration over int8, which is read as its base type.
		hid_t base = H5Tget_class(t) == H5T_ENUM ? H5Tget_super(t) : H5Tcopy(t);
		char raw[16] = {0};
		if (base < 0 || !ctdb_plain(base) || H5Tget_size(base) != H5Tget_size(t) || H5Aread(a, t, raw) < 0) err = -1;
		else if (H5Tconvert(base, H5T_NATIVE_LLONG, 1, raw, NULL, H5P_DEFAULT) < 0) err = -1;
		else { memcpy(&out->i, raw, sizeof out->i); out->kind = ctdb_attr_int; }
		if (base >= 0) H5Tclose(base);
		break;
	}
	case H5T_FLOAT:
		if (!ctdb_plain(t)) { err = -1; break; }
		err = H5Aread(a, H5T_NATIVE_DOUBLE, &out->f);
		out->kind = ctdb_attr_float;
		break;
	case H5T_STRING:
		size = H5Tget_size(t);
		if (H5Tis_variable_str(t) != 0 || size > CTDB_MAX_TEXT) { out->kind = ctdb_attr_other; break; }
		out->kind = ctdb_attr_text;
		out->text = calloc(size + 1, 1);
		err = out->text == NULL ? -1 : H5Aread(a, t, out->text);
		break;
	default: out->kind = ctdb_attr_other;
	}
	if (t >= 0) H5Tclose(t);
	if (s >= 0) H5Sclose(s);
	H5Aclose(a);
	return err;
}

// The number of a filter that the data need and the library lacks, 0 where there is none; its name goes to text.
static int ctdb_missing_filter(hid_t set, char *text) {
	int missing = 0, n, i;
	hid_t plist = H5Dget_create_plist(set);
	if (plist < 0) return 0;
	n = H5Pget_layout(plist) == H5D_CHUNKED ? H5Pget_nfilters(plist) : 0;
	for (i = 0; i < n && missing == 0; i++) {
		unsigned flags;
		size_t values = 0;
		H5Z_filter_t f = H5Pget_filter2(plist, i, &flags, &values, NULL, 255, text, NULL);
		if (f > 0 && H5Zfilter_avail(f) <= 0) missing = (int)f;
	}
	H5Pclose(plist);
	return missing;
}
static long long ctdb_stored(hid_t set) { return (long long)H5Dget_storage_size(set); }
*/
import "C"

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"gonum.org/v1/hdf5"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// library guards libhdf5, which is not made for calls from several threads. It is held for one chunk or block at a time.
var library sync.Mutex

// locked calls f with the library to itself, on one thread (the library's error stack may belong to a thread), its printing of errors off.
func locked(f func() error) error {
	library.Lock()
	defer library.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	C.ctdb_quiet()
	return f()
}

// h5Error adds what the library says to err, which tells what was being done. It is called with the lock held, right after the failure.
func h5Error(format string, args ...any) error {
	var text [C.CTDB_MAX_SAID]C.char
	C.ctdb_error_text(&text[0])
	message := fmt.Sprintf(format, args...)
	said := C.GoString(&text[0])
	if m := systemError.FindStringSubmatch(said); m != nil {
		if number, err := strconv.Atoi(m[1]); err == nil && number > 0 {
			return fmt.Errorf("%s: %w", message, syscall.Errno(number))
		}
	}
	if said != "" {
		message += ": " + said
	}
	return errors.New(message)
}

// systemError is how the library tells the error of a system call, among addresses and times that say nothing to a user.
var systemError = regexp.MustCompile(`errno = (\d+)`)

func memoryType(t tensor.DType) C.int {
	switch t {
	case tensor.Float32:
		return C.ctdb_f32
	case tensor.Float64:
		return C.ctdb_f64
	}
	return C.ctdb_i64
}

func pointer(t *tensor.Tensor) unsafe.Pointer {
	switch {
	case t.F32 != nil:
		return unsafe.Pointer(unsafe.SliceData(t.F32))
	case t.F64 != nil:
		return unsafe.Pointer(unsafe.SliceData(t.F64))
	}
	return unsafe.Pointer(unsafe.SliceData(t.I64))
}

func extents(shape []int) []uint {
	out := make([]uint, len(shape))
	for i, s := range shape {
		out[i] = uint(s)
	}
	return out
}

func newSpace(shape []int) (*hdf5.Dataspace, error) {
	if len(shape) == 0 {
		return hdf5.CreateDataspace(hdf5.S_SCALAR)
	}
	return hdf5.CreateSimpleDataspace(extents(shape), nil)
}

// h5Set is an open HDF5 dataset. Its functions are called with the lock held.
type h5Set struct{ id C.hid_t }

// createSet creates a dataset; chunk is nil for a contiguous one, else it is compressed.
func createSet(file *hdf5.File, name string, dtype tensor.DType, shape, chunk []int) (h5Set, error) {
	space, err := newSpace(shape)
	if err != nil {
		return h5Set{}, h5Error("creating %q of shape %v", name, shape)
	}
	defer space.Close()
	plist, err := hdf5.NewPropList(hdf5.P_DATASET_CREATE)
	if err != nil {
		return h5Set{}, h5Error("creating %q", name)
	}
	defer plist.Close()
	filters := C.int(0)
	if chunk != nil {
		filters = 1
		if err := plist.SetChunk(extents(chunk)); err != nil {
			return h5Set{}, h5Error("creating %q with chunks %v", name, chunk)
		}
	}
	if C.ctdb_creation(C.hid_t(plist.ID()), filters) < 0 {
		return h5Set{}, h5Error("creating %q", name)
	}
	if chunk != nil {
		if err := plist.SetDeflate(compression); err != nil {
			return h5Set{}, h5Error("compressing %q", name)
		}
	}
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	id := C.ctdb_create(C.hid_t(file.ID()), cname, memoryType(dtype), C.hid_t(space.ID()), C.hid_t(plist.ID()))
	if id < 0 {
		return h5Set{}, h5Error("creating %q", name)
	}
	return h5Set{id}, nil
}

func (s h5Set) close() error {
	if C.H5Dclose(s.id) < 0 {
		return h5Error("closing a dataset")
	}
	return nil
}

// rows moves the rows from, from+1, ... that t holds between t and the file.
func (s h5Set) rows(name string, t *tensor.Tensor, from int, write bool) error {
	if t.Len() == 0 {
		return nil
	}
	mem, err := newSpace(t.Shape)
	if err != nil {
		return h5Error("%q: rows of shape %v", name, t.Shape)
	}
	defer mem.Close()
	file := C.hid_t(C.H5S_ALL)
	if len(t.Shape) > 0 {
		file = C.H5Dget_space(s.id)
		if file < 0 {
			return h5Error("%q", name)
		}
		defer C.H5Sclose(file)
		start, count := make([]C.hsize_t, len(t.Shape)), make([]C.hsize_t, len(t.Shape))
		start[0] = C.hsize_t(from)
		for i, n := range t.Shape {
			count[i] = C.hsize_t(n)
		}
		if C.H5Sselect_hyperslab(file, C.H5S_SELECT_SET, &start[0], nil, &count[0], nil) < 0 {
			return h5Error("%q: rows %d to %d", name, from, from+t.Shape[0])
		}
	}
	var status C.herr_t
	if write {
		status = C.ctdb_write(s.id, memoryType(t.DType()), C.hid_t(mem.ID()), file, pointer(t))
	} else {
		status = C.ctdb_read(s.id, memoryType(t.DType()), C.hid_t(mem.ID()), file, pointer(t))
	}
	switch {
	case status >= 0:
		return nil
	case write:
		return h5Error("writing %q", name)
	}
	return h5Error("reading %q from row %d", name, from)
}

// stored is the number of bytes that the dataset's data take in the file: 0 if none were ever written.
func (s h5Set) stored() int64 { return int64(C.ctdb_stored(s.id)) }

// missingFilter says which filter the data need and the library lacks; empty where it has them.
func (s h5Set) missingFilter() string {
	var text [256]C.char
	number := C.ctdb_missing_filter(s.id, &text[0])
	if number == 0 {
		return ""
	}
	return fmt.Sprintf("%d (%s)", number, C.GoString(&text[0]))
}

// plain reports whether the elements are whole numbers or IEEE floats of the usual sizes.
func (s h5Set) plain() bool { return C.ctdb_plain_set(s.id) != 0 }

func h5SetOf(d *hdf5.Dataset) h5Set { return h5Set{C.hid_t(d.ID())} }

// putAttribute writes a scalar attribute: a string, an int64 or a float64.
func putAttribute(object int64, name string, value any) error {
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	var status C.herr_t
	switch v := value.(type) {
	case string:
		if len(v) > C.CTDB_MAX_TEXT {
			return fmt.Errorf("attribute %q: %d bytes: at most %d are allowed", name, len(v), C.CTDB_MAX_TEXT)
		}
		text := C.CString(v)
		defer C.free(unsafe.Pointer(text))
		status = C.ctdb_put_text(C.hid_t(object), cname, text)
	case int64:
		status = C.ctdb_put_number(C.hid_t(object), cname, C.ctdb_i64, unsafe.Pointer(&v))
	case float64:
		status = C.ctdb_put_number(C.hid_t(object), cname, C.ctdb_f64, unsafe.Pointer(&v))
	default:
		return fmt.Errorf("attribute %q: %T: string, int64 or float64 is needed", name, value)
	}
	if status < 0 {
		return h5Error("writing attribute %q", name)
	}
	return nil
}

// attributesOf reads scalar attributes of an object by their names: int64, float64 or string. Others, strings of variable length among them, and those
// that are not there are left out.
func attributesOf(object int64, names ...string) (Attributes, error) {
	out := Attributes{}
	for _, name := range names {
		cname := C.CString(name)
		var a C.ctdb_attr
		status := C.ctdb_get(C.hid_t(object), cname, &a)
		text := C.GoString(a.text)
		C.free(unsafe.Pointer(a.text))
		C.free(unsafe.Pointer(cname))
		if status < 0 {
			return nil, h5Error("reading attribute %q", name)
		}
		switch a.kind {
		case C.ctdb_attr_int:
			out[name] = int64(a.i)
		case C.ctdb_attr_float:
			out[name] = float64(a.f)
		case C.ctdb_attr_text:
			out[name] = text
		}
	}
	return out, nil
}
