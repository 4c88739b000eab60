package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/google/renameio/v2"
)

// anotherRun is what to do about a run's folder that will not do.
const anotherRun = "choose another folder for the run"

// Link makes an entry's files appear in a folder, which is made if it is missing: as hard links, or copies where links cannot be had (another file system, one without
// links, too many links). Each file appears whole or not at all, and one that is there already is replaced; other files in the folder are let be. The checksums come along.
func (s *Store) Link(e Entry, into string) error {
	added, err := s.linkAll(e, into)
	if err != nil {
		return explain(into, anotherRun, fmt.Errorf("linking %s into %s: %w", e.Key, into, err))
	}
	if added && !s.readOnly {
		s.linked(e.Key, into)
	}
	return nil
}

func (s *Store) linkAll(e Entry, into string) (added bool, err error) {
	var folders []string // that were added to
	err = filepath.WalkDir(e.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(e.Dir, path)
		if err != nil {
			return err
		}
		to := filepath.Join(into, rel)
		if d.IsDir() {
			return makeDir(to)
		}
		if same(path, to) {
			return nil
		}
		if n := len(folders); n == 0 || folders[n-1] != filepath.Dir(to) {
			folders = append(folders, filepath.Dir(to))
		}
		return s.linkFile(path, to)
	})
	for _, dir := range folders {
		err = errors.Join(err, toDisk(dir))
	}
	return len(folders) > 0, err
}

// linkFile links under a temporary name and renames, so that what was there before is there until it is replaced.
func (s *Store) linkFile(from, to string) error {
	err := s.link(from, to)
	if errors.Is(err, fs.ErrExist) {
		// In place of a folder or the like there is no renaming a file.
		if info, statErr := os.Lstat(to); statErr == nil && info.IsDir() {
			return fmt.Errorf("%s is a folder, where a file is to be put", to)
		}
		temporary := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+strconv.FormatUint(rand.Uint64(), 10))
		if err = s.link(from, temporary); err == nil {
			return os.Rename(temporary, to)
		}
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
