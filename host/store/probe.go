package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ctdb-host/ctdb/host/machine"
)

// clockSkew is the difference of clocks from which on it is worth telling.
const clockSkew = 2 * time.Minute

// Finding is what Probe found out about one thing that a store needs of its folder.
type Finding struct {
	// What was tried, e.g. "hard links".
	What string
	// Needed is true where a store cannot do without; the others it makes do without.
	Needed bool
	// Detail says what is so, e.g. "ext4, 12 GB free".
	Detail string
	// Err is nil where all is well; Do then is empty, else it says what to do.
	Err error
	Do  string
}

// errProbe is wrapped where something works, but not as a store needs it.
var errProbe = errors.New("store: not as needed")

// Probe tries what a store needs of a folder: writing and syncing files and folders, locks that exclude, renames that replace, hard links, a clock that agrees. The folder is
// made if it is missing; what is made in it is removed again. The first finding is of the folder itself; if it has an error there are no more. It can only see what one machine sees: whether locks exclude between
// machines it cannot tell, and says so of network file systems.
func Probe(dir string) []Finding {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return []Finding{{What: "folder", Needed: true, Err: fmt.Errorf("store: %w", err)}}
	}
	first := Finding{What: "folder", Needed: true, Detail: dir}
	made := !exists(dir)
	err = makeDir(dir)
	var at string
	if err == nil {
		at, err = os.MkdirTemp(dir, ".probe-")
	}
	if err != nil {
		first.Err, first.Do = explain(dir, elsewhere, err), elsewhere
		return []Finding{first}
	}
	p := prober{dir: dir, at: at, flock: openFlock, link: os.Link}
	out := append([]Finding{first}, p.all()...)
	// What cannot be removed is a temporary file like others.
	_ = os.RemoveAll(at)
	if made {
		_ = os.Remove(dir)
	}
	return out
}

// prober tries things in a folder of its own.
type prober struct {
	dir, at string
	flock   func(path string) flocker
	link    func(from, to string) error
}

func (p prober) all() []Finding {
	out := []Finding{p.fileSystem()}
	for _, try := range []struct {
		what   string
		needed bool
		do     string
		try    func() error
	}{
		{"writing and syncing", true, elsewhere, p.write},
		{"file locks", true, "mount it with locks (NFS: not nolock; Lustre: flock), or " + elsewhere, p.lock},
		{"renames", true, elsewhere, p.rename},
		{"hard links", false, "nothing: runs get copies, which take more space", p.hardLink},
		{"clock", false, "set the clocks of this machine and of the file server: ages, as in `store gc --older`, are off by as much", p.clock},
	} {
		f := Finding{What: try.what, Needed: try.needed, Detail: "ok"}
		if err := try.try(); err != nil {
			f.Err, f.Do, f.Detail = explain(p.dir, try.do, err), try.do, ""
		}
		out = append(out, f)
	}
	return out
}

func (p prober) fileSystem() Finding {
	f := Finding{What: "file system"}
	of, err := machine.Stat(p.dir)
	if err != nil {
		f.Err = err
		return f
	}
	f.Detail = fmt.Sprintf("%s, %.1f GB free", of.Type, float64(of.Free)/1e9)
	if of.Network {
		f.Detail += ", shared with other machines: locks must exclude between them (NFSv4, or NFSv3 with lockd), which cannot be tried from one"
	}
	return f
}

func (p prober) write() error {
	path := filepath.Join(p.at, "written")
	if err := os.WriteFile(path, []byte("x"), 0o666); err != nil {
		return err
	}
	return errors.Join(toDisk(path), toDisk(p.at))
}

// lock takes a lock twice: the second must be refused, and given once the first is back.
func (p prober) lock() error {
	path := filepath.Join(p.at, "lock")
	first, second := p.flock(path), p.flock(path)
	ok, err := first.TryLock()
	if err == nil && !ok {
		err = fmt.Errorf("%w: a new lock is refused", errProbe)
	}
	if err != nil {
		return errors.Join(err, first.Close())
	}
	twice, err := second.TryLock()
	if err == nil && twice {
		err = fmt.Errorf("%w: one lock was granted twice", errProbe)
	}
	if err = errors.Join(err, first.Close()); err != nil {
		return errors.Join(err, second.Close())
	}
	again, err := second.TryLock()
	if err == nil && !again {
		err = fmt.Errorf("%w: a lock that was given back is refused", errProbe)
	}
	return errors.Join(err, second.Close())
}

// rename replaces a file, and moves a folder, as Commit does.
func (p prober) rename() error {
	from, to := filepath.Join(p.at, "from"), filepath.Join(p.at, "to")
	for path, text := range map[string]string{from: "new", to: "old"} {
		if err := os.WriteFile(path, []byte(text), 0o444); err != nil {
			return err
		}
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != "new" {
		return fmt.Errorf("%w: a renamed file does not replace the one of that name (%v)", errProbe, err)
	}
	shelf, folder := filepath.Join(p.at, "shelf"), filepath.Join(p.at, "folder")
	if err := errors.Join(os.Mkdir(shelf, 0o777), os.Mkdir(folder, 0o777)); err != nil {
		return err
	}
	return os.Rename(folder, filepath.Join(shelf, "folder"))
}

func (p prober) hardLink() error {
	from, to := filepath.Join(p.at, "one"), filepath.Join(p.at, "other")
	if err := os.WriteFile(from, nil, 0o444); err != nil {
		return err
	}
	if err := p.link(from, to); err != nil {
		return err
	}
	if !same(from, to) {
		return fmt.Errorf("%w: a hard link is not the same file", errProbe)
	}
	return nil
}

func (p prober) clock() error {
	path := filepath.Join(p.at, "now")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if off := time.Since(info.ModTime()); off.Abs() > clockSkew {
		return fmt.Errorf("%w: its clock is %s off", errProbe, off.Abs().Round(time.Second))
	}
	return nil
}
