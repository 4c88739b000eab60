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
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// ErrSafetensors is returned, wrapped, for bytes that are not a valid safetensors file.
var ErrSafetensors = errors.New("tensor: not a valid safetensors file")

const (
	// metadataKey is the header's entry that is not a tensor.
	metadataKey = "__metadata__"
	// maxHeader is the longest header that the reference implementation reads.
	maxHeader = 100_000_000
	// chunkBytes is how much is converted at once.
	chunkBytes = 1 << 20
)

// WriteSafetensors writes a set in the safetensors format (https://github.com/huggingface/safetensors), as the reference implementation
// lays it out: tensors ordered by type (int64, float64, float32), then by name; the header padded with spaces so that the data begins at a
// multiple of 8 bytes. The same set and metadata give the same bytes, whatever the order of the set. Axes and units are not stored.
func WriteSafetensors(w io.Writer, set Set, metadata map[string]string) error {
	if err := set.Check(); err != nil {
		return err
	}
	sorted := slices.Clone(set)
	slices.SortFunc(sorted, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(b.DType(), a.DType()), cmp.Compare(a.Name, b.Name))
	})
	header, err := safetensorsHeader(sorted, metadata)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, chunkBytes)
	// A bufio.Writer keeps its first error, which Flush returns.
	out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header))))
	out.Write(header)
	buf := make([]byte, 0, chunkBytes)
	for _, t := range sorted {
		for from := 0; from < t.Len(); from += chunkBytes / 8 {
			buf = t.appendLittleEndian(buf[:0], from, min(from+chunkBytes/8, t.Len()))
			out.Write(buf)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("tensor: writing safetensors: %w", err)
	}
	return nil
}

func safetensorsHeader(sorted Set, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if len(metadata) > 0 {
		fmt.Fprintf(&b, "%q:{", metadataKey)
		for i, k := range slices.Sorted(maps.Keys(metadata)) {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeString(&b, k); err != nil {
				return nil, err
			}
			b.WriteByte(':')
			if err := writeString(&b, metadata[k]); err != nil {
				return nil, err
			}
		}
		b.WriteByte('}')
	}
	offset := 0
	for _, t := range sorted {
		if t.Name == metadataKey {
			return nil, fmt.Errorf("tensor: the name %q is reserved in safetensors", metadataKey)
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		if err := writeString(&b, t.Name); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, `:{"dtype":%q,"shape":[`, safetensorsNames[t.DType()])
		for i, s := range t.Shape {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Itoa(s))
		}
		next := offset + t.Len()*t.DType().Size()
		fmt.Fprintf(&b, `],"data_offsets":[%d,%d]}`, offset, next)
		offset = next
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("tensor: a safetensors header of %d bytes: at most %d are allowed", b.Len(), maxHeader)
	}
	return b.Bytes(), nil
}

var safetensorsNames = [...]string{Float32: "F32", Float64: "F64", Int64: "I64"}

func writeString(b *bytes.Buffer, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("tensor: %q: safetensors names and metadata are valid UTF-8", s)
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return fmt.Errorf("tensor: %q: %w", s, err)
	}
	b.Truncate(b.Len() - 1) // the newline that Encode adds
	return nil
}

// appendLittleEndian appends the elements [from, to).
func (t *Tensor) appendLittleEndian(b []byte, from, to int) []byte {
	switch {
	case t.F32 != nil:
		for _, x := range t.F32[from:to] {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	case t.F64 != nil:
		for _, x := range t.F64[from:to] {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
	default:
		for _, x := range t.I64[from:to] {
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
		}
	}
	return b
}
