package registry

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/dustin/go-humanize"
)

// limits bound what a package may hold: an archive of a few kilobytes can claim to be anything.
type limits struct {
	// files counts folders too; bytes are of all files together, unpacked.
	files int
	bytes int64
}

// defaultLimits leave room for a plugin with trained weights.
func defaultLimits() limits { return limits{files: 20_000, bytes: 4 << 30} }

// receiver writes the files of a package below a folder, which nothing can lead out of.
type receiver struct {
	ctx  context.Context
	root *os.Root
	left limits
	most limits
	seen map[string]bool
	// folders are those that were counted because something is in them.
	folders map[string]bool
}

func newReceiver(ctx context.Context, root *os.Root, most limits) *receiver {
	return &receiver{ctx: ctx, root: root, left: most, most: most, seen: map[string]bool{}, folders: map[string]bool{}}
}

// entry takes note of a file or folder and reports why it is refused.
func (r *receiver) entry(name string, mode fs.FileMode) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	r.left.files--
	// The folders that a file is in are made for it, whether they are listed or not.
	for dir := path.Dir(name); dir != "." && !r.folders[dir]; dir = path.Dir(dir) {
		r.folders[dir] = true
		r.left.files--
	}
	if r.left.files < 0 {
		return fmt.Errorf("more than %d files and folders: no plugin needs that many", r.most.files)
	}
	switch {
	case mode.IsDir():
		r.folders[name] = true
		return nil
	case mode&fs.ModeSymlink != 0:
		hint := ""
		if top, _, _ := strings.Cut(name, "/"); top == "venv" || top == "env" {
			hint = "; a virtual environment that is called .venv is left out"
		}
		return fmt.Errorf("%s is a symbolic link: a package has files and folders only%s", name, hint)
	case !mode.IsRegular():
		return fmt.Errorf("%s is no regular file: a package has files and folders only", name)
	case r.seen[strings.ToLower(name)]:
		return fmt.Errorf("%s is there twice", name)
	}
	r.seen[strings.ToLower(name)] = true
	return nil
}

