package metrics

import (
	"context"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// unit is what latents are taken in for a readout: distances from their mean over the training trials, in units of the root of their total variance there. Neither a rotation
// of the latents nor a common scale changes what is then fitted.
type unit struct {
	mean  []float64
	scale float64
}

// unitOf is that of a subject, found once.
func (c *comparison) unitOf(ctx context.Context, s *comparator.Subject, z trials.Series) (unit, error) {
	if u, ok := c.units[s.Label]; ok {
		return u, nil
	}
	d := z.Width()
	u := unit{mean: make([]float64, d)}
	var sums [trials.Shards][]float64
	var squares [trials.Shards]float64
	pass := func(f func(shard int, rows []float64)) error {
		return trials.InShards(ctx, c.threads, z.Trials(), func(shard, from, to int) {
			buf := make([]float64, z.Longest()*d)
			for k := from; k < to; k++ {
				f(shard, z.Read(buf, k, z.Lengths[k]))
			}
		})
	}
	for shard := range sums {
		sums[shard] = make([]float64, d)
	}
	if err := pass(func(shard int, rows []float64) { moments.SumRows(sums[shard], rows) }); err != nil {
		return u, err
	}
	n := float64(z.Total())
	for _, s := range sums {
		trials.Add(u.mean, s)
	}
	for j := range u.mean {
		u.mean[j] /= n
	}
	err := pass(func(shard int, rows []float64) {
		moments.Centre(rows, u.mean)
		for _, v := range rows {
			squares[shard] += v * v
		}
	})
	total := 0.0
	for _, v := range squares {
		total += v
	}
	u.scale = math.Sqrt(n / total)
	if err == nil && (!(u.scale > 0) || math.IsInf(u.scale, 0)) {
		err = trials.Omit("the latents of %s do not vary over the training trials, or are too large for their squares", s.Label)
	}
	if err == nil {
		c.units[s.Label] = u
	}
	return u, err
}

// rows reads the first bins of trial k of latents in a unit.
func (u unit) rows(buf []float64, z trials.Series, k, bins int) []float64 {
	rows := z.Read(buf, k, bins)
	moments.Centre(rows, u.mean)
	for i := range rows {
		rows[i] *= u.scale
	}
	return rows
}

// fewShots is co-bps of rates that are read out of the latents anew: a Poisson regression of each held-out neuron's spikes on the latents of so many training trials, the mean over draws of these trials
// (Dabholkar & Barak 2025, "When predict can also explain"). From few trials a readout is found the better the fewer directions the latents have that have nothing to do with the neurons, which
// co-bps itself does not see.
func (c *comparison) fewShots(ctx context.Context, s *comparator.Subject, shuffle, shots int) (bootstrap.Statistic, error) {
	if c.Reference == nil {
		return nil, trials.Omit("there are no spikes to compare with")
	}
	counts, err := c.Both(c.Reference, comparator.Spikes)
	if err != nil {
		return nil, err
	}
	z, err := c.Both(s, comparator.Latents)
	if err != nil {
		return nil, err
	}
	from, to := c.Reference.HeldIn, counts[0].Width()
	if from >= to {
		return nil, trials.Omit("%s has no held-out neurons: all %d are held in", c.Reference.Label, to)
	}
	pairs := c.pairs(trials.Train, shuffle)
	var usable []int
	for k := range counts[0].Trials() {
		if pairs.Common(counts[0], z[0], k) > 0 {
			usable = append(usable, k)
		}
	}
	if len(usable) < shots {
		return nil, trials.Omit("%d training trials: %d are needed for as many shots", len(usable), shots)
	}
	u, err := c.unitOf(ctx, s, z[0])
	if err != nil {
		return nil, err
	}
	draws := c.ShotDraws
	if shuffle != asTheyAre || len(usable) == shots {
		draws = 1
	}
	readouts := make([]readout, draws)
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(c.threads)
	for i := range draws {
		g.Go(func() (err error) {
			defer component.Recover(&err)
			f := fitting{z: z[0], unit: u, from: from, to: to, ridge: c.ShotRidge}
			for _, k := range random.New(c.seed, "metrics/few-shot", uint64(shots), uint64(i)).Perm(len(usable))[:shots] {
				f.add(counts[0], pairs, usable[k])
			}
			readouts[i], err = f.fit(inner)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	valid := c.pairs(trials.Valid, shuffle)
	return score(ctx, c.threads, counts[1], z[1], valid, u, readouts, from, to)
}

// score sums up the likelihood of the counts of neurons [from, to) under the rates of readouts, its mean over them.
func score(ctx context.Context, threads int, counts, z trials.Series, pairs trials.Pairing, u unit, readouts []readout, from, to int) (bitsPerSpike, error) {
	n, d, m := counts.Trials(), z.Width(), to-from
	b := bitsPerSpike{bins: make([]float64, n), nll: make([][]float64, n), spikes: make([][]float64, n), to: m}
	var wrong [trials.Shards]error
	err := trials.InShards(ctx, threads, n, func(shard, first, last int) {
		var w product.Workspace
		buf, spikes, logs := make([]float64, z.Longest()*d), make([]float64, counts.Longest()*counts.Width()), make([]float64, z.Longest()*m)
		for k := first; k < last; k++ {
			bins := pairs.Common(counts, z, k)
			rows, y := u.rows(buf, z, pairs.Of(k), bins), counts.Read(spikes, k, bins)
			b.bins[k], b.nll[k], b.spikes[k] = float64(bins), make([]float64, m), make([]float64, m)
			for t := range bins {
				for i, s := range y[t*counts.Width()+from : t*counts.Width()+to] {
					if s < 0 || s != math.Floor(s) {
						wrong[shard] = errCounts
						return
					}
					b.spikes[k][i] += s
				}
			}
			for _, r := range readouts {
				w.MulRight(logs[:bins*m], bins, product.Operand{Data: rows, Stride: d}, r.packed)
				for t := range bins {
					for i := range m {
						l := min(logs[t*m+i]+r.bias[i], largestLog)
						b.nll[k][i] += (math.Exp(l) - y[t*counts.Width()+from+i]*l) / float64(len(readouts))
					}
				}
			}
		}
	})
	for _, of := range wrong {
		if err == nil {
			err = of
		}
	}
	if err == nil {
		b.hold()
	}
	return b, err
}

// largestLog bounds log-rates, so that what a readout makes of latents that its shots had nothing like stays a number.
const largestLog = 50

// readout gives log-rates: latents in their unit times weights (d, m), plus bias.
type readout struct {
	weights, bias []float64
	packed        *product.Right
}

// fitting is a Poisson regression of some neurons on the latents of some trials: the maximum of the likelihood under a normal prior on the weights, of precision ridge, and Jeffreys' prior on the rate at the latents'
// mean, without which a neuron that is silent in all shots would be held for impossible.
type fitting struct {
	z        trials.Series
	unit     unit
	from, to int
	ridge    float64
	// rows of each trial, and the counts of each neuron one after the other.
	trials, bins []int
	y            [][]float64
	total        int
	wrong        error
}

func (f *fitting) add(counts trials.Series, pairs trials.Pairing, k int) {
	bins, w := pairs.Common(counts, f.z, k), counts.Width()
	f.trials, f.bins, f.total = append(f.trials, pairs.Of(k)), append(f.bins, bins), f.total+bins
	if f.y == nil {
		f.y = make([][]float64, f.to-f.from)
	}
	rows := counts.Read(make([]float64, bins*w), k, bins)
	for t := range bins {
		for i := range f.y {
			v := rows[t*w+f.from+i]
			if v < 0 || v != math.Floor(v) {
				f.wrong = errCounts
			}
			f.y[i] = append(f.y[i], v)
		}
	}
}

// walk calls do with the latents of each trial and where its bins are among all.
func (f *fitting) walk(do func(rows []float64, at, bins int)) {
	buf, at := make([]float64, f.z.Longest()*f.z.Width()), 0
	for i, k := range f.trials {
		do(f.unit.rows(buf, f.z, k, f.bins[i]), at, f.bins[i])
		at += f.bins[i]
	}
}

// The conjugate gradients end where no more than that many nats are to be gained, or after so many iterations.
const (
	gain       = 1e-6
	iterations = 200
)

// fit goes down by conjugate gradients (Polak & Ribière, restarted where they turn back), with the Hessian at constant rates as the preconditioner: one factorisation serves all neurons. Along a
// direction log-rates are straight lines, so that the search for the minimum costs no product.
func (f *fitting) fit(ctx context.Context) (readout, error) {
	if f.wrong != nil {
		return readout{}, f.wrong
	}
	d, m := f.z.Width(), f.to-f.from
	gram := make([]float64, d*d)
	var w product.Workspace
	f.walk(func(rows []float64, _, bins int) {
		w.Add(gram, d, d, bins, product.Operand{Data: rows, Stride: d, T: true}, product.Operand{Data: rows, Stride: d})
	})
	ns := make([]*neuron, m)
	mean := 0.0
	for i := range ns {
		ns[i] = newNeuron(f.y[i], d)
		mean += ns[i].rate / float64(m)
	}
	s := mat.NewSymDense(d, gram)
	for j := range d {
		s.SetSym(j, j, s.At(j, j)+f.ridge/mean)
	}
	var hessian mat.Cholesky
	if !hessian.Factorize(s) {
		return readout{}, trials.Omit("a readout cannot be found: the latents of the shots have no usable second moments")
	}
	// Matrices (d, m) and (bins, m) by neuron, for products over all.
	directions, along, gradients, residuals := make([]float64, d*m), make([]float64, f.z.Longest()*m), make([]float64, d*m), make([]float64, f.z.Longest()*m)
	for range iterations {
		if err := ctx.Err(); err != nil {
			return readout{}, err
		}
		clear(gradients)
		f.walk(func(rows []float64, at, bins int) {
			for i, n := range ns {
				for t := range bins {
					residuals[t*m+i] = n.expected[at+t] - n.y[at+t]
				}
			}
			w.Add(gradients, d, m, bins, product.Operand{Data: rows, Stride: d, T: true}, product.Operand{Data: residuals, Stride: m})
		})
		var steps mat.Dense
		for i, n := range ns {
			for j := range d {
				gradients[j*m+i] += f.ridge * n.w[j]
			}
		}
		if err := hessian.SolveTo(&steps, mat.NewDense(d, m, gradients)); err != nil {
			return readout{}, fmt.Errorf("metrics: a readout's preconditioner: %w", err)
		}
		left := 0
		for i, n := range ns {
			if n.turn(gradients, steps.RawMatrix().Data, i, m) {
				left++
			}
			for j, v := range n.direction {
				directions[j*m+i] = v
			}
		}
		if left == 0 {
			break
		}
		f.walk(func(rows []float64, at, bins int) {
			w.Mul(along[:bins*m], bins, m, d, product.Operand{Data: rows, Stride: d}, product.Operand{Data: directions, Stride: m})
			for i, n := range ns {
				for t := range bins {
					n.along[at+t] = along[t*m+i] + n.lift
				}
			}
		})
		for _, n := range ns {
			n.descend(f.ridge)
		}
	}
	r := readout{weights: make([]float64, d*m), bias: make([]float64, m)}
	for i, n := range ns {
		r.bias[i] = n.bias
		for j, v := range n.w {
			r.weights[j*m+i] = v
		}
	}
	r.packed = product.Pack(product.Operand{Data: r.weights, Stride: m}, d, m)
	return r, nil
}

// neuron is the state of one neuron's regression.
type neuron struct {
	y []float64
	// rate is the mean, with Jeffreys' half spike.
	rate float64
	w    []float64
	bias float64
	// logs of the rates of each bin and the rates themselves; along is how logs change along the direction (direction, lift) of weights and bias.
	logs, expected, along []float64
	direction             []float64
	lift                  float64
	// gradient is the last one; square its product with the preconditioned one.
	gradient     []float64
	liftGradient float64
	square       float64
	done         bool
}

const jeffreys = 0.5

func newNeuron(y []float64, d int) *neuron {
	n := &neuron{y: y, w: make([]float64, d), logs: make([]float64, len(y)), expected: make([]float64, len(y)), along: make([]float64, len(y)), direction: make([]float64, d), gradient: make([]float64, d)}
	sum := jeffreys
	for _, v := range y {
		sum += v
	}
	n.rate = sum / float64(len(y))
	n.bias = math.Log(n.rate)
	for t := range n.logs {
		n.logs[t], n.expected[t] = n.bias, n.rate
	}
	return n
}

// turn chooses the next direction, given the gradients and what the preconditioner makes of them, columns of (d, m). It is false where the minimum is reached; then the direction is 0.
func (n *neuron) turn(gradients, steps []float64, column, m int) bool {
	lift := -jeffreys
	for t, v := range n.expected {
		lift += v - n.y[t]
	}
	// The preconditioner was made for a rate of 1.
	size := n.rate * float64(len(n.y))
	square, cross := lift*lift/size, lift*(lift-n.liftGradient)/size
	for j := range n.w {
		g, p := gradients[j*m+column], steps[j*m+column]/n.rate
		square += g * p
		cross += (g - n.gradient[j]) * p
	}
	if square < 2*gain {
		n.done = true
	}
	if n.done {
		clear(n.direction)
		n.lift = 0
		return false
	}
	beta := 0.0
	if n.square > 0 {
		beta = max(0, cross/n.square)
	}
	slope := lift * (beta*n.lift - lift/size)
	for j := range n.w {
		slope += gradients[j*m+column] * (beta*n.direction[j] - steps[j*m+column]/n.rate)
	}
	if slope >= 0 {
		beta = 0
	}
	n.lift = beta*n.lift - lift/size
	for j := range n.w {
		n.gradient[j] = gradients[j*m+column]
		n.direction[j] = beta*n.direction[j] - steps[j*m+column]/n.rate
	}
	n.liftGradient, n.square = lift, square
	return true
}

// The search along a direction ends where the slope is that share of what it was, or after so many steps.
const (
	flatter    = 0.02
	lineSearch = 30
)

// descend goes to the minimum along the direction, by Newton's steps within a bracket: what is minimised is convex.
func (n *neuron) descend(ridge float64) {
	if n.done {
		return
	}
	// Of the parts that are polynomials in the length of the step.
	constant, linear := -jeffreys*n.lift, 0.0
	for t, v := range n.along {
		constant -= n.y[t] * v
	}
	for j, v := range n.direction {
		constant += ridge * n.w[j] * v
		linear += ridge * v * v
	}
	slopeAt := func(length float64) (slope, curvature float64) {
		slope, curvature = constant+linear*length, linear
		for t, v := range n.along {
			e := v * math.Exp(min(n.logs[t]+length*v, largestLog))
			slope += e
			curvature += v * e
		}
		return slope, curvature
	}
	start, _ := slopeAt(0)
	low, high, length := 0.0, math.Inf(1), 1.0
	for range lineSearch {
		slope, curvature := slopeAt(length)
		if math.Abs(slope) <= flatter*math.Abs(start) {
			break
		}
		if slope < 0 {
			low = length
		} else {
			high = length
		}
		next := length - slope/curvature
		if !(next > low && next < high) {
			if next = (low + high) / 2; math.IsInf(high, 1) {
				next = 2 * length
			}
		}
		length = next
	}
	n.bias += length * n.lift
	for j, v := range n.direction {
		n.w[j] += length * v
	}
	for t, v := range n.along {
		n.logs[t] += length * v
		n.expected[t] = math.Exp(min(n.logs[t], largestLog))
	}
}
