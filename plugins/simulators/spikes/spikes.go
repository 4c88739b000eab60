// Package spikes simulates the spikes of a recorded population from the latents of a trained network: each neuron reads the latents, its
// reading is normalised and goes through a link to a rate, and counts are drawn around the rate, Poisson or with another dispersion.
//
// The mapping and its constants are those of the computation-through-dynamics benchmark (Versteeg et al. 2025): neurons copy latents along
// numpy's own permutations for the seed. Beyond it, neurons may mix all latents at random, be refractory, or be observed as a
// calcium-like fluorescence. Neurons have no target rates of their own, in Hz: link and fr_scaling set how rates are spread over all of them. Under compat, counts less variable than Poisson ones are drawn as the benchmark draws them; see [sampler.count].
package spikes

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Params are the simulator's parameters.
type Params struct {
	HeldIn       int     `param:"n_heldin" default:"50" min:"1" max:"100000" unit:"neuron" doc:"neurons that models may see"`
	HeldOut      int     `param:"n_heldout" default:"10" min:"0" max:"100000" unit:"neuron" doc:"neurons that are kept from models' encoders"`
	Link         string  `param:"link" default:"exp" choices:"exp,softplus,sigmoid" doc:"from normalised activation a to spikes a bin: exp(a), log(1+exp(a)), or 2/(1+exp(-g a)) with gains g from 10^0.2 to 10 over the neurons"`
	Scaling      float64 `param:"fr_scaling" default:"2" above:"0" doc:"activations are divided by this many standard deviations: larger means more uniform rates; single neurons have no target rates, in Hz or otherwise"`
	Dispersion   float64 `param:"dispersion" default:"1" above:"0" max:"1000" doc:"variance over mean of the counts: 1 Poisson, above negative binomial, below binomial"`
	Mixing       string  `param:"mixing" default:"copy" choices:"copy,random" doc:"copy: each neuron reads one latent; random: each reads its own random direction"`
	Refractory   int     `param:"refractory" default:"0" min:"0" unit:"bin" doc:"bins of silence after a spike; above 0 a bin has one spike at most, with probability 1-exp(-rate), and rates are those of a neuron that is ready"`
	Observation  string  `param:"observation" default:"counts" choices:"counts,calcium" doc:"counts, or a fluorescence that decays, c_t = calcium_decay c_(t-1) + count_t, with Gaussian noise"`
	CalciumDecay float64 `param:"calcium_decay" default:"0.9" min:"0" below:"1" doc:"decay of the fluorescence per bin, with observation calcium"`
	CalciumNoise float64 `param:"calcium_noise" default:"0.2" min:"0" max:"1e6" doc:"standard deviation of the fluorescence's noise, in units of one spike, with observation calcium"`
	Compat       bool    `param:"compat" default:"false" doc:"the published benchmark's counts for dispersion below 1 and its shift of the trials' times where bins are trimmed"`
}

// Factory returns the component simulator/spikes.
func Factory() simulator.Factory {
	return simulator.Sized(simulator.New(component.Info{
		Name:         component.Name{Kind: component.Simulator, Short: "spikes"},
		Version:      "0.1.2",
		Doc:          "Spike counts of neurons that read a network's latents.",
		Source:       "Versteeg et al. 2025",
		Capabilities: []component.Capability{component.Deterministic},
	}, check, Open), memory)
}

// inputBlock is about how many bytes of latents and what goes with them come at once, inputTrials how many trials at most: the blocks are those of the
// task, as they come out of the model.
const (
	inputBlock  = 16 << 20
	inputTrials = 64
)

// memory is that of the mapping and of the blocks in work, their latents and what is observed.
func memory(p Params, source simulator.Source, threads int) component.Memory {
	neurons := p.HeldIn + p.HeldOut
	carried := int64(source.Latents)
	if t := source.Task; t != nil {
		carried = tensor.Total(carried, int64(t.Inputs), int64(t.Outputs))
	}
	in := tensor.Elements(source.Bins, int(carried), 4)
	rows := int(max(1, min(inputTrials, inputBlock/max(1, in))))
	out := tensor.Elements(source.Bins, int(tensor.Total(int64(p.HeldIn+2*neurons), carried)), 4)
	blocks := tensor.Elements(int(tensor.Total(in, out)), rows, threads+1)
	// The readout is handed out as a copy.
	mapping := tensor.Total(tensor.Elements(2, source.Latents, neurons, 8), tensor.Elements(neurons, source.Bins, 8), tensor.Elements(neurons, 64))
	return component.Memory{Bytes: tensor.Total(blocks, mapping), Params: []string{"n_heldin", "n_heldout"}}
}

func check(p Params, source simulator.Source) []param.Problem {
	var problems []param.Problem
	if p.Refractory > 0 && p.Dispersion != 1 {
		problems = append(problems, param.Problem{
			Path:    "refractory",
			Message: fmt.Sprintf("%d is not allowed with dispersion %v: 0, or dispersion 1", p.Refractory, p.Dispersion),
			Hint:    "a refractory period decides by itself how variable counts are",
		})
	}
	if source.Latents == 0 && source.Bins == 0 && source.Task == nil {
		return problems
	}
	if source.Latents < 0 {
		problems = append(problems, param.Problem{Path: "source.latents", Message: fmt.Sprintf("%d is not allowed: at least 1", source.Latents)})
	}
	if from, to := kept(source); from < 0 || to > source.Bins || from >= to {
		problems = append(problems, param.Problem{
			Path:    "source.bins",
			Message: fmt.Sprintf("of %d bins those from %d up to, not including, %d are to be kept: at least one of them must be there", source.Bins, from, to),
		})
	}
	return problems
}

