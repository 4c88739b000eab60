package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/gofrs/flock"
)

// Library is the folder in which plugins are installed. Each version of each has a folder of its own in it, NAME@VERSION, which appears and vanishes whole.
type Library struct {
	Dir string
	// Waiting is told when another process is installing; nil tells nobody.
	Waiting func()
	// most bounds packages; the zero value is defaultLimits.
	most limits
}

// Installed is a package in a library.
type Installed struct {
	Manifest
	// Dir is its folder.
	Dir string
	// Signatures are those on it.
	Signatures Signatures
	// Already is true where it was there.
	Already bool
	// Removed are the versions that it took the place of.
	Removed []Manifest
}

// InstallOptions say how to install.
type InstallOptions struct {
	// Describe asks a plugin what it is.
	Describe Describe
	// Trust is whose packages are taken.
	Trust Trust
	// Upgrade takes a version that is newer than all that are installed only, and removes those unless Keep is set.
	Upgrade, Keep bool
}

const (
	lockFile = ".lock"
	// making is how the folders begin that are being made or removed: whoever has the lock may sweep them.
	making = ".making-"
	// poll is how soon the lock is tried again.
	poll = 50 * time.Millisecond
)

// Install installs a folder, an archive or an executable. Either it is there whole afterwards, verified, or nothing of it is. Of several installations at once each waits for the one before.
// What is refused is a [*PackageError]; where a version that is to be replaced is in use by another process, it is an [*InUseError].
func (l Library) Install(ctx context.Context, source string, o InstallOptions) (_ *Installed, err error) {
	unlock, err := l.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	work, err := os.MkdirTemp(l.Dir, making)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	defer func() { err = errors.Join(err, removeAll(work)) }()
	at := filepath.Join(work, "package")
	if err := os.Mkdir(at, 0o755); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	p, err := stager{l.most, o.Describe, o.Trust}.stage(ctx, source, at)
	if err != nil {
		return nil, err
	}
	out := &Installed{Manifest: p.manifest, Dir: filepath.Join(l.Dir, p.manifest.Title()), Signatures: p.signed}
	there, broken, err := l.list()
	if err != nil {
		return nil, err
	}
	older, err := l.judge(p.manifest, there, o)
	if err != nil {
		return nil, &PackageError{source, err}
	}
	same := slices.IndexFunc(there, func(i Installed) bool { return i.Title() == out.Title() })
	replaced := false
	switch {
	case same >= 0 && there[same].Sum() == out.Sum() && whole(out.Dir) && !resigned(out.Dir, p.dir):
		out.Already = true
	case same >= 0 && there[same].Sum() != out.Sum():
		return nil, &PackageError{source, fmt.Errorf("%s is installed with other contents: their checksum is %s, this package's %s: a release does not change, so its version must; or remove the installed one first: ctdb-host plugin remove %s",
			out.Title(), there[same].Sum(), out.Sum(), out.Title())}
	case same >= 0 || slices.ContainsFunc(broken, func(s Skip) bool { return s.Path == out.Dir }):
		replaced = true
	}
	free := older
	if replaced {
		free = append(slices.Clone(older), Installed{Manifest: out.Manifest, Dir: out.Dir})
	}
	release, err := takeAway(free...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if replaced {
		// What is damaged, or signed otherwise, is replaced.
		if err := os.Rename(out.Dir, filepath.Join(work, "damaged")); err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
	}
	if !out.Already {
		if err := seal(p.dir); err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
		if err := os.Rename(p.dir, out.Dir); err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
	}
	for i, old := range older {
		if err := os.Rename(old.Dir, filepath.Join(work, fmt.Sprint("old", i))); err != nil {
			return out, fmt.Errorf("registry: %s is installed, but %s cannot be removed: %w", out.Title(), old.Title(), err)
		}
		out.Removed = append(out.Removed, old.Manifest)
	}
	return out, nil
}

// judge says whether a package may be an upgrade of what is there, and which versions it takes the place of.
func (l Library) judge(m Manifest, there []Installed, o InstallOptions) ([]Installed, error) {
	if !o.Upgrade {
		return nil, nil
	}
	var older []Installed
	version, err := semver.NewVersion(m.Version)
	if err != nil {
		return nil, err
	}
	for _, i := range there {
		if i.Name != m.Name || i.Version == m.Version {
			continue
		}
		v, err := semver.NewVersion(i.Version)
		if err != nil {
			return nil, err
		}
		if !version.GreaterThan(v) {
			return nil, fmt.Errorf("%s is installed, %s is not newer: to have both, use plugin install", i.Title(), m.Version)
		}
		older = append(older, i)
	}
	if len(older) == 0 && !slices.ContainsFunc(there, func(i Installed) bool { return i.Title() == m.Title() }) {
		return nil, fmt.Errorf("no version of %s is installed: use plugin install", m.Name)
	}
	if o.Keep {
		return nil, nil
	}
	return older, nil
}

// Remove removes installed plugins, all or, where one is in use by another process, none: the error is an [*InUseError] then.
func (l Library) Remove(ctx context.Context, which ...Installed) (err error) {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	release, err := takeAway(which...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	work, err := os.MkdirTemp(l.Dir, making)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	defer func() { err = errors.Join(err, removeAll(work)) }()
	for n, i := range which {
		if err := os.Rename(i.Dir, filepath.Join(work, fmt.Sprint(n))); err != nil {
			return fmt.Errorf("registry: %s cannot be removed: %w", i.Title(), err)
		}
	}
	return nil
}

// List lists what is installed, by name and version, and the folders in which something is damaged so that it is not known what it is.
func (l Library) List() ([]Installed, []Skip, error) { return l.list() }

func (l Library) list() ([]Installed, []Skip, error) {
	entries, err := os.ReadDir(l.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("registry: %w", err)
	}
	var out []Installed
	var broken []Skip
	for _, e := range entries {
		if !isPackage(e) {
			continue
		}
		dir := filepath.Join(l.Dir, e.Name())
		m, err := namedManifest(dir)
		if err != nil {
			broken = append(broken, Skip{dir, damaged(err)})
			continue
		}
		out = append(out, Installed{Manifest: m, Dir: dir})
	}
	slices.SortStableFunc(out, func(a, b Installed) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		v, errV := semver.NewVersion(a.Version)
		w, errW := semver.NewVersion(b.Version)
		if errV != nil || errW != nil {
			return strings.Compare(a.Version, b.Version)
		}
		return v.Compare(w)
	})
	return out, broken, nil
}

// Verify compares every file of an installed plugin with its manifest, and its signature with the keys that are trusted.
func (i *Installed) Verify(t Trust) error {
	if _, err := verifyPackage(i.Dir); err != nil {
		return &PackageError{i.Title(), err}
	}
	root, err := os.OpenRoot(i.Dir)
	if err != nil {
		return &PackageError{i.Title(), err}
	}
	defer root.Close()
	m, data, err := readManifest(root)
	if err == nil {
		i.Signatures, err = t.verify(root, m, data)
	}
	if err != nil {
		return &PackageError{i.Title(), err}
	}
	return nil
}

// lock makes the folder and waits for its lock, then removes what others have left behind that were killed.
func (l Library) lock(ctx context.Context) (unlock func() error, err error) {
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("registry: the folder of plugins: %w", err)
	}
	f := flock.New(filepath.Join(l.Dir, lockFile), flock.SetFlag(os.O_CREATE|os.O_RDWR))
	ok, err := f.TryLock()
	if err == nil && !ok {
		if l.Waiting != nil {
			l.Waiting()
		}
		_, err = f.TryLockContext(ctx, poll)
	}
	if err != nil {
		return nil, fmt.Errorf("registry: locking %s: %w", l.Dir, errors.Join(err, f.Close()))
	}
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", errors.Join(err, f.Close()))
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), making) {
			if err := removeAll(filepath.Join(l.Dir, e.Name())); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
	}
	return f.Close, nil
}

