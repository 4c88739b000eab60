package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/link"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Roller is a network that can be run over trials without training.
type Roller[F kernel.Float] interface {
	// Params are the parameters, which do not change while a rollout runs.
	Params() *nn.Params[F]
	// Columns are the arrays that a block must have.
	Columns() []Column
	// BuildRollout writes the network down for trials with the shapes of d.
	BuildRollout(g *nn.Graph[F], d *Data[F]) (RolloutProgram[F], error)
}

// RolloutProgram is a network that was built for rollouts.
type RolloutProgram[F kernel.Float] struct {
	// Fill is as in Program.
	Fill    func(d *Data[F], rows []int, p nn.Pass) error
	Results []Result
	// Recorded are further arrays of the last run, rows first, of which each run makes new ones; nil where there are none.
	Recorded func() tensor.Set
}

// Result is an array that a rollout gives.
type Result struct {
	// Name is its role.
	Name string
	// Node holds it, rows first.
	Node *nn.Node
	// Exp takes the exponential of every element.
	Exp bool
	// Of is a function of every element; nil takes it as it is.
	Of func(float64) float64
	// Unit and Axes are as in tensor.Tensor.
	Unit string
	Axes []string
}

// Wanted checks that the roles in want are among those that a model offers; none means the model's own.
func Wanted(want, offered, usual []string) ([]string, error) {
	if len(want) == 0 {
		return usual, nil
	}
	for i, w := range want {
		if !slices.Contains(offered, w) {
			return nil, component.Invalid(fmt.Sprintf("want[%d]", i), "%q is not allowed: one of %v", w, offered)
		}
	}
	return want, nil
}

// Rollout runs a network over blocks of trials, a block at a time, its shards on that many threads. pass names the noise; its trials are set here. Arrays come
// out in float32 where F is float32, else in float64.
func Rollout[F kernel.Float](ctx context.Context, net Roller[F], threads int, pass nn.Pass, in tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		r := &roller[F]{net: net, threads: max(1, threads), link: linkOf(net)}
		defer r.close()
		for b, err := range in {
			if err == nil {
				err = ctx.Err()
			}
			var out tensor.Block
			if err == nil {
				out, err = r.block(ctx, pass, b)
			}
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

type roller[F kernel.Float] struct {
	net     Roller[F]
	threads int
	link    *link.Link // nil in an open loop
	packed  nn.Packed[F]
	workers []*rollWorker[F]
	shapes  [][]int
}

type rollWorker[F kernel.Float] struct {
	memory   nn.Memory[F]
	programs map[programKey]*rollProgram[F]
	trials   []uint64
	rows     []int
}

type rollProgram[F kernel.Float] struct {
	graph *nn.Graph[F]
	RolloutProgram[F]
}

func (r *roller[F]) close() {
	for _, w := range r.workers {
		for _, p := range w.programs {
			// The memory goes with the worker; a graph without its own cannot fail to close.
			_ = p.graph.Close()
		}
		_ = w.memory.Close()
	}
	r.workers = nil
}

func (r *roller[F]) prepare(d *Data[F]) error {
	var shapes [][]int
	for _, c := range r.net.Columns() {
		shapes = append(shapes, d.Shape(c.Name))
	}
	if !slices.EqualFunc(shapes, r.shapes, slices.Equal[[]int]) {
		r.close()
		r.shapes = shapes
	}
	for len(r.workers) < workers(r.link, d.Len(), r.threads) {
		r.workers = append(r.workers, &rollWorker[F]{programs: map[programKey]*rollProgram[F]{}, memory: nn.Memory[F]{Packed: &r.packed}})
	}
	each := shardRows(r.link, d.Len())
	for _, w := range r.workers {
		for _, rows := range []int{min(d.Len(), each), d.Len() % each} {
			k := programKey{rows, each, false}
			if rows == 0 || w.programs[k] != nil {
				continue
			}
			g := nn.NewGraph(r.net.Params(), nn.Config[F]{Rows: rows, ShardRows: each, Memory: &w.memory})
			p, err := r.net.BuildRollout(g, d)
			if err == nil {
				err = g.Compile()
			}
			if err != nil {
				return err
			}
			w.programs[k] = &rollProgram[F]{g, p}
		}
	}
	return nil
}

func (r *roller[F]) block(ctx context.Context, pass nn.Pass, b tensor.Block) (tensor.Block, error) {
	d, err := Load[F](ctx, tensor.Of(b), 0, r.net.Columns()...)
	if err == nil {
		err = r.prepare(d)
	}
	if err != nil {
		return tensor.Block{}, err
	}
	out := tensor.Block{Trials: slices.Clone(b.Trials)}
	n := d.Len()
	each := shardRows(r.link, n)
	results := newGathered[F](r.workers[0].programs[programKey{min(n, each), each, false}].Results, n, each)
	err = known(kernel.Shards(n, each, workers(r.link, n, r.threads), linked(r.link, func(worker, shard, lo, hi int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		w := r.workers[worker]
		prog := w.programs[programKey{hi - lo, each, false}]
		w.trials, w.rows = w.trials[:0], w.rows[:0]
		for row := lo; row < hi; row++ {
			w.trials, w.rows = append(w.trials, d.Trials[row]), append(w.rows, row)
		}
		p := pass
		p.Trials, p.Batch, p.Shard = w.trials, n, shard
		p.Weights = 1 // a rollout has the same from its beginning to its end
		if err := prog.Fill(d, w.rows, p); err != nil {
			return err
		}
		if _, err := prog.graph.Run(p); err != nil {
			return err
		}
		return results.take(shard, lo, hi, prog.graph, prog.Results, prog.Recorded)
	})))
	if err != nil {
		return tensor.Block{}, err
	}
	out.Arrays, err = results.set()
	return out, err
}
