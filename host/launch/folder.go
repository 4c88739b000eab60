package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// FolderEnv is the environment variable that names a plugin's private folder in every process that the plugin starts, by which the host finds those.
const FolderEnv = "CTDB_PLUGIN_FOLDER"

// markOf is the entry that the environment of a plugin and of all that it starts has.
func markOf(folder string) string { return FolderEnv + "=" + folder }

// maxSocketBase is the longest folder under which a socket's path still fits the 108 bytes that the system allows: below it are our folder's name of at most 32 bytes,
// and two names of go-plugin's of at most 38.
const maxSocketBase = 36

// folderForm is how the folders are named: the host's process number, when it started (in base 36), and a random number.
var folderForm = regexp.MustCompile(`^ctdb-([0-9]+)-([0-9a-z]+)-[0-9]+$`)

// lockName is a file in the folder that the host holds locked as long as it lives: it is what tells a host in another container from one that is dead.
const lockName = "host.lock"

// bases are where private folders may be, in order of preference.
func bases() []string {
	var out []string
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if base != "" && filepath.IsAbs(base) && len(base) <= maxSocketBase && !slices.Contains(out, filepath.Clean(base)) {
			out = append(out, filepath.Clean(base))
		}
	}
	return out
}

// private is a folder that nobody else may enter, with a short path, for a plugin's socket.
type private struct {
	path string
	lock *os.File
}

// newPrivate makes a folder. Its name and a lock say whose it is, so that what a killed host left behind can be told from what is in use.
func newPrivate() (*private, error) {
	var failures []error
	start := strconv.FormatUint(startOf(os.Getpid()), 36)
	for _, base := range bases() {
		path, err := os.MkdirTemp(base, fmt.Sprintf("ctdb-%d-%s-", os.Getpid(), start))
		if err != nil {
			failures = append(failures, err)
			continue
		}
		f, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			failures = append(failures, err, os.Remove(path))
			continue
		}
		// Where files cannot be locked the process number has to do.
		_, _ = lockFile(f)
		return &private{path: path, lock: f}, nil
	}
	if err := errors.Join(failures...); err != nil {
		return nil, fmt.Errorf("folder for its socket: %w", err)
	}
	return nil, fmt.Errorf("no folder for sockets with a path of at most %d bytes: set TMPDIR to one", maxSocketBase)
}

func (p *private) remove() error {
	// In this order: where files are short the removal needs one.
	err := p.lock.Close()
	return errors.Join(err, removeFolder(p.path))
}

// Sweep removes the folders that hosts of this user have left behind that were killed together with their janitor, ends what their plugins have left running, and returns what it removed. A folder
// is left alone where its host lives, in this container or in another. Folders that cannot be removed are in the error.
func Sweep(ctx context.Context) (removed []string, err error) {
	var errs []error
	for _, base := range bases() {
		entries, err := os.ReadDir(base)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return removed, errors.Join(append(errs, err)...)
			}
			m := folderForm.FindStringSubmatch(e.Name())
			if m == nil || !e.IsDir() {
				continue
			}
			pid, pidErr := strconv.Atoi(m[1])
			start, startErr := strconv.ParseUint(m[2], 36, 64)
			path := filepath.Join(base, e.Name())
			info, infoErr := os.Lstat(path)
			if pidErr != nil || startErr != nil || infoErr != nil || !info.IsDir() || !isOwn(info) || isAlive(pid, start) || isHeld(path) {
				continue
			}
			killMarked(markOf(path))
			if err := removeFolder(path); err != nil {
				errs = append(errs, err)
				continue
			}
			removed = append(removed, path)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("launch: sweep: %w", err)
	}
	return removed, nil
}

// isHeld reports whether a host holds the lock in a folder.
func isHeld(folder string) bool {
	f, err := os.OpenFile(filepath.Join(folder, lockName), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		// A host in another container may be about to make it.
		info, err := os.Lstat(folder)
		return err != nil || time.Since(info.ModTime()) < time.Minute
	}
	if err != nil {
		return true
	}
	defer f.Close()
	free, err := lockFile(f)
	return err == nil && !free
}
