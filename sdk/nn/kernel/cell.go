package kernel

import (
	"errors"
	"math"
)

// GRUCell is one step of a GRU as a map h' = f(x, h), without noise, with its derivatives: what dynamical analysis needs. It is plain
// Go in the precision of F, for any number of points at once; the weights are read, not copied. It is safe for concurrent use.
type GRUCell[F Float] struct {
	I, H int
	W    GRUWeights[F] // Wout and Bout are not used
}

// gates evaluates one point: the gates and U_n h + b_hn.
func (c GRUCell[F]) gates(x, h []F, r, z, n, hn []float64) {
	for j := range c.H {
		var pre, rec [3]float64
		for q := range 3 {
			row := q*c.H + j
			if c.W.Bih != nil {
				pre[q] = float64(c.W.Bih[row])
			}
			if c.W.Bhh != nil {
				rec[q] = float64(c.W.Bhh[row])
			}
			for i, v := range x {
				pre[q] += float64(c.W.Wih[row*c.I+i]) * float64(v)
			}
			for i, v := range h {
				rec[q] += float64(c.W.Whh[row*c.H+i]) * float64(v)
			}
		}
		r[j] = 1 / (1 + math.Exp(-pre[0]-rec[0]))
		z[j] = 1 / (1 + math.Exp(-pre[1]-rec[1]))
		hn[j] = rec[2]
		n[j] = math.Tanh(pre[2] + r[j]*rec[2])
	}
}

func (c GRUCell[F]) check(x, h []F) (int, error) {
	if c.H < 1 {
		return 0, &ShapeError{"gru cell", "H", c.H, "at least 1"}
	}
	if c.I < 0 {
		return 0, &ShapeError{"gru cell", "I", c.I, "at least 0"}
	}
	if err := checkGRUWeights(GRUConfig{I: c.I, H: c.H}, GRUWeights[F]{Wih: c.W.Wih, Whh: c.W.Whh, Bih: c.W.Bih, Bhh: c.W.Bhh}, true); err != nil {
		return 0, err
	}
	n := len(h) / c.H
	return n, errors.Join(wantLen("gru cell", "h", h, n*c.H), wantLen("gru cell", "x", x, n*c.I))
}

// each calls f for every point with its gates.
func (c GRUCell[F]) each(x, h []F, f func(p int, x, h []F, r, z, n, hn []float64)) {
	buf := make([]float64, 4*c.H)
	r, z, n, hn := buf[:c.H], buf[c.H:2*c.H], buf[2*c.H:3*c.H], buf[3*c.H:]
	for p := range len(h) / c.H {
		xp, hp := x[p*c.I:(p+1)*c.I], h[p*c.H:(p+1)*c.H]
		c.gates(xp, hp, r, z, n, hn)
		f(p, xp, hp, r, z, n, hn)
	}
}

// Step writes h' (N, H) for inputs x (N, I) and states h (N, H); N follows from h. next may be h.
func (c GRUCell[F]) Step(x, h, next []F) error {
	if _, err := c.check(x, h); err != nil {
		return err
	}
	if err := wantLen("gru cell", "next", next, len(h)); err != nil {
		return err
	}
	c.each(x, h, func(p int, _, h []F, _, z, n, _ []float64) {
		for j := range c.H {
			next[p*c.H+j] = F(n[j] + z[j]*(float64(h[j])-n[j]))
		}
	})
	return nil
}

