package train

import (
	"errors"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// gathered are the results of a batch, which its shards write side by side.
type gathered[F kernel.Float] struct {
	arrays   [][]F
	results  tensor.Set // over the same memory
	recorded []tensor.Set
}

// newGathered makes room for results of n trials, in shards of each.
func newGathered[F kernel.Float](results []Result, n, each int) *gathered[F] {
	g := &gathered[F]{arrays: make([][]F, len(results)), recorded: make([]tensor.Set, kernel.ShardCount(n, each))}
	for i, res := range results {
		shape := slices.Clone([]int(res.Node.Shape()))
		shape[0] = n
		total := 1
		for _, s := range shape {
			total *= s
		}
		g.arrays[i] = make([]F, total)
		g.results = append(g.results, nn.TensorOf(res.Name, g.arrays[i], shape...).With(res.Unit, res.Axes...))
	}
	return g
}

// take copies what a run of a shard, trials lo to hi, gave.
func (g *gathered[F]) take(shard, lo, hi int, graph *nn.Graph[F], results []Result, recorded func() tensor.Set) error {
	for i, res := range results {
		from := graph.Array(res.Node)
		if len(from) == 0 {
			return errors.New("train: a result is empty")
		}
		to := g.arrays[i][lo*len(from)/(hi-lo):]
		switch {
		case res.Exp:
			for k, v := range from {
				to[k] = F(math.Exp(float64(v)))
			}
		case res.Of != nil:
			for k, v := range from {
				to[k] = F(res.Of(float64(v)))
			}
		default:
			copy(to, from)
		}
	}
	if recorded != nil {
		g.recorded[shard] = recorded()
	}
	return nil
}

// set is all of it.
func (g *gathered[F]) set() (tensor.Set, error) {
	more, err := stacked(g.recorded)
	return append(g.results, more...), err
}

// stacked is the rows of all sets, one after the other.
func stacked(sets []tensor.Set) (tensor.Set, error) {
	if len(sets) < 2 {
		return slices.Concat(sets...), nil
	}
	var out tensor.Set
	for i, first := range sets[0] {
		t := *first
		t.Shape = slices.Clone(first.Shape)
		for _, s := range sets[1:] {
			if len(s) != len(sets[0]) || s[i].DType() != t.DType() || !slices.Equal(s[i].Shape[1:], t.Shape[1:]) {
				return nil, component.Invalid(t.Name, "is %s %v in some trials and not in others", t.DType(), t.Shape[1:])
			}
			t.Shape[0] += s[i].Shape[0]
			t.F32, t.F64, t.I64 = append(t.F32, s[i].F32...), append(t.F64, s[i].F64...), append(t.I64, s[i].I64...)
		}
		out = append(out, &t)
	}
	return out, nil
}
