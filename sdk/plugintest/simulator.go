package plugintest

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func simulatorChecks() []check {
	return []check{
		{name: "spec", doc: "its spec declares sizes that are possible, the same for every instance", run: simulatorSpec, first: true},
		{name: "simulate", doc: "what it simulates has the declared arrays, shapes and ranges, and the very latents that it came from", run: simulates},
		{name: "same-seed", doc: "the same seed gives the same bytes, whatever the number of threads", run: simulatorSameSeed},
		{name: "other-seed", doc: "another seed gives other activity", run: simulatorOtherSeed},
		{name: "chunking", doc: "activity is the same in blocks of any size", run: simulatorChunking},
		{name: "wrong-calls", doc: "calls that make no sense are refused as such, and harm nothing", run: simulatorWrongCalls},
		{name: "cancel", doc: "a cancelled call ends within seconds", run: simulatorCancel},
	}
}

// latents are what simulators simulate from, cut into blocks of so many trials.
func latents(block int) (tensor.Block, tensor.Blocks) {
	b := record(0).split(task.All, simulator.Latents, task.Inputs)
	return b, inBlocks(b, block)
}

func simulatorSpec(ctx context.Context, s *subject, v *Verdict) error {
	m, err := s.simulator(ctx, seed, 1, foilSource())
	if err != nil {
		return err
	}
	spec, err := m.Spec(ctx)
	if err != nil {
		return fmt.Errorf("calling Spec: %w", err)
	}
	if again, err := m.Spec(ctx); err != nil || again != spec {
		v.Failf("asked twice, the spec is %+v and %+v (error %v): it must not change", spec, again, err)
	}
	if spec.HeldIn < 1 || spec.Neurons < spec.HeldIn {
		v.Failf("spec declares %d neurons, the first %d of them held in: at least one held in, and no more than there are, are needed", spec.Neurons, spec.HeldIn)
	}
	if spec.From < 0 || spec.To > recordBins || spec.From >= spec.To {
		v.Failf("spec keeps the bins [%d, %d) of %d: at least one of them is needed", spec.From, spec.To, recordBins)
	}
	v.Notef("%d neurons, %d held in, bins %d to %d", spec.Neurons, spec.HeldIn, spec.From, spec.To)
	return nil
}

// simulated fits and simulates.
func (s *subject) simulated(ctx context.Context, seed uint64, threads, block int) (tensor.Set, tensor.Block, error) {
	m, err := s.simulator(ctx, seed, threads, foilSource())
	if err != nil {
		return nil, tensor.Block{}, err
	}
	return simulated(ctx, m, block)
}

func simulated(ctx context.Context, m client.Simulator, block int) (tensor.Set, tensor.Block, error) {
	_, first := latents(block)
	_, second := latents(block)
	fitted, err := m.Fit(ctx, first)
	if err != nil {
		return nil, tensor.Block{}, fmt.Errorf("calling Fit in blocks of %d: %w", block, err)
	}
	out, err := tensor.Collect(m.Simulate(ctx, second))
	if err != nil {
		return nil, tensor.Block{}, fmt.Errorf("calling Simulate in blocks of %d: %w", block, err)
	}
	return fitted, out, nil
}

