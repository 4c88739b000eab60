package nn

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// mass is a damped point mass that two outputs push along a line, p' = p + dt v, v' = v + dt (tanh(a0) - 2 a1 - v): its state is p and v, its inputs p of two bins ago, v and a goal.
type mass[F kernel.Float] struct {
	rows, bins int
	p, v, a0   [][]float64 // by bin, from the start on
	dp, dv     []float64
	late       [][]float64 // cotangents of p by bin that arrive when the bin is gone back over
	truncate   int
	begin      [2][]float64 // p and v to begin with; nil is by the row's number
	past       [][]float64  // p before the start
	log        []string
	fail       int // bin whose step fails, 0 for none
}

const massDT, massDelay = 0.2, 2

var errMass = errors.New("out of the field")

func (m *mass[F]) Begin(s EpisodeStart, inputs []F) error {
	m.log = append(m.log, fmt.Sprintf("begin tape=%v", s.Tape))
	m.truncate = s.Truncate
	p, v := make([]float64, m.rows), make([]float64, m.rows)
	for r := range m.rows {
		p[r], v[r] = 0.3*float64(r)-0.4, 0.1*float64(r)
		if m.begin[0] != nil {
			p[r], v[r] = m.begin[0][r], m.begin[1][r]
		}
	}
	m.p, m.v, m.a0 = [][]float64{p}, [][]float64{v}, nil
	m.dp, m.dv = make([]float64, m.rows), make([]float64, m.rows)
	m.late = make([][]float64, m.bins+1)
	for i := range m.late {
		m.late[i] = make([]float64, m.rows)
	}
	m.observe(0, inputs)
	return nil
}

func (m *mass[F]) observe(t int, inputs []F) {
	for r := range m.rows {
		seen := 0.0
		switch at := t - massDelay; {
		case at >= 0:
			seen = m.p[at][r]
		case m.past != nil:
			seen = m.past[len(m.past)+at][r]
		default:
			seen = m.p[0][r]
		}
		x := inputs[(r*m.bins+t)*3:]
		x[0], x[1], x[2] = F(seen), F(m.v[t][r]), F(0.5+0.1*float64(r))
	}
}

func (m *mass[F]) Forward(from, to int, compute func(t int) error, outputs, state, inputs []F) error {
	return through(from, to, false, func(t int) error {
		if compute != nil {
			if err := compute(t); err != nil {
				return err
			}
		}
		return m.step(t, outputs, state, inputs)
	})
}

func (m *mass[F]) Backward(from, to int, compute func(t int) error, state, inputs, outputs []F) error {
	return through(from, to, true, func(t int) error {
		m.vjp(t, state, inputs, outputs)
		if compute == nil {
			return nil
		}
		return compute(t)
	})
}

// through goes through bins, or back.
func through(from, to int, back bool, do func(t int) error) error {
	for t := range to - from {
		at := from + t
		if back {
			at = to - 1 - t
		}
		if err := do(at); err != nil {
			return err
		}
	}
	return nil
}

func (m *mass[F]) step(t int, outputs, state, inputs []F) error {
	if m.fail > 0 && t == m.fail {
		return errMass
	}
	p, v, a0 := make([]float64, m.rows), make([]float64, m.rows), make([]float64, m.rows)
	for r := range m.rows {
		a := outputs[(r*m.bins+t)*2:]
		a0[r] = math.Tanh(float64(a[0]))
		p[r] = m.p[t][r] + massDT*m.v[t][r]
		v[r] = m.v[t][r] + massDT*(a0[r]-2*float64(a[1])-m.v[t][r])
		state[(r*m.bins+t)*2], state[(r*m.bins+t)*2+1] = F(p[r]), F(v[r])
	}
	m.p, m.v, m.a0 = append(m.p, p), append(m.v, v), append(m.a0, a0)
	if t+1 < m.bins {
		m.observe(t+1, inputs)
	}
	return nil
}

