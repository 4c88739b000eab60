package wire

import (
	"errors"
	"hash/crc32"
	"io"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// framesOf sends blocks into a list.
func framesOf(t testing.TB, blocks ...tensor.Block) []*tensorv1.Frame {
	t.Helper()
	var out []*tensorv1.Frame
	err := SendBlocks(tensor.Of(blocks...), func(f *tensorv1.Frame) error {
		out = append(out, proto.Clone(f).(*tensorv1.Frame))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// from receives a list.
func from(list []*tensorv1.Frame) func() (*tensorv1.Frame, error) {
	return func() (*tensorv1.Frame, error) {
		if len(list) == 0 {
			return nil, io.EOF
		}
		f := list[0]
		list = list[1:]
		return f, nil
	}
}

func sampleBlocks() []tensor.Block {
	large := tensor.New64("large", 3, 1<<17).With("m", tensor.Trial, tensor.Bin) // 3 MiB
	for i := range large.F64 {
		large.F64[i] = float64(i)
	}
	small := tensor.New32("small", 3, 2)
	small.F32[0] = float32(math.NaN())
	return []tensor.Block{
		{Trials: []int64{5, 1, 9}, Arrays: tensor.Set{small, large}},
		{Trials: []int64{2}, Arrays: tensor.Set{tensor.FromInt("ids", []int64{math.MinInt64}, 1), tensor.New32("none", 1, 0)}},
		{Trials: []int64{3}},
	}
}

func TestBlocksSurvive(t *testing.T) {
	want := sampleBlocks()
	list := framesOf(t, want...)
	for _, f := range list {
		if len(f.Data) > ChunkBytes {
			t.Errorf("a chunk of %d bytes", len(f.Data))
		}
	}
	// Chunks may be cut anywhere, e.g. inside an element.
	var cut []*tensorv1.Frame
	for _, f := range list {
		if len(f.Data) < 9 {
			cut = append(cut, f)
			continue
		}
		head, tail := proto.Clone(f).(*tensorv1.Frame), &tensorv1.Frame{Data: f.Data[7:], Crc32C: f.Crc32C}
		head.Data, head.Crc32C = f.Data[:7], nil
		cut = append(cut, head, tail)
	}
	for name, list := range map[string][]*tensorv1.Frame{"as sent": list, "cut": cut} {
		var got []tensor.Block
		for b, err := range Receive(from(list)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b)
		}
		got[0].Arrays[0].F32[0] = 0
		want[0].Arrays[0].F32[0] = 0
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the blocks differ", name)
		}
	}
	again := Receive(from(list))
	for range again {
		break
	}
	for _, err := range again {
		if err == nil {
			t.Error("a received sequence can be ranged over twice")
		}
		break
	}
}

func TestSetsSurvive(t *testing.T) {
	for _, want := range []tensor.Set{nil, {tensor.From64("s", []float64{2})}, {tensor.New32("a", 0, 3), tensor.NewInt("b", 2)}} {
		var list []*tensorv1.Frame
		if err := SendSet(want, func(f *tensorv1.Frame) error { list = append(list, proto.Clone(f).(*tensorv1.Frame)); return nil }); err != nil {
			t.Fatal(err)
		}
		if got, err := ReceiveSet(from(list)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	if _, err := ReceiveSet(from(framesOf(t, sampleBlocks()...))); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("blocks where a set is needed give %v", err)
	}
}

func TestDamageAndHostility(t *testing.T) {
	header := func(shape ...int64) *tensorv1.Header {
		return &tensorv1.Header{Name: "x", Dtype: tensorv1.DataType_DATA_TYPE_FLOAT64, Shape: shape}
	}
	start := func(n int) *tensorv1.BlockStart { return &tensorv1.BlockStart{Trials: make([]int64, n), Arrays: 1} }
	zero := uint32(0)
	for _, tt := range []struct {
		name string
		list []*tensorv1.Frame
		want error
	}{
		{"nothing", nil, component.ErrChecksum},
		{"a message without a frame", []*tensorv1.Frame{nil}, component.ErrInvalidArgument},
		{"a huge array that never comes", []*tensorv1.Frame{{Start: start(0), Header: header(1 << 40)}}, component.ErrChecksum},
		{"an overflowing shape", []*tensorv1.Frame{{Start: start(0), Header: header(1<<40, 1<<40)}}, component.ErrInvalidArgument},
		{"a negative shape", []*tensorv1.Frame{{Start: start(0), Header: header(-1)}}, component.ErrInvalidArgument},
		{"no type", []*tensorv1.Frame{{Start: start(0), Header: &tensorv1.Header{Name: "x"}}}, component.ErrInvalidArgument},
		{"many axes", []*tensorv1.Frame{{Start: start(0), Header: header(make([]int64, 33)...)}}, component.ErrInvalidArgument},
		{"axes for another shape", []*tensorv1.Frame{{Start: start(0), Header: &tensorv1.Header{Dtype: 1, Axes: []string{"a"}}}}, component.ErrInvalidArgument},
		{"a long name", []*tensorv1.Frame{{Start: start(0), Header: &tensorv1.Header{Name: string(make([]byte, 2000)), Dtype: 1}}}, component.ErrInvalidArgument},
		{"rows that are not trials", []*tensorv1.Frame{{Start: start(2), Header: header(3)}}, component.ErrInvalidArgument},
		{"too much data", []*tensorv1.Frame{{Start: start(0), Header: header(1), Data: make([]byte, 9)}}, component.ErrInvalidArgument},
		{"a large chunk", []*tensorv1.Frame{{Start: start(0), Header: header(1 << 20), Data: make([]byte, ChunkBytes+1)}}, component.ErrInvalidArgument},
		{"too little data", []*tensorv1.Frame{{Start: start(0), Header: header(1), Data: make([]byte, 7), Crc32C: &zero}}, component.ErrChecksum},
		{"a wrong checksum", []*tensorv1.Frame{{Start: start(0), Header: header(1), Data: make([]byte, 8), Crc32C: &zero}}, component.ErrChecksum},
		{"data without a header", []*tensorv1.Frame{{Start: start(0), Data: make([]byte, 8)}}, component.ErrInvalidArgument},
		{"a checksum without an array", []*tensorv1.Frame{{Crc32C: &zero}}, component.ErrInvalidArgument},
		{"a header without a block", []*tensorv1.Frame{{Header: header(1)}}, component.ErrInvalidArgument},
		{"a block within a block", []*tensorv1.Frame{{Start: start(0)}, {Start: start(0)}}, component.ErrInvalidArgument},
		{"too many arrays", []*tensorv1.Frame{{Start: &tensorv1.BlockStart{Arrays: math.MaxUint32}}}, component.ErrInvalidArgument},
		{"an end inside a block", []*tensorv1.Frame{{Start: start(0)}, {End: &tensorv1.BlocksEnd{}}}, component.ErrChecksum},
		{"a missing block", []*tensorv1.Frame{{End: &tensorv1.BlocksEnd{Blocks: 1}}}, component.ErrChecksum},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := tensor.Collect(Receive(from(tt.list)))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 2*firstBytes {
				t.Errorf("%d bytes were allocated", n)
			}
		})
	}
	var a Assembler
	for _, f := range framesOf(t, sampleBlocks()...) {
		if _, _, err := a.Push(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := a.Push(&tensorv1.Frame{Start: start(0)}); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a frame after the end gives %v", err)
	}
}

func TestInlineTensors(t *testing.T) {
	want := tensor.New64("x", 2, 3).With("m", "a", "b")
	want.F64[4] = -1.5
	m, err := ToTensor(want)
	if err != nil {
		t.Fatal(err)
	}
	m = over(t, m)
	if got, err := FromTensor(m); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	m.Data[3] ^= 1
	if _, err := FromTensor(m); !errors.Is(err, component.ErrChecksum) {
		t.Errorf("damage gives %v", err)
	}
	m.Data = m.Data[:8]
	if _, err := FromTensor(m); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("missing data gives %v", err)
	}
	if _, err := ToTensor(tensor.New64("x", MessageBytes/8+1)); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("a large array gives %v", err)
	}
	if _, err := ToTensor(&tensor.Tensor{Name: "x", Shape: []int{2}, F32: []float32{1}}); !errors.Is(err, tensor.ErrShape) {
		t.Errorf("an inconsistent array gives %v", err)
	}
	if m, err := ToTensor(nil); m != nil || err != nil {
		t.Error("nil does not stay nil")
	}
}

