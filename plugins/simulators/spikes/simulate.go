package spikes

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// maxRate in spikes a bin: counts around it are still exact in float32.
const maxRate = 1e7

// Simulate yields, for each block, counts (or fluorescence) and rates, float32, and the given arrays: those with bins trimmed, lengths and timing moved along.
// Where an array lengths says that a trial has ended, counts and rates are 0.
// A rate beyond 1e7 spikes a bin, as exp gives for a latent far from the rest, is a DivergedError.
func (s *spikes) Simulate(ctx context.Context, trials tensor.Blocks) tensor.Blocks {
	s.mu.Lock()
	m := s.fitted
	s.mu.Unlock()
	if m == nil {
		return tensor.Fail(component.Invalid("simulate", "called before fit: the mapping from latents to rates is not yet chosen"))
	}
	return tensor.Map(ctx, trials, s.threads, func(ctx context.Context, b tensor.Block) (tensor.Block, error) { return s.block(ctx, m, b) })
}

func (s *spikes) block(ctx context.Context, m *mapping, b tensor.Block) (tensor.Block, error) {
	z, err := s.latentsOf(b)
	if err != nil {
		return tensor.Block{}, err
	}
	ends, err := s.ends(b)
	if err != nil {
		return tensor.Block{}, err
	}
	n, bins := len(m.gains), s.to-s.from
	unit := "spikes/bin"
	if s.Observation == "calcium" {
		unit = "spikes"
	}
	encoded := tensor.New32(simulator.Encoded, len(b.Trials), bins, s.HeldIn).With(unit, tensor.Trial, tensor.Bin, tensor.Neuron)
	all := tensor.New32(simulator.Reconstructed, len(b.Trials), bins, n).With(unit, tensor.Trial, tensor.Bin, tensor.Neuron)
	activity := tensor.New32(simulator.Activity, len(b.Trials), bins, n).With("spikes/bin", tensor.Trial, tensor.Bin, tensor.Neuron)

	latents, rates := make([]float64, s.latents), make([]float64, n)
	observe := s.newObserver(n)
	for row, k := range b.Trials {
		if err := ctx.Err(); err != nil {
			return tensor.Block{}, err
		}
		observe.start(k)
		for t := range ends[row] {
			bin(latents, z, row, s.from+t)
			m.read(rates, latents)
			m.rates(rates)
			at := (row*bins + t) * n
			for i, r := range rates {
				if !(r <= maxRate) {
					return tensor.Block{}, &component.DivergedError{
						Step: k, Quantity: fmt.Sprintf("the rate of neuron %d in bin %d of trial %d, in spikes/bin,", i, s.from+t, k), Value: r,
						Hint: "a larger fr_scaling, or link softplus or sigmoid, bounds rates",
					}
				}
				activity.F32[at+i] = float32(r)
			}
			observe.bin(all.F32[at:at+n], rates)
			copy(encoded.F32[(row*bins+t)*s.HeldIn:(row*bins+t+1)*s.HeldIn], all.F32[at:at+s.HeldIn])
		}
	}

	out := tensor.Block{Trials: b.Trials, Arrays: tensor.Set{encoded, all, activity}}
	for _, a := range b.Arrays {
		trimmed, err := s.trim(a)
		if err != nil {
			return tensor.Block{}, err
		}
		out.Arrays = append(out.Arrays, trimmed)
	}
	if err := out.Check(); err != nil {
		return tensor.Block{}, component.Invalid("trials", "%v", err)
	}
	return out, nil
}

// observer draws what is observed of the neurons of one trial, bin by bin.
type observer struct {
	*spikes
	draw, noise sampler
	// silent is the number of bins for which a neuron still is; calcium its fluorescence without noise.
	silent  []int
	calcium []float64
}

func (s *spikes) newObserver(n int) *observer {
	return &observer{spikes: s, silent: make([]int, n), calcium: make([]float64, n)}
}

// start begins trial k, whose streams depend on the seed and k alone.
func (o *observer) start(k int64) {
	o.draw = sampler{random.New(o.seed, "spikes/counts", uint64(k)), o.Dispersion, o.Compat}
	o.noise = sampler{Rand: random.New(o.seed, "spikes/calcium", uint64(k))}
	clear(o.silent)
	clear(o.calcium)
}

