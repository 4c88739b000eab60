//go:build !unix

package store

import "io/fs"

// links is 1 where the platform does not tell.
func links(fs.FileInfo) uint64 { return 1 }

// owner is not known here.
func owner(fs.FileInfo) (uid uint32, ok bool) { return 0, false }
