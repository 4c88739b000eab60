package kernel

import (
	"errors"
	"math/rand/v2"
	"testing"
)

func TestLinearAgainstReference(t *testing.T) {
	eachVariant(t, func(t *testing.T, variant string) {
		for _, c := range []LinearConfig{{B: 1, T: 1, In: 1, Out: 1}, {B: 33, T: 7, In: 5, Out: 3}, {B: 40, T: 1, In: 200, Out: 64}, {B: 70, T: 9, In: 17, Out: 60}, {B: 2, T: 150, In: 64, Out: 128}} {
			c.Variant = variant
			checkLinear[float64](t, c, 1e-13)
			checkLinear[float32](t, c, 1e-5)
		}
	})
}

func checkLinear[F Float](t *testing.T, c LinearConfig, tolerance float64) {
	r := rand.New(rand.NewPCG(9, 9))
	n := c.B * c.T
	x, w, bias, cot := fill[F](r, n*c.In, 1), fill[F](r, c.In*c.Out, 1), fill[F](r, c.Out, 1), fill[F](r, n*c.Out, 1)
	wantY, wantX, wantW, wantB := make([]F, n*c.Out), make([]F, n*c.In), make([]F, c.In*c.Out), make([]F, c.Out)
	sumX, sumW, sumB := make([]float64, len(wantX)), make([]float64, len(wantW)), make([]float64, c.Out)
	for i := range n {
		for o := range c.Out {
			y, d := float64(bias[o]), float64(cot[i*c.Out+o])
			sumB[o] += d
			for j := range c.In {
				y += float64(x[i*c.In+j]) * float64(w[o*c.In+j])
				sumX[i*c.In+j] += d * float64(w[o*c.In+j])
				sumW[o*c.In+j] += d * float64(x[i*c.In+j])
			}
			wantY[i*c.Out+o] = F(y)
		}
	}
	for _, p := range []struct {
		dst []F
		src []float64
	}{{wantX, sumX}, {wantW, sumW}, {wantB, sumB}} {
		for i, v := range p.src {
			p.dst[i] = F(v)
		}
	}
	var first LinearGradient[F]
	for c.Threads = 1; c.Threads <= 3; c.Threads++ {
		l, err := NewLinear[F](c)
		must(t, err)
		y := make([]F, n*c.Out)
		must(t, l.Forward(0, x, w, bias, y))
		near(t, "y", y, wantY, tolerance)
		g := LinearGradient[F]{X: make([]F, len(x)), W: make([]F, len(w)), B: make([]F, c.Out)}
		must(t, l.Backward(0, x, w, cot, g))
		near(t, "x gradient", g.X, wantX, tolerance)
		near(t, "W gradient", g.W, wantW, tolerance)
		near(t, "b gradient", g.B, wantB, tolerance)
		if c.Threads == 1 {
			first = g
		}
		same(t, "x gradient", g.X, first.X)
		same(t, "W gradient", g.W, first.W)
		same(t, "b gradient", g.B, first.B)
		must(t, l.Close())
		if err := l.Forward(0, x, w, bias, y); !errors.Is(err, ErrClosed) {
			t.Errorf("forward on a closed plan: %v", err)
		}
	}
}

func TestLinearErrors(t *testing.T) {
	var shape *ShapeError
	for _, c := range []LinearConfig{{}, {B: 1, T: 1, In: 0, Out: 1}, {B: 1, T: 1, In: 1, Out: -1}} {
		if _, err := NewLinear[float32](c); !errors.As(err, &shape) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := NewLinear[float32](LinearConfig{B: 1 << 30, T: 1, In: 1 << 20, Out: 1 << 20}); err == nil {
		t.Error("a plan beyond any memory")
	}
	l, err := NewLinear[float32](LinearConfig{B: 2, T: 3, In: 4, Out: 5})
	must(t, err)
	defer l.Close()
	x, w, y := make([]float32, 24), make([]float32, 20), make([]float32, 30)
	for name, err := range map[string]error{
		"B": l.Forward(3, x, w, nil, y), "x": l.Forward(2, x[1:], w, nil, y), "w": l.Forward(2, x, w[1:], nil, y), "b": l.Forward(2, x, w, y, y),
		"y": l.Forward(1, x[:12], w, nil, y), "gradient": l.Backward(2, x, w, y, LinearGradient[float32]{W: y}),
	} {
		if !errors.As(err, &shape) {
			t.Errorf("wrong %s: %v", name, err)
		}
	}
}
