package metrics

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// TestMemory compares the estimates with what a comparison takes: much data, many latents, many threads.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ trials, valid, bins, latents, wide, neurons, threads int }{
		{400, 100, 200, 3, 40, 80, 1},
		{60, 20, 20, 3, 400, 10, 2},
		{200, 50, 100, 3, 128, 100, 2},
		{60, 20, 200, 3, 60, 160, 2},
	} {
		heldIn := c.neurons - 2
		if c.neurons == 160 {
			heldIn = 40
		}
		name := fmt.Sprintf("%+v", c)
		f := Factory()
		values, problems := f.Info.Params.Resolve(param.Values{"bootstrap": 200, "few_shot_draws": 2})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		sizes := comparator.Sizes{
			Data:     &model.DataSpec{Neurons: c.neurons, HeldIn: heldIn, Inputs: 2, Bins: c.bins, TrainTrials: c.trials, ValidTrials: c.valid},
			Subjects: 2, Latents: c.wide,
		}
		got := f.Memory(values, sizes, c.threads).Bytes
		footprint.Check(t, name, got, func() error {
			m, err := f.Open(context.Background(), values, component.Env{Seed: 1, Threads: c.threads})
			if err != nil {
				return err
			}
			_, err = m.Compare(context.Background(), simulated(c.trials, c.valid, c.bins, c.latents, c.wide, c.neurons, heldIn), nil)
			return err
		})
	}
}

// TestMemoryOfNumbers: what is held does not grow with the number of resamples and shuffles but for a value each; and many give what few give.
func TestMemoryOfNumbers(t *testing.T) {
	req := simulated(300, 100, 2, 3, 4, 6, 4)
	held := func(resamples, shuffles int) uint64 {
		m := &metrics{Params: Params{CycleV: 0.01, Resamples: resamples, Interval: "percentile", Shuffles: shuffles}, seed: 1, threads: 1}
		var peak uint64
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		every := 0
		_, err := m.Compare(t.Context(), req, progress(func() {
			if every++; every%500 == 1 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		return peak
	}
	// 600 shuffles of 400 trials would be 2 MB of pairings and more of moments; 60,000 resamples of 100 trials 48 MB.
	few, many := held(10, 2), held(10, 600)
	if many > few+1<<20 {
		t.Errorf("2 shuffles hold %d bytes, 600 hold %d", few, many)
	}
	if many := held(60_000, 2); many > few+8<<20 {
		t.Errorf("10 resamples hold %d bytes, 60000 hold %d", few, many)
	}
}

type progress func()

func (p progress) Progress(component.Progress)     { p() }
func (p progress) Metric(component.Metric)         {}
func (p progress) Figure(component.Figure)         {}
func (p progress) Checkpoint(component.Checkpoint) {}
