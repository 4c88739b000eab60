package shape

import (
	"context"
	"fmt"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestMemory compares the estimates with what a comparison takes: much data, many latents, many threads.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ trials, valid, bins, wide, threads int }{
		{400, 100, 150, 40, 1},
		{60, 20, 20, 250, 2},
		{200, 50, 100, 128, 2},
	} {
		f := Factory()
		values, problems := f.Info.Params.Resolve(param.Values{"bootstrap": 200, "null_shuffles": 1})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		sizes := comparator.Sizes{Data: &model.DataSpec{Bins: c.bins, TrainTrials: c.trials, ValidTrials: c.valid}, Subjects: 2, Latents: c.wide}
		footprint.Check(t, fmt.Sprintf("%+v", c), f.Memory(values, sizes, c.threads).Bytes, func() error {
			m, err := f.Open(context.Background(), values, component.Env{Seed: 1, Threads: c.threads})
			if err != nil {
				return err
			}
			var subjects []comparator.Subject
			for i, role := range []comparator.Role{comparator.Truth, comparator.Fitted} {
				x := smooth(uint64(i), c.trials+c.valid, c.bins, c.wide)
				subjects = append(subjects, as(string(role), role, tensor.From32(comparator.Latents, x.Float32s(), x.Shape...), c.trials))
			}
			_, err = m.Compare(context.Background(), comparator.Request{Subjects: subjects}, nil)
			return err
		})
	}
}

// TestBasesAreLetGo: what is kept of a pair, or of a shuffle of trials of unequal length, does not grow with their number.
func TestBasesAreLetGo(t *testing.T) {
	var subjects []comparator.Subject
	for i := range 6 {
		s := as(fmt.Sprint(i), comparator.Fitted, smooth(uint64(i), 12, 20, 3), 8)
		for _, set := range []*tensor.Set{&s.Train, &s.Valid} {
			lengths := make([]int64, (*set)[0].Shape[0])
			for k := range lengths {
				lengths[k] = int64(20 - k)
			}
			*set = append(*set, tensor.FromInt(comparator.Lengths, lengths, len(lengths)))
		}
		subjects = append(subjects, s)
	}
	c, err := newComparison(open(t, 1, param.Values{"bootstrap": 0, "null_shuffles": 3, "figure_trials": 0}).(*shape), comparator.Request{Subjects: subjects}, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.bases) > 2 {
		t.Errorf("%d bases are kept after 15 pairs, of 2 subjects each", len(c.bases))
	}
}

// BenchmarkCompare takes the benchmark's usual size: 800 + 200 trials of 500 bins, 64 latents on both sides, with intervals and nulls.
func BenchmarkCompare(b *testing.B) {
	x, y := smooth(1, 1000, 500, 64), smooth(2, 1000, 500, 64)
	req := comparator.Request{Subjects: []comparator.Subject{as("truth", comparator.Truth, x, 800), as("y", comparator.Fitted, y, 800)}}
	c := open(b, 2, nil)
	for b.Loop() {
		if _, err := c.Compare(b.Context(), req, nil); err != nil {
			b.Fatal(err)
		}
	}
}
