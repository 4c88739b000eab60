package artifact

/*
#cgo pkg-config: hdf5
#include <hdf5.h>

// Lets H5P_DEFAULT mean: no locks. A lock lasts as long as any process has the file's descriptor, so one that is being started while a data set is
// written would for a moment keep everybody from reading it; and some network file systems have none. Files are written under temporary names and do not
// change afterwards, so there is nothing to lock.
static void ctdb_no_locks(void) {
#if H5_VERSION_GE(1, 10, 7)
	H5Pset_file_locking(H5P_FILE_ACCESS_DEFAULT, 0, 1);
#endif
}

static int ctdb_descriptor(hid_t file) {
	int *fd = NULL;
	if (H5Fget_vfd_handle(file, H5P_DEFAULT, (void **)&fd) < 0 || fd == NULL) return -1;
	return *fd;
}
*/
import "C"

import (
	"syscall"

	"gonum.org/v1/hdf5"
)

// opened opens a file with call, without the library's lock on it, and so that no process that is started meanwhile keeps it open: the library does not
// ask for O_CLOEXEC. It is called within locked.
func opened(call func() (*hdf5.File, error)) (*hdf5.File, error) {
	C.ctdb_no_locks()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := call()
	if err != nil {
		return nil, err
	}
	if fd := C.ctdb_descriptor(C.hid_t(f.ID())); fd >= 0 {
		syscall.CloseOnExec(int(fd))
	}
	return f, nil
}
