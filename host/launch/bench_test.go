package launch

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The costs of the boundary with a plugin in Go: go test -run '^$' -bench Go ./host/launch

// goSpec is how this test binary is started as the plugin of [boundary].
func goSpec(b *testing.B) (Spec, *records) {
	b.Helper()
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	r := &records{lines: make(chan string, 10000)}
	return Spec{Path: path, Args: []string{hidden, "boundary"}, Name: "bench", Log: slog.New(slog.NewTextHandler(r, nil))}, r
}

// BenchmarkGoStart is from the start of a process to the answer to its first call.
func BenchmarkGoStart(b *testing.B) {
	s, _ := goSpec(b)
	starts(b, s)
}

// BenchmarkGoStep is a step of a closed loop: 256 trials, 6 actions there, 20 floats and the state of 2 back.
func BenchmarkGoStep(b *testing.B) {
	s, _ := goSpec(b)
	steps(b, s)
}

// BenchmarkGoTrials brings a gibibyte of trials, in blocks of 16 MiB.
func BenchmarkGoTrials(b *testing.B) {
	s, r := goSpec(b)
	bringTrials(b, s, r)
}

// BenchmarkGoScore sends a gibibyte of outputs, in blocks of 16 MiB.
func BenchmarkGoScore(b *testing.B) {
	s, r := goSpec(b)
	sendOutputs(b, s, r)
}

