//go:build !amd64

package product

func kernel(tile *[rows * cols]float64, a, b []float64, k int) { kernelGo(tile, a, b, k) }
