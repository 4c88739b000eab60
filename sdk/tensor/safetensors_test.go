package tensor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// golden reads a file of the folder $CTDB_GOLDEN, or of testdata.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("CTDB_GOLDEN")
	if dir == "" {
		dir = "testdata"
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The golden file was written by the reference implementation from torch: what is read and written again must be its very bytes.
func TestGoldenSafetensors(t *testing.T) {
	want := golden(t, "train.safetensors")
	set, metadata, err := ReadSafetensors(bytes.NewReader(want), int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Check(); err != nil || len(set) == 0 {
		t.Fatalf("%d tensors, %v", len(set), err)
	}
	for _, w := range set {
		if w.F64 == nil {
			t.Errorf("%s is %s, want float64", w.Name, w.DType())
		}
		if err := w.CheckFinite(); err != nil {
			t.Error(err)
		}
	}
	slices.Reverse(set)
	var got bytes.Buffer
	if err := WriteSafetensors(&got, set, metadata); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("written again the file differs: %d bytes, want %d", got.Len(), len(want))
	}
}

func TestSafetensorsRoundTrip(t *testing.T) {
	set := Set{
		From32("b.weight", []float32{1, float32(math.Inf(1)), -0.5, float32(math.NaN()), 5, 6}, 2, 3),
		NewInt("steps"),
		From64("a \"quoted\" <ä>", []float64{math.Pi, math.SmallestNonzeroFloat64}, 2, 1),
		New32("empty", 0, 4),
		New64("none", 3, 0),
		FromInt("ids", []int64{math.MinInt64, -1, math.MaxInt64}, 3),
		New32("large", 700_001),
	}
	set[1].I64[0] = 42
	metadata := map[string]string{"format": "pt", "ä\n": "", "z": "\"}"}
	var first, second bytes.Buffer
	if err := WriteSafetensors(&first, set, metadata); err != nil {
		t.Fatal(err)
	}
	shuffled := Set{set[4], set[6], set[0], set[5], set[2], set[1], set[3]}
	if err := WriteSafetensors(&second, shuffled, metadata); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the bytes depend on the order of the set")
	}
	if n := binary.LittleEndian.Uint64(first.Bytes()); n%8 != 0 {
		t.Errorf("a header of %d bytes: the data are not aligned", n)
	}
	back, read, err := ReadSafetensors(bytes.NewReader(first.Bytes()), int64(first.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, metadata) {
		t.Errorf("metadata %q, want %q", read, metadata)
	}
	if len(back) != len(set) {
		t.Fatalf("%d tensors, want %d", len(back), len(set))
	}
	for _, want := range set {
		got := back.Get(want.Name)
		if got == nil || !slices.Equal(got.Shape, want.Shape) || got.DType() != want.DType() {
			t.Errorf("%q: got %+v", want.Name, got)
			continue
		}
		for i := range want.Len() {
			a, b := got.appendLittleEndian(nil, i, i+1), want.appendLittleEndian(nil, i, i+1)
			if !bytes.Equal(a, b) {
				t.Errorf("%q: element %d differs", want.Name, i)
				break
			}
		}
	}
}

func file(header string, data ...byte) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
}

