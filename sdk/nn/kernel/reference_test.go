package kernel

import "math"

// philox is Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011): four random words for a counter and a key. Counter words 0 and 1 are the
// low and high half of block, words 2 and 3 those of index; key words 0 and 1 those of key.
func philox(key, block, index uint64) [4]uint32 {
	c0, c1, c2, c3 := uint32(block), uint32(block>>32), uint32(index), uint32(index>>32)
	k0, k1 := uint32(key), uint32(key>>32)
	for range 10 {
		p0, p1 := uint64(c0)*0xD2511F53, uint64(c2)*0xCD9E8D57
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += 0x9E3779B9
		k1 += 0xBB67AE85
	}
	return [4]uint32{c0, c1, c2, c3}
}

// normalOf is the number that Normals documents.
func normalOf(key, trial uint64, bin, channel int) float64 {
	g, w, q := channel/64, channel%64/16, channel%16
	r := philox(key, uint64(bin)<<32|uint64(16*g+q), trial)
	radius := math.Sqrt(-2 * math.Log((float64(r[w&2]>>1)+0.5)/(1<<31)))
	sin, cos := math.Sincos(math.Pi * float64(int32(r[w|1])) / (1 << 31))
	if w&1 == 0 {
		return radius * cos
	}
	return radius * sin
}

// view is an array of rows: row b starts at off + b*row. A nil array is not wanted, or zero.
type view[F Float] struct {
	s        []F
	off, row int
}

func (v view[F]) at(b, i int) F {
	if v.s == nil {
		return 0
	}
	return v.s[v.off+b*v.row+i]
}

func (v view[F]) set(b, i int, x F) {
	if v.s != nil {
		v.s[v.off+b*v.row+i] = x
	}
}

// refGRU is the GRU written out element by element, in float64 inside, as a second implementation to test the kernels against.
type refGRU[F Float] struct {
	c                 SequenceConfig
	w                 SequenceWeights[F]
	in                SequenceInput[F]
	steps             int
	h, r, z, n, hn, x [][]float64 // by step: (B, H), x (B, I)
	dh                []float64
	dWih, dWhh        []float64
	dBih, dBhh        []float64
	dWout, dBout      []float64
}

func newRefGRU[F Float](c SequenceConfig) *refGRU[F] { return &refGRU[F]{c: c} }

func elem[F Float](s []F, i int) float64 {
	if s == nil {
		return 0
	}
	return float64(s[i])
}

func noiseAt[F Float](n Noise[F], trials []uint64, b, bins, t, units, j int) float64 {
	if n.SD == 0 {
		return 0
	}
	if n.Values != nil {
		return float64(n.SD) * float64(n.Values[(b*bins+t)*units+j])
	}
	return float64(n.SD) * normalOf(n.Key, trialIndex(trials, b), t, j)
}

func (g *refGRU[F]) begin(w SequenceWeights[F], in SequenceInput[F]) {
	c := g.c
	g.w, g.in, g.steps = w, in, 0
	slots := func() [][]float64 { return make([][]float64, c.T+1) }
	g.h, g.r, g.z, g.n, g.hn, g.x = slots(), slots(), slots(), slots(), slots(), slots()
	h := make([]float64, in.B*c.H)
	for b := range in.B {
		for j := range c.H {
			i := b*c.H + j
			if len(in.H0) == c.H {
				h[i] = float64(in.H0[j])
			} else if in.H0 != nil {
				h[i] = float64(in.H0[i])
			}
			h[i] += noiseAt(in.InitNoise, in.Trials, b, 1, 0, c.H, j)
		}
	}
	g.h[0] = h
}

func (g *refGRU[F]) forward(k, t int, x, y, states, clean view[F]) {
	c, w, prev := g.c, g.w, g.h[k]
	alloc := func(n int) []float64 { return make([]float64, g.in.B*n) }
	next, r, z, n, hn, xs := alloc(c.H), alloc(c.H), alloc(c.H), alloc(c.H), alloc(c.H), alloc(c.I)
	for b := range g.in.B {
		for i := range c.I {
			xs[b*c.I+i] = float64(x.at(b, i))
		}
		var pre, rec [3]float64
		cl := make([]float64, c.H)
		for j := range c.H {
			for q := range 3 {
				row := q*c.H + j
				pre[q], rec[q] = elem(w.Bih, row), elem(w.Bhh, row)
				for i := range c.I {
					pre[q] += float64(w.Wih[row*c.I+i]) * xs[b*c.I+i]
				}
				for i := range c.H {
					rec[q] += float64(w.Whh[row*c.H+i]) * prev[b*c.H+i]
				}
			}
			i := b*c.H + j
			r[i] = 1 / (1 + math.Exp(-pre[0]-rec[0]))
			z[i] = 1 / (1 + math.Exp(-pre[1]-rec[1]))
			hn[i] = rec[2]
			n[i] = math.Tanh(pre[2] + r[i]*rec[2])
			cl[j] = n[i] + z[i]*(prev[i]-n[i])
			next[i] = cl[j] + noiseAt(g.in.Noise, g.in.Trials, b, c.T, t, c.H, j)
			clean.set(b, j, F(cl[j]))
			states.set(b, j, F(next[i]))
		}
		for o := range c.O {
			s := elem(w.Bout, o)
			for j := range c.H {
				s += float64(w.Wout[o*c.H+j]) * cl[j]
			}
			y.set(b, o, F(s))
		}
	}
	g.h[k+1], g.r[k], g.z[k], g.n[k], g.hn[k], g.x[k] = next, r, z, n, hn, xs
	g.steps = k + 1
}

