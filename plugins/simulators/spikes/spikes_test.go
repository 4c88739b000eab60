package spikes

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// latents are (trials, bins, d) normal numbers, those of a trial the same however many there are.
func latents(trials, bins, d int) tensor.Block {
	z := tensor.New32(simulator.Latents, trials, bins, d).With("", tensor.Trial, tensor.Bin, tensor.Latent)
	for k := range trials {
		rng := random.New(99, "test latents", uint64(k))
		for i := range bins * d {
			z.F32[k*bins*d+i] = float32(0.3 + 0.7*rng.NormFloat64())
		}
	}
	return tensor.Block{Trials: numbers(trials), Arrays: tensor.Set{z}}
}

// blocks cuts a block into blocks of size rows.
func blocks(b tensor.Block, size int) tensor.Blocks {
	var out []tensor.Block
	for from := 0; from < len(b.Trials); from += size {
		to := min(from+size, len(b.Trials))
		c := tensor.Block{Trials: b.Trials[from:to]}
		for _, a := range b.Arrays {
			c.Arrays = append(c.Arrays, a.Slice(from, to))
		}
		out = append(out, c)
	}
	return tensor.Of(out...)
}

func run(t testing.TB, s *spikes, in tensor.Blocks) tensor.Block {
	t.Helper()
	if _, err := s.Fit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	out, err := tensor.Collect(s.Simulate(t.Context(), in))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSameWhateverTheBlocks simulates the same trials in other blocks, on other numbers of threads, and by their numbers alone.
func TestSameWhateverTheBlocks(t *testing.T) {
	defer goleak.VerifyNone(t)
	source := simulator.Source{Latents: 5, Bins: 30}
	for name, values := range map[string]param.Values{
		"poisson":    nil,
		"binomial":   {"dispersion": 0.4, "link": "softplus"},
		"negative":   {"dispersion": 3, "link": "sigmoid"},
		"random":     {"mixing": "random"},
		"refractory": {"refractory": 2},
		"calcium":    {"observation": "calcium"},
	} {
		all := latents(23, 30, 5)
		want := run(t, open(t, 8, 1, values, source), tensor.Of(all))
		s := open(t, 8, 3, values, source)
		if got := run(t, s, blocks(all, 4)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: other blocks give other spikes", name)
		}
		one := tensor.Block{Trials: []int64{17}, Arrays: tensor.Set{all.Arrays[0].Slice(17, 18)}}
		got, err := tensor.Collect(s.Simulate(t.Context(), tensor.Of(one)))
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range got.Arrays {
			if !reflect.DeepEqual(a.F32, want.Arrays[i].Slice(17, 18).F32) {
				t.Errorf("%s: trial 17 alone has other %s", name, a.Name)
			}
		}
		other := run(t, open(t, 9, 1, values, source), tensor.Of(all))
		if slices.Equal(other.Arrays.Get(simulator.Reconstructed).F32, want.Arrays.Get(simulator.Reconstructed).F32) {
			t.Errorf("%s: another seed gives the same spikes", name)
		}
	}
}

// TestFit compares with two passes over all readings at once, with latents far from 0.
func TestFit(t *testing.T) {
	b := latents(40, 50, 7)
	z := b.Arrays[0]
	for i := range z.F32 {
		z.F32[i] += 5000
	}
	s := open(t, 1, 1, param.Values{"n_heldin": 9, "n_heldout": 1, "mixing": "random"}, simulator.Source{Latents: 7, Bins: 50})
	fit, err := s.Fit(t.Context(), blocks(b, 3))
	if err != nil {
		t.Fatal(err)
	}
	w := fit.Get(simulator.Readout)
	var readings []float64
	for i := range 40 * 50 {
		for n := range 10 {
			x := 0.0
			for d := range 7 {
				x += float64(z.F32[i*7+d]) * w.F64[d*10+n]
			}
			readings = append(readings, x)
		}
	}
	want := spreadOf(readings)
	mean, sd := fit.Get(simulator.OrigMean).F64[0], fit.Get(simulator.OrigStd).F64[0]
	if math.Abs(mean-want.mean) > 1e-12*math.Abs(want.mean) || math.Abs(sd/math.Sqrt(want.squares/want.n)-1) > 1e-12 {
		t.Errorf("mean %v, sd %v, want %v, %v", mean, sd, want.mean, math.Sqrt(want.squares/want.n))
	}
	for n := range 10 {
		norm := 0.0
		for d := range 7 {
			norm += w.F64[d*10+n] * w.F64[d*10+n]
		}
		if math.Abs(norm-1) > 1e-12 {
			t.Errorf("the direction that neuron %d reads has length %v", n, norm)
		}
	}
}

// TestTrim gives arrays of every sort and looks at which bins come out.
func TestTrim(t *testing.T) {
	source := simulator.Source{Latents: 3, Bins: 12, Task: &task.Spec{Trim: [2]int{4, -1}, Extra: []string{"target_on", "angle", "go", "force"}, ExtraUnits: []string{task.InBins, "rad", task.InBins, "N"}}}
	for _, compat := range []bool{false, true} {
		b := latents(2, 12, 3)
		inputs := tensor.New32(task.Inputs, 2, 12, 2).With("", tensor.Trial, tensor.Bin, tensor.Channel)
		for i := range inputs.F32 {
			inputs.F32[i] = float32(i)
		}
		b.Arrays = append(b.Arrays, inputs,
			tensor.FromInt(task.Lengths, []int64{12, 7}, 2),
			tensor.FromInt(task.Conditions, []int64{5, 6}, 2),
			tensor.From32(task.Extra, []float32{6, 1.5, 12, 7.25, -1, -2.5, 3, 9}, 2, 4))
		s := open(t, 0, 1, param.Values{"compat": compat, "n_heldin": 4, "n_heldout": 2}, source)
		spec, err := s.Spec(t.Context())
		if err != nil || spec.From != 4 || spec.To != 11 || spec.Neurons != 6 || spec.HeldIn != 4 || !spec.Counts {
			t.Fatalf("spec %+v, error %v", spec, err)
		}
		out := run(t, s, tensor.Of(b)).Arrays
		if x := out.Get(task.Inputs); !slices.Equal(x.Shape, []int{2, 7, 2}) || x.F32[0] != 8 || x.F32[14] != 32 || x.F32[27] != 45 {
			t.Errorf("inputs %v %v", x.Shape, x.F32)
		}
		if z := out.Get(simulator.Latents); z.F32[0] != b.Arrays[0].F32[12] || !slices.Equal(z.Shape, []int{2, 7, 3}) {
			t.Errorf("latents %v start at %v", z.Shape, z.F32[0])
		}
		if l := out.Get(task.Lengths).I64; !slices.Equal(l, []int64{7, 3}) {
			t.Errorf("lengths %v", l)
		}
		if c := out.Get(task.Conditions).I64; !slices.Equal(c, []int64{5, 6}) {
			t.Errorf("conditions %v", c)
		}
		want := []float32{2, 1.5, 7, 7.25, -1, -2.5, 0, 9}
		if compat {
			want = []float32{1, 1.5, 7, 7.25, -6, -2.5, -2, 9}
		}
		if e := out.Get(task.Extra).F32; !slices.Equal(e, want) {
			t.Errorf("timing %v, want %v", e, want)
		}
		all, in := out.Get(simulator.Reconstructed), out.Get(simulator.Encoded)
		for i := range 2 * 7 {
			if !slices.Equal(in.F32[i*4:(i+1)*4], all.F32[i*6:i*6+4]) {
				t.Fatalf("row %d: held-in %v are not the first of all %v", i, in.F32[i*4:(i+1)*4], all.F32[i*6:(i+1)*6])
			}
		}
	}
}

// TestTrimmedAway gives a trial that ends before the first bin that is kept: no data set can hold it, and it is the simulator that knows why.
func TestTrimmedAway(t *testing.T) {
	s := open(t, 0, 1, nil, simulator.Source{Latents: 3, Bins: 12, Task: &task.Spec{Trim: [2]int{4, -1}}})
	for length, ok := range map[int64]bool{3: false, 4: false, 5: true} {
		b := latents(2, 12, 3)
		b.Arrays = append(b.Arrays, tensor.FromInt(task.Lengths, []int64{12, length}, 2))
		_, err := s.Fit(t.Context(), tensor.Of(b))
		if invalid := (*component.InvalidArgumentError)(nil); ok != (err == nil) || !ok && (!errors.As(err, &invalid) || invalid.Problems[0].Path != task.Lengths) {
			t.Errorf("a trial of %d bins, of which 4 are left out: %v", length, err)
		}
	}
}

// TestTrialsThatEnd gives padded trials beside the same bins without padding: what is measured does not depend on the padding, the same is drawn up to the end, and nothing
// after it, whatever stands there.
func TestTrialsThatEnd(t *testing.T) {
	const bins, short = 12, 7
	for name, values := range map[string]param.Values{"counts": {}, "calcium": {"observation": "calcium"}, "refractory": {"refractory": 2}} {
		long, want := latents(6, bins, 3), latents(6, bins, 3)
		cutShort := tensor.Block{Trials: want.Trials, Arrays: tensor.Set{tensor.New32(simulator.Latents, 6, short, 3)}}
		for trial := range 6 {
			copy(cutShort.Arrays[0].F32[trial*short*3:(trial+1)*short*3], want.Arrays[0].F32[trial*bins*3:])
			for i := short * 3; i < bins*3; i++ {
				long.Arrays[0].F32[trial*bins*3+i] = 1e6
			}
		}
		lengths := tensor.NewInt(task.Lengths, 6)
		for i := range lengths.I64 {
			lengths.I64[i] = short
		}
		long.Arrays = append(long.Arrays, lengths)
		padded := open(t, 3, 2, values, simulator.Source{Latents: 3, Bins: bins})
		got := run(t, padded, tensor.Of(long)).Arrays
		plain := open(t, 3, 2, values, simulator.Source{Latents: 3, Bins: short})
		reference := run(t, plain, tensor.Of(cutShort)).Arrays
		if padded.fitted.mean != plain.fitted.mean || padded.fitted.sd != plain.fitted.sd {
			t.Errorf("%s: mean %v and sd %v, without padding %v and %v", name, padded.fitted.mean, padded.fitted.sd, plain.fitted.mean, plain.fitted.sd)
		}
		for _, array := range []string{simulator.Reconstructed, simulator.Activity, simulator.Encoded} {
			g, w := got.Get(array), reference.Get(array)
			n := g.Shape[2]
			for i, v := range g.F32 {
				trial, at := i/(bins*n), i%(bins*n)
				if at < short*n && v != w.F32[trial*short*n+at] {
					t.Fatalf("%s: %s of trial %d, element %d is %v, want %v", name, array, trial, at, v, w.F32[trial*short*n+at])
				}
				if at >= short*n && v != 0 {
					t.Fatalf("%s: %s of trial %d is %v after its end", name, array, trial, v)
				}
			}
		}
		for _, wrong := range []*tensor.Tensor{tensor.FromInt(task.Lengths, []int64{1, 2, 3, 4, 5, 13}, 6), tensor.FromInt(task.Lengths, []int64{1, 2, 3, 4, 5, -1}, 6), tensor.New32(task.Lengths, 6)} {
			long.Arrays[1] = wrong
			if _, err := padded.Fit(t.Context(), tensor.Of(long)); !errors.Is(err, component.ErrInvalidArgument) {
				t.Errorf("lengths %v: error %v", wrong, err)
			}
		}
	}
}

// TestRefractory checks the silence after each spike, and the fraction of ready bins with a spike against 1-exp(-rate).
func TestRefractory(t *testing.T) {
	source := simulator.Source{Latents: 4, Bins: 400}
	out := run(t, open(t, 2, 2, param.Values{"refractory": 3}, source), tensor.Of(latents(50, 400, 4))).Arrays
	counts, rates := out.Get(simulator.Reconstructed).F32, out.Get(simulator.Activity).F32
	var ready, spikes, expected, variance float64
	for k := range 50 {
		for n := range 60 {
			silent := 0
			for bin := range 400 {
				i := (k*400+bin)*60 + n
				if c := counts[i]; c != 0 && (c != 1 || silent > 0) {
					t.Fatalf("count %v with %d bins of silence to go", c, silent)
				}
				if silent > 0 {
					silent--
					continue
				}
				p := -math.Expm1(-float64(rates[i]))
				ready, expected, variance = ready+1, expected+p, variance+p*(1-p)
				if counts[i] == 1 {
					spikes, silent = spikes+1, 3
				}
			}
		}
	}
	if math.Abs(spikes-expected) > 5*math.Sqrt(variance) {
		t.Errorf("%v spikes in %v ready bins, expected %v +- %v", spikes, ready, expected, math.Sqrt(variance))
	}
}

// TestCalcium undoes the decay: what is left are the very counts that are drawn without fluorescence, and noise of the given size.
func TestCalcium(t *testing.T) {
	source := simulator.Source{Latents: 4, Bins: 100}
	in := latents(20, 100, 4)
	counts := run(t, open(t, 2, 1, nil, source), tensor.Of(in)).Arrays.Get(simulator.Reconstructed).F32
	clean := run(t, open(t, 2, 1, param.Values{"observation": "calcium", "calcium_decay": 0.8, "calcium_noise": 0}, source), tensor.Of(in)).Arrays.Get(simulator.Reconstructed).F32
	noisy := run(t, open(t, 2, 1, param.Values{"observation": "calcium", "calcium_decay": 0.8, "calcium_noise": 0.5}, source), tensor.Of(in)).Arrays.Get(simulator.Reconstructed).F32
	var squares float64
	for i, c := range clean {
		before := float32(0)
		if i/60%100 > 0 {
			before = clean[i-60]
		}
		if math.Abs(float64(c-0.8*before-counts[i])) > 1e-5 {
			t.Fatalf("fluorescence %d goes from %v to %v with a count of %v", i, before, c, counts[i])
		}
		d := float64(noisy[i] - c)
		squares += d * d
	}
	n := float64(len(clean))
	if math.Abs(squares/n-0.25) > 5*0.25*math.Sqrt(2/n) {
		t.Errorf("variance of the noise is %v, want 0.25", squares/n)
	}
	if spec, err := open(t, 2, 1, param.Values{"observation": "calcium"}, source).Spec(t.Context()); err != nil || spec.Counts {
		t.Errorf("spec says counts %v, error %v", spec.Counts, err)
	}
}

func TestFileName(t *testing.T) {
	for _, c := range []struct {
		values param.Values
		want   string
	}{
		{nil, "heldin_50_heldout_10_obs_noise_pseudoPoisson_dispersion_1.0_seed_0.h5"},
		{param.Values{"link": "softplus", "dispersion": 0.25}, "heldin_50_heldout_10_rect_func_softplus_fr_scaling_2.0_obs_noise_pseudoPoisson_dispersion_0.25_seed_0.h5"},
		{param.Values{"mixing": "random", "refractory": 2}, "heldin_50_heldout_10_obs_noise_pseudoPoisson_dispersion_1.0_mixing_random_refractory_2_seed_0.h5"},
		{param.Values{"observation": "calcium", "calcium_noise": 0.00001}, "heldin_50_heldout_10_obs_noise_pseudoPoisson_dispersion_1.0_calcium_0.9_1e-05_seed_0.h5"},
	} {
		spec, err := open(t, 0, 1, c.values, simulator.Source{Latents: 3, Bins: 10}).Spec(t.Context())
		if err != nil || spec.FileName != c.want {
			t.Errorf("%s, error %v; want %s", spec.FileName, err, c.want)
		}
	}
}

func TestBadInput(t *testing.T) {
	f := Factory()
	for name, c := range map[string]struct {
		values param.Values
		source simulator.Source
		path   string
	}{
		"refractory":       {param.Values{"refractory": 1, "dispersion": 2}, simulator.Source{}, "refractory"},
		"latents below 0":  {nil, simulator.Source{Latents: -1, Bins: 10}, "source.latents"},
		"no bins":          {nil, simulator.Source{Latents: 10}, "source.bins"},
		"nothing kept":     {nil, simulator.Source{Latents: 3, Bins: 5, Task: &task.Spec{Trim: [2]int{4, -1}}}, "source.bins"},
		"kept beyond ends": {nil, simulator.Source{Latents: 3, Bins: 5, Task: &task.Spec{Trim: [2]int{-1, 0}}}, "source.bins"},
	} {
		v, problems := f.Info.Params.Resolve(c.values)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if problems := f.Check(v, c.source); len(problems) != 1 || problems[0].Path != c.path {
			t.Errorf("%s: problems %v", name, problems)
		}
		if _, err := f.Open(t.Context(), v, component.Env{}, c.source); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: opened with error %v", name, err)
		}
	}
	if v, _ := f.Info.Params.Resolve(nil); len(f.Check(v, simulator.Source{})) != 0 {
		t.Error("defaults are refused while the source is unknown")
	}

	source := simulator.Source{Latents: 3, Bins: 10}
	if _, err := tensor.Collect(open(t, 0, 1, nil, source).Simulate(t.Context(), tensor.Of())); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("simulated before fit with error %v", err)
	}
	nan := latents(2, 10, 3)
	nan.Arrays[0].F32[4] = float32(math.NaN())
	constant := tensor.Block{Trials: numbers(2), Arrays: tensor.Set{tensor.New32(simulator.Latents, 2, 10, 3)}}
	for i := range constant.Arrays[0].F32 {
		constant.Arrays[0].F32[i] = 0.1
	}
	for name, b := range map[string]tensor.Blocks{
		"no trials":    tensor.Of(),
		"no latents":   tensor.Of(tensor.Block{Trials: numbers(2), Arrays: tensor.Set{tensor.New32("outputs", 2, 10, 3)}}),
		"wrong bins":   tensor.Of(latents(2, 11, 3)),
		"wrong width":  tensor.Of(latents(2, 10, 4)),
		"not finite":   tensor.Of(nan),
		"constant":     tensor.Of(constant),
		"integers":     tensor.Of(tensor.Block{Trials: numbers(1), Arrays: tensor.Set{tensor.NewInt(simulator.Latents, 1, 10, 3)}}),
		"rows missing": tensor.Of(tensor.Block{Trials: numbers(3), Arrays: latents(2, 10, 3).Arrays}),
	} {
		if _, err := open(t, 0, 1, nil, source).Fit(t.Context(), b); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}

	// One latent 5000 standard deviations from the rest: exp overflows, a bounded link does not.
	huge := latents(2, 10, 3)
	for _, link := range []string{"exp", "sigmoid"} {
		s := open(t, 0, 1, param.Values{"link": link}, source)
		if _, err := s.Fit(t.Context(), tensor.Of(latents(2, 10, 3))); err != nil {
			t.Fatal(err)
		}
		huge.Arrays[0].F32[11] = 5000
		_, err := tensor.Collect(s.Simulate(t.Context(), tensor.Of(huge)))
		var diverged *component.DivergedError
		if wrong := link == "exp"; errors.As(err, &diverged) != wrong {
			t.Errorf("%s: error %v", link, err)
		}
	}
	double := latents(2, 10, 3)
	double.Arrays = append(double.Arrays, tensor.New32(simulator.Activity, 2, 10, 3))
	s := open(t, 0, 1, nil, source)
	if _, err := s.Fit(t.Context(), tensor.Of(double)); err != nil {
		t.Fatal(err)
	}
	if _, err := tensor.Collect(s.Simulate(t.Context(), tensor.Of(double))); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("an array of a name that is given out: error %v", err)
	}
}

