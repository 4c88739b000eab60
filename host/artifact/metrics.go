package artifact

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// line is the metric as a line of metrics.jsonl.
func line(m component.Metric) ([]byte, error) {
	b, err := json.Marshal(metricLine{m.Name, m.Epoch, m.Step, Number(m.Value)})
	if err != nil {
		return nil, fmt.Errorf("artifact: metric %q: %w", m.Name, err)
	}
	return append(b, '\n'), nil
}

// MetricsWriter writes the curves of a training: metrics.jsonl, one JSON object a line, and from it, when it is complete and not empty, metrics.csv and the event file for
// TensorBoard. All three depend on the metrics alone. Its methods may be called from several goroutines.
type MetricsWriter struct {
	mu   sync.Mutex
	path string
	file *renameio.PendingFile // nil once closed
	out  *bufio.Writer
	any  bool
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
	b, err := line(m)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return fmt.Errorf("artifact: writing %s: %w", w.path, os.ErrClosed)
	}
	if _, err := w.out.Write(b); err != nil {
		return fmt.Errorf("artifact: writing %s: %w", w.path, err)
	}
	w.any = true
	return nil
}

// Close completes the files and gives them their names. A second call does nothing.
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
	if err := replace(f, w.path); err != nil || !w.any {
		return err
	}
	dir := filepath.Dir(w.path)
	return errors.Join(writeMetricsTable(dir), writeEvents(dir))
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
	var out []component.Metric
	err := eachMetric(filepath.Join(dir, MetricsFile), func(m component.Metric) error {
		out = append(out, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// eachMetric calls see with every metric of a file in order.
func eachMetric(path string, see func(component.Metric) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	defer f.Close()
	return scanMetrics(f, path, see)
}

func scanMetrics(in io.Reader, path string, see func(component.Metric) error) error {
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		var l metricLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("artifact: %s: line %d: %w", path, n, err)
		}
		if err := see(component.Metric{Name: l.Name, Epoch: l.Epoch, Step: l.Step, Value: float64(l.Value)}); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("artifact: reading %s: %w", path, err)
	}
	return nil
}
