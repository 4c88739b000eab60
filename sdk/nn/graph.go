package nn

import (
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// Config is the shape of a graph.
type Config[F kernel.Float] struct {
	// Rows is the number of trials in a run, at least 1.
	Rows int
	// ShardRows is the number of trials that a sequence takes through at a time, see kernel.SequenceConfig; 0 means kernel.ShardRows.
	ShardRows int
	// Threads is the number of goroutines within an operation; 0 means 1. A trainer that shares shards out among workers leaves it at 1.
	Threads int
	// Training switches dropout on and keeps what gradients need.
	Training bool
	// Memory is shared with other graphs of the same worker; nil gives the graph its own.
	Memory *Memory[F]
}

// Pass is what differs from run to run.
type Pass struct {
	// Batch is the number of trials of the whole batch that the run's trials are a part of: losses are divided by it. 0 means the graph's rows.
	Batch int
	// Shard is the number of the run's trials among the shards of the batch.
	Shard int
	// Trials are the numbers of the run's trials, one for each row; nil means 0, 1, ... Noise depends on them.
	Trials []uint64
	// Seed and Stream name the noise, together with its purpose: random.Key(Seed, purpose, Stream...). Training gives the epoch as the stream.
	Seed   uint64
	Stream []uint64
	// Epoch is for curricula and ramps.
	Epoch int64
	// Quiet switches noise off.
	Quiet bool
	// Weights is the version of the parameters' values, another one whenever they have changed, for graphs whose Memory has Packed; there it is not 0.
	Weights uint64
}

func (p *Pass) key(purpose string) uint64 { return random.Key(p.Seed, purpose, p.Stream...) }

// Graph is a network written down for one shape of batch. It is built by one goroutine and then run by one at a time: make one for each worker.
//
// A mistake in building (shapes that do not fit, an unknown parameter) makes the method return nil; further methods pass nil on, and
// Minimise and Compile report the first mistake.
type Graph[F kernel.Float] struct {
	config Config[F]
	params *Params[F]
	expr   *gorgonia.ExprGraph
	memory *Memory[F]
	pass   Pass
	err    error

	ops     int
	slots   int
	used    map[string]*Node
	data    map[*Node][]F
	grads   []gradient[F]
	losses  []*Loss
	program *program

	environments map[*Node]*environment[F]
	sums         sums
	inputs       map[string]bool
}

type gradient[F kernel.Float] struct {
	param Param[F]
	node  *Node
}

// NewGraph returns an empty graph over the parameters, whose values it reads at every run. params may be nil.
func NewGraph[F kernel.Float](params *Params[F], c Config[F]) *Graph[F] {
	if params == nil {
		params = NewParams[F](0)
	}
	g := &Graph[F]{config: c, params: params, expr: gorgonia.NewGraph(), memory: c.Memory, used: map[string]*Node{}, data: map[*Node][]F{}, inputs: map[string]bool{}}
	g.sums = sums{g.expr, map[*Node]*Node{}, map[*Node]bool{}, map[*Node]bool{}}
	if g.memory == nil {
		g.memory = new(Memory[F])
	}
	if c.Rows < 1 {
		g.fail("graph", fmt.Errorf("%d rows: at least 1 is needed", c.Rows))
	}
	if params.err != nil {
		g.fail("graph", params.err)
	}
	return g
}

// Expr is Gorgonia's own graph, for Gorgonia's own operations. Their results are read with Array, as those of others: nodes are given no values, and Read and Set are
// not run. Of gradients those alone have a result that Minimise or Backpropagate was asked for.
func (g *Graph[F]) Expr() *gorgonia.ExprGraph { return g.expr }

// Rows is the number of trials.
func (g *Graph[F]) Rows() int { return g.config.Rows }

// Training says whether the graph is for training.
func (g *Graph[F]) Training() bool { return g.config.Training }

func (g *Graph[F]) threads() int { return max(1, g.config.Threads) }

func (g *Graph[F]) fail(what string, err error) *Node {
	if g.err == nil {
		g.err = fmt.Errorf("nn: %s: %w", what, err)
	}
	return nil
}

// slot numbers the places where operations take memory; the numbers are the same in all graphs of one network.
func (g *Graph[F]) slot() int {
	g.slots++
	return g.slots
}

func (g *Graph[F]) array(n int) []F { return g.memory.array(g.slot(), n) }

// input adds an array. Gorgonia would take a second one of the same name for the first.
func (g *Graph[F]) input(name string, data []F, shape []int) *Node {
	if g.inputs[name] {
		return g.fail(name, errors.New("an array or a parameter of that name is there already"))
	}
	g.inputs[name] = true
	return gorgonia.NewTensor(g.expr, dtype[F](), len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(dense(data, shape...)))
}

// Data adds an array that is given to every run and has no gradient, (rows, shape...). Fill it through Array.
func (g *Graph[F]) Data(name string, shape ...int) *Node {
	n := g.Variable(name, append([]int{g.config.Rows}, shape...)...)
	if n != nil {
		g.data[n] = g.Array(n)
	}
	return n
}

// Zeros adds an array of zeros, (rows, shape...), which nobody may write to.
func (g *Graph[F]) Zeros(shape ...int) *Node {
	shape = append([]int{g.config.Rows}, shape...)
	if g.err != nil {
		return nil
	}
	n := g.input(fmt.Sprintf("zeros %d", g.slot()), make([]F, elements(shape)), shape)
	if n != nil {
		g.data[n] = g.Array(n)
	}
	return n
}

// Variable adds an array that is given to every run and may have a gradient, of exactly that shape.
func (g *Graph[F]) Variable(name string, shape ...int) *Node {
	for _, s := range shape {
		if s < 1 {
			return g.fail(name, fmt.Errorf("shape %v is not allowed: at least 1 in every axis", shape))
		}
	}
	if g.err != nil {
		return nil
	}
	return g.input(name, g.array(elements(shape)), shape)
}

// Param adds the parameter of that name; a buffer has no gradient.
func (g *Graph[F]) Param(name string) *Node {
	if n := g.used[name]; n != nil {
		return n
	}
	q, ok := g.params.find(name)
	if !ok {
		return g.fail("parameter", fmt.Errorf("%q: there is none of that name", name))
	}
	n := g.input(name, q.Value, q.Shape)
	if n == nil {
		return nil
	}
	if q.Offset < 0 {
		g.data[n] = q.Value
	}
	g.used[name] = n
	return n
}

// isParameter says whether a node is a parameter, and not computed.
func (g *Graph[F]) isParameter(n *Node) bool {
	for _, p := range g.used {
		if p == n {
			return true
		}
	}
	return false
}

// Array is the memory of an input, or the result of a node after a run: valid until the next run. It is nil for a nil node.
func (g *Graph[F]) Array(n *Node) []F {
	if n == nil {
		return nil
	}
	a, err := flat[F](g.value(n))
	if err != nil {
		return nil
	}
	return a
}

// value is an input's, or a result of the last run; nil where there was none.
func (g *Graph[F]) value(n *Node) gorgonia.Value {
	if n.Op() == nil {
		return n.Value()
	}
	if g.program == nil {
		return nil
	}
	return g.program.value(n)
}

// differentiable says whether a gradient of n may be wanted.
func (g *Graph[F]) differentiable(n *Node) bool {
	if n == nil {
		return false
	}
	_, isData := g.data[n]
	return !isData
}

// Minimise makes every run compute the gradients of the sum of the losses. At least one loss must depend on a parameter.
func (g *Graph[F]) Minimise(losses ...*Loss) error {
	if g.err != nil {
		return g.err
	}
	var total *Node
	for _, l := range losses {
		if l == nil {
			return errors.New("nn: minimise: a loss is nil")
		}
		if total == nil {
			total = l.node
			continue
		}
		sum, err := gorgonia.Add(total, l.node)
		if err != nil {
			return fmt.Errorf("nn: minimise: %w", err)
		}
		total = sum
	}
	if total == nil {
		return errors.New("nn: minimise: no loss is given")
	}
	reached := g.reach(total)
	var wrt gorgonia.Nodes
	var used []Param[F]
	for _, q := range g.params.list {
		if n := g.used[q.Name]; n != nil && reached[n] {
			wrt, used = append(wrt, n), append(used, q)
		}
	}
	if len(wrt) == 0 {
		return errors.New("nn: minimise: the loss depends on no parameter")
	}
	one := gorgonia.NewScalar(g.expr, dtype[F](), gorgonia.WithName("nn.one"), gorgonia.WithValue(newScalar[F](1).set(1)))
	grads, err := g.Backpropagate(gorgonia.Nodes{total}, gorgonia.Nodes{one}, wrt)
	if err != nil {
		return err
	}
	for i, n := range grads {
		g.grads = append(g.grads, gradient[F]{used[i], n})
	}
	return nil
}

// Backpropagate adds the gradients with respect to wrt of the scalar sum(outputs * cotangents).
func (g *Graph[F]) Backpropagate(outputs, cotangents, wrt gorgonia.Nodes) (grads gorgonia.Nodes, err error) {
	if g.err != nil {
		return nil, g.err
	}
	if slices.Contains(slices.Concat(outputs, cotangents, wrt), nil) {
		return nil, errors.New("nn: backpropagate: a node is nil")
	}
	for _, n := range cotangents {
		g.sums.given[n] = true
	}
	if err := inOrder(g.expr); err != nil {
		return nil, fmt.Errorf("nn: backpropagate: %w", err)
	}
	before := len(g.expr.AllNodes()) // fewer afterwards, if Gorgonia drops nodes and adds none
	if grads, err = gorgonia.Backpropagate(outputs, cotangents, wrt); err != nil {
		return nil, fmt.Errorf("nn: backpropagate: %w", err)
	}
	for _, n := range g.expr.AllNodes()[min(before, len(g.expr.AllNodes())):] {
		if isSum(n) {
			g.sums.made[n] = false
		}
	}
	for _, n := range grads {
		if _, ok := g.sums.made[n]; ok {
			g.sums.made[n] = true
		}
	}
	if g.err != nil {
		return nil, g.err
	}
	for i, n := range wrt {
		if o, own := n.Op().(*op); own && o.passes {
			continue // its gradient is that of what it passes it to
		}
		if err := g.sums.claim(n, grads[i]); err != nil {
			return nil, fmt.Errorf("nn: backpropagate: %w", err)
		}
	}
	return grads, nil
}

// reach returns the nodes that n depends on by differentiable edges.
func (g *Graph[F]) reach(n *Node) map[*Node]bool {
	seen := map[*Node]bool{n: true}
	for pending := []*Node{n}; len(pending) > 0; {
		n := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		var wrt []bool
		if o, ok := n.Op().(*op); ok {
			wrt = o.wrt
		}
		i := 0
		for it := knowing(g.expr, n).From(n.ID()); it != nil && it.Next(); i++ {
			c, ok := it.Node().(*Node)
			if ok && !seen[c] && (wrt == nil || wrt[i]) {
				seen[c] = true
				pending = append(pending, c)
			}
		}
	}
	return seen
}

// Compile turns the graph into a program. Nothing may be added to it afterwards.
func (g *Graph[F]) Compile() error {
	if g.err != nil {
		return g.err
	}
	for n, e := range g.environments {
		if !e.taken {
			return fmt.Errorf("nn: %s: no sequence runs over its inputs, so that nothing would ever act on it", n.Name())
		}
	}
	p, err := newProgram(g.expr, g.config.Training, g.sums.made)
	if err != nil {
		return fmt.Errorf("nn: compile: %w", err)
	}
	g.program = p
	return nil
}

// Run runs the program and returns the sum of all losses of the graph, those among them that Minimise was not given: this shard's part of the batch's loss, summed in double precision.
func (g *Graph[F]) Run(p Pass) (float64, error) {
	if g.program == nil {
		if err := g.Compile(); err != nil {
			return 0, err
		}
	}
	if p.Batch == 0 {
		p.Batch = g.config.Rows
	}
	if p.Trials != nil && len(p.Trials) != g.config.Rows {
		return 0, fmt.Errorf("nn: run: %d trials for %d rows", len(p.Trials), g.config.Rows)
	}
	g.pass = p
	if err := g.program.run(); err != nil {
		// Wherever it failed, an episode that the run began is over with it.
		for _, e := range g.environments {
			err = errors.Join(err, e.end())
		}
		return 0, fmt.Errorf("nn: run: %w", err)
	}
	sum := 0.0
	for _, l := range g.losses {
		sum += l.value
	}
	return sum, nil
}

// Gradient writes the gradients of the last run in the layout of Params.Flat; parameters without one get zeros.
func (g *Graph[F]) Gradient(dst []F) error {
	if len(dst) != len(g.params.flat) {
		return fmt.Errorf("nn: gradient: %d elements for %d", len(dst), len(g.params.flat))
	}
	clear(dst)
	for _, d := range g.grads {
		a, err := flat[F](g.value(d.node))
		if err != nil {
			return fmt.Errorf("nn: gradient of %s: %w", d.param.Name, err)
		}
		copy(dst[d.param.Offset:], a)
	}
	return nil
}

// Close frees the graph; its memory too, unless that was given.
func (g *Graph[F]) Close() error {
	var errs []error
	if g.program != nil {
		g.program = nil
		g.err = kernel.ErrClosed
	}
	if g.config.Memory == nil {
		errs = append(errs, g.memory.Close())
	}
	return errors.Join(errs...)
}

// shapeOf is a node's shape.
func shapeOf(n *Node) []int { return []int(n.Shape()) }

// expect checks a node's shape; -1 matches anything.
func expect(name string, n *Node, shape ...int) error {
	s := n.Shape()
	ok := len(s) == len(shape)
	for i := 0; ok && i < len(s); i++ {
		ok = shape[i] < 0 || s[i] == shape[i]
	}
	if !ok {
		return fmt.Errorf("%s has shape %v, want %v (-1: any)", name, []int(s), shape)
	}
	return nil
}
