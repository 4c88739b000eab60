package spikes

import (
	"context"
	"fmt"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestMemory compares the estimates with what fitting and simulating some blocks take: many neurons, many latents, and on several threads.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ heldIn, heldOut, latents, bins, threads, blocks int }{
		{1200, 300, 8, 50, 1, 3},
		{50, 10, 128, 300, 2, 4},
		{100, 50, 64, 150, 4, 8},
		{2000, 2000, 1500, 1, 1, 2},
	} {
		name := fmt.Sprintf("%+v", c)
		f := Factory()
		values, problems := f.Info.Params.Resolve(param.Values{"n_heldin": c.heldIn, "n_heldout": c.heldOut, "mixing": "random"})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		source := simulator.Source{Latents: c.latents, Bins: c.bins}
		got := f.Memory(values, source, c.threads).Bytes
		footprint.Check(t, name, got, func() error {
			ctx := context.Background()
			s, err := f.Open(ctx, values, component.Env{Seed: 1, Threads: c.threads}, source)
			if err != nil {
				return err
			}
			if _, err := s.Fit(ctx, waves(c.blocks, c.bins, c.latents)); err != nil {
				return err
			}
			for _, err := range s.Simulate(ctx, waves(c.blocks, c.bins, c.latents)) {
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// waves makes blocks of as many trials as a task would.
func waves(blocks, bins, width int) tensor.Blocks {
	rows := int(max(1, min(inputTrials, inputBlock/int64(4*bins*width))))
	return func(yield func(tensor.Block, error) bool) {
		for k := range blocks {
			z := tensor.New32(simulator.Latents, rows, bins, width)
			for i := range z.F32 {
				z.F32[i] = float32(i%7) / 7
			}
			b := tensor.Block{Arrays: tensor.Set{z}}
			for i := range rows {
				b.Trials = append(b.Trials, int64(k*rows+i))
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}
