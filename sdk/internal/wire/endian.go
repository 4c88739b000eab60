package wire

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// littleHost is true where memory has the wire's byte order, so that arrays are sent and received without conversion.
var littleHost = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// view returns the memory of s as bytes.
func view[E float32 | float64 | int64](s []E) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

// memory returns the elements of t as bytes in the host's order, not copied.
func memory(t *tensor.Tensor) []byte {
	switch {
	case t.F32 != nil:
		return view(t.F32)
	case t.F64 != nil:
		return view(t.F64)
	}
	return view(t.I64)
}

// littleEndian returns the elements of t in the wire's order: the memory itself where the host has that order.
func littleEndian(t *tensor.Tensor) []byte {
	raw := memory(t)
	if !littleHost {
		raw = slices.Clone(raw)
		reverseElements(raw, t.DType().Size())
	}
	return raw
}

func reverseElements(raw []byte, size int) {
	for i := 0; i+size <= len(raw); i += size {
		slices.Reverse(raw[i : i+size])
	}
}

// alloc gives t zero elements of a type.
func alloc(t *tensor.Tensor, d tensor.DType, n int) {
	switch d {
	case tensor.Float32:
		t.F32 = make([]float32, n)
	case tensor.Float64:
		t.F64 = make([]float64, n)
	case tensor.Int64:
		t.I64 = make([]int64, n)
	}
}

// grow lengthens the data of t to n elements, keeping what is there.
func grow(t *tensor.Tensor, n int) {
	old := memory(t)
	g := tensor.Tensor{}
	alloc(&g, t.DType(), n)
	copy(memory(&g), old)
	t.F32, t.F64, t.I64 = g.F32, g.F64, g.I64
}
