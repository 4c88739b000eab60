package launch

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
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

// BenchmarkPythonStart is from the start of a process to the answer to its first call; ms-of-imports is what Python, numpy and gRPC take of it.
func BenchmarkPythonStart(b *testing.B) {
	s, _ := pythonSpec(b)
	starts(b, s)
	imports := func() {
		if out, err := exec.CommandContext(b.Context(), s.Path, "-c", "import numpy, grpc, google.protobuf.message").CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	least := time.Hour
	for range 5 {
		began := time.Now()
		imports()
		least = min(least, time.Since(began))
	}
	b.ReportMetric(float64(least.Microseconds())/1000, "ms-of-imports")
}

// BenchmarkPythonStep is a step of a closed loop: 256 trials, 6 actions there, 20 floats and the state of 2 back.
func BenchmarkPythonStep(b *testing.B) {
	s, _ := pythonSpec(b)
	steps(b, s)
}

// BenchmarkPythonTrials brings a gibibyte of trials, in blocks of 16 MiB.
func BenchmarkPythonTrials(b *testing.B) {
	s, r := pythonSpec(b)
	bringTrials(b, s, r)
}

// BenchmarkPythonScore sends a gibibyte of outputs, in blocks of 16 MiB, of which the plugin holds one.
func BenchmarkPythonScore(b *testing.B) {
	s, r := pythonSpec(b)
	sendOutputs(b, s, r)
}