func BenchmarkCount(b *testing.B) {
	for _, c := range []struct {
		name             string
		mean, dispersion float64
	}{
		{"poisson0.1", 0.1, 1}, {"poisson1", 1, 1}, {"poisson3", 3, 1}, {"poisson9.9", 9.9, 1}, {"poisson10", 10, 1}, {"poisson100", 100, 1},
		{"negative1", 1, 2}, {"binomial1", 1, 0.5}, {"binomial30", 30, 0.5},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := sampler{random.New(1, "bench"), c.dispersion, false}
			sum := 0.0
			for b.Loop() {
				sum += s.count(c.mean)
			}
		})
	}
}

// BenchmarkSimulate takes the benchmark's usual size: 1000 trials of 500 bins, 64 latents, 60 neurons, 30 million counts.
func BenchmarkSimulate(b *testing.B) {
	in := latents(1000, 500, 64)
	for _, threads := range []int{1, 2} {
		b.Run(map[int]string{1: "1thread", 2: "2threads"}[threads], func(b *testing.B) {
			s := open(b, 0, threads, nil, simulator.Source{Latents: 64, Bins: 500})
			for b.Loop() {
				if _, err := s.Fit(b.Context(), blocks(in, 32)); err != nil {
					b.Fatal(err)
				}
				for _, err := range s.Simulate(b.Context(), blocks(in, 32)) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
