package steptime

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// small are cases of every kind, of three shards.
func small(t *testing.T) []Case {
	t.Helper()
	var out []Case
	for _, name := range []string{"gru/B=70/T=20/I=3/H=16/O=2", "lstm/B=70/T=6/I=2/H=9", "rnn/B=70/T=6/I=3/H=9", "node/B=70/T=6/I=2/H=3/layers=2/width=17",
		"gru/B=70/T=9/I=4/H=6/O=5/bidirectional", "rnn/B=33/T=4/I=0/H=5/bidirectional"} {
		c, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name() != name {
			t.Errorf("%s is called %s", name, c.Name())
		}
		out = append(out, c)
	}
	return out
}

func newStep(t testing.TB, c Case, threads int) *Step {
	t.Helper()
	s, err := New(c, threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The gradient of a step is the slope of its loss: along the gradient it is the gradient's norm.
func TestGradient(t *testing.T) {
	for _, c := range small(t) {
		s := newStep(t, c, 2)
		if _, err := s.gradient(2); err != nil {
			t.Fatal(err)
		}
		direction, norm := slices.Clone(s.grad), kernel.GlobalNorm(s.grad)
		at := slices.Clone(s.params)
		const step = 0.02
		var loss [2]float64
		for side, sign := range []float64{-1, 1} {
			for i := range s.params {
				s.params[i] = at[i] + float32(sign*step*float64(direction[i])/norm)
			}
			var err error
			if loss[side], err = s.gradient(2); err != nil {
				t.Fatal(err)
			}
		}
		if slope := (loss[1] - loss[0]) / (2 * step); !(math.Abs(slope-norm) < 2e-3*norm) {
			t.Errorf("%s: slope %v, norm of the gradient %v", c.Name(), slope, norm)
		}
	}
}

// Steps learn, and give the same bits on any number of threads, also of a step that was made for more.
func TestSteps(t *testing.T) {
	for _, c := range small(t) {
		var first []float64
		for threads := 1; threads <= 3; threads++ {
			s := newStep(t, c, 3)
			var losses []float64
			for range 40 {
				loss, err := s.Run(threads)
				if err != nil {
					t.Fatal(err)
				}
				losses = append(losses, loss)
			}
			if threads == 1 {
				first = losses
			}
			if !slices.Equal(losses, first) {
				t.Errorf("%s: other losses on %d threads", c.Name(), threads)
			}
		}
		if !(first[39] < first[0]-0.01) {
			t.Errorf("%s: 40 steps took the loss from %v to %v", c.Name(), first[0], first[39])
		}
	}
}

func TestFLOPs(t *testing.T) {
	for _, c := range []struct {
		name string
		want float64
	}{
		{"gru/B=2/T=5/I=3/H=4/O=1", 2 * 5 * (6*3*4*4 + 4*3*4*3 + 6*4)},
		{"lstm/B=1/T=1/I=1/H=2", 6*4*2*2 + 4*4*2 + 6*2*3},
		{"rnn/B=1/T=1/I=0/H=2", 6*2*2 + 6*2*3},
		// Maps of 5 to 7 and 7 to 3; the first one's gradient of the 2 inputs is not wanted.
		{"node/B=1/T=10/I=2/H=3/layers=2/width=7", 10 * (6*(5*7+7*3) - 2*2*7 + 6*3*3)},
		{"gru/B=2/T=5/I=3/H=4/O=1/bidirectional", 2*2*5*(6*3*4*4+4*3*4*3) + 2*6*8},
	} {
		k, err := Parse(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.FLOPs(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range Cases() {
		got, err := Parse(c.Name())
		if err != nil || got != c {
			t.Errorf("%s is read as %+v, %v", c.Name(), got, err)
		}
	}
	for _, name := range []string{"", "gru", "cat/B=1/T=1/I=1/H=1", "gru/B=1/T=1/I=1", "gru/B=1/T=1/I=1/H=x", "gru/B=1/B=1/T=1/I=1/H=1", "gru/B=1/T=1/I=1/H=1/width=3",
		"gru/B=0/T=1/I=1/H=1", "gru/B=1/T=1/I=-1/H=1", "gru/B=1/T=1/I=1/H=1/O=0", "gru/B=1/T=1/I=1/H=1/bidirectional/bidirectional", "lstm/B=1/T=1/I=1/H=1/bidirectional",
		"node/B=1/T=1/I=1/H=1/layers=17", "gru/B=1000000000/T=1000000000/I=1000000000/H=1"} {
		if c, err := Parse(name); err == nil {
			t.Errorf("%q is read as %+v", name, c)
		}
	}
	var shape *kernel.ShapeError
	if _, err := Parse("gru/B=0/T=1/I=1/H=1"); !errors.As(err, &shape) || shape.Field != "B" {
		t.Errorf("a batch of 0: %v", err)
	}
}

func TestMeasure(t *testing.T) {
	cases := small(t)[:2]
	var started []string
	r, err := Measure(t.Context(), cases, Options{Threads: []int{1, 2}, Repeat: 4, Started: func(c Case) { started = append(started, c.Name()) }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Variant != kernel.Variant() || len(r.Peaks) != 2 || len(r.Cases) != 2 || !slices.Equal(started, []string{cases[0].Name(), cases[1].Name()}) {
		t.Fatalf("got %+v, started %q", r, started)
	}
	for _, p := range r.Peaks {
		if !(p.FMA > 0 && p.GFLOPs > 0) || p.Better(Peak{GFLOPs: 1e9}) != (Peak{p.Threads, 1e9, p.FMA}) {
			t.Errorf("peak %+v", p)
		}
	}
	for i, c := range r.Cases {
		for k, run := range c.Runs {
			if c.Case != cases[i].Name() || run.Threads != k+1 || run.Steps != 4 || !(run.MinMS > 0 && run.MinMS <= run.MedianMS && run.PeakShare > 0) ||
				math.Abs(run.GFLOPs*run.MedianMS*1e6/c.FLOPs-1) > 1e-9 || math.Abs(run.PeakShare*r.Peaks[k].GFLOPs/run.GFLOPs-1) > 1e-9 {
				t.Errorf("case %d: %+v", i, run)
			}
		}
		if math.Abs(c.Scaling*c.Runs[1].MedianMS/c.Runs[0].MedianMS-1) > 1e-9 {
			t.Errorf("scaling %v of %+v", c.Scaling, c.Runs)
		}
	}
	// Three steps are timed however short the time.
	r, err = Measure(t.Context(), cases[:1], Options{Threads: []int{1}, Repeat: 1000, Time: time.Nanosecond})
	if err != nil || r.Cases[0].Runs[0].Steps != 3 || r.Cases[0].Scaling != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, cases, Options{Threads: []int{1}, Repeat: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, o := range []Options{{Repeat: 1}, {Threads: []int{0}, Repeat: 1}, {Threads: []int{1}}, {Threads: []int{1}, Repeat: 1, Time: -1}} {
		if _, err := Measure(t.Context(), cases, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestMedian(t *testing.T) {
	if m := Median([]float64{5, 1, 3}); m != 3 {
		t.Errorf("got %v", m)
	}
	if m := Median([]float64{4, 1, 3, 9}); m != 3.5 {
		t.Errorf("got %v", m)
	}
}

// Memory is estimated, not more than it is and never far below: what the estimate leaves out is small.
func TestBytes(t *testing.T) {
	c := Cases()[0]
	one, err1 := c.Bytes(1)
	two, err2 := c.Bytes(2)
	if err1 != nil || err2 != nil || !(one > 1<<20 && two > one && two < 2*one) {
		t.Errorf("%d and %d bytes, %v, %v", one, two, err1, err2)
	}
}

// BenchmarkTrainStep takes the steps of [Cases]; the names are like the arguments of the programs that they are compared with.
func BenchmarkTrainStep(b *testing.B) {
	for _, c := range Cases() {
		for _, threads := range []string{"1", "2"} {
			b.Run(c.Name()+"/threads="+threads, func(b *testing.B) {
				n := int(threads[0] - '0')
				s, peak := newStep(b, c, n), MeasurePeak(n).GFLOPs
				if _, err := s.Run(n); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Run(n); err != nil {
						b.Fatal(err)
					}
				}
				rate := c.FLOPs() * float64(b.N) / b.Elapsed().Seconds() / 1e9
				b.ReportMetric(rate, "GFLOP/s")
				b.ReportMetric(100*rate/peak, "%peak")
			})
		}
	}
}
