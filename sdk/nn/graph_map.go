package nn

import (
	"errors"
	"fmt"
	"sync"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// GraphMap is the StepMap of any cell, from the cell's own graph of one bin and its derivatives: for a Cell without a map of its own. The values are those of the parameters that
// Declare adds. A VJP costs a run of the graph, forward and back; Jacobians and a JVP, which is taken from them, cost one for each element of the state. It is safe for concurrent use.
func GraphMap(cell Cell[float64], values map[string][]float64, prefix string, inputs int) (StepMap, error) {
	p := NewParams[float64](0)
	cell.Declare(p, prefix, inputs)
	if p.err != nil {
		return nil, p.err
	}
	for _, list := range [][]Param[float64]{p.list, p.buffers} {
		for _, q := range list {
			v := values[q.Name]
			if len(v) != len(q.Value) {
				return nil, fmt.Errorf("nn: step map: %s has %d values, want %d", q.Name, len(v), len(q.Value))
			}
			copy(q.Value, v)
		}
	}
	m := &graphMap{cell: cell, params: p, prefix: prefix, inputs: inputs, graphs: map[int]*stepGraph{}}
	_, err := m.graph(1)
	return m, err
}

type graphMap struct {
	mu     sync.Mutex
	cell   Cell[float64]
	params *Params[float64]
	prefix string
	inputs int
	graphs map[int]*stepGraph // by their rows
}

// stepGraph is one bin of a cell, and the gradients for a cotangent; nil for what the step does not depend on.
type stepGraph struct {
	*Graph[float64]
	x, state, cotangent, next, gx, gstate *Node
}

func (m *graphMap) graph(rows int) (*stepGraph, error) {
	if s := m.graphs[rows]; s != nil {
		return s, nil
	}
	g := NewGraph(m.params, Config[float64]{Rows: rows, Training: true})
	s := &stepGraph{Graph: g, state: g.Variable("state", rows, m.cell.StateSize()), cotangent: g.Data("cotangent", m.cell.StateSize())}
	if m.inputs > 0 {
		s.x = g.Variable("x", rows, 1, m.inputs)
	}
	s.next = m.cell.Unroll(g, m.prefix, s.x, 1, Unroll{Initial: s.state}).Final()
	if g.err != nil {
		return nil, g.err
	}
	if s.next == nil {
		return nil, errors.New("nn: step map: the cell has no final state")
	}
	reached := g.reach(s.next)
	var wrt gorgonia.Nodes
	var to []**Node
	for _, a := range []struct {
		of   *Node
		grad **Node
	}{{s.x, &s.gx}, {s.state, &s.gstate}} {
		if a.of != nil && reached[a.of] {
			wrt, to = append(wrt, a.of), append(to, a.grad)
		}
	}
	if len(wrt) > 0 {
		grads, err := g.Backpropagate(gorgonia.Nodes{s.next}, gorgonia.Nodes{s.cotangent}, wrt)
		if err != nil {
			return nil, err
		}
		for i, n := range grads {
			*to[i] = n
		}
	}
	m.graphs[rows] = s
	return s, g.Compile()
}

// each takes the points through a graph, many at a time: f gets the graph, its arrays filled, the first of its points and their number.
func (m *graphMap) each(x, state []float64, f func(s *stepGraph, first, n int) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := m.cell.StateSize()
	points := len(state) / size
	if len(state) != points*size || len(x) != points*m.inputs {
		return &kernel.ShapeError{Op: "step map", Field: "state", Got: len(state), Want: fmt.Sprintf("%d elements a point, with %d of x", size, m.inputs)}
	}
	for first := 0; first < points; {
		rows := 1
		if points-first > 1 {
			rows = kernel.ShardRows
		}
		s, err := m.graph(rows)
		if err != nil {
			return err
		}
		n := min(rows, points-first)
		fillRows(s.Array(s.state), state[first*size:(first+n)*size])
		if s.x != nil {
			fillRows(s.Array(s.x), x[first*m.inputs:(first+n)*m.inputs])
		}
		if err := f(s, first, n); err != nil {
			return err
		}
		first += n
	}
	return nil
}

// fillRows copies some rows and zeros the rest.
func fillRows(dst, src []float64) { clear(dst[copy(dst, src):]) }

// check is for an array that may be left out, filled for one that is written to.
func (m *graphMap) check(name string, got, want int) error {
	if got == 0 {
		return nil
	}
	return m.filled(name, got, want)
}

func (m *graphMap) filled(name string, got, want int) error {
	if got != want {
		return &kernel.ShapeError{Op: "step map", Field: name, Got: got, Want: fmt.Sprintf("%d elements", want)}
	}
	return nil
}

// Step is as the interface says.
func (m *graphMap) Step(x, state, next []float64) error {
	size := m.cell.StateSize()
	if err := m.filled("next", len(next), len(state)); err != nil {
		return err
	}
	return m.each(x, state, func(s *stepGraph, first, n int) error {
		if _, err := s.Run(Pass{Quiet: true}); err != nil {
			return err
		}
		copy(next[first*size:(first+n)*size], s.Array(s.next))
		return nil
	})
}

// VJP is as the interface says.
func (m *graphMap) VJP(x, state, cot, gx, gstate []float64) error {
	size := m.cell.StateSize()
	if err := errors.Join(m.check("cot", len(cot), len(state)), m.check("gx", len(gx), len(x)), m.check("gstate", len(gstate), len(state))); err != nil {
		return err
	}
	return m.each(x, state, func(s *stepGraph, first, n int) error {
		part := cot
		if cot != nil {
			part = cot[first*size : (first+n)*size]
		}
		fillRows(s.Array(s.cotangent), part)
		if _, err := s.Run(Pass{Quiet: true}); err != nil {
			return err
		}
		take(gx, s.Array(s.gx), first*m.inputs, n*m.inputs)
		take(gstate, s.Array(s.gstate), first*size, n*size)
		return nil
	})
}

// take copies the first n elements of from to dst[at:], zeros where from is nil, and nothing where dst is.
func take(dst, from []float64, at, n int) {
	if dst == nil {
		return
	}
	clear(dst[at : at+n])
	copy(dst[at:at+n], from)
}

// rows gives f, for each group of points and each element j of the next state, its gradients for those points; nil where the step does not depend on what they are of.
func (m *graphMap) rows(x, state []float64, f func(first, n, j int, gx, gstate []float64)) error {
	size := m.cell.StateSize()
	return m.each(x, state, func(s *stepGraph, first, n int) error {
		cot := s.Array(s.cotangent)
		for j := range size {
			clear(cot)
			for p := range n {
				cot[p*size+j] = 1
			}
			if _, err := s.Run(Pass{Quiet: true}); err != nil {
				return err
			}
			f(first, n, j, s.Array(s.gx), s.Array(s.gstate))
		}
		return nil
	})
}

// JVP is as the interface says.
func (m *graphMap) JVP(x, state, dx, dstate, out []float64) error {
	size := m.cell.StateSize()
	if err := errors.Join(m.check("dx", len(dx), len(x)), m.check("dstate", len(dstate), len(state)), m.filled("out", len(out), len(state))); err != nil {
		return err
	}
	result := make([]float64, len(out))
	err := m.rows(x, state, func(first, n, j int, gx, gstate []float64) {
		for p := range n {
			sum := 0.0
			if dx != nil && gx != nil {
				for i, v := range dx[(first+p)*m.inputs : (first+p+1)*m.inputs] {
					sum += gx[p*m.inputs+i] * v
				}
			}
			if dstate != nil && gstate != nil {
				for i, v := range dstate[(first+p)*size : (first+p+1)*size] {
					sum += gstate[p*size+i] * v
				}
			}
			result[(first+p)*size+j] = sum
		}
	})
	if err == nil {
		copy(out, result)
	}
	return err
}

// Jacobians is as the interface says.
func (m *graphMap) Jacobians(x, state, jx, jstate []float64) error {
	size := m.cell.StateSize()
	if err := errors.Join(m.check("jx", len(jx), len(x)*size), m.check("jstate", len(jstate), len(state)*size)); err != nil {
		return err
	}
	return m.rows(x, state, func(first, n, j int, gx, gstate []float64) {
		for p := range n {
			at := (first+p)*size + j
			if m.inputs > 0 && jx != nil {
				take(jx, part(gx, p, m.inputs), at*m.inputs, m.inputs)
			}
			take(jstate, part(gstate, p, size), at*size, size)
		}
	})
}

// part is row p of an array, nil of none.
func part(a []float64, p, width int) []float64 {
	if a == nil {
		return nil
	}
	return a[p*width : (p+1)*width]
}
