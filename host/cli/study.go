package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/host/report"
	studies "github.com/ctdb-host/ctdb/host/report/summary"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// printStudy prints what a study measured, one line for each subject at each point of the matrix, and the points that are not done.
func (p Program) printStudy(run *artifact.Run) error {
	s, err := studies.Read(run)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "%s\n\n", pointsLine(s))
	if len(s.Series) > 0 {
		p.spreadTable(s).Render()
	}
	if s.Count(artifact.PointDone) < len(s.Points) {
		fmt.Fprintln(p.Out)
		t := p.table("not done", "state", "reason")
		for i, point := range s.Points {
			if state := s.States[i]; state.PointState != artifact.PointDone {
				t.AppendRow(table.Row{point.Name, newScreen(p.Out).status(string(state.PointState)), state.Reason})
			}
		}
		t.Render()
	}
	if missing := missingValues(s); len(missing) > 0 {
		fmt.Fprintf(p.Out, "\nnot computed:\n  %s\n", strings.Join(missing, "\n  "))
	}
	for _, problem := range s.Problems {
		fmt.Fprintln(p.Err, problem)
	}
	return nil
}

// spreadTable is the table of means.
func (p Program) spreadTable(s *studies.Study) table.Writer {
	var axes []int
	for _, k := range s.Matrix() {
		for _, series := range s.Series {
			if series.Matters(k) {
				axes = append(axes, k)
				break
			}
		}
	}
	var of origins
	for _, series := range s.Series {
		of.add(series.Comparator, series.Metric, series.Subject, series.Reference)
	}
	head := of.row("comparison", "subject", "against", "metric")
	for _, k := range axes {
		head = append(head, s.Axes[k].Label)
	}
	t := p.table(append(head, "mean ± sd", "min to max", "runs", "better")...)
	for _, series := range s.Series {
		if !series.HasValues() {
			continue // told below, with the reason
		}
		own := series.MatteringMatrix()
		for _, c := range series.Cells(own...) {
			name := series.Metric
			if series.Unit != "" {
				name += " (" + series.Unit + ")"
			}
			row := of.row(series.Comparator, series.Subject, series.Reference, name)
			for _, k := range axes {
				row = append(row, valueAt(s, own, c.At, k))
			}
			runs := fmt.Sprint(c.N)
			if c.N < c.Points {
				runs = fmt.Sprintf("%d of %d", c.N, c.Points)
			}
			t.AppendRow(append(row, meanText(c.Stat), rangeText(c.Stat), runs, direction(series.Better)))
		}
	}
	right := []table.ColumnConfig{{Name: "runs", Align: text.AlignRight}}
	for _, k := range axes {
		if _, numeric := studies.Numbers(s.Axes[k]); numeric {
			right = append(right, table.ColumnConfig{Name: s.Axes[k].Label, Align: text.AlignRight})
		}
	}
	t.SetColumnConfigs(right)
	return t
}

// valueAt is a cell's value on an axis, "any" where that makes no difference to its series.
func valueAt(s *studies.Study, own, at []int, axis int) string {
	for i, k := range own {
		if k == axis {
			return artifact.FormatValue(s.Axes[axis].Values[at[i]])
		}
	}
	return "any"
}

