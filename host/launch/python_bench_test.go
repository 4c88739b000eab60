package launch

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The costs of the boundary with a plugin in Python: CTDB_PYTHON=.cache/python/venv/bin/python go test -run '^$' -bench Python ./host/launch

// pythonSpec is how testdata/ctdb-plugin-bench is started.
func pythonSpec(b *testing.B) (Spec, *records) {
	b.Helper()
	python := os.Getenv("CTDB_PYTHON")
	if python == "" {
		b.Skip("CTDB_PYTHON does not name a Python with grpcio, protobuf and numpy: make python installs one")
	}
	sdk, err := filepath.Abs("../../sdk/python")
	if err != nil {
		b.Fatal(err)
	}
	script, err := filepath.Abs("testdata/ctdb-plugin-bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Setenv("PYTHONPATH", sdk)
	r := &records{lines: make(chan string, 10000)}
	return Spec{Path: python, Args: []string{script}, Name: "bench", Log: slog.New(slog.NewTextHandler(r, nil))}, r
}

// openPython starts the plugin and opens a task in it.
func openPython(b *testing.B, name string) (task.Task, *records) {
	b.Helper()
	s, r := pythonSpec(b)
	p, err := Start(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Stop(b.Context()) })
	t, err := p.Client.OpenTask(b.Context(), component.Name{Kind: component.Task, Short: name}, nil, component.Env{Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	return t, r
}

// BenchmarkPythonStart is from the start of a process to the answer to its first call, the imports of numpy and gRPC among it.
func BenchmarkPythonStart(b *testing.B) {
	for b.Loop() {
		s, _ := pythonSpec(b)
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

// BenchmarkPythonStep is a step of a closed loop: 256 trials, 6 actions there, 20 floats and the state of 2 back.
func BenchmarkPythonStep(b *testing.B) {
	t, _ := openPython(b, "still")
	loop, ok := t.(task.ClosedLoop)
	if !ok {
		b.Fatalf("%T is no closed-loop task", t)
	}
	numbers := make([]int64, 256)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	e, _, err := loop.Begin(b.Context(), task.EpisodeRequest{Split: task.Train, Trials: numbers})
	if err != nil {
		b.Fatal(err)
	}
	a := tensor.New32("actions", 256, 6)
	n := 0
	for b.Loop() {
		if _, err := e.Step(b.Context(), n, a); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

var memoryForm = regexp.MustCompile(`mib=(-?\d+)`)

// reportMemory says how much memory the process has taken beyond its own arrays.
func reportMemory(b *testing.B, r *records) {
	b.Helper()
	for {
		select {
		case line := <-r.lines:
			if m := memoryForm.FindStringSubmatch(line); m != nil {
				n, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(n, "MiB-grown")
				return
			}
		case <-b.Context().Done():
			return
		}
	}
}

// BenchmarkPythonTrials brings a gibibyte of trials, in blocks of 64 MiB.
func BenchmarkPythonTrials(b *testing.B) {
	t, r := openPython(b, "bulk")
	b.SetBytes(1 << 30)
	for b.Loop() {
		for _, err := range t.Trials(b.Context(), task.TrialRequest{Split: task.Train}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	reportMemory(b, r)
}

// BenchmarkPythonScore sends a gibibyte of outputs, in blocks of 64 MiB, of which the plugin holds one.
func BenchmarkPythonScore(b *testing.B) {
	t, r := openPython(b, "bulk")
	x := tensor.New32("outputs", 1024, 128, 128)
	b.SetBytes(1 << 30)
	for b.Loop() {
		outputs := func(yield func(tensor.Block, error) bool) {
			for k := range 16 {
				block := tensor.Block{Arrays: tensor.Set{x}}
				for i := range 1024 {
					block.Trials = append(block.Trials, int64(1024*k+i))
				}
				if !yield(block, nil) {
					return
				}
			}
		}
		if _, err := t.Score(b.Context(), task.ScoreRequest{Split: task.Train}, outputs); err != nil {
			b.Fatal(err)
		}
	}
	reportMemory(b, r)
}
