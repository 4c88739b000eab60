package pipeline

import "context"

// FileKind says what a file of the user's should be.
type FileKind string

// The kinds of HDF5 file that a user may bring.
const (
	DatasetKind FileKind = "dataset"
	ArraysKind  FileKind = "arrays"
)

// FileCheck reads a file whole and returns what is wrong with it: an [*artifact.FormatError], or another error where it cannot be read.
type FileCheck func(ctx context.Context, kind FileKind, path string) error
