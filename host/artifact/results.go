package artifact

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"

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
	// Readings say how to read the metrics, as their comparators do.
	Readings []Reading `json:"readings,omitempty"`
}

// Reading says how to read a metric of a comparison.
type Reading struct {
	Comparator string `json:"comparator"`
	component.Reading
}

// Add adds the metrics and readings of another: readings that are there already once.
func (r *Results) Add(other Results) {
	r.Metrics = append(r.Metrics, other.Metrics...)
	for _, one := range other.Readings {
		if !slices.Contains(r.Readings, one) {
			r.Readings = append(r.Readings, one)
		}
	}
}

// Reading finds how to read a metric of a comparison.
func (r Results) Reading(comparator, metric string) (component.Reading, bool) {
	var of []component.Reading
	for _, one := range r.Readings {
		if one.Comparator == comparator {
			of = append(of, one.Reading)
		}
	}
	return component.FindReading(of, metric)
}

// Write writes DIR/results.json. It refuses a value that is not there for no reason.
func (r Results) Write(dir string) error {
	out := Results{Metrics: make([]Result, len(r.Metrics)), Readings: r.Readings}
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