func simulates(ctx context.Context, s *subject, v *Verdict) error {
	m, err := s.simulator(ctx, seed, 2, foilSource())
	if err != nil {
		return err
	}
	spec, err := m.Spec(ctx)
	if err != nil {
		return err
	}
	fitted, out, err := simulated(ctx, m, 0)
	if err != nil {
		return err
	}
	for _, a := range fitted {
		if err := a.CheckFinite(); err != nil {
			v.Failf("what Fit returns: %v", err)
		}
	}
	in, _ := latents(0)
	n, bins := len(in.Trials), spec.To-spec.From
	if d := blockDifference(tensor.Block{Trials: in.Trials}, tensor.Block{Trials: out.Trials}); d != "" {
		v.Failf("trials that went in and that came out: %s", d)
		return nil
	}
	arrays := map[string]*tensor.Tensor{}
	for _, one := range []struct {
		name  string
		width int
	}{{simulator.Encoded, spec.HeldIn}, {simulator.Reconstructed, spec.Neurons}, {simulator.Activity, spec.Neurons}, {simulator.Latents, foilLatents}, {task.Inputs, foilInputs}} {
		a := out.Arrays.Get(one.name)
		switch {
		case a == nil:
			v.Failf("it gives the arrays %v: %q of shape (%d, %d, %d) is needed", out.Arrays.Names(), one.name, n, bins, one.width)
			continue
		case a.Expect(n, bins, one.width) != nil:
			v.Failf("array %q has shape %v: (%d, %d, %d) is needed", one.name, a.Shape, n, bins, one.width)
			continue
		}
		if err := a.CheckFinite(); err != nil {
			v.Failf("%v", err)
		}
		arrays[one.name] = a
	}
	if v.failed() {
		return nil
	}
	for _, name := range []string{simulator.Latents, task.Inputs} {
		if d := apart(trimmed(in.Arrays.Get(name), spec.From, spec.To), as(false, arrays[name]), 0); d != "" {
			v.Failf("the %s that come out are not those that went in, bins %d to %d: %s", name, spec.From, spec.To, d)
		}
	}
	activity(spec, arrays, v)
	return nil
}

// activity holds spikes and rates to their ranges and to one another.
func activity(spec simulator.Spec, arrays map[string]*tensor.Tensor, v *Verdict) {
	seen, all, rates := arrays[simulator.Encoded].Float64s(), arrays[simulator.Reconstructed].Float64s(), arrays[simulator.Activity].Float64s()
	for i, x := range all {
		bin, neuron := i/spec.Neurons, i%spec.Neurons
		at := index(arrays[simulator.Reconstructed].Shape, i)
		if neuron < spec.HeldIn && seen[bin*spec.HeldIn+neuron] != x {
			v.Failf("%q at %v is %v and %q is %v: the held-in neurons are the first of all", simulator.Encoded, at, seen[bin*spec.HeldIn+neuron], simulator.Reconstructed, x)
		}
		if spec.Counts && (x < 0 || x != math.Trunc(x)) {
			v.Failf("%q at %v is %v: a count is needed, since the spec says that activity is counts", simulator.Reconstructed, at, x)
		}
		if rates[i] < 0 {
			v.Failf("%q at %v is %v: a rate of at least 0 is needed", simulator.Activity, at, rates[i])
		}
	}
	if !spec.Counts || v.failed() {
		return
	}
	// The counts' mean is that of their rates: five standard errors of sums whose variance is that of Poisson counts are far from chance, and dispersed ones get thrice of it.
	expected, got := 0.0, 0.0
	for i, r := range rates {
		expected += r
		got += all[i]
	}
	if limit := 15 * math.Sqrt(max(1, expected)); math.Abs(got-expected) > limit {
		v.Failf("there are %.0f spikes in all where the rates add up to %.1f: they must agree in the mean", got, expected)
	}
	v.Notef("%.0f spikes for rates that add up to %.1f", got, expected)
}

// trimmed are the bins [from, to).
func trimmed(t *tensor.Tensor, from, to int) *tensor.Tensor {
	rows, bins, width := t.Shape[0], t.Shape[1], t.Shape[2]
	out := tensor.New32(t.Name, rows, to-from, width)
	x := t.Float32s()
	for i := range rows {
		copy(out.F32[i*(to-from)*width:(i+1)*(to-from)*width], x[(i*bins+from)*width:])
	}
	return out
}

func simulatorSameSeed(ctx context.Context, s *subject, v *Verdict) error {
	if !s.info.Can(component.Deterministic) {
		v.Skipf("its manifest does not promise %q", component.Deterministic)
		return nil
	}
	fa, a, err := s.simulated(ctx, seed, 1, 0)
	if err != nil {
		return err
	}
	fb, b, err := s.simulated(ctx, seed, 3, 0)
	if err != nil {
		return err
	}
	if d := setDifference(fa, fb); d != "" {
		v.Failf("Fit of two instances with the same seed, with 1 and 3 threads: %s, but the manifest promises %q", d, component.Deterministic)
	}
	if d := blockDifference(a, b); d != "" {
		v.Failf("two instances with the same seed, with 1 and 3 threads: %s, but the manifest promises %q", d, component.Deterministic)
	}
	return nil
}

