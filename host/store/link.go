package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// Link makes an entry's files appear in a folder, which is made if it is missing: as hard links, or copies where links cannot be had (another file system, one without
// links, too many links). Each file appears whole or not at all, and one that is there already is replaced; other files in the folder are let be. The checksums come along.
func (s *Store) Link(e Entry, into string) error {
	err := filepath.WalkDir(e.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(e.Dir, path)
		if err != nil {
			return err
		}
		to := filepath.Join(into, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		return linkFile(path, to)
	})
	if err != nil {
		return fmt.Errorf("store: linking %s into %s: %w", e.Key, into, err)
	}
	return nil
}

func linkFile(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		if same(from, to) {
			return nil
		}
		if err := os.Remove(to); err != nil {
			return err
		}
		err = os.Link(from, to)
	}
	for _, without := range []error{syscall.EXDEV, syscall.EPERM, syscall.EMLINK, syscall.ENOTSUP, syscall.ENOSYS} {
		if errors.Is(err, without) {
			return copyFile(from, to)
		}
	}
	return err
}

func same(a, b string) bool {
	x, errX := os.Lstat(a)
	y, errY := os.Lstat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// copyFile makes a read-only copy under a temporary name and renames it.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := renameio.NewPendingFile(to, renameio.WithTempDir(filepath.Dir(to)), renameio.WithStaticPermissions(0o444))
	if err != nil {
		return err
	}
	defer out.Cleanup()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}
