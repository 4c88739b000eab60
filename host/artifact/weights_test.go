package artifact

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// safetensors is a file with that header and so many bytes of data.
func safetensors(header string, data int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("\x00", data)
}

// Files that are no safetensors, or damaged ones: each with what the error must say.
func TestBadWeights(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "weights.safetensors")
	one := `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	for _, c := range []struct{ name, content, want string }{
		{"empty", "", "the file ends"},
		{"cut in the length", "\x10\x00", "the file ends"},
		{"cut in the header", safetensors(one, 8)[:20], "header"},
		{"cut in the data", safetensors(one, 7), "at most 7"},
		{"one byte more", safetensors(one, 9), "after"},
		{"header too long", string(binary.LittleEndian.AppendUint64(nil, 1<<62)) + "{}", "header"},
		{"header longer than allowed", string(binary.LittleEndian.AppendUint64(nil, 200_000_000)) + "{}", "header"},
		{"no JSON", safetensors(`{"a":`, 8), "\"a\""},
		{"overlap", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "overlaps"},
		{"hole", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}`, 20), "hole"},
		{"backwards", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8), "end not before"},
		{"shape and bytes", safetensors(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), "\"a\""},
		{"overflow", safetensors(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}`, 8), "overflows"},
		{"negative", safetensors(`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8), "shape"},
		{"type", safetensors(`{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}`, 8), "C64"},
		{"twice", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`, 16), "twice"},
		{"PyTorch", "PK\x03\x04" + strings.Repeat("x", 1000), "weights_only=True"},
		{"old PyTorch", "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "pickle"},
		{"HDF5", "\x89HDF\r\n\x1a\n" + strings.Repeat("\x00", 90), "HDF5"},
		{"numpy", "\x93NUMPY\x01\x00v\x00{'descr': '<f4'}", "numpy"},
		{"text", "layer,weight\n0,1.5\n", "text"},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		set, _, err := ReadWeights(path)
		if !errors.Is(err, tensor.ErrSafetensors) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || set != nil {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	if _, _, err := ReadWeights(dir); !errors.Is(err, tensor.ErrSafetensors) {
		t.Errorf("a folder: %v", err)
	}
	if _, _, err := ReadWeights(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
