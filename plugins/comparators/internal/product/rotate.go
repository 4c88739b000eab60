package product

// Rotate turns two vectors of one length in their plane: x, y become c x + s y, c y - s x. Its bits do not depend on the processor.
func Rotate(x, y []float64, c, s float64) {
	n := 0
	if vectors && len(x) >= 8 {
		n = len(x) / 4 * 4
		rotateAVX2(&x[0], &y[:len(x)][0], n, c, s)
	}
	rotateGo(x[n:], y[n:], c, s)
}

func rotateGo(x, y []float64, c, s float64) {
	y = y[:len(x)]
	for i, v := range x {
		w := y[i]
		// Rounded before they are added: no processor may fuse them.
		cv, sw, cw, sv := float64(c*v), float64(s*w), float64(c*w), float64(s*v)
		x[i], y[i] = cv+sw, cw-sv
	}
}
