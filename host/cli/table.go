package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// table returns an empty table with a header, that fits the terminal; elsewhere plain enough to be read by awk as well.
func (p Program) table(header ...any) table.Writer {
	t := &fittedTable{Writer: table.NewWriter(), width: newScreen(p.Out).columns()}
	t.SetOutputMirror(p.Out)
	t.SuppressTrailingSpaces()
	style := table.StyleDefault
	style.Format.Header = text.FormatDefault
	style.Options = table.Options{SeparateColumns: false, SeparateHeader: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Box.MiddleHorizontal = "-"
	t.SetStyle(style)
	t.AppendHeader(table.Row(header))
	return t
}

// printResults prints a run's results as a table, then what is to be kept in mind of them, and what could not be had and why; of a study, how they spread.
func (p Program) printResults(run *artifact.Run) error {
	if _, ok := run.Study(); ok {
		return p.printStudy(run)
	}
	r, err := resultsOf(run)
	if err != nil {
		return err
	}
	if len(r.Metrics) == 0 {
		return nil
	}
	// Several comparisons may have the same metric, and a subject several references: only then is it said which.
	several, against := false, false
	type place struct{ metric, subject, reference string }
	seen := map[place]string{}
	comparators := map[string]bool{}
	for _, m := range r.Metrics {
		k := place{m.Metric, m.Subject, m.Reference}
		other, ok := seen[k]
		several = several || ok && other != m.Comparator
		seen[k], comparators[m.Comparator] = m.Comparator, true
		against = against || m.Reference != "" && m.Reference != experiment.Truth
	}
	header := table.Row{"subject", "metric", "value", "95% interval", "null", "better", "n"}
	if against {
		header = slices.Insert(header, 1, any("against"))
	}
	if several {
		header = slices.Insert(header, 0, any("comparison"))
	}
	t := p.table(header...)
	values := 0
	for _, m := range r.Metrics {
		if math.IsNaN(float64(m.Value)) {
			continue
		}
		name := m.Metric
		if m.Unit != "" {
			name += " (" + m.Unit + ")"
		}
		row := table.Row{m.Subject, name, number(m.Value), interval(m), number(m.Null), direction(m.Better), m.N}
		if against {
			row = slices.Insert(row, 1, any(m.Reference))
		}
		if several {
			row = slices.Insert(row, 0, any(m.Comparator))
		}
		t.AppendRow(row)
		values++
	}
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "value", Align: text.AlignRight}, {Name: "null", Align: text.AlignRight}, {Name: "n", Align: text.AlignRight}})
	if values > 0 {
		t.Render()
	}
	remarks, _ := artifact.Remarks(r.Metrics)
	p.printRemarks("notes", remarks, false, len(comparators) > 1)
	p.printRemarks("not computed", remarks, true, len(comparators) > 1)
	return nil
}

// printRemarks prints what there is to say of the values that are there, or of those that are missing.
func (p Program) printRemarks(title string, remarks []artifact.Remark, missing, several bool) {
	var lines []string
	for _, r := range remarks {
		if r.Missing != missing {
			continue
		}
		line := r.String()
		if several && r.Comparator != "" {
			line = r.Comparator + ": " + line
		}
		lines = append(lines, line)
	}
	if n := len(lines) - mostMissing; n > 1 {
		lines = append(lines[:mostMissing], fmt.Sprintf("and %d more, in %s", n, artifact.ResultsTable))
	}
	if len(lines) > 0 {
		fmt.Fprintf(p.Out, "%s:\n  %s\n", title, strings.Join(lines, "\n  "))
	}
}

func number(v artifact.Number) string {
	if math.IsNaN(float64(v)) {
		return ""
	}
	return fmt.Sprintf("%.4g", float64(v))
}

func interval(m artifact.Result) string {
	if math.IsNaN(float64(m.Low)) || math.IsNaN(float64(m.High)) {
		return ""
	}
	return number(m.Low) + " to " + number(m.High)
}

func direction(b component.Better) string {
	switch b {
	case component.Higher, component.Lower:
		return string(b)
	}
	return ""
}