func (m *mass[F]) vjp(t int, state, inputs, outputs []F) {
	cut := m.truncate > 0 && (t+1)%m.truncate == 0
	for r := range m.rows {
		if cut {
			m.dp[r], m.dv[r] = 0, 0
			// What earlier bins saw, later ones remember: that too is the environment's state between the bins.
			for at := range t + 1 {
				m.late[at][r] = 0
			}
			m.late[t+1][r] = 0
		}
		if t+1 < m.bins {
			x := inputs[(r*m.bins+t+1)*3:]
			m.late[max(0, t+1-massDelay)][r] += float64(x[0])
			m.dv[r] += float64(x[1])
		}
		m.dp[r] += m.late[t+1][r]
		if state != nil {
			m.dp[r] += float64(state[(r*m.bins+t)*2])
			m.dv[r] += float64(state[(r*m.bins+t)*2+1])
		}
		a0 := m.a0[t][r]
		outputs[(r*m.bins+t)*2] += F(massDT * (1 - a0*a0) * m.dv[r])
		outputs[(r*m.bins+t)*2+1] += F(-2 * massDT * m.dv[r])
		m.dv[r] = massDT*m.dp[r] + (1-massDT)*m.dv[r]
	}
}

func (m *mass[F]) End() error {
	m.log = append(m.log, "end")
	return nil
}

// loopCells are all cells, small.
func loopCells() map[string]Cell[float64] {
	return map[string]Cell[float64]{
		"gru": GRU[float64](4), "tanh": RNN[float64](4), "lstm": LSTM[float64](3), "linear": Linear[float64](3), "leaky": Leaky[float64](4, 0.3, false),
		"leaky-compat": Leaky[float64](4, 0.3, true), "low-rank": LowRank[float64](5, 2, 0.4, 0.5),
		"node":  NODE[float64](3, kernel.SequenceConfig{Layers: 2, Width: 5, DT: 0.5, TanhNet: true, RK4: true}),
		"steps": Stepped(torchGRU[float64]{4}, torchGRU[float64]{4}), "wide steps": Stepped(torchLSTM[float64]{3}, torchLSTM[float64]{3}),
		"dopri5": NODE[float64](3, kernel.SequenceConfig{Layers: 2, Width: 5, DT: 0.5, TanhNet: true, Dopri5: true, RTol: 1e-10, ATol: 1e-10}),
	}
}

// weigh is a loss on everything that a loop gives, with other weights in each bin.
func weigh(g *Graph[float64], s *Sequence, bins, units int, from int) []*Loss {
	w := func(name string, width int) *Node {
		n := g.Data(name, bins, width)
		a := g.Array(n)
		for i := range a {
			if t := i / width % bins; t >= from {
				a[i] = 0.5 + 0.1*float64(i%7)
			}
		}
		return n
	}
	zeros := func(width int) *Node { return g.Zeros(bins, width) }
	return []*Loss{g.SquaredError(s.EnvironmentState(), zeros(2), w("w state", 2), Scale{Factor: 1, Reduction: Sum}), g.SquaredError(s.Outputs(), zeros(2), w("w outputs", 2), Scale{Factor: 0.3, Reduction: Sum}),
		g.SquaredError(s.States(), zeros(units), w("w states", units), Scale{Factor: 0.2, Reduction: Sum})}
}

func loopParams(cell Cell[float64], seed uint64) *Params[float64] {
	p := NewParams[float64](seed)
	p.Uniform("initial", 0.5, cell.StateSize())
	cell.Declare(p, "cell", 3)
	p.Linear("readout", cell.Units(), 2)
	return p
}

