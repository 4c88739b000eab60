package tensor

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"
)

// ReadSafetensors reads a whole safetensors file of at most limit bytes. It returns the tensors in the order of their data, and the
// file's metadata (nil where there is none). F16 and BF16 are widened to float32, and the smaller integers and BOOL to int64.
//
// A header that is not exact (wrong JSON, a name twice, unknown keys or types, a shape that overflows, data that overlaps, leaves holes or
// does not end with the file) is an error that wraps [ErrSafetensors]; memory is taken only for bytes that are there.
func ReadSafetensors(r io.Reader, limit int64) (Set, map[string]string, error) {
	in := bufio.NewReader(r)
	var size [8]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, nil, readError("the length of the header", err)
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxHeader || int64(n) > limit-8 {
		return nil, nil, invalid("a header of %d bytes: at most %d are allowed here", n, max(0, min(maxHeader, limit-8)))
	}
	header, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err == nil && uint64(len(header)) < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, nil, readError("the header", err)
	}
	entries, metadata, err := parseHeader(header)
	if err != nil {
		return nil, nil, err
	}
	if err := checkLayout(entries, limit-8-int64(n)); err != nil {
		return nil, nil, err
	}
	set := make(Set, len(entries))
	buf := make([]byte, chunkBytes)
	for i, e := range entries {
		if set[i], err = e.read(in, buf); err != nil {
			return nil, nil, readError(fmt.Sprintf("the data of %q", e.name), err)
		}
	}
	switch _, err := in.ReadByte(); {
	case err == nil:
		return nil, nil, invalid("there are bytes after the last tensor")
	case !errors.Is(err, io.EOF):
		return nil, nil, readError("the end of the file", err)
	}
	return set, metadata, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSafetensors, fmt.Sprintf(format, args...))
}

func readError(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalid("the file ends within %s", what)
	}
	return fmt.Errorf("tensor: reading %s: %w", what, err)
}

// entry is a tensor of the header.
type entry struct {
	name     string
	format   format
	shape    []int
	from, to int64
	seen     int // bits of the keys that were there
}

// format says how an element is stored and what it becomes.
type format struct {
	name  string
	size  int
	dtype DType
	// convert appends the elements in b to t.
	convert func(t *Tensor, b []byte)
}

func ints(name string, size int, at func(b []byte) int64) format {
	return format{name, size, Int64, func(t *Tensor, b []byte) {
		for ; len(b) > 0; b = b[size:] {
			t.I64 = append(t.I64, at(b))
		}
	}}
}

func floats(name string, size int, at func(b []byte) float32) format {
	return format{name, size, Float32, func(t *Tensor, b []byte) {
		for ; len(b) > 0; b = b[size:] {
			t.F32 = append(t.F32, at(b))
		}
	}}
}

// formats are the types that can be read. A function and not a table, since the package has no variables but errors.
func formats() []format {
	le := binary.LittleEndian
	return []format{
		floats("F32", 4, func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) }),
		{"F64", 8, Float64, func(t *Tensor, b []byte) {
			for ; len(b) > 0; b = b[8:] {
				t.F64 = append(t.F64, math.Float64frombits(le.Uint64(b)))
			}
		}},
		ints("I64", 8, func(b []byte) int64 { return int64(le.Uint64(b)) }),
		floats("F16", 2, func(b []byte) float32 { return half(le.Uint16(b)) }),
		floats("BF16", 2, func(b []byte) float32 { return math.Float32frombits(uint32(le.Uint16(b)) << 16) }),
		ints("I32", 4, func(b []byte) int64 { return int64(int32(le.Uint32(b))) }),
		ints("I16", 2, func(b []byte) int64 { return int64(int16(le.Uint16(b))) }),
		ints("I8", 1, func(b []byte) int64 { return int64(int8(b[0])) }),
		ints("U8", 1, func(b []byte) int64 { return int64(b[0]) }),
		ints("BOOL", 1, func(b []byte) int64 { return int64(b[0]) }),
	}
}

// half widens an IEEE 754 binary16 number.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero or subnormal: frac * 2^-24 is exact in float32
		v := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(v))
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// read reads the elements through buf. The slice grows with what is read, so a header cannot ask for memory that no data backs.
func (e entry) read(in io.Reader, buf []byte) (*Tensor, error) {
	t := &Tensor{Name: e.name, Shape: e.shape}
	elements := int((e.to - e.from) / int64(e.format.size))
	first := min(elements, chunkBytes)
	switch e.format.dtype {
	case Float32:
		t.F32 = make([]float32, 0, first)
	case Float64:
		t.F64 = make([]float64, 0, first)
	default:
		t.I64 = make([]int64, 0, first)
	}
	for left := e.to - e.from; left > 0; {
		b := buf[:min(left, int64(len(buf)))]
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		e.format.convert(t, b)
		left -= int64(len(b))
	}
	return t, nil
}

