package shape

import (
	"context"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// binsPerTrial is the least number of states of a trial among those whose distances are compared, where it has as many.
const binsPerTrial = 4

// state is one whose distances are compared.
type state struct{ trial, bin int }

// states are bins at even distances in trials at even distances.
func states(items, n int, bins func(k int) int) []state {
	used := min(n, max(2, items/binsPerTrial))
	each := max(1, items/used)
	var out []state
	for i := range used {
		k := i * n / used
		b := bins(k)
		for j := range min(each, b) {
			out = append(out, state{k, (2*j + 1) * b / (2 * min(each, b))})
		}
	}
	return out
}

// representation is the correlation of two lists of distances, as sums over each pair of trials.
type representation struct {
	trials int
	// pairs of trials that states are in, with the number of distances between them and the sums of a, b, a^2, b^2 and ab.
	pairs []distances
}

type distances struct {
	i, j int
	sums [6]float64
}

var _ bootstrap.Statistic = (*representation)(nil)

// Trials implements [bootstrap.Statistic].
func (r *representation) Trials() int { return r.trials }

// Value implements [bootstrap.Statistic]: distances between two trials count as often as the two meet, those within a trial as often as it does.
func (r *representation) Value(weights []float64) float64 {
	var s [6]float64
	for _, p := range r.pairs {
		w := weights[p.i]
		if p.j != p.i {
			w *= weights[p.j]
		}
		if w == 0 {
			continue
		}
		for k, v := range p.sums {
			s[k] += w * v
		}
	}
	a, b := s[3]-s[1]*s[1]/s[0], s[4]-s[2]*s[2]/s[0]
	if !(a > 0 && b > 0) {
		return math.NaN()
	}
	return (s[5] - s[1]*s[2]/s[0]) / math.Sqrt(a*b)
}

// represent compares the distances among states of x with those among the same states of y.
func (c *comparison) represent(ctx context.Context, x, y *subject, pairs trials.Pairing) (*representation, error) {
	of := states(c.RSAItems, x.valid.Trials(), func(k int) int { return pairs.Common(x.valid, y.valid, k) })
	a, err := c.between(ctx, x.valid, of, nil)
	if err != nil {
		return nil, err
	}
	b, err := c.between(ctx, y.valid, of, pairs)
	if err != nil {
		return nil, err
	}
	r := &representation{trials: x.valid.Trials()}
	// States come trial by trial, so that the distances of two trials are found by where their states begin.
	var begin []int
	for i, s := range of {
		if i == 0 || of[i-1].trial != s.trial {
			begin = append(begin, i)
		}
	}
	begin = append(begin, len(of))
	for p := range len(begin) - 1 {
		for q := p; q < len(begin)-1; q++ {
			d := distances{i: of[begin[p]].trial, j: of[begin[q]].trial}
			for i := begin[p]; i < begin[p+1]; i++ {
				for j := max(i+1, begin[q]); j < begin[q+1]; j++ {
					at := index(i, j, len(of))
					u, v := a[at], b[at]
					for k, w := range [6]float64{1, u, v, u * u, v * v, u * v} {
						d.sums[k] += w
					}
				}
			}
			if d.sums[0] > 0 {
				r.pairs = append(r.pairs, d)
			}
		}
	}
	return r, nil
}

// index of the distance of states i < j of n in a list by rows.
func index(i, j, n int) int { return i*(2*n-i-1)/2 + j - i - 1 }

// between are the distances between each two states, or their ranks, around their mean.
func (c *comparison) between(ctx context.Context, x trials.Series, of []state, pairs trials.Pairing) ([]float64, error) {
	n, d := len(of), x.Width()
	rows := make([]float64, n*d)
	buf := make([]float64, x.Longest()*d)
	for i, s := range of {
		all := x.Read(buf, pairs.Of(s.trial), s.bin+1)
		copy(rows[i*d:(i+1)*d], all[s.bin*d:])
	}
	out := make([]float64, n*(n-1)/2)
	err := trials.InShards(ctx, c.threads, n, func(_, from, to int) {
		for i := from; i < to; i++ {
			for j := i + 1; j < n; j++ {
				sum := 0.0
				for k, v := range rows[i*d : (i+1)*d] {
					e := v - rows[j*d+k]
					sum += e * e
				}
				out[index(i, j, n)] = math.Sqrt(sum)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if c.RSACorrelation == "spearman" {
		rank(out)
	}
	mean := 0.0
	for _, v := range out {
		mean += v / float64(len(out))
	}
	for i := range out {
		out[i] -= mean
	}
	return out, nil
}

// rank puts ranks in place of values; equal values share the mean of theirs.
func rank(values []float64) {
	order := make([]int32, len(values))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return int(a - b)
	})
	ranks := make([]float64, len(values))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && values[order[to]] == values[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			ranks[i] = float64(from+to-1) / 2
		}
		from = to
	}
	copy(values, ranks)
}