// starts measures what comes before the answer to the first call.
func starts(b *testing.B, s Spec) {
	b.Helper()
	for b.Loop() {
		p, err := Start(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Client.Describe(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		p.Kill()
		<-p.Done()
		_ = p.Stop(b.Context())
		b.StartTimer()
	}
}

// openBench starts the plugin and opens a task in it.
func openBench(b *testing.B, s Spec, name string) task.Task {
	b.Helper()
	p, err := Start(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Stop(context.Background()) })
	t, err := p.Client.OpenTask(b.Context(), component.Name{Kind: component.Task, Short: name}, nil, component.Env{Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func steps(b *testing.B, s Spec) {
	b.Helper()
	loop, ok := openBench(b, s, "still").(task.ClosedLoop)
	if !ok {
		b.Fatal("it is no closed-loop task")
	}
	e, _, err := loop.Begin(b.Context(), task.EpisodeRequest{Split: task.Train, Trials: numbered(0, 256)})
	if err != nil {
		b.Fatal(err)
	}
	a := tensor.New32("actions", 256, 6)
	n, least := 0, time.Hour
	for b.Loop() {
		began := time.Now()
		if _, err := e.Step(b.Context(), n, a); err != nil {
			b.Fatal(err)
		}
		least = min(least, time.Since(began))
		n++
	}
	// What a step costs where nothing else runs.
	b.ReportMetric(float64(least.Nanoseconds())/1000, "us-at-least")
}

func numbered(from, to int64) []int64 {
	var out []int64
	for k := from; k < to; k++ {
		out = append(out, k)
	}
	return out
}

func bringTrials(b *testing.B, s Spec, r *records) {
	b.Helper()
	t := openBench(b, s, "bulk")
	b.SetBytes(1 << 30)
	before := forget(b)
	var best pace
	for b.Loop() {
		for _, err := range t.Trials(b.Context(), task.TrialRequest{Split: task.Train}) {
			if err != nil {
				b.Fatal(err)
			}
			best.block()
		}
		best.last = best.last[:0]
	}
	best.report(b)
	reportMemory(b, r, before)
}

func sendOutputs(b *testing.B, s Spec, r *records) {
	b.Helper()
	t := openBench(b, s, "bulk")
	x := ones("outputs")
	b.SetBytes(1 << 30)
	before := forget(b)
	var best pace
	for b.Loop() {
		outputs := func(yield func(tensor.Block, error) bool) {
			for k := range int64(64) {
				if !yield(tensor.Block{Trials: numbered(256*k, 256*(k+1)), Arrays: tensor.Set{x}}, nil) {
					return
				}
				best.block()
			}
		}
		if _, err := t.Score(b.Context(), task.ScoreRequest{Split: task.Train}, outputs); err != nil {
			b.Fatal(err)
		}
		best.last = best.last[:0]
	}
	best.report(b)
	reportMemory(b, r, before)
}

// pace finds out how fast blocks come while nothing else has the processor: in the best eighth of a gibibyte.
type pace struct {
	last []time.Time
	best time.Duration
}

func (p *pace) block() {
	p.last = append(p.last, time.Now())
	if n := len(p.last); n > 8 {
		if took := p.last[n-1].Sub(p.last[n-9]); p.best == 0 || took < p.best {
			p.best = took
		}
	}
}

func (p *pace) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(8*p.best.Seconds(), "s-per-GiB-at-best")
}

// ones is 16 MiB that are there, not only promised.
func ones(name string) *tensor.Tensor {
	x := tensor.New32(name, 256, 128, 128)
	for i := range x.F32 {
		x.F32[i] = 1
	}
	return x
}

// forget gives back what is free, forgets the most that this process has held so far, and returns what it holds, in MiB; 0 where that cannot be told.
func forget(b *testing.B) int64 {
	b.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	// 5 resets the peak: proc(5), /proc/pid/clear_refs.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	return peakMiB()
}

// peakMiB is the most that this process has held.
func peakMiB() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	kb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseInt(kb, 10, 64)
	if err != nil {
		return 0
	}
	return n >> 10
}

var memoryForm = regexp.MustCompile(`mib=(-?\d+)`)

// reportMemory says by how much the memory of the two processes has grown, what they hold of trials included: the side that makes or sends them has one block from the beginning, the one that takes them
// gets a new one, of 16 MiB, each time.
func reportMemory(b *testing.B, r *records, before int64) {
	b.Helper()
	b.ReportMetric(float64(peakMiB()-before), "MiB-grown-here")
	for {
		select {
		case line := <-r.lines:
			if m := memoryForm.FindStringSubmatch(line); m != nil {
				n, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(n, "MiB-grown-there")
				return
			}
		case <-b.Context().Done():
			return
		}
	}
}

// boundary is a plugin whose tasks do no work of their own: what testdata/ctdb-plugin-bench is in Python.
func boundary() serve.Plugin {
	info := func(name string, can ...component.Capability) component.Info {
		return component.Info{Name: component.Name{Kind: component.Task, Short: name}, Version: "1.0.0", Doc: "nothing", Capabilities: can}
	}
	return serve.Plugin{Name: "bench", Version: "1.0.0", Doc: "what the boundary costs", Tasks: []task.Factory{
		task.New(info("still", component.ClosedLoop), nil, func(context.Context, struct{}, component.Env) (task.Task, error) {
			return still{seen: tensor.New32("inputs", 256, 20), state: tensor.New32("state", 256, 2)}, nil
		}),
		task.New(info("bulk"), nil, func(_ context.Context, _ struct{}, env component.Env) (task.Task, error) {
			return bulk{env.Log}, nil
		}),
	}}
}

// still is a closed loop in which nothing moves, and its own episode.
type still struct {
	silentTask
	seen, state *tensor.Tensor
}

func (still) Spec(context.Context) (task.Spec, error) {
	return task.Spec{
		Inputs: 20, Outputs: 6, Bins: 1 << 30, BinWidth: 0.01, TrainTrials: 256,
		Loop: &task.Loop{Actions: 6, ActionHigh: 1, StateSize: 2},
	}, nil
}

func (s still) Begin(context.Context, task.EpisodeRequest) (task.Episode, task.Observation, error) {
	return s, task.Observation{Inputs: s.seen}, nil
}

func (s still) Step(context.Context, int, *tensor.Tensor) (task.Observation, error) {
	return task.Observation{Inputs: s.seen, State: s.state}, nil
}

func (still) VJP(context.Context, int, *tensor.Tensor, *tensor.Tensor) (*tensor.Tensor, error) {
	return tensor.New32("actions", 256, 6), nil
}

func (still) DropTape(context.Context, int) error { return nil }

func (still) End(context.Context) error { return nil }

// bulk is a gibibyte of trials, 16 MiB in a block, which is always the same memory.
type bulk struct{ log *slog.Logger }

func (bulk) Spec(context.Context) (task.Spec, error) {
	return task.Spec{Inputs: 128, Outputs: 128, Bins: 128, BinWidth: 0.01, TrainTrials: 16384}, nil
}

func (t bulk) Trials(_ context.Context, _ task.TrialRequest) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		inputs := ones("inputs")
		before := peakMiB()
		for k := range int64(64) {
			if !yield(tensor.Block{Trials: numbered(256*k, 256*(k+1)), Arrays: tensor.Set{inputs}}, nil) {
				return
			}
		}
		t.log.Info("memory", "mib", peakMiB()-before)
	}
}

func (t bulk) Score(_ context.Context, _ task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	before := peakMiB()
	for _, err := range outputs {
		if err != nil {
			return task.Score{}, err
		}
	}
	t.log.Info("memory", "mib", peakMiB()-before)
	return task.Score{Trials: []int64{0}, Success: []float64{1}, Loss: []float64{0}}, nil
}
