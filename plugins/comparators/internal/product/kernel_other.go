//go:build !amd64

package product

func kernel(tile *[rows * cols]float64, a, b []float64, k int) { kernelGo(tile, a, b, k) }

const wide, vectors = false, false

func rotateAVX2(_, _ *float64, _ int, _, _ float64) {}

func strip(dst, a, b []float64, k, stride, _ int) { stripGo(dst, a, b, k, stride) }