// removeAll removes a folder.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// seal makes the files of a package read-only: to edit one would break it.
func seal(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()&0o555)
	})
}

// isPackage reports whether an entry of a library is an installed plugin's folder.
func isPackage(e fs.DirEntry) bool {
	name, version, ok := strings.Cut(e.Name(), "@")
	if !ok || !e.IsDir() || !ValidPluginName(name) {
		return false
	}
	_, err := semver.StrictNewVersion(version)
	return err == nil
}

// namedManifest reads the manifest of an installed plugin's folder, which bears its name.
func namedManifest(dir string) (Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Manifest{}, errors.New(reason(err))
	}
	defer root.Close()
	m, _, err := readManifest(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%s is missing", ManifestFile)
	case err == nil && m.Title() != filepath.Base(dir):
		err = fmt.Errorf("%s is of %s", ManifestFile, m.Title())
	}
	return m, err
}

// verifyPackage reads the manifest of a package's folder and compares every file with it.
func verifyPackage(dir string) (Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Manifest{}, errors.New(reason(err))
	}
	defer root.Close()
	m, _, err := readManifest(root)
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s is missing", ManifestFile)
	}
	if err == nil {
		err = m.verify(root)
	}
	return m, err
}

func whole(dir string) bool {
	_, err := verifyPackage(dir)
	return err == nil
}

// resigned reports whether a package has a signature that the installed one does not have.
func resigned(installed, dir string) bool {
	now, err := os.ReadFile(filepath.Join(dir, SignatureFile))
	if err != nil {
		return false
	}
	was, err := os.ReadFile(filepath.Join(installed, SignatureFile))
	return err != nil || !bytes.Equal(was, now)
}

func damaged(err error) string {
	return "is damaged, install it again: " + strings.ReplaceAll(err.Error(), "\n", "; ")
}

// inspectPackage returns the candidate in a package's folder, or why there is none.
func inspectPackage(dir string, source Source) (Candidate, string) {
	m, err := verifyPackage(dir)
	if err != nil {
		return Candidate{}, damaged(err)
	}
	if err := m.suits(); err != nil {
		return Candidate{}, err.Error()
	}
	c, why := inspect(filepath.Join(dir, m.Executable), source)
	if why != "" {
		return c, why
	}
	c.Package = &Package{Dir: filepath.Dir(c.Path), Manifest: m}
	if want := m.Files[m.Executable]; c.SHA256 != want {
		return Candidate{}, damaged(fmt.Errorf("%s: its checksum is %s, the manifest has %s", m.Executable, c.SHA256, want))
	}
	return c, ""
}

// inspectInstalled is inspectPackage for a folder of a library.
func inspectInstalled(dir string) (Candidate, string) {
	if _, err := namedManifest(dir); err != nil {
		return Candidate{}, damaged(err)
	}
	return inspectPackage(dir, UserDir)
}

// Package is the installed package that a plugin is from.
type Package struct {
	Dir      string
	Manifest Manifest
}

// Verify compares the package's files with the manifest as it was when the package was found.
func (p *Package) Verify() error {
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return fmt.Errorf("registry: package %s: %w", p.Manifest.Title(), err)
	}
	defer root.Close()
	if err := p.Manifest.verify(root); err != nil {
		return fmt.Errorf("registry: package %s in %s was changed: %w", p.Manifest.Title(), p.Dir, err)
	}
	return nil
}
