package spectra

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func open(t testing.TB, threads int, values param.Values) comparator.Comparator {
	t.Helper()
	return opened.Comparator(t, Factory(), component.Env{Seed: 5, Threads: threads}, values)
}

func compare(t testing.TB, values param.Values, subjects ...comparator.Subject) comparator.Outcome {
	t.Helper()
	o, err := open(t, 2, values).Compare(t.Context(), comparator.Request{Subjects: subjects}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range o.Figures {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, r := range o.Results {
		if _, ok := component.FindReading(Factory().Info.Readings, r.Metric); !ok {
			t.Errorf("nothing says how to read %s", r.Metric)
		}
		if r.Value-r.Value != 0 && r.Reason == "" {
			t.Errorf("no value and no reason: %+v", r)
		}
	}
	return o
}

// TestDistances holds the two distances to closed forms and to all ways of moving equal masses.
func TestDistances(t *testing.T) {
	p, q := []float64{0.5, 0.5, 0, 0}, []float64{0, 0, 0.25, 0.75}
	if hellinger(p, p) != 0 || math.Abs(hellinger(p, q)-1) > 1e-15 {
		t.Errorf("itself %v, disjoint %v", hellinger(p, p), hellinger(p, q))
	}
	// Of two Bernoulli distributions: H^2 = 1 - sqrt(a b) - sqrt((1-a)(1-b)).
	if got, want := hellinger([]float64{0.2, 0.8}, []float64{0.7, 0.3}), math.Sqrt(1-math.Sqrt(0.14)-math.Sqrt(0.24)); math.Abs(got-want) > 1e-15 {
		t.Errorf("%v, want %v", got, want)
	}
	// A line of spectrum moved by 3 frequencies of 0.5 Hz.
	if got := wasserstein([]float64{0, 1, 0, 0, 0}, []float64{0, 0, 0, 0, 1}, 0.5); math.Abs(got-1.5) > 1e-15 {
		t.Errorf("%v, want 1.5", got)
	}
	rng := random.New(1, "spectra/test")
	for range 20 {
		const n, lines = 5, 9
		var a, b [n]int
		x, y := make([]float64, lines), make([]float64, lines)
		for i := range n {
			a[i], b[i] = rng.IntN(lines), rng.IntN(lines)
			x[a[i]] += 1.0 / n
			y[b[i]] += 1.0 / n
		}
		best := math.Inf(1)
		var try func(i int, used int, cost float64)
		try = func(i, used int, cost float64) {
			if i == n {
				best = min(best, cost)
				return
			}
			for j := range n {
				if used&(1<<j) == 0 {
					try(i+1, used|1<<j, cost+math.Abs(float64(a[i]-b[j]))/n)
				}
			}
		}
		try(0, 0, 0)
		if got := wasserstein(x, y, 2); math.Abs(got-2*best) > 1e-12 {
			t.Errorf("%v to %v: %v, want %v", a, b, got, 2*best)
		}
	}
}

// waves are latents of sinusoids of random phase, of so many cycles a bin for each channel.
func waves(seed uint64, n, bins int, frequencies ...float64) *tensor.Tensor {
	rng := random.New(seed, "spectra/waves")
	x := tensor.New64(comparator.Latents, n, bins, len(frequencies))
	for k := range n {
		for c, f := range frequencies {
			phase := 2 * math.Pi * rng.Float64()
			for b := range bins {
				x.F64[(k*bins+b)*len(frequencies)+c] = math.Sin(2*math.Pi*f*float64(b)+phase) + 0.01*rng.NormFloat64() + 2
			}
		}
	}
	return x
}

func series(x *tensor.Tensor) trials.Series {
	s := trials.Series{Data: x, Lengths: make([]int, x.Shape[0])}
	for k := range s.Lengths {
		s.Lengths[k] = x.Shape[1]
	}
	return s
}

// TestWelch: a sinusoid on a frequency of the transform has two thirds of its power there and a sixth on either side (of a Hann window), and white noise has as much everywhere.
func TestWelch(t *testing.T) {
	x := waves(1, 40, 128, 8.0/64)
	p, err := welch(t.Context(), 2, series(x), 64, true, false, 1)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := p.distribution(0, bootstrap.Ones(40))
	if !ok || p.lines != 32 || math.Abs(d[7]-2.0/3) > 1e-3 || math.Abs(d[6]-1.0/6) > 1e-3 || math.Abs(d[8]-1.0/6) > 1e-3 {
		t.Errorf("%v", d)
	}
	noise := beginning(2, 400, 128, 2, 1)
	if p, err = welch(t.Context(), 2, series(noise), 64, true, false, 1); err != nil {
		t.Fatal(err)
	}
	d, _ = p.distribution(0, bootstrap.Ones(400))
	// The last frequency stands for itself alone, others for their negative as well; the mean that is taken off is missing in the first.
	for f, v := range d[1:31] {
		if math.Abs(v*31.5-1) > 0.12 {
			t.Errorf("frequency %d has a share of %v of white noise", f+2, v)
		}
	}
	if math.Abs(d[31]*31.5-0.5) > 0.12 {
		t.Errorf("the last frequency has a share of %v", d[31])
	}
}

// TestPower: spectra that are the same but for phase and rotation, moved, and shuffled.
func TestPower(t *testing.T) {
	x := waves(1, 30, 200, 0.05, 0.1)
	same, faster := waves(2, 30, 200, 0.05, 0.1), waves(3, 30, 200, 0.1, 0.15)
	for i := range 30 * 200 {
		a, b := same.F64[2*i], same.F64[2*i+1]
		same.F64[2*i], same.F64[2*i+1] = 3*(0.6*a-0.8*b), 3*(0.8*a+0.6*b)
	}
	subject := func(label string, role comparator.Role, x *tensor.Tensor) comparator.Subject {
		return comparator.Subject{Label: label, Role: role, Why: "recorded data has no model behind it", Valid: tensor.Set{x, x.Named(comparator.Rates)}}
	}
	o := compare(t, param.Values{"segment": 100, "bootstrap": 100}, subject("truth", comparator.Truth, x), subject("same", comparator.Fitted, same), subject("faster", comparator.Fitted, faster))
	if r := opened.Find(t, o, "power_hellinger", "same"); !(r.Value < 0.02) || !(r.Low == 0 && r.High < 0.03) || r.Better != component.Lower || !(r.Null > 0.5) || r.N != 30 {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, "power_wasserstein", "faster"); math.Abs(r.Value-0.05) > 0.002 || !(r.Low <= r.Value && r.Value <= r.High) || r.Unit != "cycles/bin" {
		t.Errorf("%+v", r)
	}
	// A neuron's spectrum is its own: two that are exchanged by a rotation differ, and both are half of what is shared elsewhere.
	if r := opened.Find(t, o, "power_hellinger_rates", "same"); !(r.Value > 0.3) {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, "power_wasserstein_rates", "faster"); math.Abs(r.Value-0.05) > 0.002 {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, "lyapunov/1", "same"); r.Reason != "recorded data has no model behind it" {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, "lyapunov_distance", "same"); !strings.Contains(r.Reason, "recorded data has no model") {
		t.Errorf("%+v", r)
	}
	m := o.Matrices.Get("power_hellinger")
	if m == nil || m.F64[0] != 0 || m.F64[1] != m.F64[3] || m.F64[1] != opened.Find(t, o, "power_hellinger", "same").Value || !(m.F64[5] > 0.5) {
		t.Errorf("%+v", m)
	}
}

func TestOmissions(t *testing.T) {
	x := waves(1, 12, 40, 0.1, 0.2)
	truth := comparator.Subject{Label: "truth", Role: comparator.Truth, Valid: tensor.Set{x, x.Named(comparator.Rates)}}
	with := func(x *tensor.Tensor, rates *tensor.Tensor) comparator.Subject {
		s := comparator.Subject{Label: "model", Role: comparator.Fitted, Valid: tensor.Set{x.Named(comparator.Latents)}}
		if rates != nil {
			s.Valid = append(s.Valid, rates.Named(comparator.Rates))
		}
		return s
	}
	broken := waves(1, 12, 40, 0.1, 0.2)
	broken.F64[5] = math.Inf(1)
	ragged := truth
	ragged.Valid = append(tensor.Set{tensor.FromInt(comparator.Lengths, []int64{40, 3, 40, 40, 40, 40, 40, 40, 40, 40, 40, 0}, 12)}, truth.Valid...)
	// Its mean is not exact: what rounding leaves is no spectrum.
	level := tensor.New64("", 12, 40, 3)
	for i := range level.F64 {
		level.F64[i] = 0.7
	}
	tiny := truth
	tiny.Valid = append(tensor.Set{tensor.FromInt(comparator.Lengths, []int64{3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}, 12)}, truth.Valid...)
	for name, c := range map[string]struct {
		subjects    []comparator.Subject
		metric, why string
		value       bool
	}{
		"constant":   {[]comparator.Subject{truth, with(tensor.New64("", 12, 40, 3), nil)}, "power_hellinger", "does not vary", false},
		"level":      {[]comparator.Subject{truth, with(level, nil)}, "power_hellinger", "does not vary", false},
		"no rates":   {[]comparator.Subject{truth, with(x, nil)}, "power_hellinger_rates", "model has no rates", false},
		"neurons":    {[]comparator.Subject{truth, with(x, tensor.New64("", 12, 40, 3))}, "power_hellinger_rates", "rates of 3 neurons, truth of 2", false},
		"not finite": {[]comparator.Subject{truth, with(broken, nil)}, "power_hellinger", "row 0, bin 2, channel 1", false},
		"short":      {[]comparator.Subject{ragged, with(x, nil)}, "power_hellinger", "2 of 12 trials are shorter", true},
		"too short":  {[]comparator.Subject{tiny, with(x, nil)}, "power_hellinger", "at least 4", false},
		"dynamics":   {[]comparator.Subject{truth, with(x, nil)}, "lyapunov/1", "it offers no dynamics", false},
	} {
		o := compare(t, param.Values{"bootstrap": 10, "segment": 40}, c.subjects...)
		if r := opened.Find(t, o, c.metric, "model"); !strings.Contains(r.Reason, c.why) || math.IsNaN(r.Value) == c.value {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// One long trial does not decide the length of segments, which would leave the others out.
	long := truth
	long.Valid = append(tensor.Set{tensor.FromInt(comparator.Lengths, []int64{20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 40}, 12)}, truth.Valid...)
	if r := opened.Find(t, compare(t, param.Values{"bootstrap": 10, "segment": 40}, long, with(x, nil)), "power_hellinger", "model"); r.N != 12 || r.Reason != "" || math.IsNaN(r.Low) {
		t.Errorf("%+v", r)
	}
	// Of a truth whose rates alone are known, models' rates are compared with its own, and their latents with each other's.
	rates, other := truth, with(waves(2, 12, 40, 0.1, 0.2), x)
	rates.Valid, other.Label = tensor.Set{x.Named(comparator.Rates)}, "other"
	between := 0
	for _, r := range compare(t, param.Values{"bootstrap": 10, "segment": 40}, rates, with(x, x), other).Results {
		pair := r.Reference + " " + r.Subject
		if r.Metric == "power_hellinger" && pair == "model other" {
			between++
		}
		if r.Metric == "power_hellinger" && math.IsNaN(r.Value) != (r.Reference == "truth") || r.Metric == "power_hellinger_rates" && (math.IsNaN(r.Value) || pair == "model other") {
			t.Errorf("%+v", r)
		}
	}
	if between != 1 {
		t.Errorf("%d distances between the models' latents, want 1", between)
	}
	if _, err := open(t, 1, nil).Compare(t.Context(), comparator.Request{}, nil); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("no subjects: error %v", err)
	}
}

// TestSameWhateverTheThreads compares results bit by bit.
func TestSameWhateverTheThreads(t *testing.T) {
	var first comparator.Outcome
	for i, threads := range []int{1, 2, 5} {
		a, b := waves(1, 30, 60, 0.05, 0.1, 0.2), waves(2, 30, 60, 0.06, 0.1, 0.2)
		o, err := open(t, threads, param.Values{"bootstrap": 50, "interval": "bca"}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{
			dynamic("truth", comparator.Truth, lorenz(0.01), a), dynamic("model", comparator.Fitted, lorenz(0.02), b)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k := range o.Results {
			// NaN differs from itself.
			for _, v := range []*float64{&o.Results[k].Value, &o.Results[k].Low, &o.Results[k].High, &o.Results[k].Null} {
				if math.IsNaN(*v) {
					*v = -1
				}
			}
		}
		for _, m := range o.Matrices {
			for k, v := range m.F64 {
				if math.IsNaN(v) {
					m.F64[k] = -1
				}
			}
		}
		if i == 0 {
			first = o
		} else if !reflect.DeepEqual(o, first) {
			t.Errorf("%d threads give other results", threads)
		}
	}
}

// oscillators are latents of two noisy rotations of so many radians a bin.
func oscillators(seed uint64, trials, bins int, turns ...float64) *tensor.Tensor {
	rng := random.New(seed, "spectra/oscillators")
	w := 2 * len(turns)
	x := tensor.New64(comparator.Latents, trials, bins, w)
	for k := range trials {
		for i, f := range turns {
			a, b := 3*rng.NormFloat64(), 3*rng.NormFloat64()
			for t := range bins {
				c, s := math.Cos(f), math.Sin(f)
				a, b = 0.95*(c*a-s*b)+rng.NormFloat64(), 0.95*(s*a+c*b)+rng.NormFloat64()
				x.F64[(k*bins+t)*w+2*i], x.F64[(k*bins+t)*w+2*i+1] = a, b
			}
		}
	}
	return x
}

// TestCoverage: intervals hold the true distance of independent recordings, of one process (0, which they never held when they stood around the value) and of two; those of two were measured on 20000
// trials. What two halves of the trials make of 0 is about the root of 2 of what two recordings do.
func TestCoverage(t *testing.T) {
	const repetitions, trials, bins = 40, 20, 60
	metrics := []string{"power_hellinger", "power_wasserstein", "power_hellinger_rates", "power_wasserstein_rates"}
	for _, c := range []struct {
		turns []float64
		want  []float64
	}{
		{[]float64{0.3, 0.9}, []float64{0, 0, 0, 0}},
		{[]float64{0.4, 1}, []float64{0.2724, 0.0142, 0.2871, 0.0146}},
	} {
		held, mean, halves := make([]int, 4), make([]float64, 4), make([]float64, 4)
		for rep := range uint64(repetitions) {
			subject := func(label string, role comparator.Role, x *tensor.Tensor) comparator.Subject {
				return comparator.Subject{Label: label, Role: role, Valid: tensor.Set{x, x.Named(comparator.Rates)}}
			}
			o := compare(t, param.Values{"bootstrap": 200, "null": false, "exponents": 0, "operator_rank": 0},
				subject("truth", comparator.Truth, oscillators(1000+2*rep, trials, bins, 0.3, 0.9)), subject("other", comparator.Fitted, oscillators(1001+2*rep, trials, bins, c.turns...)))
			for i, metric := range metrics {
				r, h := opened.Find(t, o, metric, "other"), opened.Find(t, o, metric+"_split_half", "truth")
				if r.Low <= c.want[i] && c.want[i] <= r.High {
					held[i]++
				}
				mean[i] += r.Value / repetitions
				halves[i] += h.Value / repetitions
			}
		}
		t.Logf("turns %v: held %v of %d; %.3g apart, halves %.3g", c.turns, held, repetitions, mean, halves)
		for i, metric := range metrics {
			if held[i] < repetitions-5 {
				t.Errorf("%s: %d of %d intervals hold %v", metric, held[i], repetitions, c.want[i])
			}
			if c.want[i] == 0 && math.Abs(halves[i]/mean[i]-math.Sqrt2) > 0.2 {
				t.Errorf("%s: halves are %v apart, recordings %v", metric, halves[i], mean[i])
			}
		}
	}
}
