package product

import "math"

// kernelGo is the kernel in Go: the tile of panel a (k, 8) transposed times panel b (k, 8).
func kernelGo(tile *[rows * cols]float64, a, b []float64, k int) {
	*tile = [rows * cols]float64{}
	for q := range k {
		pa, pb := a[q*rows:][:rows], b[q*cols:][:cols]
		for i, x := range pa {
			t := tile[i*cols:][:cols]
			for j, y := range pb {
				t[j] = math.FMA(x, y, t[j])
			}
		}
	}
}
