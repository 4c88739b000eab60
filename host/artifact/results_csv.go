package artifact

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
)

// ResultsTable is the name of a run's or study's results as a table, which [Results.WriteTable] writes.
const ResultsTable = "results.csv"

// seedPath is the path of the axis that varies the experiment's seed.
const seedPath = "seed"

// WriteTable writes DIR/results.csv, the results as a flat table with a line for each: what pandas and R load. The columns are seed, one for each axis of the
// study that is not the seed, named by its label, then comparator, metric, subject, reference, value, low, high, null, unit, better, n
// and reason. What cannot be had is an empty field; lists and maps are JSON; no field has a line break.
func (r Results) WriteTable(dir string, axes []StudyAxis) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	head := []string{"seed"}
	var varied []StudyAxis
	fixed := []string{"comparator", "metric", "subject", "reference", "value", "low", "high", "null", "unit", "better", "n", "reason"}
	taken := map[string]bool{"seed": true}
	for _, name := range fixed {
		taken[name] = true
	}
	for _, a := range axes {
		if a.Path == seedPath {
			continue
		}
		name := a.Label
		if taken[name] {
			name = a.Path
		}
		varied, head = append(varied, a), append(head, name)
	}
	lines := [][]string{append(head, fixed...)}
	for _, m := range r.Metrics {
		seed := strconv.FormatUint(m.Seed, 10)
		if s, ok := m.Point[seedPath]; ok {
			seed = FormatValue(s)
		}
		line := []string{seed}
		for _, a := range varied {
			line = append(line, cellOf(m.Point[a.Path]))
		}
		lines = append(lines, append(line,
			m.Comparator, m.Metric, m.Subject, m.Reference, decimal(m.Value), decimal(m.Low), decimal(m.High), decimal(m.Null),
			m.Unit, string(m.Better), strconv.FormatInt(m.N, 10), strings.Join(strings.Fields(m.Reason), " ")))
	}
	if err := w.WriteAll(lines); err != nil {
		return fmt.Errorf("artifact: %s: %w", ResultsTable, err)
	}
	return WriteFile(filepath.Join(dir, ResultsTable), b.Bytes())
}

// decimal is the shortest text that reads back as the same number, empty where there is none.
func decimal(n Number) string {
	if v := float64(n); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

func cellOf(v any) string {
	if v == nil {
		return ""
	}
	return strings.Join(strings.Fields(FormatValue(v)), " ")
}

// FormatValue is the value of an axis as text: a string as it is, everything else as JSON. Values are the same where their texts are.
func FormatValue(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(finite(v)); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}
