package artifact

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// Result is one number of a comparison, with the comparator that found it and the point of a study that it belongs to.
type Result struct {
	Comparator string `json:"comparator"`
	Metric     string `json:"metric"`
	Subject    string `json:"subject"`
	Reference  string `json:"reference"`
	// Value is null where it cannot be had; then Reason says why.
	Value Number `json:"value"`
	// Low and High bound the 95% interval, Null is the value under the null hypothesis; null where there is none.
	Low    Number           `json:"low"`
	High   Number           `json:"high"`
	Null   Number           `json:"null"`
	Unit   string           `json:"unit"`
	Better component.Better `json:"better"`
	N      int64            `json:"n"`
	Seed   uint64           `json:"seed"`
	// Point is the experiment's seed and overrides that a study varies; {} outside of a study.
	Point  map[string]any `json:"point"`
	Reason string         `json:"reason"`
}

// NewResult adds where a component's result comes from. A value that is not finite and comes without a reason is given one.
func NewResult(comparator string, seed uint64, point map[string]any, r component.Result) Result {
	if !isFinite(r.Value) && r.Reason == "" {
		r.Reason = fmt.Sprintf("%s gave %v and no reason", comparator, r.Value)
	}
	if point == nil {
		point = map[string]any{}
	}
	return Result{
		Comparator: comparator, Metric: r.Metric, Subject: r.Subject, Reference: r.Reference,
		Value: Number(r.Value), Low: Number(r.Low), High: Number(r.High), Null: Number(r.Null),
		Unit: r.Unit, Better: r.Better, N: r.N, Seed: seed, Point: point, Reason: r.Reason,
	}
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Results is the contents of results.json.
type Results struct {
	Metrics []Result `json:"metrics"`
}

// Write writes DIR/results.json. It refuses a value that is not there for no reason.
func (r Results) Write(dir string) error {
	out := Results{Metrics: make([]Result, len(r.Metrics))}
	for i, m := range r.Metrics {
		if !isFinite(float64(m.Value)) && m.Reason == "" {
			return fmt.Errorf("artifact: result %s of %q: a value or a reason is needed", m.Metric, m.Subject)
		}
		m.Point, _ = finite(m.Point).(map[string]any)
		if m.Point == nil {
			m.Point = map[string]any{}
		}
		out.Metrics[i] = m
	}
	return WriteJSON(filepath.Join(dir, ResultsFile), out)
}

// ReadResults reads DIR/results.json, of a stage that compares or of a whole run.
func ReadResults(dir string) (Results, error) {
	var r Results
	if err := ReadJSON(filepath.Join(dir, ResultsFile), &r); err != nil {
		return Results{}, err
	}
	for _, m := range r.Metrics {
		plain(m.Point)
	}
	return r, nil
}
