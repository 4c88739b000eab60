package artifact

import (
	"bytes"
	"io"
	"os"
	"unicode/utf8"
)

// The kinds of file that are mistaken for those that are read here, by how they begin.
const (
	kindZip     = "a zip archive, as torch.save and numpy.savez make"
	kindPickle  = "a Python pickle, as older versions of torch.save make"
	kindHDF5    = "an HDF5 file"
	kindNumpy   = "a numpy array (.npy)"
	kindMatlab5 = "a MATLAB file of version 5 to 7: save it with -v7.3, which is HDF5"
	kindGzip    = "a gzip archive"
	kindText    = "text"
)

// kindOf says what a file with that beginning is; empty where that is not known.
func kindOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return kindZip
	case len(head) > 1 && head[0] == 0x80 && head[1] >= 1 && head[1] <= 5:
		return kindPickle
	case bytes.HasPrefix(head, []byte("\x89HDF\r\n\x1a\n")):
		return kindHDF5
	case bytes.HasPrefix(head, []byte("\x93NUMPY")):
		return kindNumpy
	case bytes.HasPrefix(head, []byte("MATLAB 5.0 MAT-file")):
		return kindMatlab5
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return kindGzip
	case len(head) > 0 && isText(head):
		return kindText
	}
	return ""
}

// isText allows for a character that the end of head cuts in two.
func isText(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 {
			return len(head) < utf8.UTFMax && !utf8.FullRune(head)
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' {
			return false
		}
		head = head[n:]
	}
	return true
}

// looksLike says what a file is, to stand behind what it is not; empty where that is not known.
func looksLike(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := io.ReadFull(f, head)
	if kind := kindOf(head[:n]); kind != "" {
		return "; it looks like " + kind
	}
	return ""
}
