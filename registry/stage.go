package registry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// Describe asks an executable for its manifest.
type Describe func(ctx context.Context, c Candidate) (component.Manifest, error)

// PackageError says why something is no package that can be used.
type PackageError struct {
	// Source is what was to be used, as given.
	Source string
	Err    error
}

// Error names the package and what is wrong with it, on a line each where it is several things.
func (e *PackageError) Error() string {
	return fmt.Sprintf("registry: %s: %s", shown(e.Source), strings.ReplaceAll(e.Err.Error(), "\n", "\n  "))
}

// Unwrap returns the cause.
func (e *PackageError) Unwrap() error { return e.Err }

// staged is a package in a folder of its own, that nobody else knows of yet: every file of it has the checksum that its manifest says, and the plugin is what the manifest says.
type staged struct {
	dir      string
	manifest Manifest
	// signers are the trusted keys that have signed it, unknown those that are not known.
	signed Signatures
}

// stager takes packages in.
type stager struct {
	most     limits
	describe Describe
	trust    Trust
}

// stage copies or unpacks source, a folder, an archive or an executable, into the empty folder dir, and checks it.
func (s stager) stage(ctx context.Context, source, dir string) (*staged, error) {
	if s.most == (limits{}) {
		s.most = defaultLimits()
	}
	out, err := s.take(ctx, source, dir)
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("registry: %s: %w", shown(source), ctx.Err())
	}
	return nil, &PackageError{source, err}
}

func (s stager) take(ctx context.Context, source, dir string) (*staged, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Whoever opens a pipe waits for its other end.
	if info, err := os.Stat(source); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, errors.New("is neither a folder, an archive nor an executable")
	}
	f, err := os.Open(source)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, errors.New(reason(err))
	}
	r := newReceiver(ctx, root, s.most)
	switch {
	case info.IsDir():
		from, err := os.OpenRoot(source)
		if err != nil {
			return nil, errors.New(reason(err))
		}
		defer from.Close()
		if err := r.copyFolder(from); err != nil {
			return nil, err
		}
	case !info.Mode().IsRegular():
		return nil, errors.New("is neither a folder, an archive nor an executable")
	default:
		b := bufio.NewReader(f)
		head, err := b.Peek(4)
		if err != nil && err != io.EOF {
			return nil, errors.New(reason(err))
		}
		if !isArchive(head) {
			if why := foreign(source); why != "" {
				if why == noProgram {
					why += ": a folder, a .tar.gz or .zip archive, or an executable is needed"
				}
				return nil, errors.New(why)
			}
			if !executable(info) {
				return nil, errors.New("is not executable: chmod +x " + source)
			}
			if err := r.file(looseName, info.Mode(), b); err != nil {
				return nil, err
			}
			return s.adopt(ctx, dir, looseName)
		}
		if err := r.unpack(f, info.Size()); err != nil {
			return nil, err
		}
		within, err := top(root)
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(dir, within)
	}
	return s.check(ctx, dir)
}

// looseName is what an executable is called until it has said its name.
const looseName = Prefix + "new"

// check checks a package's folder, or makes a manifest where there is none but one executable of a plugin.
func (s stager) check(ctx context.Context, dir string) (*staged, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	m, data, err := readManifest(root)
	if errors.Is(err, fs.ErrNotExist) {
		var plugins []string
		entries, err := fs.ReadDir(root.FS(), ".")
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), Prefix) && e.Type().IsRegular() {
				plugins = append(plugins, e.Name())
			}
		}
		switch len(plugins) {
		case 0:
			return nil, fmt.Errorf("there is neither a %s in it nor an executable %sNAME", ManifestFile, Prefix)
		case 1:
			return s.adopt(ctx, dir, plugins[0])
		}
		return nil, fmt.Errorf("there is no %s in it and %d executables, %s: name the one that is meant", ManifestFile, len(plugins), strings.Join(plugins, ", "))
	}
	if err != nil {
		return nil, err
	}
	out := &staged{dir: dir, manifest: m}
	// What is signed is read before anything is run; the sums of all files are in what is signed.
	if out.signed, err = s.trust.verify(root, m, data); err != nil {
		return nil, err
	}
	if err := m.suits(); err != nil {
		return nil, err
	}
	if err := m.verify(root); err != nil {
		return nil, err
	}
	// An archive that was made where files have no such bit.
	if err := root.Chmod(m.Executable, 0o755); err != nil {
		return nil, err
	}
	return out, s.ask(ctx, out)
}

// ask starts the plugin of a package and compares what it says with the manifest.
func (s stager) ask(ctx context.Context, p *staged) error {
	c, why := inspectPackage(p.dir, UserDir)
	if why != "" {
		return errors.New(why)
	}
	own, err := s.describe(ctx, c)
	if err != nil {
		return err
	}
	if err := p.manifest.describes(own); err != nil {
		return fmt.Errorf("the plugin is not what its manifest says:\n%w", err)
	}
	return nil
}

// adopt makes a manifest for what is in a folder, by asking its plugin.
func (s stager) adopt(ctx context.Context, dir, name string) (*staged, error) {
	if s.trust.Required() {
		return nil, s.trust.unsigned()
	}
	c, why := inspect(filepath.Join(dir, name), UserDir)
	if why != "" {
		return nil, errors.New(strings.ReplaceAll(why, dir+string(filepath.Separator), ""))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// As a package it leaves no bytecode behind that would be packed with it.
	before, err := sums(root)
	if err != nil {
		return nil, err
	}
	c.Package = &Package{Dir: dir, Manifest: Manifest{Name: strings.TrimPrefix(name, Prefix), Files: before}}
	own, err := s.describe(ctx, c)
	if err != nil {
		return nil, err
	}
	m := newManifest(own, platform(c.Path))
	m.Files = before
	if err := m.verify(root); err != nil {
		return nil, fmt.Errorf("the plugin changed its own folder when it was started, which would break it once it is installed: it may write to the folder that it is given:\n%w", err)
	}
	if name == looseName {
		if err := root.Rename(name, m.Executable); err != nil {
			return nil, err
		}
		m.Files = map[string]string{m.Executable: before[name]}
	} else if name != m.Executable {
		return nil, fmt.Errorf("the plugin calls itself %q, its executable must be named %s, not %s", own.Name, m.Executable, name)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	data, err := m.encode()
	if err != nil {
		return nil, err
	}
	if err := root.WriteFile(ManifestFile, data, 0o644); err != nil {
		return nil, err
	}
	return &staged{dir: dir, manifest: m}, nil
}