// checkLayout orders the entries by their data and checks that they fill it without overlap or hole, at most room bytes.
func checkLayout(entries []entry, room int64) error {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	var at int64
	for _, e := range entries {
		if e.from != at {
			what := "leaves a hole after"
			if e.from < at {
				what = "overlaps"
			}
			return invalid("%q begins at byte %d and %s what ends at %d", e.name, e.from, what, at)
		}
		elements := int64(1)
		for _, s := range e.shape {
			if s > 0 && elements > math.MaxInt64/8/int64(s) {
				return invalid("%q has shape %v, which overflows", e.name, e.shape)
			}
			elements *= int64(s)
		}
		if want := elements * int64(e.format.size); e.to-e.from != want {
			return invalid("%q has bytes [%d, %d) for shape %v of %s, which takes %d", e.name, e.from, e.to, e.shape, e.format.name, want)
		}
		at = e.to
	}
	if at > room {
		return invalid("%d bytes of data: at most %d are allowed here", at, max(0, room))
	}
	return nil
}

func parseHeader(header []byte) ([]entry, map[string]string, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, invalid("the header does not begin with {")
	}
	if !utf8.Valid(header) {
		return nil, nil, invalid("the header is not UTF-8")
	}
	var entries []entry
	var metadata map[string]string
	dec := json.NewDecoder(bytes.NewReader(header))
	known := formats()
	err := object(dec, "the header", func(name string) error {
		if name == metadataKey {
			metadata = map[string]string{}
			return object(dec, metadataKey, func(key string) error {
				value, err := decode[string](dec, metadataKey+"."+key)
				metadata[key] = value
				return err
			})
		}
		e := entry{name: name}
		if err := object(dec, fmt.Sprintf("%q", name), func(key string) error { return e.field(dec, key, known) }); err != nil {
			return err
		}
		if e.seen != 7 || name == "" {
			return invalid("%q: a name, dtype, shape and data_offsets are needed", name)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if rest := bytes.Trim(header[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, nil, invalid("the header goes on after its closing }")
	}
	return entries, metadata, nil
}

// field reads the value of one key of a tensor.
func (e *entry) field(dec *json.Decoder, key string, known []format) error {
	where := fmt.Sprintf("%q.%s", e.name, key)
	switch key {
	case "dtype":
		e.seen |= 1
		name, err := decode[string](dec, where)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(known, func(f format) bool { return f.name == name })
		if i < 0 {
			return invalid("%s is %q: F32, F64, I64, F16, BF16, I32, I16, I8, U8 or BOOL is allowed", where, name)
		}
		e.format = known[i]
	case "shape":
		e.seen |= 2
		shape, err := decode[[]int](dec, where)
		if err != nil {
			return err
		}
		if shape == nil || slices.ContainsFunc(shape, func(s int) bool { return s < 0 }) {
			return invalid("%s is %v: a list of numbers from 0 is needed", where, shape)
		}
		e.shape = shape
	case "data_offsets":
		e.seen |= 4
		at, err := decode[[]int64](dec, where)
		if err != nil {
			return err
		}
		if len(at) != 2 || at[0] < 0 || at[1] < at[0] {
			return invalid("%s is %v: two numbers, the end not before the beginning, are needed", where, at)
		}
		e.from, e.to = at[0], at[1]
	default:
		return invalid("%s: dtype, shape and data_offsets are the only keys", where)
	}
	return nil
}

func decode[T any](dec *json.Decoder, where string) (T, error) {
	var v T
	var raw json.RawMessage
	err := dec.Decode(&raw)
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		return v, invalid("%s: %v", where, err)
	}
	if raw[0] != '"' && bytes.Contains(raw, []byte("null")) {
		return v, invalid("%s is %s: null is not allowed", where, raw)
	}
	return v, nil
}

// object reads a JSON object, calling value to decode the value of each key, and refuses a key that is given twice.
func object(dec *json.Decoder, where string, value func(key string) error) error {
	open, err := dec.Token()
	if err != nil {
		return invalid("%s: %v", where, err)
	}
	if open != json.Delim('{') {
		return invalid("%s: an object is needed, not %v", where, open)
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return invalid("%s: %v", where, err)
		}
		key, ok := token.(string)
		if !ok {
			return invalid("%s: a key is needed, not %v", where, token)
		}
		if seen[key] {
			return invalid("%s: %q is given twice", where, key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return invalid("%s: %v", where, err)
	}
	return nil
}
