package artifact

import "gonum.org/v1/hdf5"

// Libraries returns the versions of the C libraries that files are written with.
func Libraries() map[string]string {
	out := map[string]string{}
	if v, err := hdf5.LibVersion(); err == nil {
		out["hdf5"] = v.String()
	}
	return out
}
