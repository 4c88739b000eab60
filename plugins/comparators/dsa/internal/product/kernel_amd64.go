package product

import "golang.org/x/sys/cpu"

var vectors = cpu.X86.HasAVX2 && cpu.X86.HasFMA

//go:noescape
func kernelAVX2(tile *[rows * cols]float64, a, b *float64, k int)

func kernel(tile *[rows * cols]float64, a, b []float64, k int) {
	if !vectors || k == 0 {
		kernelGo(tile, a, b, k)
		return
	}
	kernelAVX2(tile, &a[0], &b[0], k)
}
