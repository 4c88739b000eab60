// Package forge adds to HDF5 files what host/artifact never writes but must refuse to read, for its tests: links, data in other files, elements that are
// no numbers, chunks that are not what they claim. The caller sees to it that nobody else uses the library meanwhile.
package forge

/*
#cgo pkg-config: hdf5
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

enum { soft_link, external_link, external_storage, virtual_set, strings, long_strings, compound, enumeration, long_float, group, named_type, nbit, text_attribute };

static int forge(const char *path, int what, const char *name, const char *other, const char *object) {
	hsize_t dims[3] = {4, 5, 3}, one[1] = {4};
	hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), space, plist, t = -1, m, d = -1, src;
	int err = -1;
	if (f < 0) return -1;
	space = H5Screate_simple(3, dims, NULL);
	plist = H5Pcreate(H5P_DATASET_CREATE);
	H5Ldelete(f, name, H5P_DEFAULT);
	switch (what) {
	case soft_link: err = H5Lcreate_soft(other, f, name, H5P_DEFAULT, H5P_DEFAULT); break;
	case external_link: err = H5Lcreate_external(other, object, f, name, H5P_DEFAULT, H5P_DEFAULT); break;
	case external_storage:
		err = H5Pset_external(plist, other, 0, 480);
		d = H5Dcreate2(f, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
		break;
	case virtual_set:
		src = H5Screate_simple(3, dims, NULL);
		err = H5Pset_virtual(plist, space, other, object, src);
		H5Sclose(src);
		d = H5Dcreate2(f, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
		break;
	case strings: case long_strings:
		t = H5Tcopy(H5T_C_S1);
		H5Tset_size(t, what == strings ? 8 : H5T_VARIABLE);
		d = H5Dcreate2(f, name, t, space, H5P_DEFAULT, plist, H5P_DEFAULT);
		err = 0;
		break;
	case compound:
		t = H5Tcreate(H5T_COMPOUND, 16);
		H5Tinsert(t, "time", 0, H5T_NATIVE_DOUBLE);
		H5Tinsert(t, "unit", 8, H5T_NATIVE_INT64);
		d = H5Dcreate2(f, name, t, space, H5P_DEFAULT, plist, H5P_DEFAULT);
		err = 0;
		break;
	case enumeration: {
		signed char v[2] = {0, 1};
		t = H5Tenum_create(H5T_NATIVE_SCHAR);
		H5Tenum_insert(t, "FALSE", &v[0]);
		H5Tenum_insert(t, "TRUE", &v[1]);
		d = H5Dcreate2(f, name, t, space, H5P_DEFAULT, plist, H5P_DEFAULT);
		err = 0;
		break;
	}
	case long_float:
		d = H5Dcreate2(f, name, H5T_NATIVE_LDOUBLE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
		err = 0;
		break;
	case group:
		m = H5Gcreate2(f, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
		err = m < 0 ? -1 : H5Gclose(m);
		break;
	case named_type:
		t = H5Tcopy(H5T_NATIVE_DOUBLE);
		err = H5Tcommit2(f, name, t, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
		break;
	case nbit:
		H5Pset_chunk(plist, 3, dims);
		H5Pset_nbit(plist);
		d = H5Dcreate2(f, name, H5T_NATIVE_INT, space, H5P_DEFAULT, plist, H5P_DEFAULT);
		if (d >= 0) { int zero[60] = {0}; err = H5Dwrite(d, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, zero); }
		break;
	case text_attribute: {
		hid_t scalar = H5Screate(H5S_SCALAR), a;
		t = H5Tcopy(H5T_C_S1);
		H5Tset_size(t, H5T_VARIABLE);
		a = H5Acreate2(f, name, t, scalar, H5P_DEFAULT, H5P_DEFAULT);
		err = H5Awrite(a, t, &other);
		H5Aclose(a);
		H5Sclose(scalar);
		break;
	}
	}
	(void)one;
	if (d >= 0) H5Dclose(d);
	if (t >= 0) H5Tclose(t);
	H5Pclose(plist);
	H5Sclose(space);
	if (H5Fclose(f) < 0) err = -1;
	return err;
}

// A dataset of doubles in chunks, of which the first n are given as the file is to have them.
static int forge_chunks(const char *path, const char *name, int rank, const long long *shape, const long long *chunk, int deflates, int n, const void *raw, size_t size) {
	hsize_t s[8], c[8], at[8] = {0};
	int i, k, err = -1;
	hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), space, plist, d;
	if (f < 0) return -1;
	for (i = 0; i < rank; i++) { s[i] = (hsize_t)shape[i]; if (chunk) c[i] = (hsize_t)chunk[i]; }
	space = H5Screate_simple(rank, s, NULL);
	plist = H5Pcreate(H5P_DATASET_CREATE);
	if (chunk) H5Pset_chunk(plist, rank, c);
	for (i = 0; i < deflates; i++) H5Pset_deflate(plist, 1);
	H5Ldelete(f, name, H5P_DEFAULT);
	d = H5Dcreate2(f, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	if (d >= 0) {
		err = 0;
		for (k = 0; k < n && err == 0; k++) {
			at[0] = (hsize_t)k * c[0];
			if (H5Dwrite_chunk(d, H5P_DEFAULT, 0, at, size, raw) < 0) err = -1;
		}
		H5Dclose(d);
	}
	H5Pclose(plist);
	H5Sclose(space);
	if (H5Fclose(f) < 0) err = -1;
	return err;
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// What is something to add.
type What int

// What can be added. Datasets have the shape (4, 5, 3).
const (
	SoftLink        What = iota // to the path other
	ExternalLink                // to object in the file other
	ExternalStorage             // doubles whose bytes are those of the file other
	Virtual                     // doubles that are those of object in the file other
	Strings                     // of fixed length
	LongStrings                 // of variable length
	Compound
	Enumeration // as h5py stores bools
	LongFloat   // C's long double
	Group
	NamedType
	NBit          // integers through the n-bit filter
	TextAttribute // of the file: a string of variable length, other
)

// Add puts something under a name, in place of what had it.
func Add(path string, what What, name, other, object string) error {
	args := []*C.char{C.CString(path), C.CString(name), C.CString(other), C.CString(object)}
	defer func() {
		for _, a := range args {
			C.free(unsafe.Pointer(a))
		}
	}()
	if C.forge(args[0], C.int(what), args[1], args[2], args[3]) < 0 {
		return fmt.Errorf("forge: %s: %d as %q failed", path, what, name)
	}
	return nil
}

// AddChunks puts a dataset of doubles of a shape, in chunks (nil: contiguous) through so many gzip filters, of which the first n along the first axis hold raw, as it is.
func AddChunks(path, name string, shape, chunk []int, deflates, n int, raw []byte) error {
	cpath, cname := C.CString(path), C.CString(name)
	defer C.free(unsafe.Pointer(cpath))
	defer C.free(unsafe.Pointer(cname))
	long := func(x []int) *C.longlong {
		if x == nil {
			return nil
		}
		out := make([]C.longlong, len(x))
		for i, v := range x {
			out[i] = C.longlong(v)
		}
		return &out[0]
	}
	var data unsafe.Pointer
	if len(raw) > 0 {
		data = unsafe.Pointer(&raw[0])
	}
	if C.forge_chunks(cpath, cname, C.int(len(shape)), long(shape), long(chunk), C.int(deflates), C.int(n), data, C.size_t(len(raw))) < 0 {
		return fmt.Errorf("forge: %s: chunks of %q failed", path, name)
	}
	return nil
}
