package artifact

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"

	"github.com/ctdb-host/ctdb/sdk/component"
)

type metricLine struct {
	Name  string `json:"name"`
	Epoch int64  `json:"epoch"`
	Step  int64  `json:"step"`
	Value Number `json:"value"`
}

// MetricsWriter writes metrics.jsonl, one JSON object a line. Its methods may be called from several goroutines.
type MetricsWriter struct {
	mu   sync.Mutex
	path string
	file *renameio.PendingFile // nil once closed
	out  *bufio.Writer
}

// CreateMetrics begins DIR/metrics.jsonl. It must be ended with Close or Abort.
func CreateMetrics(dir string) (*MetricsWriter, error) {
	path := filepath.Join(dir, MetricsFile)
	f, err := createPending(path)
	if err != nil {
		return nil, err
	}
	return &MetricsWriter{path: path, file: f, out: bufio.NewWriter(f)}, nil
}

// Write adds a line.
func (w *MetricsWriter) Write(m component.Metric) error {
	line, err := json.Marshal(metricLine{m.Name, m.Epoch, m.Step, Number(m.Value)})
	if err != nil {
		return fmt.Errorf("artifact: metric %q: %w", m.Name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return fmt.Errorf("artifact: writing %s: %w", w.path, os.ErrClosed)
	}
	if _, err := w.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("artifact: writing %s: %w", w.path, err)
	}
	return nil
}

// Close completes the file and gives it its name. A second call does nothing.
func (w *MetricsWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	defer f.Cleanup()
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("artifact: writing %s: %w", w.path, err)
	}
	return replace(f, w.path)
}

// Abort removes what was written. It does nothing after Close.
func (w *MetricsWriter) Abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		w.file.Cleanup()
		w.file = nil
	}
}

// ReadMetrics reads DIR/metrics.jsonl.
func ReadMetrics(dir string) ([]component.Metric, error) {
	path := filepath.Join(dir, MetricsFile)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	defer f.Close()
	var out []component.Metric
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		var l metricLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("artifact: %s: line %d: %w", path, n, err)
		}
		out = append(out, component.Metric{Name: l.Name, Epoch: l.Epoch, Step: l.Step, Value: float64(l.Value)})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("artifact: reading %s: %w", path, err)
	}
	return out, nil
}
