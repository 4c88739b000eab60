package nn

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// program is a graph's operations in the order in which they were added, so that each comes after those that it depends on.
//
// Gorgonia's tape machine is not used: it takes two nodes whose hashes of 32 bits are the same for one, silently; the time that it needs to compile grows with the square of the nodes
// (16 s for a cell of 400 steps, 40 ms here); and it runs operations in another goroutine than its caller's, so that each run waits for two changes of threads and a panic ends the process.
type program struct {
	steps  []step
	inputs []*Node
	at     map[*Node]int // into values
	values []gorgonia.Value
}

type step struct {
	op   gorgonia.Op
	from []int
	to   int
	args []gorgonia.Value
	sum  sum
}

// sum is where the sum of two parts of a gradient is written to.
type sum int

const (
	fresh    sum = iota // it is no such sum, or one of scalars
	reused              // what it was written to in the last run
	followed            // its first argument, which is such a sum too that nothing else reads
)

// newProgram compiles a graph. parts are the sums of parts of gradients, and whether somebody asked for them: the results of others may be overwritten before the run is over.
func newProgram(expr *gorgonia.ExprGraph, training bool, parts map[*Node]bool) (*program, error) {
	nodes := expr.AllNodes()
	p := &program{at: make(map[*Node]int, len(nodes)), values: make([]gorgonia.Value, len(nodes))}
	readers := make([]int, len(nodes))
	for i, n := range nodes {
		p.at[n] = i
		if n.Op() == nil {
			p.inputs = append(p.inputs, n)
			continue
		}
		if n.Type() == nil {
			return nil, fmt.Errorf("%s: Gorgonia's Read and Set are not run: read results with Array after a run, and write inputs with it before", n.Name())
		}
		if m, ok := n.Op().(gorgonia.TrainModeOp); ok {
			if err := m.SetTraining(training); err != nil {
				return nil, fmt.Errorf("%v: %w", n.Op(), err)
			}
		}
		s := step{op: n.Op(), to: i}
		expr = knowing(expr, n)
		for it := expr.From(n.ID()); it != nil && it.Next(); {
			child, _ := it.Node().(*Node)
			from, ok := p.at[child]
			if !ok {
				return nil, fmt.Errorf("%v depends on %v, which is not there before it", n, child)
			}
			s.from = append(s.from, from)
			readers[from]++
		}
		s.args = make([]gorgonia.Value, len(s.from))
		if asked, ok := parts[n]; ok && len(n.Shape()) > 0 {
			s.sum = reused
			if asked {
				readers[i]++
			}
		}
		p.steps = append(p.steps, s)
	}
	if len(p.steps) == 0 {
		return nil, errors.New("the graph computes nothing")
	}
	for i := range p.steps {
		s := &p.steps[i]
		if s.sum == fresh {
			continue
		}
		first := nodes[s.from[0]]
		if _, ok := parts[first]; ok && readers[s.from[0]] == 1 && first.Shape().Eq(nodes[s.to].Shape()) {
			s.sum = followed
		}
	}
	return p, nil
}

// knowing is a graph in which the number of n finds n: expr, or a copy if Gorgonia has removed a node (it does for log(1+x)), after which numbers find others there.
func knowing(expr *gorgonia.ExprGraph, n *Node) *gorgonia.ExprGraph {
	if found, _ := expr.Node(n.ID()).(*Node); found != n {
		return expr.Subgraph(slices.Clone(expr.AllNodes())...)
	}
	return expr
}

// inOrder returns an error where Gorgonia has removed nodes and no longer finds an order in which each node comes before those that it depends on: it would leave out gradients.
func inOrder(expr *gorgonia.ExprGraph) error {
	known, removed := expr, false
	for i, n := range expr.AllNodes() {
		if n.ID() != int64(i) {
			known, removed = knowing(known, n), true
		}
	}
	if !removed {
		return nil
	}
	sorted, err := gorgonia.Sort(expr)
	if err != nil {
		return err
	}
	seen := map[*Node]bool{}
	for _, n := range sorted {
		for it := known.From(n.ID()); it != nil && it.Next(); {
			if child, ok := it.Node().(*Node); ok && seen[child] {
				return errors.New("after replacing more than one log(1+x) or log(1-x) Gorgonia has lost the order of what was added between: use Elementwise for one")
			}
		}
		seen[n] = true
	}
	return nil
}

// run runs the operations. A panic in one is an error.
func (p *program) run() error {
	// Workers would otherwise go from run to run for longer than the scheduler lets a goroutine, and it would interrupt kernels.
	runtime.Gosched()
	for _, n := range p.inputs {
		v := n.Value()
		if v == nil {
			return fmt.Errorf("%s has no value", n.Name())
		}
		p.values[p.at[n]] = v
	}
	for i := range p.steps {
		s := &p.steps[i]
		for k, from := range s.from {
			s.args[k] = p.values[from]
		}
		v, err := s.do(p.values[s.to])
		if err != nil {
			return fmt.Errorf("%s: %w", s.op, err)
		}
		p.values[s.to] = v
	}
	return nil
}

func (s *step) do(last gorgonia.Value) (v gorgonia.Value, err error) {
	defer component.Recover(&err)
	switch s.sum {
	case reused:
		if o, ok := s.op.(gorgonia.UsePreallocDoer); ok && last != nil {
			return o.UsePreallocDo(last, s.args...)
		}
	case followed:
		if o, ok := s.op.(gorgonia.UnsafeDoer); ok {
			return o.UnsafeDo(s.args...)
		}
	}
	return s.op.Do(s.args...)
}

// value is a node's in the last run, nil before the first.
func (p *program) value(n *Node) gorgonia.Value {
	if i, ok := p.at[n]; ok {
		return p.values[i]
	}
	return nil
}