// JVP writes J_x dx + J_h dh (N, H) for directions dx (N, I) and dh (N, H); a nil direction is zero.
func (c GRUCell[F]) JVP(x, h, dx, dh, out []F) error {
	if _, err := c.check(x, h); err != nil {
		return err
	}
	if err := errors.Join(optLen("gru cell", "dx", dx, len(x)), optLen("gru cell", "dh", dh, len(h)), wantLen("gru cell", "out", out, len(h))); err != nil {
		return err
	}
	c.each(x, h, func(p int, _, h []F, r, z, n, hn []float64) {
		for j := range c.H {
			var pre, rec [3]float64
			for q := range 3 {
				row := q*c.H + j
				if dx != nil {
					for i := range c.I {
						pre[q] += float64(c.W.Wih[row*c.I+i]) * float64(dx[p*c.I+i])
					}
				}
				if dh != nil {
					for i := range c.H {
						rec[q] += float64(c.W.Whh[row*c.H+i]) * float64(dh[p*c.H+i])
					}
				}
			}
			dr := r[j] * (1 - r[j]) * (pre[0] + rec[0])
			dz := z[j] * (1 - z[j]) * (pre[1] + rec[1])
			dn := (1 - n[j]*n[j]) * (pre[2] + r[j]*rec[2] + dr*hn[j])
			d := (1-z[j])*dn + dz*(float64(h[j])-n[j])
			if dh != nil {
				d += z[j] * float64(dh[p*c.H+j])
			}
			out[p*c.H+j] = F(d)
		}
	})
	return nil
}

// VJP writes cot^T J_x (N, I) and cot^T J_h (N, H) for cotangents cot (N, H) of h'; a nil result is not wanted.
func (c GRUCell[F]) VJP(x, h, cot, gx, gh []F) error {
	if _, err := c.check(x, h); err != nil {
		return err
	}
	if err := errors.Join(wantLen("gru cell", "cot", cot, len(h)), optLen("gru cell", "gx", gx, len(x)), optLen("gru cell", "gh", gh, len(h))); err != nil {
		return err
	}
	sx, sh := make([]float64, c.I), make([]float64, c.H)
	c.each(x, h, func(p int, _, h []F, r, z, n, hn []float64) {
		clear(sx)
		clear(sh)
		for j := range c.H {
			d := float64(cot[p*c.H+j])
			dn := d * (1 - z[j]) * (1 - n[j]*n[j])
			dz := d * (float64(h[j]) - n[j]) * z[j] * (1 - z[j])
			dr := dn * hn[j] * r[j] * (1 - r[j])
			sh[j] += d * z[j]
			for q, g := range [3][2]float64{{dr, dr}, {dz, dz}, {dn, dn * r[j]}} {
				row := q*c.H + j
				if gx != nil {
					for i := range sx {
						sx[i] += g[0] * float64(c.W.Wih[row*c.I+i])
					}
				}
				if gh != nil {
					for i := range sh {
						sh[i] += g[1] * float64(c.W.Whh[row*c.H+i])
					}
				}
			}
		}
		if gx != nil {
			for i, v := range sx {
				gx[p*c.I+i] = F(v)
			}
		}
		if gh != nil {
			for i, v := range sh {
				gh[p*c.H+i] = F(v)
			}
		}
	})
	return nil
}

// Jacobians writes dh'/dx (N, H, I) to jx and dh'/dh (N, H, H) to jh: row j, column i is the derivative of h'_j by the i-th
// argument. A nil result is not wanted.
func (c GRUCell[F]) Jacobians(x, h, jx, jh []F) error {
	points, err := c.check(x, h)
	if err != nil {
		return err
	}
	if err := errors.Join(optLen("gru cell", "jx", jx, points*c.H*c.I), optLen("gru cell", "jh", jh, points*c.H*c.H)); err != nil {
		return err
	}
	c.each(x, h, func(p int, _, h []F, r, z, n, hn []float64) {
		for j := range c.H {
			an := (1 - z[j]) * (1 - n[j]*n[j])
			az := (float64(h[j]) - n[j]) * z[j] * (1 - z[j])
			ar := an * hn[j] * r[j] * (1 - r[j])
			if jx != nil {
				for i := range c.I {
					jx[(p*c.H+j)*c.I+i] = F(ar*float64(c.W.Wih[j*c.I+i]) + az*float64(c.W.Wih[(c.H+j)*c.I+i]) + an*float64(c.W.Wih[(2*c.H+j)*c.I+i]))
				}
			}
			if jh != nil {
				for i := range c.H {
					v := ar*float64(c.W.Whh[j*c.H+i]) + az*float64(c.W.Whh[(c.H+j)*c.H+i]) + an*r[j]*float64(c.W.Whh[(2*c.H+j)*c.H+i])
					if i == j {
						v += z[j]
					}
					jh[(p*c.H+j)*c.H+i] = F(v)
				}
			}
		}
	})
	return nil
}
