package artifact

/*
#include <hdf5.h>
#include <stdlib.h>

// What the library would do unasked with a file that somebody else has made: read other files, and unpack a chunk to whatever size it says.

enum { ctdb_here, ctdb_external, ctdb_virtual, ctdb_unknown };

// Where a dataset's data are.
static int ctdb_whereabouts(hid_t set) {
	int where = ctdb_unknown;
	hid_t plist = H5Dget_create_plist(set);
	if (plist < 0) return where;
	switch (H5Pget_layout(plist)) {
	case H5D_COMPACT: case H5D_CHUNKED: where = ctdb_here; break;
	case H5D_CONTIGUOUS: where = H5Pget_external_count(plist) == 0 ? ctdb_here : ctdb_external; break;
	case H5D_VIRTUAL: where = ctdb_virtual; break;
	default: break;
	}
	H5Pclose(plist);
	return where;
}

// The chunk's extents go to dims, the number of its filters to filters, 1 to deflates where one of them is gzip. Returns 1 for chunks that can be read
// safely, 0 for no chunks at all, else minus the number of a filter that is not among those.
static int ctdb_chunking(hid_t set, int rank, long long *dims, int *deflates) {
	hsize_t chunk[H5S_MAX_RANK];
	int i, n, result = 1;
	hid_t plist = H5Dget_create_plist(set);
	*deflates = 0;
	if (plist < 0) return 0;
	if (rank < 1 || rank > H5S_MAX_RANK || H5Pget_layout(plist) != H5D_CHUNKED || H5Pget_chunk(plist, rank, chunk) != rank) { H5Pclose(plist); return 0; }
	for (i = 0; i < rank; i++) dims[i] = (long long)chunk[i];
	n = H5Pget_nfilters(plist);
	for (i = 0; i < n && result == 1; i++) {
		unsigned flags;
		size_t values = 0;
		H5Z_filter_t f = H5Pget_filter2(plist, i, &flags, &values, NULL, 0, NULL, NULL);
		if (f == H5Z_FILTER_DEFLATE && *deflates == 0) *deflates = 1;
		else if (f != H5Z_FILTER_SHUFFLE && f != H5Z_FILTER_FLETCHER32) result = -(f > 0 ? (int)f : 65536);
	}
	H5Pclose(plist);
	return result;
}

static long long ctdb_chunk_bytes(hid_t set, const long long *at, int rank) {
	hsize_t offset[H5S_MAX_RANK], size = 0;
	int i;
	for (i = 0; i < rank; i++) offset[i] = (hsize_t)at[i];
	return H5Dget_chunk_storage_size(set, offset, &size) < 0 ? -1 : (long long)size;
}

static herr_t ctdb_raw_chunk(hid_t set, const long long *at, int rank, uint32_t *mask, void *to) {
	hsize_t offset[H5S_MAX_RANK];
	int i;
	for (i = 0; i < rank; i++) offset[i] = (hsize_t)at[i];
	return H5Dread_chunk(set, H5P_DEFAULT, offset, mask, to);
}
*/
import "C"

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"unsafe"
)

const (
	// deflateRatio is the most that deflate can shrink: 258 bytes by 2 bits.
	deflateRatio = 1032
	// expansion is what a chunk may become before it is looked at first: the library unpacks whatever there is, without a limit of its own.
	expansion = 1 << 30
	// maxChunk is the largest chunk, in bytes as it is unpacked.
	maxChunk = 1 << 30
)

// chunking is how an array is cut up.
type chunking struct {
	shape    []int // of a chunk
	bytes    int64 // of a chunk, unpacked
	deflated bool
}

// elsewhere says where a dataset's data are if not in its file; empty where they are.
func (s h5Set) elsewhere() string {
	switch C.ctdb_whereabouts(s.id) {
	case C.ctdb_here:
		return ""
	case C.ctdb_external:
		return "its data are in another file (external storage)"
	case C.ctdb_virtual:
		return "its data are those of other datasets (a virtual dataset)"
	}
	return "its data are stored in a way that is not known here"
}