func TestSafetensorsWidens(t *testing.T) {
	b := file(`{"h":{"dtype":"F16","shape":[5],"data_offsets":[0,10]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[10,12]},`+
		`"i":{"dtype":"I32","shape":[1],"data_offsets":[12,16]},"t":{"dtype":"BOOL","shape":[2],"data_offsets":[16,18]},"c":{"dtype":"I8","shape":[1],"data_offsets":[18,19]}}`,
		0x00, 0x3c, 0x01, 0x00, 0x00, 0xfc, 0xff, 0x7b, 0x00, 0x80, // 1, 2^-24, -Inf, 65504, -0 (IEEE 754-2008, table of binary16)
		0xc0, 0xbf, // -1.5
		0xfe, 0xff, 0xff, 0xff, 1, 0, 0x80)
	set, metadata, err := ReadSafetensors(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if metadata != nil {
		t.Errorf("metadata %v where there is none", metadata)
	}
	if got, want := set.Get("h").F32, []float32{1, float32(math.Pow(2, -24)), float32(math.Inf(-1)), 65504, 0}; !slices.Equal(got, want) || !math.Signbit(float64(got[4])) {
		t.Errorf("F16: %v, want %v", got, want)
	}
	if got := set.Get("b").F32[0]; got != -1.5 {
		t.Errorf("BF16: %v", got)
	}
	if i, tr, c := set.Get("i").I64[0], set.Get("t").I64, set.Get("c").I64[0]; i != -2 || !slices.Equal(tr, []int64{1, 0}) || c != -128 {
		t.Errorf("integers: %v %v %v", i, tr, c)
	}
}

func TestSafetensorsRefuses(t *testing.T) {
	const ok = `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	four := []byte{0, 0, 0, 0}
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"empty", nil},
		{"half a length", []byte{1, 0, 0}},
		{"a header that is not there", file(ok)[:20]},
		{"a huge header", binary.LittleEndian.AppendUint64(nil, math.MaxUint64)},
		{"a header beyond the file", binary.LittleEndian.AppendUint64(nil, 99_000_000)},
		{"an empty header", file("")},
		{"not JSON", file("{hello}")},
		{"a list", file("[]")},
		{"leading space", file(" {}")},
		{"unended", file(`{"a":{"dtype":"F32"`)},
		{"more after the end", file(`{}{}`)},
		{"not UTF-8", file("{\"\xff\":{}}")},
		{"data missing", file(ok)},
		{"data short", file(ok, 0, 0, 0)},
		{"data left over", file(ok, 0, 0, 0, 0, 0)},
		{"no dtype", file(`{"a":{"shape":[1],"data_offsets":[0,4]}}`, four...)},
		{"no shape", file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, four...)},
		{"no offsets", file(`{"a":{"dtype":"F32","shape":[1]}}`, four...)},
		{"no name", file(`{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, four...)},
		{"unknown dtype", file(`{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}`, four...)},
		{"unknown key", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, four...)},
		{"key in capitals", file(`{"a":{"DTYPE":"F32","shape":[1],"data_offsets":[0,4]}}`, four...)},
		{"name twice", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, four...)},
		{"key twice", file(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, four...)},
		{"metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`)},
		{"metadata of numbers", file(`{"__metadata__":{"a":1}}`)},
		{"null shape", file(`{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`, four...)},
		{"null in shape", file(`{"a":{"dtype":"F32","shape":[null],"data_offsets":[0,0]}}`)},
		{"negative shape", file(`{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, four...)},
		{"fraction", file(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, four...)},
		{"shape overflows", file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,4]}}`, four...)},
		{"shape beyond int", file(`{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}`, four...)},
		{"shape and bytes differ", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, four...)},
		{"negative offset", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, four...)},
		{"offsets reversed", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, four...)},
		{"three offsets", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, four...)},
		{"hole at the start", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, append(four, four...)...)},
		{"hole between", file(`{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I8","shape":[1],"data_offsets":[2,3]}}`, 0, 0, 0)},
		{"overlap", file(`{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}`, 0, 0, 0)},
		{"data beyond all memory", file(`{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}`, four...)},
		{"nested deeply", file(`{"a":` + strings.Repeat("[", 100_000))},
	} {
		set, _, err := ReadSafetensors(bytes.NewReader(c.file), int64(len(c.file)))
		if !errors.Is(err, ErrSafetensors) || set != nil {
			t.Errorf("%s: %d tensors, error %v", c.name, len(set), err)
		}
	}
	if _, _, err := ReadSafetensors(bytes.NewReader(file(ok, four...)), 1<<40); err != nil {
		t.Errorf("the file that the others vary: %v", err)
	}
	// What backs no data takes no memory, whatever the limit.
	if _, _, err := ReadSafetensors(bytes.NewReader(file(`{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}`, four...)), 1<<50); !errors.Is(err, ErrSafetensors) {
		t.Errorf("4 TiB in 4 bytes: %v", err)
	}
}

func TestWriteSafetensorsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		set      Set
		metadata map[string]string
	}{
		"name twice":    {Set{New32("a", 1), New64("a", 1)}, nil},
		"no name":       {Set{New32("", 1)}, nil},
		"reserved name": {Set{New32("__metadata__", 1)}, nil},
		"wrong shape":   {Set{From32("a", []float32{1}, 2)}, nil},
		"bad UTF-8":     {Set{New32("\xff", 1)}, nil},
		"bad metadata":  {nil, map[string]string{"a": "\xff"}},
	} {
		if err := WriteSafetensors(io.Discard, c.set, c.metadata); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := WriteSafetensors(full{}, Set{New32("a", 1<<20)}, nil); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// What is read is a valid set, and written and read again it is the same; nothing panics.
func FuzzReadSafetensors(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"k":"v"}}`, 1, 2, 3, 4))
	f.Add(file(`{"a":{"dtype":"I8","shape":[2,0],"data_offsets":[0,0]},"b":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}`, 1, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		set, metadata, err := ReadSafetensors(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, ErrSafetensors) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if err := set.Check(); err != nil {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		if err := WriteSafetensors(&first, set, metadata); err != nil {
			t.Fatal(err)
		}
		again, metadata, err := ReadSafetensors(bytes.NewReader(first.Bytes()), int64(first.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteSafetensors(&second, again, metadata); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("written twice, it differs (%v)", err)
		}
	})
}
