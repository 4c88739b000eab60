package product

// Series is a matrix whose rows are bins of time, packed once so that sums over products of its rows with later ones need no packing of their own.
type Series struct {
	rows, width int
	panels      []float64
}

// PackSeries packs data (n, width), into the memory of s where that is enough; s may be nil.
func PackSeries(s *Series, data []float64, n, width int) *Series {
	if s == nil {
		s = new(Series)
	}
	s.rows, s.width = n, width
	s.panels = packed(s.panels, (width+cols-1)/cols*cols*n)
	pack(s.panels, Operand{Data: data, Stride: width, T: true}, width, n)
	return s
}

// chunk is the number of rows that are summed at a time: the panels of a chunk stay in the second-level cache while all pairs pass.
const chunk = 512

// AddLagged adds to dst (width, width) the sum of x(from+q)^T x(to+q) over q < n, where x are rows.
func (s *Series) AddLagged(dst []float64, from, to, n int) {
	var tile [rows * cols]float64
	w := s.width
	for at := 0; at < n; at += chunk {
		k := min(chunk, n-at)
		for j := 0; j < w; j += cols {
			right := s.panels[j*s.rows+(to+at)*cols:]
			width := min(cols, w-j)
			for i := 0; i < w; i += rows {
				kernel(&tile, s.panels[i*s.rows+(from+at)*rows:], right, k)
				for r := range min(rows, w-i) {
					sum := dst[(i+r)*w+j:][:width]
					for q, v := range tile[r*cols:][:width] {
						sum[q] += v
					}
				}
			}
		}
	}
}