// pointsLine says how many points there are and what became of them.
func pointsLine(s *studies.Study) string {
	var parts []string
	for _, state := range []artifact.PointState{
		artifact.PointDone, artifact.PointFailed, artifact.PointDamaged, artifact.PointInterrupted, artifact.PointKilled, artifact.PointRunning, artifact.PointMissing,
	} {
		if n := s.Count(state); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	var axes []string
	for _, a := range s.Axes {
		axes = append(axes, fmt.Sprintf("%s (%d)", a.Label, len(a.Values)))
	}
	return fmt.Sprintf("%d points of %s: %s", len(s.Points), strings.Join(axes, " x "), strings.Join(parts, ", "))
}

// mostMissing is the number of lines about what is not computed.
const mostMissing = 20

func missingValues(s *studies.Study) []string {
	var out []string
	for _, g := range s.Gaps() {
		out = append(out, fmt.Sprintf("%s at %s: %s", g.Values(), s.Where(g), g.Reason))
	}
	if n := len(out) - mostMissing; n > 0 {
		out = append(out[:mostMissing], fmt.Sprintf("and %d more, in %s", n, artifact.ResultsTable))
	}
	return out
}

// decimals are those of two significant digits of the standard deviation; ok is false where plain decimals would show nothing of it, or too much.
func decimals(s studies.Stat) (n int, ok bool) {
	size := max(math.Abs(s.Mean), s.SD)
	if math.IsNaN(s.SD) || s.SD == 0 || size >= 1e6 || s.SD < 1e-6*size || s.SD < 1e-6 {
		return 0, false
	}
	return max(1-int(math.Floor(math.Log10(s.SD))), 0), true
}

// meanText writes the standard deviation with two significant digits and the mean with as many decimals.
func meanText(s studies.Stat) string {
	n, ok := decimals(s)
	switch {
	case s.N == 0:
		return ""
	case ok:
		return fmt.Sprintf("%.*f ± %.*f", n, s.Mean, n, s.SD)
	case math.IsNaN(s.SD) || s.SD == 0:
		return number(artifact.Number(s.Mean))
	}
	return fmt.Sprintf("%.4g ± %.2g", s.Mean, s.SD)
}

func rangeText(s studies.Stat) string {
	if s.N < 2 {
		return ""
	}
	if n, ok := decimals(s); ok {
		return fmt.Sprintf("%.*f to %.*f", n, s.Min, n, s.Max)
	}
	return number(artifact.Number(s.Min)) + " to " + number(artifact.Number(s.Max))
}

// studyJSON is what `show --json` prints of a study besides what it prints of every run.
func studyJSON(run *artifact.Run, into map[string]any) error {
	s, err := studies.Read(run)
	if err != nil {
		return err
	}
	type point struct {
		Name   string         `json:"name"`
		Values map[string]any `json:"values"`
		State  string         `json:"state"`
		Reason string         `json:"reason,omitempty"`
	}
	type line struct {
		Comparator string           `json:"comparator"`
		Metric     string           `json:"metric"`
		Subject    string           `json:"subject"`
		Reference  string           `json:"reference"`
		Unit       string           `json:"unit"`
		Better     component.Better `json:"better"`
		// Point has the values on the axes that make a difference to the subject; Points is the number of runs that there should be, N that of values.
		Point  map[string]any  `json:"point"`
		Points int             `json:"points"`
		N      int             `json:"n"`
		Mean   artifact.Number `json:"mean"`
		SD     artifact.Number `json:"sd"`
		Min    artifact.Number `json:"min"`
		Max    artifact.Number `json:"max"`
	}
	points, lines := []point{}, []line{}
	for i, q := range s.Points {
		points = append(points, point{q.Name, q.Values, string(s.States[i].PointState), s.States[i].Reason})
	}
	for _, series := range s.Series {
		own := series.MatteringMatrix()
		for _, c := range series.Cells(own...) {
			at := map[string]any{}
			for i, k := range own {
				at[s.Axes[k].Path] = s.Axes[k].Values[c.At[i]]
			}
			lines = append(lines, line{
				series.Comparator, series.Metric, series.Subject, series.Reference, series.Unit, series.Better, at, c.Points, c.N,
				artifact.Number(c.Mean), artifact.Number(c.SD), artifact.Number(c.Min), artifact.Number(c.Max),
			})
		}
	}
	into["study"], into["axes"], into["points"], into["summary"], into["metrics"] = s.Name, s.Axes, points, lines, s.Results.Metrics
	return nil
}

// joinInto joins the folders of a study's shards in one, and returns it.
func joinInto(ctx context.Context, out string, dirs []string) (*artifact.Run, error) {
	if err := pipeline.Join(ctx, out, dirs); err != nil {
		return nil, err
	}
	return artifact.OpenRun(out)
}

// reportStudy gathers what the points of a study have by now and writes its report; with points also each point's own.
func (p Program) reportStudy(ctx context.Context, run *artifact.Run, points bool) error {
	for _, q := range run.Points() {
		if q.Run == nil {
			continue
		}
		written, err := pipeline.Restore(q.Run)
		if err != nil {
			fmt.Fprintf(p.Err, "%s: %v\n", q.Name, err) // the report says so too
		} else if len(written) > 0 {
			fmt.Fprintf(p.Err, "%s: %s missing or broken, and written again of what the comparisons have\n", q.Run.Dir(), wereOrWas(written))
		}
	}
	if err := pipeline.Join(ctx, run.Dir(), nil); err != nil {
		if ctx.Err() != nil {
			return err
		}
		// A point that cannot be read is told in the report; the others are shown.
		fmt.Fprintln(p.Err, err)
	}
	var failed []error
	if points {
		for _, q := range run.Points() {
			if q.Run == nil {
				continue
			}
			began := time.Now()
			if err := report.Write(ctx, q.Run); err != nil {
				if ctx.Err() != nil {
					return err
				}
				failed = append(failed, fmt.Errorf("%s: %w", q.Name, err))
				continue
			}
			fmt.Fprintf(p.Err, "%s  %s\n", filepath.Join(q.Run.Dir(), artifact.ReportFile), human(time.Since(began)))
		}
	}
	_, err := writeReport(ctx, run.Dir())
	// What points lack is said as the folder is now.
	if now, openErr := artifact.OpenRun(run.Dir()); openErr == nil {
		p.sayGaps(now, allGaps(now, artifact.Provenance{}))
	}
	return errors.Join(append(failed, err)...)
}

// resultsOf are a run's results; none where the run did not come that far.
func resultsOf(run *artifact.Run) (artifact.Results, error) {
	r, err := run.Results()
	if errors.Is(err, fs.ErrNotExist) {
		return artifact.Results{}, nil
	}
	if err != nil {
		return r, fmt.Errorf("%w; `%s` writes the results again, of what the comparisons have", err, again([]string{"ctdb-host", "report", run.Dir()}, true, ""))
	}
	return r, nil
}