func simulatorOtherSeed(ctx context.Context, s *subject, v *Verdict) error {
	_, a, err := s.simulated(ctx, seed, 1, 0)
	if err != nil {
		return err
	}
	_, b, err := s.simulated(ctx, otherSeed, 1, 0)
	if err != nil {
		return err
	}
	x, y := a.Arrays.Get(simulator.Reconstructed), b.Arrays.Get(simulator.Reconstructed)
	if x != nil && difference(x, y) == "" {
		v.Failf("the activity is the same with seeds %d and %d: the seed that it is opened with must be what draws come from", seed, otherSeed)
	}
	return nil
}

func simulatorChunking(ctx context.Context, s *subject, v *Verdict) error {
	m, err := s.simulator(ctx, seed, 2, foilSource())
	if err != nil {
		return err
	}
	fitted, want, err := simulated(ctx, m, 0)
	if err != nil {
		return err
	}
	for _, size := range []int{1, 7} {
		again, err := s.simulator(ctx, seed, 2, foilSource())
		if err != nil {
			return err
		}
		f, got, err := simulated(ctx, again, size)
		if err != nil {
			return err
		}
		if d := setApart(f, fitted, 1e-9); d != "" {
			v.Failf("Fit to one block and to blocks of %d trials: %s", size, d)
		}
		if d := blockDifference(want, got); d != "" {
			v.Failf("in one block and in blocks of %d trials: %s: the noise of a trial depends on the seed and its number alone", size, d)
		}
	}
	return nil
}

func simulatorWrongCalls(ctx context.Context, s *subject, v *Verdict) error {
	m, err := s.simulator(ctx, seed, 1, foilSource())
	if err != nil {
		return err
	}
	wrong := func(what string, err error) {
		if why := refused(err, wrongCall()...); why != "" {
			v.Failf("%s: %s: an invalid argument is needed", what, why)
		}
	}
	in, blocks := latents(0)
	if _, err := tensor.Collect(m.Simulate(ctx, blocks)); err == nil {
		v.Failf("Simulate before Fit is answered: an error is needed")
	}
	// What is wrong with trials may be told by Fit or by Simulate.
	use := func(arrays ...*tensor.Tensor) error {
		other, err := s.simulator(ctx, seed, 1, foilSource())
		if err != nil {
			return err
		}
		bad := tensor.Of(tensor.Block{Trials: in.Trials[:2], Arrays: arrays})
		if _, err := other.Fit(ctx, bad); err != nil {
			return err
		}
		_, err = tensor.Collect(other.Simulate(ctx, bad))
		return err
	}
	wrong("trials without latents", use(tensor.New32("something", 2, recordBins, foilLatents)))
	wrong("latents of another width", use(tensor.New32(simulator.Latents, 2, recordBins, foilLatents+1)))
	wrong("latents of other bins", use(tensor.New32(simulator.Latents, 2, recordBins+1, foilLatents)))
	broken := tensor.New32(simulator.Latents, 2, recordBins, foilLatents)
	broken.F32[3] = float32(math.NaN())
	if err := use(broken); err == nil {
		v.Failf("latents with a NaN are taken: an error is needed")
	}
	if _, _, err := simulated(ctx, m, 0); err != nil {
		v.Failf("after wrong calls: %v", err)
	}
	return nil
}

func simulatorCancel(ctx context.Context, s *subject, v *Verdict) error {
	in, _ := latents(0)
	for _, one := range []struct {
		what string
		call func(ctx context.Context, m client.Simulator)
	}{
		{"Fit", func(ctx context.Context, m client.Simulator) { _, _ = m.Fit(ctx, until(ctx, in)) }},
		{"Simulate", func(ctx context.Context, m client.Simulator) {
			for range m.Simulate(ctx, until(ctx, in)) {
			}
		}},
	} {
		m, err := s.simulator(ctx, seed, 1, foilSource())
		if err != nil {
			return err
		}
		if one.what == "Simulate" {
			if _, _, err := simulated(ctx, m, 0); err != nil {
				return err
			}
		}
		inner, cancel := cancelled(ctx, 100*time.Millisecond)
		one.call(inner, m)
		cancel()
		s.closeInTime(ctx, v, one.what, m)
	}
	return nil
}
