package plugintest

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type foilSimulatorParams struct {
	HeldIn  int `param:"n_heldin" default:"5" min:"1" max:"100" unit:"neuron" doc:"neurons that models may see"`
	HeldOut int `param:"n_heldout" default:"2" min:"0" max:"100" unit:"neuron" doc:"neurons that they may not see"`
}

// spiking has neurons that each read one latent: exp(z) spikes a bin, Poisson.
type spiking struct {
	foilSimulatorParams
	seed   uint64
	source simulator.Source
	fitted atomic.Bool
}

func foilSimulator() simulator.Factory {
	return simulator.New(component.Info{
		Name: component.Name{Kind: component.Simulator, Short: "foil"}, Version: "1.0.0", Doc: "Poisson neurons that read a latent each",
		Capabilities: []component.Capability{component.Deterministic},
	}, nil, func(_ context.Context, p foilSimulatorParams, env component.Env, source simulator.Source) (simulator.Simulator, error) {
		return &spiking{foilSimulatorParams: p, seed: env.Seed, source: source}, nil
	})
}

// Spec implements [simulator.Simulator].
func (s *spiking) Spec(context.Context) (simulator.Spec, error) {
	return simulator.Spec{Neurons: s.HeldIn + s.HeldOut, HeldIn: s.HeldIn, To: s.source.Bins, FileName: "foil.h5", Counts: true}, nil
}

func (s *spiking) latents(b tensor.Block) ([]float64, error) {
	z := b.Arrays.Get(simulator.Latents)
	if z == nil {
		return nil, component.Invalid("trials", "no array %q among %v", simulator.Latents, b.Arrays.Names())
	}
	if err := z.Expect(len(b.Trials), s.source.Bins, s.source.Latents); err != nil {
		return nil, err
	}
	if err := z.CheckFinite(); err != nil {
		return nil, component.Invalid("trials", "%v", err)
	}
	return z.Float64s(), nil
}

// Fit implements [simulator.Simulator].
func (s *spiking) Fit(_ context.Context, trials tensor.Blocks) (tensor.Set, error) {
	for b, err := range trials {
		if err == nil {
			_, err = s.latents(b)
		}
		if err != nil {
			return nil, err
		}
	}
	s.fitted.Store(true)
	neurons := s.HeldIn + s.HeldOut
	readout, mean, std := tensor.New64(simulator.Readout, s.source.Latents, neurons), tensor.New32(simulator.OrigMean, 1, 1, 1), tensor.New32(simulator.OrigStd, 1, 1, 1)
	perm := tensor.NewInt(simulator.Permutation, neurons)
	for n := range neurons {
		perm.I64[n] = int64(n % s.source.Latents)
		readout.F64[n%s.source.Latents*neurons+n] = 1
	}
	std.F32[0] = 1
	return tensor.Set{readout, mean, std, perm}, nil
}

// Simulate implements [simulator.Simulator].
func (s *spiking) Simulate(_ context.Context, trials tensor.Blocks) tensor.Blocks {
	if !s.fitted.Load() {
		return tensor.Fail(component.Invalid("trials", "Fit comes before Simulate"))
	}
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err == nil {
				b, err = s.simulate(b)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

func (s *spiking) simulate(b tensor.Block) (tensor.Block, error) {
	z, err := s.latents(b)
	if err != nil {
		return tensor.Block{}, err
	}
	trials, bins, neurons := len(b.Trials), s.source.Bins, s.HeldIn+s.HeldOut
	seen, all := tensor.New32(simulator.Encoded, trials, bins, s.HeldIn), tensor.New32(simulator.Reconstructed, trials, bins, neurons)
	rates := tensor.New32(simulator.Activity, trials, bins, neurons)
	for i, k := range b.Trials {
		r := random.New(s.seed, "spikes", uint64(k))
		for at := i * bins; at < (i+1)*bins; at++ {
			for n := range neurons {
				rate := math.Exp(z[at*s.source.Latents+n%s.source.Latents])
				rates.F32[at*neurons+n] = float32(rate)
				all.F32[at*neurons+n] = float32(poisson(r.Float64, rate))
				if n < s.HeldIn {
					seen.F32[at*s.HeldIn+n] = all.F32[at*neurons+n]
				}
			}
		}
	}
	return tensor.Block{Trials: b.Trials, Arrays: append(tensor.Set{seen, all, rates}, b.Arrays...)}, nil
}

// poisson draws a count by products of uniform numbers (Knuth).
func poisson(uniform func() float64, rate float64) int {
	count, end := 0, math.Exp(-rate)
	for p := uniform(); p > end; p *= uniform() {
		count++
	}
	return count
}
