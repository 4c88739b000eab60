package cli

import (
	"fmt"
	"math"
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
	var of origins
	comparators := map[string]bool{}
	for _, m := range r.Metrics {
		of.add(m.Comparator, m.Metric, m.Subject, m.Reference)
		comparators[m.Comparator] = true
	}
	t := p.table(of.row("comparison", "subject", "against", "metric", "value", "95% interval", "null", "better", "n")...)
	values := 0
	for _, m := range r.Metrics {
		if math.IsNaN(float64(m.Value)) {
			continue
		}
		name := m.Metric
		if m.Unit != "" {
			name += " (" + m.Unit + ")"
		}
		t.AppendRow(of.row(m.Comparator, m.Subject, m.Reference, name, number(m.Value), interval(m), number(m.Null), direction(m.Better), m.N))
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

// origins are the columns that tell numbers of one name apart. Several comparisons may have the same metric, and a subject several references: only then is it said which.
type origins struct {
	several, against bool
	seen             map[[3]string]string
}

func (o *origins) add(comparator, metric, subject, reference string) {
	if o.seen == nil {
		o.seen = map[[3]string]string{}
	}
	k := [3]string{metric, subject, reference}
	other, ok := o.seen[k]
	o.several = o.several || ok && other != comparator
	o.seen[k] = comparator
	o.against = o.against || reference != "" && reference != experiment.Truth
}

// row is that of a table.
func (o *origins) row(comparator, subject, reference string, others ...any) table.Row {
	var row table.Row
	if o.several {
		row = append(row, comparator)
	}
	row = append(row, subject)
	if o.against {
		row = append(row, reference)
	}
	return append(row, others...)
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
