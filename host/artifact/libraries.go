package artifact

/*
#include <hdf5.h>

static int ctdb_threadsafe(void) {
	hbool_t yes = 0;
	return H5is_library_threadsafe(&yes) < 0 ? -1 : yes != 0;
}
*/
import "C"

import (
	"fmt"

	"gonum.org/v1/hdf5"
)

// Libraries returns the versions of the C libraries that files are written with.
func Libraries() map[string]string {
	out := map[string]string{}
	if v, err := hdf5.LibVersion(); err == nil {
		out["hdf5"] = v.String()
	}
	return out
}

// HDF5 describes the HDF5 library.
type HDF5 struct {
	// Version is that of the library in use, Built that of the headers which this program was compiled with. They should be the same.
	Version, Built string
	// ThreadSafe is true where the library can be called by several threads at once. This package calls it one at a time in any case.
	ThreadSafe bool
}

// LibraryHDF5 asks the HDF5 library what it is.
func LibraryHDF5() (HDF5, error) {
	var out HDF5
	err := locked(func() error {
		v, err := hdf5.LibVersion()
		if err != nil {
			return fmt.Errorf("artifact: hdf5: %w", err)
		}
		out = HDF5{
			Version: v.String(), Built: fmt.Sprintf("%d.%d.%d", int(C.H5_VERS_MAJOR), int(C.H5_VERS_MINOR), int(C.H5_VERS_RELEASE)),
			ThreadSafe: C.ctdb_threadsafe() == 1,
		}
		return nil
	})
	return out, err
}
