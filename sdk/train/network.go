package train

import (
	"errors"
	"fmt"
	"sync"

	"github.com/ctdb-host/ctdb/sdk/link"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Network is what is trained.
type Network[F kernel.Float] interface {
	// Params are the parameters.
	Params() *nn.Params[F]
	// Build writes the network and its losses down on a graph, for trials with the shapes of d. It is called for each worker and each number of
	// trials in a shard, for training and for validation (g.Training).
	Build(g *nn.Graph[F], d *Data[F]) (Program[F], error)
}

// Looped is a Network or a Roller that may be in closed loop with its task.
type Looped interface {
	// Link is the connection to the task, which the environments of all programs share; nil in an open loop.
	Link() *link.Link
}

// Program is a network that was built.
type Program[F kernel.Float] struct {
	// Losses are summed; their values are reported by their names.
	Losses []*nn.Loss
	// Fill copies trials, rows of d, into the graph's inputs before a run. d has the shapes of the data that the program was built for.
	Fill func(d *Data[F], rows []int, p nn.Pass) error
	// Judged and Recorded are what the task judges, see Config.Score, as the Results and Recorded of a RolloutProgram; of a network in training neither is needed.
	Judged   []Result
	Recorded func() tensor.Set
}

// Gather is a Program's Fill where every input is a column of the data under the input's own name.
func Gather[F kernel.Float](g *nn.Graph[F], inputs ...*nn.Node) func(d *Data[F], rows []int, p nn.Pass) error {
	return func(d *Data[F], rows []int, _ nn.Pass) error {
		for _, n := range inputs {
			if n != nil {
				d.Gather(g.Array(n), n.Name(), rows)
			}
		}
		return nil
	}
}

// Runner takes batches through a network, shard by shard.
type Runner[F kernel.Float] struct {
	net     Network[F]
	threads int
	link    *link.Link // nil in an open loop
	packed  nn.Packed[F]
	version uint64 // of the weights: runs may differ in them
	workers []*worker[F]
	sum     orderedSum[F]
}

type worker[F kernel.Float] struct {
	memory   nn.Memory[F]
	programs map[programKey]*program[F]
	trials   []uint64
}

type programKey struct {
	rows, shardRows int
	training        bool
}

type program[F kernel.Float] struct {
	graph *nn.Graph[F]
	Program[F]
}

// NewRunner returns a runner with that many threads, at least 1.
func NewRunner[F kernel.Float](net Network[F], threads int) *Runner[F] {
	return &Runner[F]{net: net, threads: max(1, threads), link: linkOf(net)}
}

// linkOf is the link of what is in closed loop; nil for what is not.
func linkOf(net any) *link.Link {
	if l, ok := net.(Looped); ok {
		return l.Link()
	}
	return nil
}

// workersFor is the number of shards of a batch that are taken up at once: more than compute where a loop is closed, see link.Workers.
func (r *Runner[F]) workersFor(batch int) int {
	return workers(r.link, batch, r.threads)
}

func workers(l *link.Link, batch, threads int) int {
	if l != nil {
		return l.Workers(batch)
	}
	return min(threads, kernel.ShardCount(batch, shardRows(l, batch)))
}

// shardRows is the number of trials in the shards of a batch.
func shardRows(l *link.Link, batch int) int {
	if l != nil {
		return link.ShardRows(batch)
	}
	return kernel.ShardRows
}

// prepare builds what a batch needs and is not yet there, in one goroutine.
func (r *Runner[F]) prepare(d *Data[F], batch int, training bool) error {
	each := shardRows(r.link, batch)
	sizes := []int{each, batch % each}
	if batch < each {
		sizes[0] = 0
	}
	for len(r.workers) < r.workersFor(batch) {
		r.workers = append(r.workers, &worker[F]{programs: map[programKey]*program[F]{}, memory: nn.Memory[F]{Packed: &r.packed}})
	}
	for _, w := range r.workers[:r.workersFor(batch)] {
		for _, rows := range sizes {
			k := programKey{rows, each, training}
			if rows == 0 || w.programs[k] != nil {
				continue
			}
			g := nn.NewGraph(r.net.Params(), nn.Config[F]{Rows: rows, ShardRows: each, Training: training, Memory: &w.memory})
			p, err := r.net.Build(g, d)
			if err != nil {
				return err
			}
			if training {
				if err := g.Minimise(p.Losses...); err != nil {
					return err
				}
			}
			if err := g.Compile(); err != nil {
				return err
			}
			w.programs[k] = &program[F]{g, p}
		}
	}
	return nil
}

// Run computes the loss of a batch, trials of d given by their rows, and its terms in the order of Program.Losses. Where gradient is not nil it is training: the
// gradient is written there in the layout of Params.Flat. p.Batch and p.Trials are set here.
func (r *Runner[F]) Run(d *Data[F], rows []int, p nn.Pass, gradient []F) (loss float64, terms []float64, err error) {
	if err := r.prepare(d, len(rows), gradient != nil); err != nil {
		return 0, nil, err
	}
	return r.run(d, rows, p, gradient, nil)
}

// Judge is Run without a gradient, with what the network's programs have as Judged and Recorded.
func (r *Runner[F]) Judge(d *Data[F], rows []int, p nn.Pass) (loss float64, terms []float64, judged tensor.Set, err error) {
	if err := r.prepare(d, len(rows), false); err != nil {
		return 0, nil, nil, err
	}
	each := shardRows(r.link, len(rows))
	g := newGathered[F](r.workers[0].programs[programKey{min(len(rows), each), each, false}].Judged, len(rows), each)
	if loss, terms, err = r.run(d, rows, p, nil, g); err != nil {
		return 0, nil, nil, err
	}
	judged, err = g.set()
	return loss, terms, judged, err
}

// run is Run of programs that are there, with what is judged gathered where that is not nil.
func (r *Runner[F]) run(d *Data[F], rows []int, p nn.Pass, gradient []F, judged *gathered[F]) (loss float64, terms []float64, err error) {
	training, each := gradient != nil, shardRows(r.link, len(rows))
	p.Batch = len(rows)
	r.version++
	p.Weights = r.version
	parts := make([][]float64, kernel.ShardCount(len(rows), each))
	r.sum.reset(gradient, len(parts))
	err = kernel.Shards(len(rows), each, r.workersFor(len(rows)), linked(r.link, func(worker, shard, lo, hi int) error {
		w := r.workers[worker]
		prog := w.programs[programKey{hi - lo, each, training}]
		pass := p
		pass.Shard = shard
		w.trials = w.trials[:0]
		for _, row := range rows[lo:hi] {
			w.trials = append(w.trials, d.Trials[row])
		}
		pass.Trials = w.trials
		if err := prog.Fill(d, rows[lo:hi], pass); err != nil {
			return err
		}
		if _, err := prog.graph.Run(pass); err != nil {
			return err
		}
		for _, l := range prog.Losses {
			parts[shard] = append(parts[shard], l.Value())
		}
		if judged != nil {
			return judged.take(shard, lo, hi, prog.graph, prog.Judged, prog.Recorded)
		}
		if !training {
			return nil
		}
		g := r.sum.buffer()
		if err := prog.graph.Gradient(g); err != nil {
			return err
		}
		r.sum.add(shard, g)
		return nil
	}))
	if err != nil {
		return 0, nil, known(err)
	}
	terms = make([]float64, len(parts[0]))
	for _, part := range parts {
		for i, v := range part {
			terms[i] += v
		}
	}
	for _, v := range terms {
		loss += v
	}
	return loss, terms, nil
}

// linked is f for shards in closed loop, which wait for each other: an error or a panic of one ends them all.
func linked(l *link.Link, f func(worker, shard, lo, hi int) error) func(worker, shard, lo, hi int) error {
	if l == nil {
		return f
	}
	l.Reset()
	return func(worker, shard, lo, hi int) error {
		l.Enter()
		defer l.Leave()
		whole := false
		defer func() {
			if !whole {
				l.Fail(errors.New("train: a shard panicked"))
			}
		}()
		err := f(worker, shard, lo, hi)
		whole = true
		if err != nil && (errors.Is(err, link.ErrElsewhere) || !l.Fail(err)) {
			return nil // the shard that failed first reports it
		}
		return err
	}
}

// Names are the names of the terms, the second of one name followed by "-2" and so on. It is empty before the first run.
func (r *Runner[F]) Names() []string {
	for _, w := range r.workers {
		for _, p := range w.programs {
			var names []string
			seen := map[string]int{}
			for _, l := range p.Losses {
				name := l.Name()
				if seen[name]++; seen[name] > 1 {
					name = fmt.Sprintf("%s-%d", name, seen[name])
				}
				names = append(names, name)
			}
			return names
		}
	}
	return nil
}

// Close frees the memory of all workers.
func (r *Runner[F]) Close() error {
	var errs []error
	for _, w := range r.workers {
		for _, p := range w.programs {
			errs = append(errs, p.graph.Close())
		}
		errs = append(errs, w.memory.Close())
	}
	r.workers = nil
	if r.link != nil {
		r.link.Reset()
	}
	return errors.Join(errs...)
}

// orderedSum adds parts up in the order of their numbers, whatever the order in which they come, holding back those that come early.
type orderedSum[F kernel.Float] struct {
	mu      sync.Mutex
	total   []F
	next    int
	waiting [][]F // by their numbers; nil for those that have not come or are added
	free    [][]F
}

// reset starts a sum of that many parts; buffers are kept.
func (s *orderedSum[F]) reset(total []F, parts int) {
	clear(total)
	for _, p := range s.waiting {
		// A sum that was broken off left it.
		if p != nil {
			s.free = append(s.free, p)
		}
	}
	clear(s.waiting)
	if cap(s.waiting) < parts {
		s.waiting = make([][]F, parts)
	}
	s.total, s.next, s.waiting = total, 0, s.waiting[:parts]
}

func (s *orderedSum[F]) buffer() []F {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		b := s.free[n-1]
		s.free = s.free[:n-1]
		return b
	}
	return make([]F, len(s.total))
}

func (s *orderedSum[F]) add(number int, part []F) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[number] = part
	for s.next < len(s.waiting) && s.waiting[s.next] != nil {
		p := s.waiting[s.next]
		for i, v := range p {
			s.total[i] += v
		}
		s.waiting[s.next] = nil
		s.free = append(s.free, p)
		s.next++
	}
}
