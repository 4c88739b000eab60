package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// elsewhere is what to do about a folder that will not do.
const elsewhere = "choose another store with --store or CTDB_STORE"

// free is how to get space, and MakeRoom what to do where a store's file system has too little of it.
const (
	free     = "free some (`ctdb-host store gc` removes stored results)"
	MakeRoom = free + ", or " + elsewhere
)

// FolderError says why a folder will not do as a store, or does no longer, and what to do about it.
type FolderError struct {
	Dir string
	// What is wrong, and what to Do; both in words.
	What, Do string
	// Err is the cause; nil where What says it all.
	Err error
}

// Error names the folder, the cause and what to do.
func (e *FolderError) Error() string {
	return fmt.Sprintf("store: %s: %s: %s", e.Dir, e.What, e.Do)
}

// Unwrap is the cause.
func (e *FolderError) Unwrap() error { return e.Err }

// explain turns what the operating system said of a folder, or of a file in it, into a [FolderError] where a user can do something about it.
func explain(dir, do string, err error) error {
	var told *FolderError
	if err == nil || errors.As(err, &told) {
		return err
	}
	what := ""
	switch {
	case errors.Is(err, syscall.ENOSPC):
		what, do = "there is no space left on its file system", free+", or "+do
	case errors.Is(err, syscall.EDQUOT):
		what, do = "the quota of its user is used up", free+", or "+do
	case errors.Is(err, syscall.EFBIG):
		what, do = "a file became larger than is allowed", "raise the limit (`ulimit -f` shows it), or "+do
	case errors.Is(err, syscall.EROFS):
		what = "its file system is read-only"
	case errors.Is(err, fs.ErrPermission):
		what = "user " + fmt.Sprint(os.Getuid()) + " may not do that there" + owned(dir)
	case errors.Is(err, syscall.ENOTDIR):
		what = "a part of its path is a file"
	case errors.Is(err, syscall.ESTALE):
		what, do = "the file server has lost track of it", "run the same command again"
	default:
		return fmt.Errorf("store: %w", err)
	}
	return &FolderError{Dir: dir, What: what, Do: do, Err: err}
}

// owned says whose a folder is; for one that is missing, the nearest above it.
func owned(dir string) string {
	for {
		info, err := os.Stat(dir)
		if err == nil {
			if uid, ok := owner(info); ok {
				return fmt.Sprintf(" (%s is %s of user %d)", dir, info.Mode(), uid)
			}
			return ""
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return ""
		}
		dir = filepath.Dir(dir)
	}
}

// makeDir makes a folder and what is missing above it, each brought to the disk by way of its parent.
func makeDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		// Another host may have been faster; a link that leads nowhere is there too, and is no folder.
		if info, stat := os.Stat(dir); stat != nil || !info.IsDir() {
			return err
		}
	}
	return toDisk(parent)
}

// toDisk brings a file or a folder's entries to the disk.
func toDisk(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}

// removeAll removes a folder and what is in it.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// names lists what a folder holds; one that is missing holds nothing.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store: %w", err)
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Name()
	}
	return out, nil
}