func TestByRows(t *testing.T) {
	x := tensor.New64("x", 1_000_000, 2) // 16 MB
	rows, calls := 0, 0
	err := ByRows(func(from, to int, more bool) error {
		if from != rows || more != (to < 1_000_000) || (to-from)*16 > MessageBytes {
			t.Errorf("rows %d to %d, more %v", from, to, more)
		}
		rows, calls = to, calls+1
		return nil
	}, x, nil)
	if err != nil || rows != 1_000_000 || calls != 4 {
		t.Errorf("%d rows in %d calls, %v", rows, calls, err)
	}
	if err := ByRows(func(int, int, bool) error { return nil }, tensor.New64("y", 0, 2), x); !errors.Is(err, tensor.ErrShape) {
		t.Errorf("no rows beside some give %v", err)
	}
	if err := ByRows(func(int, int, bool) error { return nil }, x, tensor.New64("y", 3)); !errors.Is(err, tensor.ErrShape) {
		t.Errorf("different rows give %v", err)
	}
	joined, err := AppendRows(x.Slice(0, 1).Clone(), x.Slice(1, 3))
	if err != nil || !slices.Equal(joined.Shape, []int{3, 2}) {
		t.Errorf("got %v, %v", joined, err)
	}
	if _, err := AppendRows(joined, tensor.New32("x", 1, 2)); !errors.Is(err, tensor.ErrShape) {
		t.Errorf("rows of another type give %v", err)
	}
}

