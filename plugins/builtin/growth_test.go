package builtin

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// work is a training of some size.
type work struct {
	model                        string
	bins, trials, batch, epochs  int
	threads, hidden, encoderSize int
}

// prepared is what a training needs, made before it is measured.
type prepared struct {
	opened
	env component.Env
}

func (w work) prepare(t testing.TB) prepared {
	t.Helper()
	i := slices.IndexFunc(Plugin().Models, func(f model.Factory) bool { return f.Info.Name.Short == w.model })
	if i < 0 {
		t.Fatalf("there is no %s", w.model)
	}
	s := setting{name: w.model, factory: Plugin().Models[i]}
	given := map[string]any{"epochs": w.epochs, "batch_size": w.batch, "hidden": w.hidden, "latent": w.hidden, "encoder_size": w.encoderSize}
	for name := range given {
		if _, ok := s.factory.Info.Params.Field(name); !ok {
			delete(given, name)
		}
	}
	values, problems := s.factory.Info.Params.Resolve(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s.values = values
	// Four fifths of the trials are for training.
	tk, spec := flipflop(t, w.trials*5/4, w.bins)
	r := record(1, 1)
	if s.onData() {
		r = record(w.trials*5/4, w.bins)
	}
	return prepared{opened{setting: s, target: s.target(spec, r.spec), task: tk, data: blocksOf{r, 64}}, component.Env{Seed: 1, Threads: w.threads}}
}

func (p prepared) train(t testing.TB) model.TrainResult {
	t.Helper()
	m, err := p.factory.Open(t.Context(), p.values, p.env, p.target)
	if err != nil {
		t.Fatal(err)
	}
	req := model.TrainRequest{Task: p.task}
	if p.onData() {
		req = model.TrainRequest{Data: p.data}
	}
	r, err := m.Train(t.Context(), req, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// processor is the time that this process has kept processors busy, in its own instructions and in the system's, such as where memory is touched first.
func processor(t testing.TB) (own, system time.Duration) {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

// TestCostGrowsLinearly trains for ten times as many bins, trials in a batch and epochs, and compares the processor's time in the program's own instructions, the least of a few trainings: it is ten
// times as much, within what a shared machine does to such measurements. The system's time depends on what memory the machine has free; it is told. The long form has more work and narrower bounds.
func TestCostGrowsLinearly(t *testing.T) {
	long := os.Getenv("CTDB_ENDURANCE") == "1"
	scale, low, high := 1, 3.0, 20.0
	if long {
		scale, low, high = 8, 7, 13
	}
	for _, name := range []string{"noisy-gru", "sae-gru"} {
		base := work{model: name, bins: 40, trials: 64, batch: 64, epochs: 6 * scale, threads: 1, hidden: 64, encoderSize: 64}
		bins, batch, epochs := base, base, base
		bins.bins *= 10
		batch.trials, batch.batch = 10*batch.trials, 10*batch.batch
		epochs.epochs *= 10
		took := func(w work) (least, system time.Duration) {
			p := w.prepare(t)
			p.train(t) // what is done once: memory, pages
			least = time.Duration(1<<63 - 1)
			for range 3 {
				own, sys := processor(t)
				p.train(t)
				if ownNow, sysNow := processor(t); ownNow-own < least {
					least, system = ownNow-own, sysNow-sys
				}
			}
			return least, system
		}
		one, oneSystem := took(base)
		for _, c := range []struct {
			what string
			work work
		}{{"bins", bins}, {"trials in a batch", batch}, {"epochs", epochs}} {
			ten, tenSystem := took(c.work)
			ratio := float64(ten) / float64(one)
			t.Logf("%s: ten times the %s take %.1f times as long: %v after %v, and in the system %v after %v", name, c.what, ratio, ten.Round(time.Millisecond/10), one.Round(time.Millisecond/10),
				tenSystem.Round(time.Millisecond/10), oneSystem.Round(time.Millisecond/10))
			if ratio < low || ratio > high {
				t.Errorf("%s: ten times the %s take %.1f times as long, want %v to %v", name, c.what, ratio, low, high)
			}
		}
	}
}

// BenchmarkGrowth takes epochs of one batch in sizes a decade apart: ns/trial-bin stays the same where cost is linear.
func BenchmarkGrowth(b *testing.B) {
	for _, name := range []string{"noisy-gru", "sae-gru"} {
		for _, size := range []struct{ batch, bins int }{{64, 50}, {64, 500}, {640, 50}, {640, 500}} {
			b.Run(fmt.Sprintf("%s/B=%d/T=%d", name, size.batch, size.bins), func(b *testing.B) {
				p := work{model: name, bins: size.bins, trials: size.batch, batch: size.batch, epochs: b.N, threads: 2, hidden: 64, encoderSize: 64}.prepare(b)
				b.ResetTimer()
				p.train(b)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size.batch*size.bins), "ns/trial-bin")
			})
		}
	}
}

// TestStepsAllocateNothingThatGrows compares what steps allocate in trainings that differ in their number of epochs alone, for sizes ten times apart. It does not depend on the bins. With the
// trials of a batch grows but the number of shards, and with it what a run of a graph takes: some kilobytes for each, of which none is of a size of the data.
func TestStepsAllocateNothingThatGrows(t *testing.T) {
	const slack, perShard = 16 << 10, 32 << 10
	perStep := func(w work) float64 {
		total := func(epochs int) (uint64, int64) {
			w.epochs = epochs
			p := w.prepare(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := p.train(t)
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc, r.Steps
		}
		few, fewSteps := total(2)
		many, steps := total(12)
		return (float64(many) - float64(few)) / float64(steps-fewSteps)
	}
	for _, f := range Plugin().Models {
		base := work{model: f.Info.Name.Short, bins: 20, trials: 96, batch: 96, threads: 2, hidden: 8, encoderSize: 8}
		bins, batch := base, base
		bins.bins *= 10
		batch.trials, batch.batch = 10*batch.trials, 10*batch.batch
		one, longer, larger := perStep(base), perStep(bins), perStep(batch)
		shard := (larger - one) / float64(kernel.ShardCount(batch.batch, kernel.ShardRows)-kernel.ShardCount(base.batch, kernel.ShardRows))
		t.Logf("%-20s a step of 3 shards allocates %.0f bytes, %.0f with ten times the bins, and %.0f more for each further shard", base.model, one, longer, shard)
		if longer > one+slack {
			t.Errorf("%s: a step allocates %.0f bytes, %.0f with ten times the bins", base.model, one, longer)
		}
		if shard > perShard {
			t.Errorf("%s: a step allocates %.0f bytes for each shard, want at most %d", base.model, shard, perShard)
		}
	}
}
