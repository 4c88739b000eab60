package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type coinParams struct {
	Neurons int `param:"neurons" default:"12" min:"2" doc:"number of neurons"`
	HeldIn  int `param:"held_in" default:"9" min:"1" doc:"how many of them are held in"`
}

// coins is the simulator: each neuron fires at most once a bin, with the probability that a logistic function of one latent gives.
type coins struct {
	coinParams
	seed   uint64
	source simulator.Source
	fitted atomic.Bool
}

func coinFlip() simulator.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Simulator, Short: "coin-flip"}, Version: "1.0.0", Doc: "at most one spike a bin",
		Capabilities: []component.Capability{component.Deterministic},
	}
	return simulator.New(info, nil, func(_ context.Context, p coinParams, env component.Env, s simulator.Source) (simulator.Simulator, error) {
		if p.HeldIn > p.Neurons {
			return nil, component.Invalid("params.held_in", "%d: there are only %d neurons", p.HeldIn, p.Neurons)
		}
		return &coins{coinParams: p, seed: env.Seed, source: s}, nil
	})
}

func (c *coins) Spec(context.Context) (simulator.Spec, error) {
	return simulator.Spec{Neurons: c.Neurons, HeldIn: c.HeldIn, To: c.source.Bins, FileName: "coins.h5", Counts: true}, nil
}

func (c *coins) Fit(_ context.Context, trials tensor.Blocks) (tensor.Set, error) {
	for _, err := range trials {
		if err != nil {
			return nil, err
		}
	}
	readout, perm := tensor.New64(simulator.Readout, c.source.Latents, c.Neurons), tensor.NewInt(simulator.Permutation, c.Neurons)
	for n := range c.Neurons {
		k := n % c.source.Latents
		readout.F64[k*c.Neurons+n], perm.I64[n] = 1, int64(k)
	}
	mean, std := tensor.New32(simulator.OrigMean, 1, 1, 1), tensor.New32(simulator.OrigStd, 1, 1, 1)
	std.F32[0] = 1
	c.fitted.Store(true)
	return tensor.Set{readout, perm, mean, std}, nil
}

func (c *coins) Simulate(_ context.Context, trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err == nil {
				b, err = c.block(b)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

func (c *coins) block(b tensor.Block) (tensor.Block, error) {
	if !c.fitted.Load() {
		return tensor.Block{}, component.Invalid("trials", "Fit comes before Simulate")
	}
	z := b.Arrays.Get(simulator.Latents)
	if z == nil {
		return tensor.Block{}, fmt.Errorf("%w: array latents", component.ErrNotFound)
	}
	if err := errors.Join(z.Expect(len(b.Trials), c.source.Bins, c.source.Latents), z.CheckFinite()); err != nil {
		return tensor.Block{}, component.Invalid("trials", "%v", err)
	}
	bins, width := z.Shape[1], z.Shape[2]
	all := tensor.New64(simulator.Reconstructed, len(b.Trials), bins, c.Neurons)
	in := tensor.New64(simulator.Encoded, len(b.Trials), bins, c.HeldIn)
	rates := tensor.New32(simulator.Activity, len(b.Trials), bins, c.Neurons)
	data := z.Float32s()
	for i, k := range b.Trials {
		r := random.New(c.seed, "coin", uint64(k))
		for t := range bins {
			for n := range c.Neurons {
				p := 1 / (1 + math.Exp(-float64(data[(i*bins+t)*width+n%width])))
				at := (i*bins+t)*c.Neurons + n
				rates.F32[at] = float32(p)
				if r.Float64() < p {
					all.F64[at] = 1
				}
				if n < c.HeldIn {
					in.F64[(i*bins+t)*c.HeldIn+n] = all.F64[at]
				}
			}
		}
	}
	out := tensor.Block{Trials: b.Trials, Arrays: tensor.Set{in, all, rates}}
	out.Arrays = append(out.Arrays, b.Arrays...)
	return out, nil
}