// chunking reads how a dataset is cut up; nil where it is not. What makes it unreadable is the error.
func (s h5Set) chunking(shape []int, size int) (*chunking, error) {
	var deflates C.int
	dims := make([]C.longlong, max(1, len(shape)))
	switch status := C.ctdb_chunking(s.id, C.int(len(shape)), &dims[0], &deflates); {
	case status == 0:
		return nil, nil
	case status < 0:
		return nil, fmt.Errorf("its chunks go through HDF5 filter %d, or through gzip twice: gzip, shuffle and fletcher32 are read", -status)
	}
	c := &chunking{shape: make([]int, len(shape)), bytes: int64(size), deflated: deflates != 0}
	for i := range shape {
		d := int64(dims[i])
		if d < 1 || d > maxChunk/c.bytes {
			return nil, fmt.Errorf("chunks of shape %v: chunks of at most %d bytes are read", dims, int64(maxChunk))
		}
		c.shape[i] = int(d)
		c.bytes *= d
	}
	return c, nil
}

// claims reports data that cannot be in the file: it says how many bytes there are, at most, in those that are stored.
func (c *chunking) claims(shape []int, size int, stored int64) error {
	most := stored
	if c != nil && c.deflated {
		most *= deflateRatio
	}
	if bytes := int64(elements(shape)) * int64(size); bytes > most {
		return fmt.Errorf("shape %v stands for %d bytes, of which the file has %d: some were never written", shape, bytes, stored)
	}
	return nil
}

// guard checks the chunks of the rows [from, to) before the library unpacks them.
func (c *chunking) guard(set h5Set, name string, shape []int, from, to int) error {
	if c == nil || !c.deflated || elements(shape) == 0 || from >= to {
		return nil
	}
	rank := len(shape)
	at := make([]C.longlong, rank)
	at[0] = C.longlong(from - from%c.shape[0])
	for {
		if err := c.one(set, name, at); err != nil {
			return err
		}
		// The next chunk, the last axis first.
		for i := rank - 1; ; i-- {
			end := shape[i]
			if i == 0 {
				end = to
			}
			if at[i] += C.longlong(c.shape[i]); int(at[i]) < end {
				break
			}
			if i == 0 {
				return nil
			}
			at[i] = 0
		}
	}
}

// one checks the chunk that begins at an element.
func (c *chunking) one(set h5Set, name string, at []C.longlong) error {
	stored := int64(C.ctdb_chunk_bytes(set.id, &at[0], C.int(len(at))))
	if stored < 0 {
		return h5Error("%q: the chunk at %v", name, at)
	}
	// Deflate makes nothing longer by more than five bytes in 16 KiB; then there are headers and a checksum or two.
	if stored > c.bytes+c.bytes>>11+1024 {
		return fmt.Errorf("the chunk at %v takes %d bytes for %d: it is not what was compressed", at, stored, c.bytes)
	}
	if stored*deflateRatio <= expansion || stored == 0 {
		return nil
	}
	raw := make([]byte, stored)
	var mask C.uint32_t
	if C.ctdb_raw_chunk(set.id, &at[0], C.int(len(at)), &mask, unsafe.Pointer(&raw[0])) < 0 {
		return h5Error("%q: the chunk at %v", name, at)
	}
	if mask != 0 {
		return nil // not all filters were applied: what the library makes of it is no longer than what is there
	}
	z, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("the chunk at %v: %w", at, err)
	}
	// Fletcher's checksum, where it was taken before compressing, adds 4 bytes.
	if n, _ := io.Copy(io.Discard, io.LimitReader(z, c.bytes+5)); n > c.bytes+4 {
		return fmt.Errorf("the chunk at %v unpacks to more than its %d bytes", at, c.bytes)
	}
	return nil
}
