package registry

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// PackOptions say how to make a package.
type PackOptions struct {
	// Describe asks the plugin what it is.
	Describe Describe
	// Key is the private key that signs it, see [NewKey]; empty for no signature.
	Key string
	// Out is the archive to write; empty for NAME-VERSION-PLATFORM.tar.gz in the working folder.
	Out string
}

// Pack makes a package of a folder or an executable: an archive with a manifest, the same bytes for the same files. What cannot be packed is a [*PackageError].
func Pack(ctx context.Context, source string, o PackOptions) (path string, _ Manifest, err error) {
	work, err := os.MkdirTemp("", "ctdb-pack-")
	if err != nil {
		return "", Manifest{}, fmt.Errorf("registry: %w", err)
	}
	defer func() { err = errors.Join(err, removeAll(work)) }()
	p, err := stager{describe: o.Describe}.stage(ctx, source, work)
	if err != nil {
		return "", Manifest{}, err
	}
	if o.Key != "" {
		data, err := os.ReadFile(filepath.Join(p.dir, ManifestFile))
		if err != nil {
			return "", p.manifest, fmt.Errorf("registry: %w", err)
		}
		signature, err := sign(p.manifest, data, o.Key)
		if err != nil {
			return "", p.manifest, fmt.Errorf("registry: the key %w", err)
		}
		if err := os.WriteFile(filepath.Join(p.dir, SignatureFile), signature, 0o644); err != nil {
			return "", p.manifest, fmt.Errorf("registry: %w", err)
		}
	}
	out := o.Out
	if out == "" {
		out = fmt.Sprintf("%s-%s-%s.tar.gz", p.manifest.Name, p.manifest.Version, strings.ReplaceAll(p.manifest.Platform, "/", "-"))
	}
	f, err := renameio.NewPendingFile(out, renameio.WithPermissions(0o644))
	if err != nil {
		return "", p.manifest, fmt.Errorf("registry: %w", err)
	}
	defer f.Cleanup()
	if err := archive(f, p); err != nil {
		return "", p.manifest, fmt.Errorf("registry: %s: %w", out, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return "", p.manifest, fmt.Errorf("registry: %s: %w", out, err)
	}
	return out, p.manifest, nil
}

// archive writes a package: the manifest first, so that whoever lists it sees that, then the signature, then the files by name.
func archive(w io.Writer, p *staged) error {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	folder := p.manifest.Name + "-" + p.manifest.Version
	for _, name := range append([]string{ManifestFile, SignatureFile}, slices.Sorted(maps.Keys(p.manifest.Files))...) {
		f, err := root.Open(name)
		if errors.Is(err, fs.ErrNotExist) && name == SignatureFile {
			continue
		}
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil {
			mode := int64(0o644)
			if info.Mode().Perm()&0o111 != 0 {
				mode = 0o755
			}
			err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + name, Size: info.Size(), Mode: mode, Format: tar.FormatPAX})
		}
		if err == nil {
			_, err = io.Copy(t, f)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