// FuzzAssembler feeds arbitrary frames: each input is a list of messages, each after its length in one byte.
func FuzzAssembler(f *testing.F) {
	var seed []byte
	for _, m := range framesOf(f, tensor.Block{Trials: []int64{1, 2}, Arrays: tensor.Set{tensor.New32("a", 2, 3), tensor.NewInt("b", 2)}}) {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		seed = append(append(seed, byte(len(raw))), raw...)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, input []byte) {
		var list []*tensorv1.Frame
		sum := uint32(0)
		for len(input) > 0 {
			n := min(int(input[0]), len(input)-1)
			var m tensorv1.Frame
			if proto.Unmarshal(input[1:1+n], &m) == nil {
				list = append(list, &m)
				if m.Header != nil {
					sum = 0
				}
				sum = crc32.Update(sum, castagnoli, m.GetData())
				if m.Crc32C != nil && *m.Crc32C%2 == 0 {
					// Half of the inputs get past the checksum.
					m.Crc32C = proto.Uint32(sum)
				}
			}
			input = input[1+n:]
		}
		for b, err := range Receive(from(list)) {
			if err == nil {
				err = b.Check()
				if err != nil {
					t.Errorf("a block that is wrong was let through: %v", err)
				}
			}
		}
		_, _ = ReceiveSet(from(list))
	})
}

// FuzzTensor feeds arbitrary messages of one array.
func FuzzTensor(f *testing.F) {
	m, err := ToTensor(tensor.New64("x", 2, 2))
	if err != nil {
		f.Fatal(err)
	}
	raw, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, input []byte) {
		var m tensorv1.Tensor
		if proto.Unmarshal(input, &m) != nil {
			return
		}
		if len(input) < 1000 {
			// Half of the inputs get past the checksum.
			m.Crc32C = crc32.Checksum(m.GetData(), castagnoli)
		}
		if x, err := FromTensor(&m); err == nil && x.Check() != nil {
			t.Errorf("an array that is wrong was let through: %v", x.Check())
		}
	})
}
