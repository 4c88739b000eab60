package artifact

import (
	"bytes"
	"compress/zlib"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact/internal/forge"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// packed is n zero bytes as gzip's filter stores them.
func packed(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for ; n > 0; n -= len(zeros) {
		if _, err := z.Write(zeros[:min(n, len(zeros))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What somebody may put into a data set that is no plain array of the file itself: each is refused by name, and nothing else is read or unpacked for it.
func TestHostileDatasets(t *testing.T) {
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "user.h5"), filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, bytes.Repeat([]byte("secret!!"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.h5")
	raw(t, other, user(), nil)
	add := func(what forge.What, to, object string) func() error {
		return func() error { return forge.Add(path, what, "train_encod_data", to, object) }
	}
	chunks := func(shape, chunk []int, deflates, n int, data []byte) func() error {
		return func() error {
			return forge.AddChunks(path, "train_encod_data", shape, chunk, deflates, n, data)
		}
	}
	bomb := packed(t, 60<<20)
	for _, c := range []struct {
		name  string
		forge func() error
		want  string // in the message, beside the array's name
	}{
		{"soft link", add(forge.SoftLink, "/train_recon_data", ""), "link"},
		{"dangling link", add(forge.SoftLink, "/nowhere", ""), "link"},
		{"link to itself", add(forge.SoftLink, "/train_encod_data", ""), "link"},
		{"external link", add(forge.ExternalLink, other, "/train_encod_data"), "link"},
		{"external link to a secret", add(forge.ExternalLink, secret, "/"), "link"},
		{"external storage", add(forge.ExternalStorage, secret, ""), "another file"},
		{"virtual dataset", add(forge.Virtual, other, "/train_encod_data"), "virtual"},
		{"virtual dataset of its own", add(forge.Virtual, ".", "/train_recon_data"), "virtual"},
		{"strings", add(forge.Strings, "", ""), "string"},
		{"strings of variable length", add(forge.LongStrings, "", ""), "string"},
		{"compound", add(forge.Compound, "", ""), "compound"},
		{"bools", add(forge.Enumeration, "", ""), "enumeration"},
		{"long double", add(forge.LongFloat, "", ""), "float"},
		{"group", add(forge.Group, "", ""), "group"},
		{"type", add(forge.NamedType, "", ""), "type"},
		{"n-bit", add(forge.NBit, "", ""), "filter 5"},
		{"gzip twice", chunks([]int{4, 5, 3}, []int{4, 5, 3}, 2, 1, packed(t, 480)), "twice"},
		{"never written", chunks([]int{4, 5, 3}, []int{4, 5, 3}, 1, 0, nil), "without any data"},
		{"contiguous, never written", chunks([]int{4, 5, 3}, nil, 0, 0, nil), "without any data"},
		{"half written", chunks([]int{4, 5, 3}, []int{1, 5, 3}, 0, 2, make([]byte, 120)), "never written"},
		{"huge", chunks([]int{2_000_000_000, 5, 3}, []int{1, 5, 3}, 1, 4, packed(t, 120)), "never written"},
		{"huge rows", chunks([]int{4, 2_000_000_000, 2_000_000_000}, []int{1, 5, 3}, 1, 1, packed(t, 120)), "shape"},
		{"huge chunk", chunks([]int{4, 500, 100_000}, []int{4, 500, 100_000}, 1, 1, packed(t, 1<<20)), "chunk"},
		{"bomb", chunks([]int{4, 5, 3}, []int{1, 5, 3}, 1, 4, bomb), "not what was compressed"},
		{"no gzip", chunks([]int{4, 5, 3}, []int{4, 5, 3}, 1, 1, []byte("not what gzip makes of anything")), "train_encod_data"},
		{"short chunk", chunks([]int{4, 5, 3}, []int{4, 5, 3}, 1, 1, packed(t, 40)), "train_encod_data"},
		{"long chunk", chunks([]int{4, 5, 3}, []int{4, 5, 3}, 1, 1, packed(t, 20_000)), "train_encod_data"},
	} {
		m := user()
		m["valid_encod_data"] = tensor.New64("", 2, 5, 3) // of the type that is forged
		raw(t, path, m, nil)
		if err := locked(c.forge); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := open(t, path)
		runtime.ReadMemStats(&after)
		if c.name == "long chunk" && err == nil {
			continue // what is over is dropped: 20 kB are no bomb
		}
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "train_encod_data") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret!!") {
			t.Errorf("%s: error %v", c.name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%s: %d bytes were taken", c.name, took)
		}
	}
}

// A chunk that is large in truth may still hold more than it should: what is over a gigabyte is unpacked here first, and dropped as it comes.
func TestBombInALargeChunk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.h5")
	raw(t, path, map[string]*tensor.Tensor{}, nil)
	// 16 MiB of zeros are 16 kB; 1.2 MB unpack to 1.2 GB.
	const rows = 16 << 20 / 8
	if err := locked(func() error { return forge.AddChunks(path, "x", []int{rows}, []int{rows}, 1, 1, packed(t, 1200<<20)) }); err != nil {
		t.Fatal(err)
	}
	a, err := OpenArrays(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Get("x"); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "unpacks to more") {
		t.Errorf("error %v", err)
	}
}

// Attributes of types that the host does not write.
func TestHostileAttributes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "user.h5")
	for _, c := range []struct {
		a    Attributes
		name string
	}{
		{Attributes{"counts": "yes"}, "attribute counts"},
		{Attributes{"counts": 0.5}, "attribute counts"},
		{Attributes{"bin_width": "10 ms"}, "attribute bin_width"},
	} {
		raw(t, path, user(), c.a)
		if err := open(t, path); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%v: error %v", c.a, err)
		}
	}
	// A string of variable length is like one that is not there.
	raw(t, path, user(), nil)
	if err := locked(func() error { return forge.Add(path, forge.TextAttribute, "counts", "no", "") }); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path); err != nil {
		t.Errorf("a string of variable length: %v", err)
	}
}

// Files of other programs are called by their name.
func TestOtherKindsOfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.h5")
	for _, c := range []struct{ content, want string }{
		{"trial,bin,neuron,count\n1,2,3,4\n", "text"},
		{"über alles\n", "text"},
		{"PK\x03\x04rest", "zip"},
		{"\x80\x02}q\x00.", "pickle"},
		{"\x93NUMPY\x01\x00", "numpy"},
		{"MATLAB 5.0 MAT-file, Platform: GLNXA64" + strings.Repeat(" ", 90), "v7.3"},
		{"\x1f\x8b\x08", "gzip"},
		{"\x00\x01\x02\x03", "an HDF5 file is needed"},
		{"", "an HDF5 file is needed"},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(t, path); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v", c.content, err)
		}
	}
}
