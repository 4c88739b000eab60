package product

import "golang.org/x/sys/cpu"

var (
	wide    = cpu.X86.HasAVX512F
	vectors = cpu.X86.HasAVX2 && cpu.X86.HasFMA
)

// kernelAVX512 does the whole tile, kernelAVX2 four rows of it, from a's first of four.
//
//go:noescape
func kernelAVX512(tile *[rows * cols]float64, a, b *float64, k int)

//go:noescape
func kernelAVX2(tile, a, b *float64, k int)

func kernel(tile *[rows * cols]float64, a, b []float64, k int) {
	switch {
	case k == 0 || !vectors:
		kernelGo(tile, a, b, k)
	case wide:
		kernelAVX512(tile, &a[0], &b[0], k)
	default:
		kernelAVX2(&tile[0], &a[0], &b[0], k)
		kernelAVX2(&tile[rows*cols/2], &a[rows/2], &b[0], k)
	}
}

// squareAVX512 does eight rows and sixteen columns, narrowAVX512 eight, squareAVX2 four rows and eight columns; rows are stride bytes apart.
//
//go:noescape
func squareAVX512(dst, a, b *float64, k, stride int)

//go:noescape
func narrowAVX512(dst, a, b *float64, k, stride int)

//go:noescape
func squareAVX2(dst, a, b *float64, k, stride int)

// strip does a block of eight rows and so many times eight columns, two where registers are wide alone.
func strip(dst, a, b []float64, k, stride, vector int) {
	switch {
	case k == 0 || !vectors:
		stripGo(dst, a, b, k, stride)
	case !wide:
		squareAVX2(&dst[0], &a[0], &b[0], k, 8*stride)
		squareAVX2(&dst[rows/2*stride], &a[rows/2*stride], &b[0], k, 8*stride)
	case vector == 2:
		squareAVX512(&dst[0], &a[0], &b[0], k, 8*stride)
	default:
		narrowAVX512(&dst[0], &a[0], &b[0], k, 8*stride)
	}
}

// rotateAVX2 is rotateGo for n elements, a multiple of four.
//
//go:noescape
func rotateAVX2(x, y *float64, n int, c, s float64)
