// Package product multiplies dense matrices of float64: small square ones, thousands of times in a row, and the tall ones that dynamic mode
// decomposition sums over. One goroutine does one product, so that callers who share work among threads need no other arrangement.
//
// Every element is a chain of fused multiply-adds in the order of the inner index, from 0 on, on any processor: the bits do not depend on it.
package product

// The block of the result that is computed at a time.
const (
	rows = 8
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

// Right is a right operand (k, n) that was packed once, for many products.
type Right struct {
	n, k   int
	panels []float64
}

// NewRight is one of zeros, which [Right.Put] fills.
func NewRight(k, n int) *Right { return &Right{n, k, make([]float64, (n+cols-1)/cols*cols*k)} }

// Pack packs b (k, n).
func Pack(b Operand, k, n int) *Right {
	r := NewRight(k, n)
	b.T = !b.T
	pack(r.panels, b, n, k)
	return r
}

// Put sets the elements from (row, col) on to the matrix o (m, n).
func (r *Right) Put(row, col int, o Operand, m, n int) {
	if col%cols == 0 {
		for j := 0; j < n; j += cols {
			o, width := o, min(cols, n-j)
			if o.T {
				o.Data = o.Data[j*o.Stride:]
			} else {
				o.Data = o.Data[j:]
			}
			if o.T = !o.T; width == cols {
				pack(r.panels[(col+j)*r.k+row*cols:][:m*cols], o, cols, m)
				continue
			}
			for i := range m {
				for q := range width {
					r.panels[r.index(row+i, col+j+q)] = o.at(q, i)
				}
			}
		}
		return
	}
	for i := range m {
		for j := range n {
			r.panels[r.index(row+i, col+j)] = o.at(i, j)
		}
	}
}

// At is an element.
func (r *Right) At(i, j int) float64 { return r.panels[r.index(i, j)] }

func (r *Right) index(i, j int) int { return j/cols*cols*r.k + i*cols + j%cols }

// Row writes row i to dst (n).
func (r *Right) Row(dst []float64, i int) {
	for j := 0; j < r.n; j += cols {
		copy(dst[j:r.n], r.panels[j*r.k+i*cols:][:cols])
	}
}

// MulRight writes the product of a (m, k) and b (k, n) to dst (m, n).
func (w *Workspace) MulRight(dst []float64, m int, a Operand, b *Right) {
	w.a = packed(w.a, (m+rows-1)/rows*rows*b.k)
	pack(w.a, a, m, b.k)
	w.tiles(dst, m, b.n, b.k, b.panels, false)
}

func (w *Workspace) run(dst []float64, m, n, k int, a, b Operand, add bool) {
	w.a = packed(w.a, (m+rows-1)/rows*rows*k)
	w.b = packed(w.b, (n+cols-1)/cols*cols*k)
	pack(w.a, a, m, k)
	b.T = !b.T
	pack(w.b, b, n, k)
	w.tiles(dst, m, n, k, w.b, add)
}

// tiles multiplies panels. One of b stays in the first-level cache while those of a pass.
func (w *Workspace) tiles(dst []float64, m, n, k int, b []float64, add bool) {
	var tile [rows * cols]float64
	for j := 0; j < n; j += cols {
		pb := b[j*k:]
		width := min(cols, n-j)
		for i := 0; i < m; i += rows {
			kernel(&tile, w.a[i*k:], pb, k)
			for r := range min(rows, m-i) {
				to := dst[(i+r)*n+j:][:width]
				from := tile[r*cols:][:width]
				if add {
					for q, v := range from {
						to[q] += v
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
		// Room for what grows a little each time.
		return make([]float64, n, n+n/2)
	}
	return buf[:n]
}

// pack lays out panels of eight rows of o (m, k): for each inner index, the panel's elements together, zeros beyond the last row.
func pack(to []float64, o Operand, m, k int) {
	for p := 0; p < m; p += rows {
		panel := to[p*k:][:rows*k]
		w := min(rows, m-p)
		switch {
		case w < rows:
			clear(panel)
			for q := range k {
				for i := range w {
					panel[q*rows+i] = o.at(p+i, q)
				}
			}
		case o.T:
			for q := range k {
				*(*[rows]float64)(panel[q*rows:]) = *(*[rows]float64)(o.Data[q*o.Stride+p:])
			}
		default:
			// Eight rows at once, so that writes are contiguous; one variable each, so that none is checked for its bounds inside the loop.
			row := func(i int) []float64 { return o.Data[(p+i)*o.Stride:][:k] }
			r0, r1, r2, r3, r4, r5, r6, r7 := row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)
			for q, v := range r0[:k] {
				to := (*[rows]float64)(panel[q*rows:])
				to[0], to[1], to[2], to[3] = v, r1[:k][q], r2[:k][q], r3[:k][q]
				to[4], to[5], to[6], to[7] = r4[:k][q], r5[:k][q], r6[:k][q], r7[:k][q]
			}
		}
	}
}
