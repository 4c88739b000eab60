package product

import "math"

// Padded is the stride at which the rows of square matrices of n rows are kept for [Square]: whole vectors.
func Padded(n int) int { return (n + cols - 1) / cols * cols }

// Square writes the product of a and b to dst, all of n rows at stride Padded(n) with as many rows as that and zeros beyond n, which dst gets too. Nothing is packed: small matrices that are
// multiplied thousands of times stay in the cache as they are. dst must not share memory with a or b. The bits are those of [Workspace.Mul].
func Square(dst, a, b []float64, n int) {
	p := Padded(n)
	_, _, _ = dst[p*p-1], a[p*p-1], b[p*p-1]
	for i := 0; i < p; i += rows {
		j := 0
		for ; wide && j+2*cols <= p; j += 2 * cols {
			strip(dst[i*p+j:], a[i*p:], b[j:], n, p, 2)
		}
		for ; j < p; j += cols {
			strip(dst[i*p+j:], a[i*p:], b[j:], n, p, 1)
		}
	}
}

// stripGo is a block of eight rows and eight columns in Go.
func stripGo(dst, a, b []float64, k, stride int) {
	var tile [rows * cols]float64
	for q := range k {
		pb := b[q*stride:][:cols]
		for i := range rows {
			x, t := a[i*stride+q], tile[i*cols:][:cols]
			for j, y := range pb {
				t[j] = math.FMA(x, y, t[j])
			}
		}
	}
	for i := range rows {
		copy(dst[i*stride:][:cols], tile[i*cols:])
	}
}
