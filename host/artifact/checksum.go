package artifact

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// SumsFile is the list of a folder's checksums, in the form that sha256sum -c reads.
const SumsFile = "SHA256SUMS"

// ErrSums is wrapped where a list of checksums cannot be made out.
var ErrSums = errors.New("artifact: bad list of checksums")

// HashBytes is the SHA-256 of b, in hexadecimal.
func HashBytes(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// HashFile is the SHA-256 of a file's contents, in hexadecimal.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("artifact: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("artifact: reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// HashFolder is the digest of a folder: the SHA-256 of the list of its files' names, relative and sorted, with their SHA-256. Modes, times, empty folders
// and [SumsFile] at the top do not count. A symbolic link or another special file is an error.
func HashFolder(dir string) (string, error) {
	sums, err := sumsOf(context.Background(), dir, refuse)
	if err != nil {
		return "", err
	}
	return HashBytes(sums.encode()), nil
}

// WriteSums writes [SumsFile] into a folder and returns the folder's digest, which is the SHA-256 of that file. A folder without files is an error that wraps
// [ErrSums], since an empty list is what a list is that was cut off.
func WriteSums(dir string) (digest string, err error) {
	sums, err := sumsOf(context.Background(), dir, refuse)
	if err != nil {
		return "", err
	}
	if len(sums) == 0 {
		return "", fmt.Errorf("%w: %s holds no files", ErrSums, dir)
	}
	b := sums.encode()
	return HashBytes(b), WriteFile(filepath.Join(dir, SumsFile), b)
}

// CheckSums reads every file of a folder, compares with its [SumsFile], and returns the folder's digest. What differs is a *[SumsError]; a
// list that cannot be made out wraps [ErrSums], a missing one fs.ErrNotExist.
func CheckSums(ctx context.Context, dir string) (digest string, err error) {
	want, err := ReadSums(dir)
	if err != nil {
		return "", err
	}
	bad := &SumsError{Dir: dir}
	have, err := sumsOf(ctx, dir, func(name, _ string) error {
		bad.Special = append(bad.Special, name)
		return nil
	})
	if err != nil {
		return "", err
	}
	for name, sum := range want {
		switch got, ok := have[name]; {
		case slices.Contains(bad.Special, name):
		case !ok:
			bad.Missing = append(bad.Missing, name)
		case got != sum:
			bad.Changed = append(bad.Changed, name)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			bad.Extra = append(bad.Extra, name)
		}
	}
	if len(bad.Missing)+len(bad.Changed)+len(bad.Extra)+len(bad.Special) == 0 {
		return HashBytes(want.encode()), nil
	}
	slices.Sort(bad.Missing)
	slices.Sort(bad.Changed)
	slices.Sort(bad.Extra)
	slices.Sort(bad.Special)
	return "", bad
}

// SumsError says which files of a folder are not what its list of checksums says.
type SumsError struct {
	Dir string
	// Changed, Missing and Extra are names relative to Dir, sorted; so are Special, of what cannot have a checksum: symbolic links, pipes and the like, and files
	// whose names a list cannot hold.
	Changed, Missing, Extra, Special []string
}

// Error lists the files.
func (e *SumsError) Error() string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"changed", e.Changed}, {"missing", e.Missing}, {"not in the list", e.Extra}, {"not a regular file or name", e.Special}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+": "+listed(p.names))
		}
	}
	return fmt.Sprintf("artifact: %s differs from its checksums: %s", e.Dir, strings.Join(parts, "; "))
}

// listed is at most ten names, and how many more there are.
func listed(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// Sums maps a file's slash-separated relative name to its SHA-256 in hexadecimal.
type Sums map[string]string

var sumsLine = regexp.MustCompile(`^([0-9a-f]{64})  (.+)$`)

// ReadSums reads a folder's [SumsFile] without reading the files that it lists.
func ReadSums(dir string) (Sums, error) {
	path := filepath.Join(dir, SumsFile)
	// Opening a pipe would wait for somebody to write.
	if info, err := os.Lstat(path); err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrSums, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	defer f.Close()
	sums := Sums{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		m := sumsLine.FindStringSubmatch(lines.Text())
		if m == nil || !filepath.IsLocal(filepath.FromSlash(m[2])) {
			return nil, fmt.Errorf("%w: %s: line %d: a SHA-256, two spaces and a relative file name are needed", ErrSums, path, n)
		}
		sums[m[2]] = m[1]
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%w: %s: a line is too long", ErrSums, path)
	} else if err != nil {
		return nil, fmt.Errorf("artifact: reading %s: %w", path, err)
	}
	if len(sums) == 0 {
		return nil, fmt.Errorf("%w: %s is empty", ErrSums, path)
	}
	return sums, nil
}

func (s Sums) encode() []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s  %s\n", s[name], name)
	}
	return []byte(b.String())
}

// refuse makes what cannot have a checksum an error.
func refuse(name, why string) error { return fmt.Errorf("%q: %s", name, why) }

// sumsOf hashes the files of a folder; odd is called for what is no regular file and for names that a list cannot hold.
func sumsOf(ctx context.Context, dir string, odd func(name, why string) error) (Sums, error) {
	sums := Sums{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		switch {
		case name == SumsFile:
			return nil
		case !d.Type().IsRegular():
			return odd(name, "not a regular file")
		case strings.ContainsAny(name, "\n\r\\"):
			return odd(name, "a file name with a backslash or a line break")
		}
		sums[name], err = HashFile(path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("artifact: hashing %s: %w", dir, err)
	}
	return sums, nil
}
