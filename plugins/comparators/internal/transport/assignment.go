package transport

import "math"

// Assign pairs each of rows with one of cols, rows <= cols, so that the summed cost is least, and returns the column of each row. It is the method of shortest augmenting
// paths with potentials (Jonker & Volgenant 1987), O(rows^2 cols). cost must be finite.
func Assign(rows, cols int, cost func(i, j int) float64) []int {
	// Row and column 0 stand for none.
	u, v := make([]float64, rows+1), make([]float64, cols+1)
	rowOf, way := make([]int, cols+1), make([]int, cols+1)
	least, used := make([]float64, cols+1), make([]bool, cols+1)
	for i := 1; i <= rows; i++ {
		rowOf[0] = i
		for j := range least {
			least[j], used[j] = math.Inf(1), false
		}
		at := 0
		for {
			used[at] = true
			row, delta, to := rowOf[at], math.Inf(1), 0
			for j := 1; j <= cols; j++ {
				if used[j] {
					continue
				}
				if c := cost(row-1, j-1) - u[row] - v[j]; c < least[j] {
					least[j], way[j] = c, at
				}
				if least[j] < delta {
					delta, to = least[j], j
				}
			}
			for j := range used {
				if used[j] {
					u[rowOf[j]] += delta
					v[j] -= delta
				} else {
					least[j] -= delta
				}
			}
			if at = to; rowOf[at] == 0 {
				break
			}
		}
		for at != 0 {
			rowOf[at] = rowOf[way[at]]
			at = way[at]
		}
	}
	out := make([]int, rows)
	for j := 1; j <= cols; j++ {
		if rowOf[j] > 0 {
			out[rowOf[j]-1] = j - 1
		}
	}
	return out
}

// Pairs assigns whichever set is smaller: a list of (row, column).
func Pairs(rows, cols int, cost func(i, j int) float64) [][2]int {
	var out [][2]int
	if rows <= cols {
		for i, j := range Assign(rows, cols, cost) {
			out = append(out, [2]int{i, j})
		}
		return out
	}
	for j, i := range Assign(cols, rows, func(j, i int) float64 { return cost(i, j) }) {
		out = append(out, [2]int{i, j})
	}
	return out
}