// file writes a file.
func (r *receiver) file(name string, mode fs.FileMode, content io.Reader) error {
	if dir := path.Dir(name); dir != "." {
		if err := r.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	perm := fs.FileMode(0o644)
	if mode.Perm()&0o111 != 0 {
		perm = 0o755
	}
	f, err := r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	// The umask may have taken bits away that whoever shares the folder needs.
	err = f.Chmod(perm)
	for err == nil {
		var n int64
		n, err = io.CopyN(f, content, 16<<20)
		if r.left.bytes -= n; r.left.bytes < 0 {
			err = r.tooMuch()
		} else if err == nil {
			err = r.ctx.Err()
		}
	}
	if err == io.EOF {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// tooMuch is the error of what would be larger, unpacked, than a package may be: where its header says so it is not even begun.
func (r *receiver) tooMuch() error {
	return fmt.Errorf("more than %s unpacked: no plugin needs that much", humanize.IBytes(uint64(r.most.bytes)))
}

// isArchive reports whether a file begins as one of the archives that are read.
func isArchive(head []byte) bool {
	return strings.HasPrefix(string(head), "\x1f\x8b") || strings.HasPrefix(string(head), "PK\x03\x04") || strings.HasPrefix(string(head), "PK\x05\x06")
}

// unpack unpacks a .tar.gz or a .zip.
func (r *receiver) unpack(f *os.File, size int64) error {
	if size > r.most.bytes {
		return fmt.Errorf("%s: more than %s", humanize.IBytes(uint64(size)), humanize.IBytes(uint64(r.most.bytes)))
	}
	head := make([]byte, 2)
	if _, err := f.ReadAt(head, 0); err != nil {
		return err
	}
	if string(head) == "PK" {
		return r.unzip(f, size)
	}
	return r.untar(io.NewSectionReader(f, 0, size))
}

func (r *receiver) untar(f io.Reader) error {
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("damaged archive: %w", err)
	}
	// Headers take room too: a tar of nothing but them ends here.
	t := tar.NewReader(io.LimitReader(z, r.most.bytes+int64(r.most.files)*4096))
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("damaged archive: %w", err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
		mode := h.FileInfo().Mode()
		switch h.Typeflag {
		case tar.TypeXGlobalHeader:
			continue
		case tar.TypeLink:
			return fmt.Errorf("%.100q is a link to %.100q: a package has files and folders only", h.Name, h.Linkname)
		case tar.TypeDir:
			if name == "" || name == "." {
				continue
			}
		}
		if err := r.entry(name, mode); err != nil {
			return err
		}
		if mode.IsRegular() {
			if h.Size > r.left.bytes {
				return r.tooMuch()
			}
			if err := r.file(name, mode, t); err != nil {
				return told(err)
			}
		}
	}
}

func (r *receiver) unzip(f io.ReaderAt, size int64) error {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return fmt.Errorf("damaged archive: %w", err)
	}
	for _, file := range z.File {
		mode := file.Mode()
		name := file.Name
		if mode.IsDir() {
			name = strings.TrimSuffix(name, "/")
		}
		if err := r.entry(name, mode); err != nil {
			return err
		}
		if mode.IsDir() {
			continue
		}
		if file.UncompressedSize64 > uint64(r.left.bytes) {
			return r.tooMuch()
		}
		content, err := file.Open()
		if err != nil {
			return fmt.Errorf("damaged archive: %s: %w", name, err)
		}
		if err := errors.Join(r.file(name, mode, content), content.Close()); err != nil {
			return told(err)
		}
	}
	return nil
}

// told says that an archive is damaged where that is what an error means.
func told(err error) error {
	var corrupt *os.PathError
	if errors.As(err, &corrupt) {
		return err
	}
	for _, damage := range []error{gzip.ErrChecksum, gzip.ErrHeader, tar.ErrHeader, zip.ErrChecksum, zip.ErrFormat, io.ErrUnexpectedEOF} {
		if errors.Is(err, damage) {
			return fmt.Errorf("damaged archive: %w", err)
		}
	}
	return err
}

// top is the folder that holds everything in an archive, where it has nothing beside it, as archives of a folder do; "." where it holds the package itself.
func top(root *os.Root) (string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return "", err
	}
	if len(entries) == 1 && entries[0].IsDir() {
		return entries[0].Name(), nil
	}
	return ".", nil
}

// leftOut reports what is not taken from a folder without a manifest: what is hidden, and what tools leave behind.
func leftOut(name string) bool {
	switch {
	case name == ".":
		return false
	case strings.HasPrefix(name, "."), name == "__pycache__", name == "runs", strings.HasSuffix(name, ".pyc"), strings.HasSuffix(name, ".egg-info"), name == "ctdb.lock":
		return true
	}
	return false
}

// isPacked reports whether a file is a package that Pack has made, whose manifest is the first file in it: one made here before is not part of the next.
func isPacked(root *os.Root, name string) bool {
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(name, ".tar.gz") {
		return false
	}
	f, err := root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return false
	}
	h, err := tar.NewReader(io.LimitReader(z, 1<<20)).Next()
	return err == nil && path.Base(h.Name) == ManifestFile
}

// copyFolder takes a folder's files: those that a manifest lists where it has one, else all but what is left out and packages that were made of it.
func (r *receiver) copyFolder(from *os.Root) error {
	take := func(name string, mode fs.FileMode) error {
		if err := r.entry(name, mode); err != nil || mode.IsDir() {
			return err
		}
		f, err := from.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return r.file(name, mode, f)
	}
	m, _, err := readManifest(from)
	if err == nil {
		names := []string{ManifestFile}
		if _, err := from.Lstat(SignatureFile); err == nil {
			names = append(names, SignatureFile)
		}
		for name := range m.Files {
			names = append(names, name)
		}
		for _, name := range names {
			info, err := from.Lstat(name)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is missing", name)
			}
			if err == nil {
				err = take(name, info.Mode())
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fs.WalkDir(from.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case leftOut(path.Base(name)) && d.IsDir():
			return fs.SkipDir
		case leftOut(path.Base(name)) || isPacked(from, name):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return take(name, info.Mode())
	})
}
