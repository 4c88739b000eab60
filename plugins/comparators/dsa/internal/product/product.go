// Package product multiplies dense matrices of float64: small square ones, thousands of times in a row, and the tall ones that dynamic mode
// decomposition sums over. One goroutine does one product, so that callers who share work among threads need no other arrangement.
//
// Every element is a chain of fused multiply-adds in the order of the inner index, from 0 on, on any processor: the bits do not depend on it.
package product

// The block of the result that is computed at a time.
const (
	rows = 4
	cols = 8
)

// Workspace holds the packed operands of products; the zero value is ready. It serves one goroutine at a time.
type Workspace struct{ a, b []float64 }

// Operand is a row-major matrix, or with T its transpose, whose rows begin Stride apart.
type Operand struct {
	Data   []float64
	Stride int
	T      bool
}

func (o Operand) at(i, k int) float64 {
	if o.T {
		return o.Data[k*o.Stride+i]
	}
	return o.Data[i*o.Stride+k]
}

// Mul writes the product of a (m, k) and b (k, n) to dst (m, n), row-major without gaps. dst must not share memory with a or b.
func (w *Workspace) Mul(dst []float64, m, n, k int, a, b Operand) { w.run(dst, m, n, k, a, b, false) }

// Add adds the product of a (m, k) and b (k, n) to dst (m, n).
func (w *Workspace) Add(dst []float64, m, n, k int, a, b Operand) { w.run(dst, m, n, k, a, b, true) }

func (w *Workspace) run(dst []float64, m, n, k int, a, b Operand, add bool) {
	if m == 0 || n == 0 {
		return
	}
	ma, nb := (m+rows-1)/rows, (n+cols-1)/cols
	w.a = packed(w.a, ma*rows*k)
	w.b = packed(w.b, nb*cols*k)
	pack(w.a, a, m, k, rows)
	b.T = !b.T
	pack(w.b, b, n, k, cols)
	var tile [rows * cols]float64
	// A panel of b stays in the first-level cache while the panels of a pass.
	for jb := range nb {
		pb := w.b[jb*cols*k:]
		width := min(cols, n-jb*cols)
		for ib := range ma {
			kernel(&tile, w.a[ib*rows*k:], pb, k)
			for i := range min(rows, m-ib*rows) {
				to := dst[(ib*rows+i)*n+jb*cols:][:width]
				from := tile[i*cols:][:width]
				if add {
					for j, v := range from {
						to[j] += v
					}
				} else {
					copy(to, from)
				}
			}
		}
	}
}

func packed(buf []float64, n int) []float64 {
	if cap(buf) < n {
		return make([]float64, n)
	}
	return buf[:n]
}

// pack lays out panels of so many rows of o (m, k): for each inner index, the panel's elements together, zeros beyond the last row.
func pack(to []float64, o Operand, m, k, width int) {
	for p := 0; p*width < m; p++ {
		panel := to[p*width*k:][:width*k]
		w := min(width, m-p*width)
		if w < width {
			clear(panel)
		}
		if o.T {
			for q := range k {
				copy(panel[q*width:], o.Data[q*o.Stride+p*width:][:w])
			}
			continue
		}
		for i := range w {
			row := o.Data[(p*width+i)*o.Stride:][:k]
			for q, v := range row {
				panel[q*width+i] = v
			}
		}
	}
}
