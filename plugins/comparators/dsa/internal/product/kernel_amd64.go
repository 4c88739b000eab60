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
