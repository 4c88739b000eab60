package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileSystem is what holds a folder. All is zero on platforms that do not tell.
type FileSystem struct {
	// Type is e.g. "ext4"; Network is true where other machines may write to it as well.
	Type    string
	Network bool
	// Size and Free are in bytes, Free for those without privileges; Files is how many more files it can hold, where NoFiles does not say that it sets no limit.
	Size, Free, Files int64
	NoFiles           bool
	// NoExec is true where no program may be started from it.
	NoExec, ReadOnly bool
}

// Stat returns the file system of a folder, or of the nearest folder above it that exists.
func Stat(dir string) (FileSystem, error) {
	near, err := nearest(dir)
	if err != nil {
		return FileSystem{}, err
	}
	return statfs(near)
}

// nearest is dir, or the nearest folder above it that exists.
func nearest(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("machine: %w", err)
	}
	for {
		info, err := os.Stat(abs)
		switch {
		case err == nil && info.IsDir():
			return abs, nil
		case err == nil:
			return "", fmt.Errorf("machine: %s is no folder", abs)
		case !errors.Is(err, fs.ErrNotExist) || filepath.Dir(abs) == abs:
			return "", fmt.Errorf("machine: %w", err)
		}
		abs = filepath.Dir(abs)
	}
}

// Writable tries whether files can be made in a folder; in the nearest one above it that exists where it does not exist. Nothing is left behind. The error
// says why not.
func Writable(dir string) error {
	near, err := nearest(dir)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(near, ".ctdb-*")
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	_, err = f.WriteString("x")
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
