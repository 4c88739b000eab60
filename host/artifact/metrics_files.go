package artifact

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact/tfevents"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// writeMetricsTable makes metrics.csv of metrics.jsonl: epoch, step, then a column for each curve in the order in which they appear, and a line for each epoch and step.
// What a line lacks, and what is not finite, is an empty field.
func writeMetricsTable(dir string) error {
	lines := filepath.Join(dir, MetricsFile)
	head, column := []string{"epoch", "step"}, map[string]int{}
	err := eachMetric(lines, func(m component.Metric) error {
		if _, ok := column[m.Name]; !ok {
			column[m.Name] = len(head)
			head = append(head, strings.Join(strings.Fields(m.Name), " "))
		}
		return nil
	})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, MetricsTable)
	f, err := createPending(path)
	if err != nil {
		return err
	}
	defer f.Cleanup()
	w := csv.NewWriter(f)
	// Writes keep their first error for the end.
	_ = w.Write(head)
	row, has := make([]string, len(head)), false
	put := func() {
		if has {
			_ = w.Write(row)
		}
		clear(row)
		has = false
	}
	filled := map[string]bool{}
	err = eachMetric(lines, func(m component.Metric) error {
		epoch, step := strconv.FormatInt(m.Epoch, 10), strconv.FormatInt(m.Step, 10)
		if row[0] != epoch || row[1] != step || filled[m.Name] {
			put()
			clear(filled)
		}
		has, filled[m.Name] = true, true
		row[0], row[1], row[column[m.Name]] = epoch, step, decimal(Number(m.Value))
		return nil
	})
	if err != nil {
		return err
	}
	put()
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("artifact: writing %s: %w", path, err)
	}
	return replace(f, path)
}

// writeEvents makes the event file of metrics.jsonl: a scalar for each metric, at its step.
func writeEvents(dir string) error {
	path := filepath.Join(dir, EventsFile)
	f, err := createPending(path)
	if err != nil {
		return err
	}
	defer f.Cleanup()
	out := bufio.NewWriter(f)
	w, err := tfevents.NewWriter(out)
	if err == nil {
		err = eachMetric(filepath.Join(dir, MetricsFile), func(m component.Metric) error { return w.Scalar(scalar(m)) })
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("artifact: writing %s: %w", path, err)
	}
	return replace(f, path)
}

func scalar(m component.Metric) tfevents.Scalar {
	return tfevents.Scalar{Tag: m.Name, Step: m.Step, Value: float32(m.Value)}
}
