package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
)

// Whoever uses an installed version holds a shared lock on its manifest, which is there as long as the version is and is never written to; whoever takes the version away holds it alone. The
// operating system gives it back when a process ends, however it does.

// InUseError says that an installed version cannot be taken away.
type InUseError struct {
	// Plugin is its name and version.
	Plugin string
	// Users are the processes that use it, as far as they are known, e.g. "process 4711 (ctdb-host run study.yaml)".
	Users []string
}

// Error names the processes.
func (e *InUseError) Error() string {
	users := "another process"
	if len(e.Users) > 0 {
		users = strings.Join(e.Users, ", ")
	}
	return fmt.Sprintf("registry: %s is in use by %s: nothing was changed; wait until that has ended, or end it (with upgrade --keep both versions can be there)", e.Plugin, users)
}

// Hold keeps an installed plugin where it is until release is called or this process ends: nobody upgrades or removes it meanwhile. A plugin that was not installed is not kept.
func (c Candidate) Hold() (release func() error, err error) {
	if c.Package == nil {
		return func() error { return nil }, nil
	}
	return c.Package.hold()
}

func (p *Package) hold() (func() error, error) {
	path := filepath.Join(p.Dir, ManifestFile)
	f := flock.New(path, flock.SetFlag(os.O_RDONLY))
	ok, err := f.TryRLock()
	if noLocks(err) {
		return f.Close, nil
	}
	if err == nil && ok {
		mine, mineErr := f.Stat()
		there, thereErr := os.Stat(path)
		if mineErr == nil && thereErr == nil && os.SameFile(mine, there) {
			return f.Close, nil
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = errors.New("it is being removed or replaced: start again")
	}
	return nil, fmt.Errorf("registry: package %s in %s: %w", p.Manifest.Title(), p.Dir, errors.Join(err, f.Close()))
}

// takeAway locks installed versions that are to be removed or replaced. The error is an [*InUseError] where some process uses one.
func takeAway(which ...Installed) (release func() error, err error) {
	var held []*flock.Flock
	release = func() error {
		var errs []error
		for _, f := range held {
			errs = append(errs, f.Close())
		}
		return errors.Join(errs...)
	}
	for _, i := range which {
		path := filepath.Join(i.Dir, ManifestFile)
		f := flock.New(path, flock.SetFlag(os.O_RDONLY))
		held = append(held, f)
		switch ok, err := f.TryLock(); {
		case err != nil && !noLocks(err) && !errors.Is(err, fs.ErrNotExist):
			return nil, errors.Join(fmt.Errorf("registry: locking %s: %w", path, err), release())
		case err == nil && !ok:
			return nil, errors.Join(&InUseError{i.Title(), users(path)}, release())
		}
	}
	return release, nil
}

// noLocks reports whether a file system has no locks: then nobody can be kept from anything. NFS grants none to be held alone on what cannot be written to.
func noLocks(err error) bool {
	for _, none := range []error{syscall.ENOLCK, syscall.ENOSYS, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.EBADF, fs.ErrPermission} {
		if errors.Is(err, none) {
			return true
		}
	}
	return false
}