// kept gives the bins that the task says are kept, [from, to).
func kept(source simulator.Source) (from, to int) {
	if source.Task == nil {
		return 0, source.Bins
	}
	return source.Task.Trim[0], source.Bins + source.Task.Trim[1]
}

// Open makes an instance. Parameters or a source that are not allowed are an InvalidArgumentError.
func Open(_ context.Context, p Params, env component.Env, source simulator.Source) (simulator.Simulator, error) {
	problems := check(p, source)
	if source.Latents < 1 && len(problems) == 0 {
		problems = []param.Problem{{Path: "source.latents", Message: "the number of latents is needed"}}
	}
	if len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	s := &spikes{Params: p, seed: env.Seed, threads: max(1, env.Threads), latents: source.Latents, bins: source.Bins}
	s.from, s.to = kept(source)
	if t := source.Task; t != nil {
		for i := range t.Extra {
			s.timing = append(s.timing, t.ExtraInBins(i))
		}
	}
	return s, nil
}

// spikes implements [simulator.Simulator].
type spikes struct {
	Params
	seed          uint64
	threads       int
	latents, bins int
	from, to      int
	// timing says which columns of the array extra are bins of the trial.
	timing []bool

	mu sync.Mutex
	// fitted is nil before Fit, and not changed once it is set.
	fitted *mapping
}

var _ simulator.Simulator = (*spikes)(nil)

// Spec says what comes out.
func (s *spikes) Spec(context.Context) (simulator.Spec, error) {
	return simulator.Spec{
		Neurons: s.HeldIn + s.HeldOut, HeldIn: s.HeldIn,
		From: s.from, To: s.to,
		FileName: s.fileName(),
		Counts:   s.Observation == "counts",
	}, nil
}

// fileName follows the benchmark's convention; what the benchmark lacks is named before the seed.
func (s *spikes) fileName() string {
	var b strings.Builder
	fmt.Fprintf(&b, "heldin_%d_heldout_%d", s.HeldIn, s.HeldOut)
	if s.Link != "exp" {
		fmt.Fprintf(&b, "_rect_func_%s_fr_scaling_%s", s.Link, pythonFloat(s.Scaling))
	}
	fmt.Fprintf(&b, "_obs_noise_pseudoPoisson_dispersion_%s", pythonFloat(s.Dispersion))
	if s.Mixing != "copy" {
		fmt.Fprintf(&b, "_mixing_%s", s.Mixing)
	}
	if s.Refractory > 0 {
		fmt.Fprintf(&b, "_refractory_%d", s.Refractory)
	}
	if s.Observation == "calcium" {
		fmt.Fprintf(&b, "_calcium_%s_%s", pythonFloat(s.CalciumDecay), pythonFloat(s.CalciumNoise))
	}
	fmt.Fprintf(&b, "_seed_%d.h5", s.seed)
	return b.String()
}

// pythonFloat writes a number as Python's str does in the range of the parameters: 1.0, 0.25.
func pythonFloat(x float64) string {
	if x != 0 && (math.Abs(x) < 1e-4 || math.Abs(x) >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// latentsOf returns the latents of a block after checking their shape, type and values.
func (s *spikes) latentsOf(b tensor.Block) (*tensor.Tensor, error) {
	if err := b.Check(); err != nil {
		return nil, component.Invalid("trials", "%v", err)
	}
	z := b.Arrays.Get(simulator.Latents)
	if z == nil {
		return nil, component.Invalid(simulator.Latents, "no such array among %v", b.Arrays.Names())
	}
	if err := z.Expect(-1, s.bins, s.latents); err != nil {
		return nil, component.Invalid(simulator.Latents, "%v", err)
	}
	if z.I64 != nil {
		return nil, component.Invalid(simulator.Latents, "type int64 is not allowed: float32 or float64")
	}
	if err := z.CheckFinite(); err != nil {
		return nil, component.Invalid(simulator.Latents, "%v", err)
	}
	return z, nil
}

// ends returns how many of the bins kept each trial of a block has before it ends.
func (s *spikes) ends(b tensor.Block) ([]int, error) {
	out := make([]int, len(b.Trials))
	for i := range out {
		out[i] = s.to - s.from
	}
	l := b.Arrays.Get(task.Lengths)
	if l == nil {
		return out, nil
	}
	if l.I64 == nil || len(l.Shape) != 1 {
		return nil, component.Invalid(task.Lengths, "shape %v of %s is not allowed: (trials), int64", l.Shape, l.DType())
	}
	for i, n := range l.I64 {
		if n < 0 || n > int64(s.bins) {
			return nil, component.Invalid(task.Lengths, "trial %d has %d bins: 0 to %d are allowed", b.Trials[i], n, s.bins)
		}
		if s.from > 0 && n <= int64(s.from) {
			return nil, component.Invalid(task.Lengths, "trial %d has %d bins: bins are kept from %d on (the task's trim), so that none of it is left: more than %d are needed", b.Trials[i], n, s.from, s.from)
		}
		out[i] = max(0, min(int(n), s.to)-s.from)
	}
	return out, nil
}

// bin reads bin t of trial row of latents (B, T, D) into a row of D float64.
func bin(to []float64, z *tensor.Tensor, row, t int) {
	from := (row*z.Shape[1] + t) * z.Shape[2]
	if z.F64 != nil {
		copy(to, z.F64[from:from+len(to)])
		return
	}
	for i, x := range z.F32[from : from+len(to)] {
		to[i] = float64(x)
	}
}