func (o *observer) bin(to []float32, rates []float64) {
	for i, r := range rates {
		var count float64
		if o.Refractory == 0 {
			count = o.draw.count(r)
		} else {
			// A draw is made in silence too, so that a spike does not shift the draws of other neurons.
			fires := o.draw.Float64() < -math.Expm1(-r)
			switch {
			case o.silent[i] > 0:
				o.silent[i]--
			case fires:
				count, o.silent[i] = 1, o.Refractory
			}
		}
		if o.Observation == "calcium" {
			o.calcium[i] = o.CalciumDecay*o.calcium[i] + count
			count = o.calcium[i] + o.CalciumNoise*o.noise.NormFloat64()
		}
		to[i] = float32(count)
	}
}

// trim keeps the bins [from, to) of an array that has bins, and moves lengths and timing to the new first bin. Other arrays come back as they are.
func (s *spikes) trim(a *tensor.Tensor) (*tensor.Tensor, error) {
	if s.from == 0 && s.to == s.bins {
		return a, nil
	}
	switch {
	case a.Name == task.Lengths && a.I64 != nil:
		a = a.Clone()
		for i, n := range a.I64 {
			a.I64[i] = min(max(n, int64(s.from)), int64(s.to)) - int64(s.from)
		}
		return a, nil
	case a.Name == task.Extra:
		return s.moved(a), nil
	case !hasBins(a):
		return a, nil
	case a.Shape[1] != s.bins:
		return nil, component.Invalid(a.Name, "shape %v has %d bins: %d are needed", a.Shape, a.Shape[1], s.bins)
	}
	out := *a
	out.Shape = slices.Clone(a.Shape)
	out.Shape[1] = s.to - s.from
	out.F32, out.F64, out.I64 = cut(a.F32, a.Shape, s.from, s.to), cut(a.F64, a.Shape, s.from, s.to), cut(a.I64, a.Shape, s.from, s.to)
	return &out, nil
}

// moved is the array extra with those of its columns moved that the task says are bins of the trial.
func (s *spikes) moved(a *tensor.Tensor) *tensor.Tensor {
	if len(a.Shape) != 2 || s.from == 0 && s.Compat {
		return a
	}
	a = a.Clone()
	for i, inBins := range s.timing {
		if inBins && i < a.Shape[1] {
			move(a.F32, i, a.Shape[1], s.from, s.to, s.Compat)
			move(a.F64, i, a.Shape[1], s.from, s.to, s.Compat)
			move(a.I64, i, a.Shape[1], s.from, s.to, s.Compat)
		}
	}
	return a
}

// move counts the bins in a column of so many from the first of those that are kept, [first, end). What is below 0 does not happen in the trial and stays; what happened before the first is said to
// happen in it, and what happens after the last at the end. The benchmark, under compat, subtracts one more than first, from everything.
func move[T int64 | float32 | float64](data []T, column, of, first, end int, compat bool) {
	for i := column; i < len(data); i += of {
		switch x := data[i]; {
		case compat:
			data[i] = x - T(first+1)
		case x >= 0:
			data[i] = min(max(x, T(first)), T(end)) - T(first)
		}
	}
}

// hasBins says whether the second axis is time: where axes have no names, it is in an array of three or more.
func hasBins(a *tensor.Tensor) bool {
	if len(a.Axes) > 0 {
		return len(a.Axes) > 1 && a.Axes[1] == tensor.Bin
	}
	return len(a.Shape) > 2
}

// cut copies the bins [from, to) of each trial; nil stays nil.
func cut[E any](data []E, shape []int, from, to int) []E {
	if data == nil {
		return nil
	}
	row := 1
	for _, n := range shape[2:] {
		row *= n
	}
	out := make([]E, 0, shape[0]*(to-from)*row)
	for b := range shape[0] {
		out = append(out, data[(b*shape[1]+from)*row:(b*shape[1]+to)*row]...)
	}
	return out
}