// TestLoopGradientsAgainstDifferences takes every cell's gradients through a body that answers late.
func TestLoopGradientsAgainstDifferences(t *testing.T) {
	const rows, bins = 3, 7
	for name, cell := range loopCells() {
		t.Run(name, func(t *testing.T) {
			p := loopParams(cell, 3)
			g := NewGraph(p, Config[float64]{Rows: rows, Training: true})
			m := &mass[float64]{rows: rows, bins: bins}
			s := cell.Unroll(g, "cell", g.Environment(m, bins, 3, 2), bins, Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: Noise{0.1, "state"}, InitialNoise: Noise{0.1, "initial"}})
			if err := g.Minimise(weigh(g, s, bins, cell.Units(), 0)...); err != nil {
				t.Fatal(err)
			}
			run := func() float64 {
				t.Helper()
				v, err := g.Run(Pass{Seed: 1, Trials: []uint64{4, 8, 1}})
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			againstDifferences(t, p, g, run, 1e-6)
			if n := len(m.log); n%2 != 0 || m.log[0] != "begin tape=true" || m.log[1] != "end" {
				t.Errorf("episodes: %v", m.log[:min(n, 4)])
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// replay gives inputs that nothing acts on.
type replay struct{ x []float64 }

func (r replay) Begin(_ EpisodeStart, inputs []float64) error { copy(inputs, r.x); return nil }
func (r replay) Forward(from, to int, compute func(t int) error, outputs, state, _ []float64) error {
	return through(from, to, false, func(t int) error {
		if compute != nil {
			if err := compute(t); err != nil {
				return err
			}
		}
		copy(state, outputs) // up to this bin
		return nil
	})
}
func (r replay) Backward(from, to int, compute func(t int) error, _, _, _ []float64) error {
	return through(from, to, true, func(t int) error {
		if compute == nil {
			return nil
		}
		return compute(t)
	})
}
func (r replay) End() error { return nil }

// TestLoopWithoutFeedbackIsTheSequence: where the inputs do not depend on the outputs a loop gives the bits of the sequence, truncated or not, in training and out of it.
func TestLoopWithoutFeedbackIsTheSequence(t *testing.T) {
	const rows, bins = 5, 9
	x := make([]float64, rows*bins*3)
	fill("x", x)
	for name, cell := range loopCells() {
		for _, truncate := range []int{0, 4} {
			for _, training := range []bool{true, false} {
				run := func(closed bool) (out [][]float64) {
					t.Helper()
					p := loopParams(cell, 4)
					g := NewGraph(p, Config[float64]{Rows: rows, Training: training})
					var in *Node
					if closed {
						in = g.Environment(replay{x}, bins, 3, 2)
					} else {
						in = g.Data("x", bins, 3)
						copy(g.Array(in), x)
					}
					s := cell.Unroll(g, "cell", in, bins, Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: Noise{0.1, "state"}, Truncate: truncate})
					losses := []*Loss{g.LatentL2(s.States(), nil, 0.3), g.SquaredError(s.Outputs(), g.Zeros(bins, 2), nil, Scale{Factor: 1})}
					nodes := []*Node{s.Outputs(), s.States(), s.Clean(), s.Final()}
					if training {
						if err := g.Minimise(losses...); err != nil {
							t.Fatal(err)
						}
					}
					if _, err := g.Run(Pass{Seed: 2}); err != nil {
						t.Fatal(err)
					}
					for _, n := range nodes {
						out = append(out, slices.Clone(g.Array(n)))
					}
					grad := make([]float64, len(p.Flat()))
					if err := g.Gradient(grad); err != nil {
						t.Fatal(err)
					}
					if err := g.Close(); err != nil {
						t.Fatal(err)
					}
					return append(out, grad, slices.Clone(x))
				}
				open, closed := run(false), run(true)
				for i := range open {
					if _, steps := cell.(stepped[float64]); steps && i == 4 {
						// The readout's gradient is summed up bin by bin.
						closeTo(t, fmt.Sprintf("%s, truncate %d: gradient", name, truncate), closed[i], open[i], 1e-12)
						continue
					}
					if !slices.Equal(open[i], closed[i]) {
						t.Errorf("%s, truncate %d, training %v: result %d differs", name, truncate, training, i)
					}
				}
			}
		}
	}
}

// TestLoopTruncation: what is lost after the cut has the gradient of a loop that begins there with the states held, what is lost before it that of the whole.
func TestLoopTruncation(t *testing.T) {
	const rows, bins, cut = 3, 10, 6
	for name, cell := range loopCells() {
		if cell.StateSize() != cell.Units() {
			continue // states are not all of it
		}
		p := loopParams(cell, 6)
		gradient := func(m *mass[float64], bins, truncate, from int, initial []float64) (grad []float64, states []float64) {
			t.Helper()
			g := NewGraph(p, Config[float64]{Rows: rows, Training: true})
			start := g.Param("initial")
			if initial != nil {
				start = g.Data("held", cell.StateSize())
				copy(g.Array(start), initial)
			}
			s := cell.Unroll(g, "cell", g.Environment(m, bins, 3, 2), bins, Unroll{Readout: "readout", Initial: start, Truncate: truncate})
			zeros := func(width int) *Node { return g.Zeros(bins, width) }
			w := func(name string, width int) *Node {
				n := g.Data(name, bins, width)
				for i := range g.Array(n) {
					if i/width%bins >= from {
						g.Array(n)[i] = 1
					}
				}
				return n
			}
			err := g.Minimise(g.SquaredError(s.EnvironmentState(), zeros(2), w("a", 2), Scale{Factor: 1, Reduction: Sum}), g.SquaredError(s.Outputs(), zeros(2), w("b", 2), Scale{Factor: 1, Reduction: Sum}))
			all := s.States()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Run(Pass{}); err != nil {
				t.Fatal(err)
			}
			grad = make([]float64, len(p.Flat()))
			if err := g.Gradient(grad); err != nil {
				t.Fatal(err)
			}
			states = slices.Clone(g.Array(all))
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			return grad, states
		}
		whole := &mass[float64]{rows: rows, bins: bins}
		got, _ := gradient(whole, bins, cut, cut, nil)
		short := &mass[float64]{rows: rows, bins: cut}
		_, states := gradient(short, cut, 0, 0, nil)
		held := make([]float64, rows*cell.StateSize())
		for r := range rows {
			copy(held[r*cell.StateSize():(r+1)*cell.StateSize()], states[(r*cut+cut-1)*cell.Units():])
		}
		rest := &mass[float64]{rows: rows, bins: bins - cut, begin: [2][]float64{short.p[cut], short.v[cut]}, past: short.p[:cut]}
		want, _ := gradient(rest, bins-cut, 0, 0, held)
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-9*max(1, math.Abs(want[i])) {
				t.Errorf("%s: gradient %d is %v, of the loop from the cut on %v", name, i, got[i], want[i])
				break
			}
		}
	}
}

// TestSteppedLoopIsTheKernels: a cell in steps calls its environment as the kernel of the same cell does, and gives the same, whatever is lost and wherever gradients are cut.
func TestSteppedLoopIsTheKernels(t *testing.T) {
	const rows, bins, units = 3, 7, 4
	cells := map[string]Cell[float64]{"cell": GRU[float64](units), "steps": Stepped(torchGRU[float64]{units}, torchGRU[float64]{units})}
	p := NewParams[float64](9)
	p.Uniform("initial", 0.5, units)
	cells["cell"].Declare(p, "cell", 3)
	cells["steps"].Declare(p, "steps", 3)
	p.Linear("readout", units, 2)
	gates(p, "r", "z", "n")
	for _, truncate := range []int{0, 1, 3, bins} {
		for lost := range 4 {
			run := func(prefix string) (grad *Params[float64], log []string, values []float64) {
				t.Helper()
				g := NewGraph(p, Config[float64]{Rows: rows, Training: true})
				m := &mass[float64]{rows: rows, bins: bins}
				s := cells[prefix].Unroll(g, prefix, g.Environment(m, bins, 3, 2), bins, Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: Noise{0.1, "state"},
					InitialNoise: Noise{0.1, "initial"}, Truncate: truncate})
				losses := append(weigh(g, s, bins, units, 0), g.SquaredError(s.Final(), g.Zeros(units), nil, Scale{Factor: 1}))
				all := []*Node{s.EnvironmentState(), s.Outputs(), s.States(), s.Final()}
				if err := g.Minimise(losses[lost]); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if _, err := g.Run(Pass{Seed: 1, Trials: []uint64{4, 8, 1}}); err != nil {
						t.Fatal(err)
					}
				}
				grad = p.Clone()
				if err := g.Gradient(grad.Flat()); err != nil {
					t.Fatal(err)
				}
				for _, n := range all {
					values = append(values, g.Array(n)...)
				}
				return grad, m.log, values
			}
			want, wantLog, wantValues := run("cell")
			got, log, values := run("steps")
			name := fmt.Sprintf("truncate %d, loss %d", truncate, lost)
			closeTo(t, name, values, wantValues, 1e-12)
			if !slices.Equal(log, wantLog) {
				t.Errorf("%s: episodes are %v, want %v", name, log, wantLog)
			}
			gates(want, "r", "z", "n")
			for _, q := range got.All() {
				if !strings.HasPrefix(q.Name, "cell.") {
					closeTo(t, name+": "+q.Name, q.Value, want.Get(q.Name), 1e-12)
				}
			}
		}
	}
}

// TestLoopMistakes are reported, an episode that fails in the middle with its own error.
func TestLoopMistakes(t *testing.T) {
	for name, cell := range map[string]Cell[float64]{"kernel": GRU[float64](4), "steps": Stepped(torchGRU[float64]{4}, torchGRU[float64]{4})} {
		t.Run(name, func(t *testing.T) { loopMistakes(t, cell) })
	}
}

func loopMistakes(t *testing.T, cell Cell[float64]) {
	build := func(how func(g *Graph[float64]) *Sequence) error {
		g := NewGraph(loopParams(cell, 1), Config[float64]{Rows: 2, Training: true})
		s := how(g)
		if s != nil {
			s.States()
		}
		return g.Compile()
	}
	x := func(g *Graph[float64]) *Node { return g.Environment(&mass[float64]{rows: 2, bins: 4}, 4, 3, 2) }
	for want, how := range map[string]func(g *Graph[float64]) *Sequence{
		"needs a readout": func(g *Graph[float64]) *Sequence { return cell.Unroll(g, "cell", x(g), 4, Unroll{}) },
		"another sequence": func(g *Graph[float64]) *Sequence {
			n := x(g)
			cell.Unroll(g, "cell", n, 4, Unroll{Readout: "readout"})
			return cell.Unroll(g, "cell", n, 4, Unroll{Readout: "readout"})
		},
		"there is none": func(g *Graph[float64]) *Sequence {
			s := cell.Unroll(g, "cell", g.Data("x", 4, 3), 4, Unroll{Readout: "readout"})
			s.EnvironmentState()
			return s
		},
		"no sequence runs over its inputs": func(g *Graph[float64]) *Sequence {
			x(g)
			return cell.Unroll(g, "cell", g.Data("x", 4, 3), 4, Unroll{Readout: "readout"})
		},
		"recompute 3": func(g *Graph[float64]) *Sequence {
			return cell.Unroll(g, "cell", x(g), 4, Unroll{Readout: "readout", Recompute: 3})
		},
		"truncate -1": func(g *Graph[float64]) *Sequence {
			return cell.Unroll(g, "cell", x(g), 4, Unroll{Readout: "readout", Truncate: -1})
		},
		"at least 1": func(g *Graph[float64]) *Sequence { g.Environment(&mass[float64]{}, 4, 0, 2); return nil },
	} {
		if err := build(how); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	g := NewGraph(loopParams(cell, 1), Config[float64]{Rows: 2, Training: true})
	m := &mass[float64]{rows: 2, bins: 4, fail: 2}
	s := cell.Unroll(g, "cell", g.Environment(m, 4, 3, 2), 4, Unroll{Readout: "readout"})
	if err := g.Minimise(g.SquaredError(s.EnvironmentState(), g.Zeros(4, 2), nil, Scale{Factor: 1})); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(Pass{}); !errors.Is(err, errMass) || m.log[len(m.log)-1] != "end" {
		t.Errorf("%v, %v", err, m.log)
	}
	m.fail = 0
	if _, err := g.Run(Pass{}); err != nil {
		t.Errorf("after it: %v", err)
	}
	// What fails between the way there and the way back is no fault of the loop's, but its episode is over too.
	g = NewGraph(loopParams(cell, 1), Config[float64]{Rows: 2, Training: true})
	m = &mass[float64]{rows: 2, bins: 4}
	s = cell.Unroll(g, "cell", g.Environment(m, 4, 3, 2), 4, Unroll{Readout: "readout"})
	broken := errors.New("broken")
	if err := g.Minimise(g.Custom("custom", s.EnvironmentState(), 1, func(Pass, []float64, []float64) (float64, error) { return 0, broken })); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(Pass{}); !errors.Is(err, broken) || !slices.Equal(m.log, []string{"begin tape=true", "end"}) {
		t.Errorf("%v, %v", err, m.log)
	}
}
