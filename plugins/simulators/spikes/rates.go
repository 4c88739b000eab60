package spikes

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// mapping goes from D latents to N rates.
type mapping struct {
	// readout is (D, N). perm says which latent each neuron copies; nil where neurons mix them.
	readout []float64
	perm    []int64
	// mean and sd are of the readings over trials, the bins kept up to the trial's end, and neurons.
	mean, sd, scaling float64
	link              func(a, gain float64) float64
	// gains of the sigmoid link, one a neuron.
	gains []float64
}

func (s *spikes) newMapping() *mapping {
	n := s.HeldIn + s.HeldOut
	m := &mapping{readout: make([]float64, s.latents*n), scaling: s.Scaling, gains: gains(n)}
	switch s.Link {
	case "exp":
		m.link = func(a, _ float64) float64 { return math.Exp(a) }
	case "softplus":
		m.link = func(a, _ float64) float64 { return softplus(a) }
	case "sigmoid":
		m.link = func(a, gain float64) float64 { return 2 / (1 + math.Exp(-gain*a)) }
	}
	if s.Mixing == "copy" {
		m.perm = numpyPermutations(s.seed, s.latents, n)
		for i, d := range m.perm {
			m.readout[int(d)*n+i] = 1
		}
		return m
	}
	for i := range n {
		rng, sum := random.New(s.seed, "spikes/mixing", uint64(i)), 0.0
		for d := range s.latents {
			w := rng.NormFloat64()
			m.readout[d*n+i] = w
			sum += w * w
		}
		for d := range s.latents {
			m.readout[d*n+i] /= math.Sqrt(sum)
		}
	}
	return m
}

// read gives what each neuron reads from the latents of one bin.
func (m *mapping) read(to, latents []float64) {
	if m.perm != nil {
		for i, d := range m.perm {
			to[i] = latents[d]
		}
		return
	}
	clear(to)
	for d, z := range latents {
		for i, w := range m.readout[d*len(to) : (d+1)*len(to)] {
			to[i] += z * w
		}
	}
}

// rates gives the rates of one bin in spikes a bin, in place of the neurons' readings.
func (m *mapping) rates(readings []float64) {
	scale := m.scaling * m.sd
	for i, x := range readings {
		readings[i] = m.link((x-m.mean)/scale, m.gains[i])
	}
}

func softplus(a float64) float64 { return max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) }

// gains are 10^0.2 to 10^1, the exponents evenly spaced over n neurons.
func gains(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.Pow(10, 0.2)
		if n > 1 {
			out[i] = math.Pow(10, 0.2+0.8*float64(i)/float64(n-1))
		}
	}
	return out
}

// spread is the mean of n numbers and the sum of their squared deviations from it.
type spread struct{ n, mean, squares float64 }

// add joins the numbers of another set (Chan, Golub & LeVeque 1983), which keeps all digits where a plain sum of squares would not.
func (s *spread) add(o spread) {
	n := s.n + o.n
	d := o.mean - s.mean
	s.squares += o.squares + d*d*s.n*o.n/n
	s.mean += d * o.n / n
	s.n = n
}

// Fit measures the mean and the standard deviation (population) of the neurons' readings in one pass, up to each trial's end where there is an array lengths, and returns the readout (D, N), orig_mean and
// orig_std (1, 1, 1), float64, and, where neurons copy latents, perm_neurons (N), int64. No bins, or readings that never
// vary, are an InvalidArgumentError. The result does not depend on how trials are cut into blocks.
func (s *spikes) Fit(ctx context.Context, trials tensor.Blocks) (tensor.Set, error) {
	m := s.newMapping()
	n := len(m.gains)
	var total spread
	latents, readings := make([]float64, s.latents), make([]float64, (s.to-s.from)*n)
	for b, err := range trials {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		z, err := s.latentsOf(b)
		if err != nil {
			return nil, err
		}
		ends, err := s.ends(b)
		if err != nil {
			return nil, err
		}
		for row, end := range ends {
			for t := range end {
				bin(latents, z, row, s.from+t)
				m.read(readings[t*n:(t+1)*n], latents)
			}
			if end > 0 {
				total.add(spreadOf(readings[:end*n]))
			}
		}
	}
	if total.n == 0 {
		return nil, component.Invalid("trials", "none with a bin were given: at least 1 is needed to normalise latents by")
	}
	m.mean, m.sd = total.mean, math.Sqrt(total.squares/total.n)
	if !(m.sd > 1e-12*math.Abs(m.mean)) || math.IsInf(m.sd, 0) {
		return nil, component.Invalid(simulator.Latents, "their standard deviation is %v around %v: latents that vary are needed", m.sd, m.mean)
	}
	s.mu.Lock()
	s.fitted = m
	s.mu.Unlock()
	out := tensor.Set{
		tensor.From64(simulator.Readout, m.readout, s.latents, n).With("", tensor.Latent, tensor.Neuron).Clone(),
		tensor.From64(simulator.OrigMean, []float64{m.mean}, 1, 1, 1),
		tensor.From64(simulator.OrigStd, []float64{m.sd}, 1, 1, 1),
	}
	if m.perm != nil {
		out = append(out, tensor.FromInt(simulator.Permutation, m.perm, n).With("", tensor.Neuron).Clone())
	}
	return out, nil
}

func spreadOf(x []float64) spread {
	s := spread{n: float64(len(x))}
	for _, v := range x {
		s.mean += v
	}
	s.mean /= s.n
	for _, v := range x {
		s.squares += (v - s.mean) * (v - s.mean)
	}
	return s
}