func (g *refGRU[F]) final(dst []F, stride int) {
	if dst == nil {
		return
	}
	for b := range g.in.B {
		for j := range g.c.H {
			dst[b*stride+j] = F(g.h[g.steps][b*g.c.H+j])
		}
	}
}

func (g *refGRU[F]) beginBackward(final []F, stride int) {
	c := g.c
	g.dh = make([]float64, g.in.B*c.H)
	if final != nil {
		for b := range g.in.B {
			for j := range c.H {
				g.dh[b*c.H+j] = float64(final[b*stride+j])
			}
		}
	}
	g.dWih, g.dWhh = make([]float64, 3*c.H*c.I), make([]float64, 3*c.H*c.H)
	g.dBih, g.dBhh = make([]float64, 3*c.H), make([]float64, 3*c.H)
	g.dWout, g.dBout = make([]float64, c.O*c.H), make([]float64, c.O)
}

func (g *refGRU[F]) backward(k, t int, y, states, clean, dx view[F]) {
	c, w := g.c, g.w
	prev, r, z, n, hn, xs := g.h[k], g.r[k], g.z[k], g.n[k], g.hn[k], g.x[k]
	before := make([]float64, g.in.B*c.H)
	for b := range g.in.B {
		xg := make([]float64, c.I)
		for j := range c.H {
			i := b*c.H + j
			d := g.dh[i] + float64(states.at(b, j)) + float64(clean.at(b, j))
			cl := n[i] + z[i]*(prev[i]-n[i])
			for o := range c.O {
				dy := float64(y.at(b, o))
				d += dy * float64(w.Wout[o*c.H+j])
				g.dWout[o*c.H+j] += dy * cl
			}
			dn := d * (1 - z[i]) * (1 - n[i]*n[i])
			dz := d * (prev[i] - n[i]) * z[i] * (1 - z[i])
			dr := dn * hn[i] * r[i] * (1 - r[i])
			before[i] += d * z[i]
			for q, p := range [3][2]float64{{dr, dr}, {dz, dz}, {dn, dn * r[i]}} {
				row := q*c.H + j
				g.dBih[row] += p[0]
				g.dBhh[row] += p[1]
				for i := range c.I {
					g.dWih[row*c.I+i] += p[0] * xs[b*c.I+i]
					xg[i] += p[0] * float64(w.Wih[row*c.I+i])
				}
				for l := range c.H {
					g.dWhh[row*c.H+l] += p[1] * prev[b*c.H+l]
					before[b*c.H+l] += p[1] * float64(w.Whh[row*c.H+l])
				}
			}
		}
		for o := range c.O {
			g.dBout[o] += float64(y.at(b, o))
		}
		for i, v := range xg {
			dx.set(b, i, F(v))
		}
	}
	g.dh = before
}

func (g *refGRU[F]) gradients(grad SequenceGradient[F]) {
	put := func(dst []F, src []float64) {
		for i := range dst {
			if grad.Add {
				dst[i] += F(src[i])
			} else {
				dst[i] = F(src[i])
			}
		}
	}
	put(grad.Weights.Wih, g.dWih)
	put(grad.Weights.Whh, g.dWhh)
	put(grad.Weights.Bih, g.dBih)
	put(grad.Weights.Bhh, g.dBhh)
	put(grad.Weights.Wout, g.dWout)
	put(grad.Weights.Bout, g.dBout)
	if grad.H0 == nil {
		return
	}
	if len(g.in.H0) == g.c.H || g.in.H0 == nil {
		sum := make([]float64, g.c.H)
		for i, v := range g.dh {
			sum[i%g.c.H] += v
		}
		put(grad.H0, sum)
		return
	}
	for i := range grad.H0 {
		grad.H0[i] = F(g.dh[i])
	}
}

// sequence runs the reference over whole sequences and, if cot is given, back.
func (g *refGRU[F]) sequence(w SequenceWeights[F], in SequenceInput[F], out SequenceOutput[F], cot SequenceCotangent[F], grad SequenceGradient[F]) {
	c := g.c
	bin := func(k int) int {
		if c.Reverse {
			return c.T - 1 - k
		}
		return k
	}
	g.begin(w, in)
	at := func(s []F, t, width int) view[F] { return view[F]{s, t * width, c.T * width} }
	for k := range c.T {
		t := bin(k)
		g.forward(k, t, at(in.X, t, c.I), at(out.Y, t, c.O), at(out.States, t, c.H), at(out.Clean, t, c.H))
	}
	g.final(out.Final, c.H)
	g.beginBackward(cot.Final, c.H)
	for k := c.T - 1; k >= 0; k-- {
		t := bin(k)
		g.backward(k, t, at(cot.Y, t, c.O), at(cot.States, t, c.H), at(cot.Clean, t, c.H), at(grad.X, t, c.I))
	}
	g.gradients(grad)
}
